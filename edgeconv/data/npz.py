"""Arrays out of an .npz without trusting it, and without holding them in memory.

An .npz is a zip of .npy files. Its sizes are checked before anything is
unpacked, pickled objects are refused, the checksum is compared, and the array
is mapped from disk: from the file itself where it is stored plainly, from an
unnamed temporary file where it is compressed.
"""

from __future__ import annotations

import errno
import io
import math
import shutil
import struct
import tempfile
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from edgeconv.errors import HostFailure, RefusedInput
from edgeconv.pictures import printable
from edgeconv.types import Array

__all__ = ["keys", "load_array"]

#: Unpacked, one array: 50,000 pictures of 224 x 224 x 3 bytes are 7 GiB.
MAX_BYTES = 16 * 2**30
#: Real pictures and features compress 30 times at most; a bomb a thousand times.
#: Small arrays, such as labels of one class, may.
MAX_RATIO = 100
MAX_SMALL_BYTES = 64 * 2**20
MAX_MEMBERS = 1000
#: An honest header has under 200 bytes; a hostile one says that it has 4 GiB.
MAX_HEADER_BYTES = 2**16
#: What zipfile and zlib raise on hostile bytes.
_ZIP_ERRORS = (
    *(zipfile.BadZipFile, zlib.error, struct.error),
    *(EOFError, OverflowError, RuntimeError, ValueError),
)
_LOCAL_HEADER = struct.Struct("<4s22xHH")  # APPNOTE.TXT 4.3.7: signature, name and extra lengths


@dataclass(frozen=True)
class _Header:
    """Of an .npy file: what its bytes mean, and where they begin."""

    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype[np.generic]
    offset: int


def keys(path: Path) -> list[str]:
    """Names of the arrays in the file.

    Raises:
        RefusedInput: It is no .npz.
    """
    with _opened(path) as archive:
        return [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]


def load_array(path: Path, key: str) -> Array:
    """The array called ``key``, read-only and mapped from disk.

    Raises:
        KeyError: No array of that name.
        RefusedInput: A pickle, a bomb, or broken; the message names the array.
        HostFailure: No room for the temporary file.
    """
    shown = f"{printable(path)}, array {printable(key)!r}"
    with _opened(path) as archive:
        info = archive.getinfo(f"{key}.npy")
        _check_size(info, shown)
        try:
            with archive.open(info) as member:
                header = _header(member, info.file_size, shown)
            return _mapped(path, archive, info, header)
        except OSError as error:
            if error.errno == errno.EINVAL:  # sent to an impossible place in the file
                raise _broken(shown, error) from None
            raise HostFailure(f"{shown} can't be unpacked ({error.strerror or error}).") from None
        except _ZIP_ERRORS as error:
            raise _broken(shown, error) from None


def _opened(path: Path) -> zipfile.ZipFile:
    try:
        archive = zipfile.ZipFile(path)
    except OSError as error:
        raise HostFailure(f"{printable(path)} can't be read ({error.strerror}).") from None
    except _ZIP_ERRORS as error:
        raise _broken(printable(path), error) from None
    if len(archive.infolist()) > MAX_MEMBERS:
        archive.close()
        raise RefusedInput(f"{printable(path)} has over {MAX_MEMBERS} members.", "Save it again.")
    return archive


def _broken(shown: str, error: Exception) -> RefusedInput:
    return RefusedInput(
        f"{shown} is broken or no .npz ({printable(error)[:100]}).", "Save it again with NumPy."
    )


def _check_size(info: zipfile.ZipInfo, shown: str) -> None:
    suspicious = info.file_size > MAX_RATIO * max(info.compress_size, 1)
    if info.file_size > MAX_BYTES or (suspicious and info.file_size > MAX_SMALL_BYTES):
        raise RefusedInput(
            f"{shown} would unpack from {info.compress_size} to {info.file_size} bytes.",
            f"Up to {MAX_BYTES // 2**30} GiB and {MAX_RATIO} times its size are accepted.",
        )
    if info.flag_bits & 1 or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise RefusedInput(
            f"{shown} is encrypted or compressed in an unknown way.", "Save it again with NumPy."
        )


def _header(member: IO[bytes], size: int, shown: str) -> _Header:
    """Read an .npy header and hold its promise against the member's size."""
    head = io.BytesIO(member.read(MAX_HEADER_BYTES))
    try:
        version = np.lib.format.read_magic(head)
        read = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }[version]
        shape, fortran, dtype = read(head)
    # NumPy lets its parser's errors through: tokenize.TokenError, RecursionError.
    except Exception as error:
        raise _broken(shown, error) from None
    if dtype.hasobject:
        raise RefusedInput(
            f"{shown} holds pickled Python objects, which can run code.",
            "Save it as an array of numbers.",
        )
    offset = head.tell()
    if min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize != size - offset:
        raise RefusedInput(
            f"{shown} says shape {list(shape)} of {dtype}, but holds {size - offset} bytes.",
            "Save it again with NumPy.",
        )
    return _Header(tuple(shape), fortran, dtype, offset)


def _mapped(path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo, header: _Header) -> Array:
    if math.prod(header.shape) == 0:  # nothing to map
        return np.empty(header.shape, header.dtype)
    if info.compress_type == zipfile.ZIP_STORED:
        with archive.open(info) as member:
            _drain(member)
        return _memmap(path, _data_offset(path, info) + header.offset, header)
    # Unnamed: the system takes it back when the array goes, whatever happens.
    with tempfile.TemporaryFile() as unpacked, archive.open(info) as member:
        shutil.copyfileobj(member, unpacked, 2**20)
        unpacked.flush()
        return _memmap(unpacked, header.offset, header)


def _drain(member: IO[bytes]) -> None:
    """Read to the end, where zipfile compares the checksum."""
    while member.read(2**20):
        pass


def _data_offset(path: Path, info: zipfile.ZipInfo) -> int:
    with path.open("rb") as file:
        file.seek(info.header_offset)
        _, name, extra = _LOCAL_HEADER.unpack(file.read(_LOCAL_HEADER.size))
    return int(info.header_offset + _LOCAL_HEADER.size + name + extra)


def _memmap(file: Path | IO[bytes], offset: int, header: _Header) -> Array:
    order = "F" if header.fortran else "C"
    return np.memmap(file, header.dtype, "r", offset, header.shape, order)  # type: ignore[call-overload, no-any-return]
