"""The bytes of .npy and .npz files -> arrays, without trusting them.

NumPy's own reader allocates what a header claims before it has the data, and
knows object arrays; here the claim must match the bytes, and only numbers pass.
"""

from __future__ import annotations

import io
import zipfile

import numpy as np

from edgeconv.errors import RefusedInput
from edgeconv.types import Array

__all__ = ["read_npy", "read_npz"]

_MAX_MEMBERS = 256


def read_npy(data: bytes, name: str) -> Array:
    """The array in an .npy file.

    Args:
        data: The whole file.
        name: What messages call it.

    Returns:
        A read-only array of integers, floats or booleans, in native byte order.

    Raises:
        RefusedInput: No .npy, cut off, or of another kind than numbers.
    """
    stream = io.BytesIO(data)
    formats = np.lib.format
    try:
        version = formats.read_magic(stream)
        read_header = {
            (1, 0): formats.read_array_header_1_0,
            (2, 0): formats.read_array_header_2_0,
        }[version]
        shape, by_column, dtype = read_header(stream)
        if dtype.kind not in "fiub":
            raise ValueError(f"it holds {dtype}, not numbers")
        count = 1
        for length in shape:
            count *= length  # of Python's integers: no claim can overflow
        if count * dtype.itemsize != len(data) - stream.tell():
            raise ValueError("its data is not as long as its header says")
        flat = np.frombuffer(data, dtype, count, stream.tell())
        array = flat.reshape(shape, order="F" if by_column else "C")
    # A header is read by Python's own parser, which may raise anything.
    except Exception as error:
        cause = str(error).partition("\n")[0][:100]
        raise RefusedInput(
            f"{name} is no .npy array that is safe to read: {cause}.",
            "Save plain numbers with numpy.save.",
        ) from error
    return array.astype(dtype.newbyteorder("="), copy=False)


def read_npz(data: bytes, name: str, limit_bytes: int) -> dict[str, Array]:
    """The arrays in an .npz file, by name.

    Args:
        data: The whole file.
        name: What messages call it.
        limit_bytes: For all of them together, unpacked.

    Raises:
        RefusedInput: No .npz, damaged, too large unpacked, or not of numbers.
    """
    arrays = {}
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
            if len(members) > _MAX_MEMBERS or sum(m.file_size for m in members) > limit_bytes:
                raise RefusedInput(f"{name} unpacks to more than {limit_bytes} bytes.")
            for member in members:
                # zipfile stops at the size that the directory states.
                key = member.filename[: -len(".npy")]
                arrays[key] = read_npy(archive.read(member), f"{member.filename[:60]!r} in {name}")
    except RefusedInput:
        raise
    except Exception as error:  # of zipfile, zlib and whatever other compression it names
        raise RefusedInput(
            f"{name} is no sound .npz archive: {str(error)[:100]}.",
            "Save plain arrays with numpy.savez.",
        ) from error
    return arrays
