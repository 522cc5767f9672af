"""HDF5 files before Keras sees them (runs in the workshop).

HDF5 can point outside itself: external links, external storage and virtual
datasets name other files of the machine. A weights file has no use for any.
"""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

from edgeconv.errors import RefusedInput
from edgeconv.load.guard import check_config

__all__ = ["check_hdf5", "check_keras_weights"]


def check_hdf5(path: Path, *, trust: bool) -> None:
    """Refuse a legacy ``.h5`` model that is corrupt, points outside itself or brings code.

    Raises:
        RefusedInput: Names what was found.
    """
    import h5py

    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise _broken(path.name) from error
    with file:
        _refuse_links(file, path.name)
        raw = file.attrs.get("model_config")
        if raw is None:
            raise RefusedInput(
                f"{path.name} holds weights but no model.",
                "Give the model it belongs to as MODEL and this file as --weights.",
            )
        try:
            config = json.loads(raw)
        except (ValueError, TypeError, RecursionError) as error:
            raise _broken(path.name) from error
        check_config(config, path.name, trust=trust)


def check_keras_weights(path: Path) -> None:
    """Refuse a weights file (``.keras``, ``.h5``) that is corrupt or points outside itself."""
    import h5py

    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive, archive.open("model.weights.h5") as member:
                source: Any = io.BytesIO(member.read())
        else:
            source = path
        with h5py.File(source, "r") as file:
            _refuse_links(file, path.name)
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise _broken(path.name) from error


def _broken(name: str) -> RefusedInput:
    return RefusedInput(
        f"{name} is truncated or corrupt: its HDF5 part can't be read.",
        "Copy it again or save the model again.",
    )


def _refuse_links(file: Any, name: str) -> None:
    import h5py

    stack, seen = [file], set()
    while stack:
        group = stack.pop()
        # A group may hold itself.
        address = h5py.h5o.get_info(group.id).addr
        if address in seen:
            continue
        seen.add(address)
        for key in group:
            link = group.get(key, getlink=True)
            if not isinstance(link, h5py.HardLink):
                raise RefusedInput(
                    f"{name}: {group.name}/{key} is a link to elsewhere.",
                    "Save the weights again with Keras; it writes no links.",
                )
            item = group[key]
            if isinstance(item, h5py.Group):
                stack.append(item)
            elif isinstance(item, h5py.Dataset) and (item.external or item.is_virtual):
                raise RefusedInput(
                    f"{name}: {item.name} is stored in another file.",
                    "Save the weights again with Keras; it writes no external storage.",
                )
