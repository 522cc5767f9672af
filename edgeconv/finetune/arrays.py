"""Arrays in files: variables of a network and its optimizer, and what is too large for memory."""

from __future__ import annotations

import errno
import os
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgeconv.errors import HostFailure, RefusedInput
from edgeconv.pictures import printable
from edgeconv.types import Array

__all__ = ["load", "mapped", "save"]


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


def mapped(path: Path, dtype: type[np.generic], shape: tuple[int, ...]) -> Array:
    """A new array in the file ``path``, all of whose room is taken on the disk.

    Without that a full disk is noticed when a page is written, and the process killed.

    Raises:
        HostFailure: The disk is too small.
    """
    path.unlink(missing_ok=True)  # whoever has the old one mapped keeps it
    values = np.lib.format.open_memmap(path, "w+", dtype, shape)
    try:
        _reserve(path)
    except OSError as error:
        path.unlink()
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        raise HostFailure(
            f"{printable(path)} takes {values.nbytes / 1e9:.1f} GB, and there is less room.",
            "Make room, or train with a smaller --size.",
        ) from None
    return values


def _reserve(path: Path) -> None:
    """Take the room of a sparse file, where the system can."""
    if not hasattr(os, "posix_fallocate"):
        return
    with path.open("r+b") as file:
        try:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP):  # this drive can't
                raise
