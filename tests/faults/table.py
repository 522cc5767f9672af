"""The table of the catalogue: for people as Markdown, for programs as JSON."""

from collections.abc import Sequence
from typing import Any

from tests.faults.run import Row

_COLUMNS = (
    "fault", "model", "file", "top-1 drop (95% bounds)",
    "agreement", "status", "cause told", "right",
)  # fmt: skip
_HEAD = f"| {' | '.join(_COLUMNS)} |\n{'|---' * len(_COLUMNS)}|\n"


def to_json(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """One object a row."""
    return [
        {
            "fault": row.fault.title,
            "family": row.fault.family,
            "model": row.model,
            "format": row.format,
            "status": row.status,
            "top1_drop": None
            if row.drop is None
            else {
                "estimate": row.drop.estimate,
                "lower95": row.drop.lower95,
                "upper95": row.drop.upper95,
            },
            "agreement": row.agreement,
            "lost": row.lost,
            "suspicions": list(row.suspicions),
            "blamed": list(row.blamed[:3]),
            "found": _found(row),
        }
        for row in rows
    ]


def to_markdown(rows: Sequence[Row]) -> str:
    return _HEAD + "".join(_line(row) for row in rows)


def _line(row: Row) -> str:
    drop = "none can be told"
    if row.drop is not None:
        low, high = row.drop.lower95, row.drop.upper95
        drop = f"{row.drop.estimate:.1f} ({low:.1f} to {high:.1f})"
    agreement = "" if row.agreement is None else f"{row.agreement:.1f}%"
    said = row.suspected[:2] if row.fault.family == "skew" else row.blamed[:2] or row.suspected[:2]
    found = {True: "yes", False: "no", None: ""}[_found(row)]
    cells = [row.fault.title, row.model, row.format, drop, agreement, row.status]
    return "| " + " | ".join([*cells, ", ".join(said), found]) + " |\n"


def _found(row: Row) -> bool | None:
    """Whether the cause was told; None where parity was not lost, or there is none to tell."""
    if row.status != "fail" or row.fault.family == "model":
        return None
    return row.named if row.fault.family == "skew" else row.found


def by_fault(rows: Sequence[Row]) -> str:
    """Markdown with a line a fault and model: all its layers and both formats together."""
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.fault.name, row.model), []).append(row)
    head = "| fault | model | files | top-1 drop, points | failed | cause told |\n"
    lines = [_group(*key, group) for key, group in groups.items()]
    return head + "|---|---|---|---|---|---|\n" + "".join(lines)


def _group(fault: str, model: str, group: Sequence[Row]) -> str:
    drops = [row.drop.estimate for row in group if row.drop is not None]
    spread = f"{min(drops):.1f} to {max(drops):.1f}" if drops else "none can be told"
    failed = sum(row.status == "fail" for row in group)
    told = [found for row in group if (found := _found(row)) is not None]
    right = f"{sum(told)} of {len(told)}" if told else ""
    return f"| {fault} | {model} | {len(group)} | {spread} | {failed} | {right} |\n"


def summary(rows: Sequence[Row]) -> str:
    """The counts in a sentence or two."""
    lost = [row for row in rows if row.lost]
    failed = [row for row in lost if row.status == "fail"]
    wrong = [r for r in rows if r.status == "pass" and r.drop and r.drop.estimate > 2.0]
    parts = [
        f"{len(rows)} files with a fault; {len(failed)} of {len(lost)} whose loss is proven "
        f"were failed; {len(wrong)} that lose more than 2 points passed."
    ]
    for family, what in (("skew", "named right"), ("layer", "blamed on the right layer")):
        told = [_found(row) for row in rows if row.fault.family == family]
        told = [found for found in told if found is not None]
        if told:
            share = 100.0 * sum(told) / len(told)
            parts.append(f"{family}: {sum(told)} of {len(told)} {what} ({share:.1f}%).")
    return " ".join(parts)
