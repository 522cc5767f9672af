"""Picture files as a source: what folders, manifests and the built-in set have in common."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from edgeconv.data.items import Items, all_items
from edgeconv.data.stream import ordered_map
from edgeconv.errors import EdgeconvError, HostFailure, RefusedInput
from edgeconv.pictures import checked_path, decode, printable
from edgeconv.preprocess import Preprocess, prepare_image
from edgeconv.types import Array

__all__ = ["PictureFiles", "is_picture_name", "picture_items", "resolved_inside"]

#: What ``edgeconv.pictures.FORMATS`` are usually called.
_SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".gif", ".webp"),
    *(".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm"),
)


def is_picture_name(name: str) -> bool:
    """Whether a file of this name should hold a picture."""
    return name.lower().endswith(_SUFFIXES)


def resolved_inside(folder: Path, path: Path, shown: str) -> Path:
    """``path`` with its links followed, if that is still inside ``folder``.

    Raises:
        RefusedInput: It leads out.
    """
    real = path.resolve()
    if not real.is_relative_to(folder.resolve()):
        raise RefusedInput(
            f"{shown} leads out of its folder {printable(folder)}.",
            "Copy the file into the folder.",
        )
    return real


@dataclass(frozen=True, eq=False)
class PictureFiles:
    """Pictures on disk, decoded when their turn comes; a ``Source``.

    Attributes:
        paths: One file an item.
        ids: What messages call them.
        labels: int64 [N] class indices, or None.
        preprocess: Of kind ``image``.
        names: As ``ids``, with whatever characters they have; no link of them is followed.
    """

    paths: tuple[Path, ...]
    ids: tuple[str, ...]
    labels: Array | None
    preprocess: Preprocess
    names: tuple[str, ...]
    _hashes: dict[int, str] = field(default_factory=dict, repr=False)

    def hashes(self, indices: Sequence[int]) -> tuple[str, ...]:
        """SHA-256 of each file's bytes."""
        missing = [index for index in indices if index not in self._hashes]
        self._hashes.update(zip(missing, ordered_map(self._hash, missing), strict=True))
        return tuple(self._hashes[index] for index in indices)

    def _hash(self, index: int) -> str:
        path = checked_path(self.paths[index], self.ids[index])
        try:
            with Path(path).open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise HostFailure(f"{self.ids[index]} can't be read ({error.strerror}).") from None

    def load(self, indices: Sequence[int]) -> Iterator[tuple[Array, ...]]:
        """Each picture in turn, as float32 [1, H, W, C] or [1, C, H, W]."""
        return ordered_map(self._load, indices)

    def attempts(self, indices: Sequence[int]) -> Iterator[tuple[Array, ...] | RefusedInput]:
        """As ``load``, but with why not in the place of a picture that is broken."""

        def attempt(index: int) -> tuple[Array, ...] | RefusedInput:
            try:
                return self._load(index)
            except RefusedInput as error:
                return error

        return ordered_map(attempt, indices)

    def with_preprocess(self, preprocess: Preprocess) -> PictureFiles:
        """The same pictures, made into inputs in another way."""
        return replace(self, preprocess=preprocess)

    def _load(self, index: int) -> tuple[Array, ...]:
        image = decode(self.paths[index], self.ids[index])
        try:
            return (prepare_image(self.preprocess, image),)
        except EdgeconvError as error:
            raise type(error)(f"{self.ids[index]}: {error.message}", error.hint) from None


def picture_items(
    name: str,
    paths: Sequence[Path],
    ids: Sequence[str],
    labels: Sequence[int] | None,
    preprocess: Preprocess,
) -> Items:
    """A dataset of picture files.

    Args:
        name: What a person calls it.
        paths: One file an item; read when needed, not here.
        ids: A name for each, such as its path inside the set.
        labels: Class indices, or None.
        preprocess: Of kind ``image``.
    """
    y = None if labels is None else np.asarray(labels, np.int64)
    shown = tuple(printable(item) for item in ids)
    return all_items(PictureFiles(tuple(paths), shown, y, preprocess, tuple(ids)), printable(name))
