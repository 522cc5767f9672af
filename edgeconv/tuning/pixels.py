"""The pictures at the model's size, in one file."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from edgeconv.data import Items
from edgeconv.errors import HostFailure, RefusedInput
from edgeconv.finetune.arrays import mapped
from edgeconv.pictures import printable
from edgeconv.progress import Progress
from edgeconv.tuning.pictures import Gathered, list_names, source_of
from edgeconv.types import Array

__all__ = ["store_pixels"]


def store_pixels(gathered: Gathered, path: Path, progress: Progress, beside: int = 0) -> None:
    """Decode every picture once, and write its pixels at the model's size.

    Args:
        gathered: Which.
        path: Becomes uint8 [N, H, W, 3], RGB; it appears whole.
        progress: Told how far it is.
        beside: Bytes that the training will write there too.

    Raises:
        RefusedInput: Pictures are broken; the message says how many, and names some.
        HostFailure: The disk is too small.
    """
    first = gathered.sets[0].source.preprocess
    shape = (sum(map(len, gathered.sets)), first.height, first.width, 3)
    path.unlink(missing_ok=True)  # of a training that goes on: its room is free for this one
    _refuse_full(path.parent, shape, beside)
    progress.stage("read the pictures", shape[0])
    aside = path.with_name(f".{path.name}.part")
    try:
        pixels = mapped(aside, np.uint8, shape)
        _fill(pixels, gathered, progress)
        del pixels  # written and closed: Windows renames no open file
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def _refuse_full(folder: Path, shape: tuple[int, ...], beside: int) -> None:
    needed = int(np.prod(shape, dtype=np.int64)) + beside
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise HostFailure(
            f"Training on {shape[0]:,} pictures takes about {needed / 1e9:.1f} GB at this size,"
            f" and {printable(folder)} has {free / 1e9:.1f} GB left.",
            "Make room, or train with a smaller --size.",
        )


def _fill(pixels: Array, gathered: Gathered, progress: Progress) -> None:
    """All are read, also behind a broken one: who removes one is not to meet the next."""
    broken: list[tuple[Items, str, RefusedInput]] = []
    for place, (items, name, found) in enumerate(_attempts(gathered)):
        if isinstance(found, RefusedInput):
            broken.append((items, name, found))
        else:
            pixels[place] = found[0][0]  # whole numbers in 0..255: nothing is lost
        progress.advance()
    if len(broken) == 1:
        items, _, error = broken[0]
        raise RefusedInput(f"{items.name}/{error.message}", error.hint)
    if broken:
        shown = list_names([f"{items.name}/{name}" for items, name, _ in broken], "pictures")
        raise RefusedInput(
            f"{len(broken)} of {len(pixels):,} pictures are broken or too large: {shown}.",
            "Replace or remove them.",
        )


def _attempts(
    gathered: Gathered,
) -> Iterator[tuple[Items, str, tuple[Array, ...] | RefusedInput]]:
    for items in gathered.sets:
        found = source_of(items).attempts(items.indices)
        yield from ((items, *pair) for pair in zip(items.ids, found, strict=True))
