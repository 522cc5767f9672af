"""Items that calibrate may not judge: found by content, under whatever name."""

from __future__ import annotations

from edgeconv.data.items import Items
from edgeconv.errors import RefusedInput

__all__ = ["refuse_overlap"]

_SHOWN = 3


def refuse_overlap(calibration: Items, parity: Items) -> None:
    """Compare two sets by the SHA-256 of their items.

    Raises:
        RefusedInput: Some items are in both; up to three are named.
    """
    known = dict(zip(calibration.item_hashes(), calibration.ids, strict=True))
    hashes = zip(parity.item_hashes(), parity.ids, strict=True)
    shared = {content: name for content, name in hashes if content in known}
    if not shared:
        return
    pairs = [
        name if name == known[content] else f"{name} (= {known[content]})"
        for content, name in list(shared.items())[:_SHOWN]
    ]
    more = ", ..." if len(shared) > _SHOWN else ""
    raise RefusedInput(
        f"{'1 item stands' if len(shared) == 1 else f'{len(shared)} items stand'} in both"
        f" {calibration.name} and {parity.name}: {', '.join(pairs)}{more}.",
        "Take them out of one; a model is not judged by what calibrated it.",
    )
