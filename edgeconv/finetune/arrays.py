"""Variables of a network and its optimizer in a file, and back (runs in the workshop)."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgeconv.errors import RefusedInput

__all__ = ["load", "save"]


def save(path: Path, variables: Sequence[Any]) -> None:
    """Write them as they are now; the file appears whole."""
    aside = path.with_name(f".{path.name}.part")
    with aside.open("wb") as file:
        # By place, not by name: names of a network needn't be unique.
        values = {f"{place:05}": np.asarray(value) for place, value in enumerate(variables)}
        np.savez(file, allow_pickle=False, **values)
    aside.replace(path)


def load(path: Path, variables: Sequence[Any]) -> None:
    """Give them what ``save`` wrote.

    Args:
        path: The file.
        variables: The first so many of those that were saved.

    Raises:
        RefusedInput: The file is not of these variables.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            values = [arrays[f"{place:05}"] for place in range(len(variables))]
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise RefusedInput(
            f"{path.name} is no checkpoint of this training ({error}).",
            "Begin anew with --force, without --resume.",
        ) from error
