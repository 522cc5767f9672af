"""The built-in pictures: what serves where no data was given.

    calibration/manifest.toml ──SHA-256 of each──► 64 to calibrate on | 64 to judge on

They have no labels, and no photograph is on both sides. See docs/calibration.md.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from edgeconv.data.files import picture_items
from edgeconv.data.items import Items
from edgeconv.errors import EdgeconvError, HostFailure, RefusedInput, UsageError
from edgeconv.preprocess import Preprocess

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


def open_builtin(preprocess: Preprocess, split: Split) -> Items:
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
    files = [entry["file"] for entry in entries]
    pictures = picture_items(
        f"built-in pictures:{split}", [folder / file for file in files], files, None, preprocess
    )
    _check(pictures, [entry["sha256"] for entry in entries])
    return pictures


def _entries(folder: Path) -> list[Mapping[str, Any]]:
    try:
        with (folder / "manifest.toml").open("rb") as file:
            entries: list[Mapping[str, Any]] = tomllib.load(file)["picture"]
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, KeyError) as error:
        raise RefusedInput("The list of the built-in pictures is broken.", _REINSTALL) from error
    return entries


def _check(pictures: Items, expected: list[str]) -> None:
    try:
        found = pictures.item_hashes()
    except EdgeconvError as error:
        cause = f"A built-in picture can't be read: {error.message}"
        raise RefusedInput(cause, _REINSTALL) from error
    for name, here, there in zip(pictures.ids, found, expected, strict=True):
        if here != there:
            raise RefusedInput(f"The built-in picture {name} was changed.", _REINSTALL)
