"""The built-in pictures: what serves where no data was given.

    calibration/manifest.toml ──SHA-256 of each──► 64 to calibrate on | 64 to judge on

They have no labels, and no photograph is on both sides. See docs/calibration.md.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from edgeconv.errors import HostFailure, RefusedInput, UsageError
from edgeconv.preprocess import Preprocess, decode, prepare_image
from edgeconv.types import Batch, Dataset

__all__ = ["Split", "builtin_folder", "open_builtin"]

Split = Literal["calibration", "parity"]

_REINSTALL = "Install edgeconv again, or give data of your own with --calibration and --parity."
_PACKAGE = Path(__file__).resolve().parents[1]


def builtin_folder() -> Path:
    """Return the folder with ``manifest.toml`` and the pictures.

    Raises:
        HostFailure: This installation has none.
    """
    checkout = _PACKAGE.parent / "calibration"
    for folder in (_PACKAGE / "_calibration", checkout):
        if (folder / "manifest.toml").is_file():
            return folder
    raise HostFailure("The built-in pictures are missing from this installation.", _REINSTALL)


def open_builtin(preprocess: Preprocess, split: Split) -> Dataset:
    """Open one side of the built-in pictures, each checked against its SHA-256.

    Args:
        preprocess: Of the model. Where it takes only one picture size, the
            whole shorter side is scaled to it: these pictures have several.
        split: The side.

    Raises:
        UsageError: The model takes no pictures.
        RefusedInput: A picture or the manifest is not what edgeconv shipped.
        HostFailure: This installation has no pictures.
    """
    if preprocess.kind != "image":
        raise UsageError(
            "The model takes arrays, and the built-in calibration data are pictures.",
            "Give arrays: --calibration FILE.npz, and --parity FILE.npz.",
        )
    if preprocess.resize == "none":
        preprocess = replace(preprocess, resize="crop", crop_fraction=1.0)
    folder = builtin_folder()
    entries = [entry for entry in _entries(folder) if entry["split"] == split]
    return _Pictures(
        name=f"built-in pictures:{split}",
        preprocess=preprocess,
        files=tuple(entry["file"] for entry in entries),
        contents=tuple(_checked(folder, entry) for entry in entries),
    )


def _entries(folder: Path) -> list[Mapping[str, Any]]:
    try:
        with (folder / "manifest.toml").open("rb") as file:
            entries: list[Mapping[str, Any]] = tomllib.load(file)["picture"]
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, KeyError) as error:
        raise RefusedInput("The list of the built-in pictures is broken.", _REINSTALL) from error
    return entries


def _checked(folder: Path, entry: Mapping[str, Any]) -> bytes:
    """Read one picture; what is returned is what was compared."""
    file = entry["file"]
    try:
        content: bytes = (folder / file).read_bytes()
    except OSError as error:
        raise RefusedInput(f"The built-in picture {file} can't be read.", _REINSTALL) from error
    if hashlib.sha256(content).hexdigest() != entry["sha256"]:
        raise RefusedInput(f"The built-in picture {file} was changed.", _REINSTALL)
    return content


@dataclass(frozen=True)
class _Pictures:
    """A Dataset over pictures in memory as JPEG: 1.5 MB for a side."""

    name: str
    preprocess: Preprocess
    files: tuple[str, ...]
    contents: tuple[bytes, ...]
    labelled: bool = False

    @property
    def fingerprint(self) -> str:
        digests = b"".join(hashlib.sha256(content).digest() for content in self.contents)
        return hashlib.sha256(digests).hexdigest()

    def __len__(self) -> int:
        return len(self.files)

    def batches(self, size: int) -> Iterator[Batch]:
        """Yield the pictures in the manifest's order, decoded as they are asked for."""
        for start in range(0, len(self), size):
            part = slice(start, start + size)
            pairs = zip(self.contents[part], self.files[part], strict=True)
            x = [prepare_image(self.preprocess, decode(*pair)) for pair in pairs]
            yield Batch(x=(np.concatenate(x),), y=None, ids=self.files[part])
