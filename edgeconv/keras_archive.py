"""A ``.keras`` zip, written so that the same content gives the same bytes.

    members ──sorted, dated 1980, stored──► aside ──► one rename

Keras writes the time of day into ``metadata.json``, which it doesn't read back, and
memory addresses into ``config.json``, of which it only compares which are equal.

Source: keras/src/saving/saving_lib.py and serialization_lib.py of Keras 3.15.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import tempfile
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from edgeconv.errors import HostFailure, RefusedInput
from edgeconv.pictures import printable

__all__ = ["read_member", "rewrite"]

#: What zipfile raises over damaged bytes; RuntimeError for a forged password flag,
#: NotImplementedError (one of them) for a method that there is not.
_UNREADABLE: Final = (zipfile.BadZipFile, zlib.error, OSError, EOFError, ValueError, RuntimeError)
#: The first day that a zip can hold.
_NO_DATE: Final = (1980, 1, 1, 0, 0, 0)
_UNIX: Final = 3
_ADDRESS: Final = re.compile(rb'("shared_object_id": )(\d+)')


def read_member(path: Path, name: str, most_bytes: int) -> bytes | None:
    """The content of one member; None where there is none, or ``path`` is no zip.

    Args:
        path: The archive; nobody vouches for it.
        name: Of the member.
        most_bytes: More are refused, whatever the archive declares.

    Raises:
        RefusedInput: It is larger, there twice, or can't be unpacked.
    """
    shown = f"{printable(path.name)}: {name}"
    try:
        if not zipfile.is_zipfile(path):
            return None
        with zipfile.ZipFile(path) as archive:
            count = archive.namelist().count(name)
            if count == 0:
                return None
            if count > 1:
                raise RefusedInput(f"{shown} is in the archive {count} times.", "Save it again.")
            with archive.open(name) as member:
                content = member.read(most_bytes + 1)
    except _UNREADABLE as error:
        raise RefusedInput(f"{shown} can't be unpacked.", "Copy the file again.") from error
    if len(content) > most_bytes:
        raise RefusedInput(
            f"{shown} is larger than {most_bytes >> 20} MiB.", "No training writes so much."
        )
    return content


def rewrite(path: Path, members: Mapping[str, bytes]) -> None:
    """Replace a ``.keras`` file by the same model with other members beside it.

    Args:
        path: As Keras saved it.
        members: Name -> content; replaces a member of that name.

    Raises:
        RefusedInput: It is no archive.
        HostFailure: The disk is full or read-only; the file is as it was.
    """
    descriptor, name = tempfile.mkstemp(prefix=".", suffix=".part", dir=path.parent)
    aside = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            _copy(path, file, members)
        aside.chmod(stat.S_IMODE(path.stat().st_mode))
        aside.replace(path)
    except (zipfile.BadZipFile, zlib.error) as error:
        raise RefusedInput(f"{printable(path)} is no .keras archive.", "Save it again.") from error
    except OSError as error:
        raise HostFailure(f"{printable(path)} can't be written: {error.strerror}.") from error
    finally:
        aside.unlink(missing_ok=True)


def _copy(path: Path, file: object, members: Mapping[str, bytes]) -> None:
    with (
        zipfile.ZipFile(path) as source,
        zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as target,  # type: ignore[call-overload]
    ):
        for name in sorted({*source.namelist(), *members}):
            content = members.get(name) or _plain(source, name)
            if content is not None:
                target.writestr(_info(name, len(content)), content)
                continue
            with source.open(name) as old, target.open(_size(source, name), "w") as new:
                shutil.copyfileobj(old, new, 1 << 20)


def _size(source: zipfile.ZipFile, name: str) -> zipfile.ZipInfo:
    return _info(name, source.getinfo(name).file_size)


def _info(name: str, size_bytes: int) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, _NO_DATE)
    info.create_system, info.external_attr = _UNIX, 0o644 << 16
    info.file_size = size_bytes  # above 2 GiB another form of zip is written
    return info


def _plain(source: zipfile.ZipFile, name: str) -> bytes | None:
    """A small member without what changes from run to run; None where it is taken as it is."""
    if name == "metadata.json":
        metadata = json.loads(source.read(name))
        metadata.pop("date_saved", None)
        return json.dumps(metadata, sort_keys=True).encode()
    if name == "config.json":
        return _numbered(source.read(name))
    return None


def _numbered(config: bytes) -> bytes:
    """Memory addresses of shared objects become 1, 2, ... in order of appearance."""
    numbers: dict[bytes, int] = {}
    return _ADDRESS.sub(
        lambda match: match[1] + b"%d" % numbers.setdefault(match[2], len(numbers) + 1), config
    )
