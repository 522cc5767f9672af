"""A bundle's folder, sealed by its SHA256SUMS.

Nothing of a bundle is parsed before every file listed in SHA256SUMS was found
to be what is written there. The seal tells damage; it can't tell who made the
bundle, and a model file is a program for its engine: run those of people you
trust.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO, Optional

from edgeconv.errors import HostFailure, RefusedInput, UsageError

__all__ = ["SUMS_FILE", "SealedFolder"]

SUMS_FILE = "SHA256SUMS"
_MAX_SUMS_BYTES = 64 * 1024
_MAX_FILES = 64
#: Neither a FlatBuffer nor a protobuf can be larger; weights beside an ONNX file can.
_MAX_FILE_BYTES = 2**31
_MAX_DATA_BYTES = 2**36
_CHUNK_BYTES = 1 << 20
#: As ``sha256sum`` writes it; one plain name, so no path can leave the folder.
_LINE = re.compile(r"([0-9a-f]{64})  ([A-Za-z0-9_][A-Za-z0-9_.\-]{0,99})")
_HINT = "Copy the bundle again, or export it again."


class SealedFolder:
    """A bundle whose every listed file was compared with its checksum.

    Args:
        path: The folder.

    Attributes:
        path: The folder.
        sums: File name -> SHA-256, as listed.

    Raises:
        UsageError: There is no such folder.
        RefusedInput: A file is missing, changed, a link, or too large.
        HostFailure: A file can't be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        if not self.path.is_dir():
            raise UsageError(
                f"There is no bundle folder {path}.", "Make one with: edgeconv export MODEL"
            )
        self.sums: Mapping[str, str] = _parse_sums(self._bytes(SUMS_FILE, _MAX_SUMS_BYTES))
        for name, expected in self.sums.items():
            with self._open(name, _limit(name)) as file:
                digest = hashlib.sha256()
                for chunk in iter(lambda: file.read(_CHUNK_BYTES), b""):
                    digest.update(chunk)
            self._compare(name, digest.hexdigest(), expected)

    def read(self, name: str, limit_bytes: Optional[int] = None) -> bytes:
        """The bytes of a listed file, compared with the seal once more.

        Args:
            name: As in SHA256SUMS.
            limit_bytes: A larger file is refused unread; None for what a file of its kind has.

        Raises:
            RefusedInput: It isn't listed, changed meanwhile, or is too large.
            HostFailure: It can't be read.
        """
        if name not in self.sums:
            raise RefusedInput(f"{self.path / name} is not listed in {SUMS_FILE}.", _HINT)
        data = self._bytes(name, _limit(name) if limit_bytes is None else limit_bytes)
        self._compare(name, hashlib.sha256(data).hexdigest(), self.sums[name])
        return data

    def _compare(self, name: str, found: str, expected: str) -> None:
        if found != expected:
            raise RefusedInput(
                f"{self.path / name} is not the file that {SUMS_FILE} lists: "
                "it was damaged or changed.",
                _HINT,
            )

    def _bytes(self, name: str, limit_bytes: int) -> bytes:
        with self._open(name, limit_bytes) as file:
            # Not the limit, for which room would be made.
            return file.read(os.fstat(file.fileno()).st_size)

    def _open(self, name: str, limit_bytes: int) -> BinaryIO:
        path = self.path / name
        # A link could lead out of the folder, a named pipe would never end.
        flags = os.O_RDONLY
        for flag in ("O_NOFOLLOW", "O_NONBLOCK", "O_BINARY", "O_CLOEXEC"):
            flags |= getattr(os, flag, 0)
        if path.is_symlink():
            raise RefusedInput(f"{path} is a link; a bundle has only plain files.", _HINT)
        try:
            descriptor = os.open(path, flags)
        except FileNotFoundError:
            raise _missing(path) from None
        except OSError as error:
            raise HostFailure(f"{path} can't be read: {error.strerror}.") from error
        status = os.fstat(descriptor)
        plain = stat.S_ISREG(status.st_mode)
        if plain and status.st_size <= limit_bytes:
            return os.fdopen(descriptor, "rb")
        os.close(descriptor)
        cause = f"larger than {limit_bytes} bytes" if plain else "no plain file"
        raise RefusedInput(f"{path} is {cause}.", _HINT)


def _limit(name: str) -> int:
    return _MAX_DATA_BYTES if name.endswith(".onnx.data") else _MAX_FILE_BYTES


def _missing(path: Path) -> RefusedInput:
    if path.name == SUMS_FILE:
        return RefusedInput(f"{path.parent} is no bundle: it has no {SUMS_FILE}.", _HINT)
    return RefusedInput(f"{path} is missing.", _HINT)


def _parse_sums(data: bytes) -> dict[str, str]:
    sums: dict[str, str] = {}
    # Split at the line feed only: str.splitlines knows ten more line ends.
    lines = data.decode("ascii", "replace").split("\n")
    for number, line in enumerate(lines[:-1], 1):
        match = _LINE.fullmatch(line)
        if match is None or match[2] in sums or match[2] == SUMS_FILE or len(sums) == _MAX_FILES:
            raise RefusedInput(f"{SUMS_FILE} is malformed in line {number}.", _HINT)
        sums[match[2]] = match[1]
    if lines[-1] or not sums:
        raise RefusedInput(f"{SUMS_FILE} is cut off.", _HINT)
    return sums
