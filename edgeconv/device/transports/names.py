"""Names that cross to a device, and folders that are packed for it."""

from __future__ import annotations

import re
import tarfile
from pathlib import Path

from edgeconv.errors import InternalError

__all__ = ["pack", "plain"]

_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]{0,99}")


def plain(name: str) -> str:
    """``name``, if it is one: no path, no option, nothing that a shell reads.

    Raises:
        InternalError: It is another; names from outside are checked before.
    """
    if not _PLAIN.fullmatch(name):
        raise InternalError(f"{name[:80]!r} is no plain file name.")
    return name


def pack(path: Path, name: str, archive: Path) -> None:
    """Write a file, or a folder of plain files, as a tar archive.

    Args:
        path: The file or folder.
        name: What it is called in the archive.
        archive: The tar file.

    Raises:
        InternalError: A name is not plain, or something is no plain file.
    """
    members = [(path, plain(name))]
    if path.is_dir():
        members = [(each, f"{plain(name)}/{plain(each.name)}") for each in sorted(path.iterdir())]
    # The oldest of the formats that all tars on devices read.
    with tarfile.open(archive, "w", format=tarfile.USTAR_FORMAT) as tar:
        if path.is_dir():
            tar.addfile(_entry(plain(name), tarfile.DIRTYPE, 0o700, 0))
        for each, title in members:
            if each.is_symlink() or not each.is_file():
                raise InternalError(f"{each} is no plain file.")
            with each.open("rb") as file:
                size = each.stat().st_size
                tar.addfile(_entry(title, tarfile.REGTYPE, 0o600, size), file)


def _entry(name: str, kind: bytes, mode: int, size: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode, entry.size = kind, mode, size
    return entry
