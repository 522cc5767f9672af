"""Reading .npy and .npz that nobody vouches for."""

import io
import zipfile

import numpy as np
import pytest

from edgeconv.errors import RefusedInput
from edgeconv.package.golden import npz_bytes
from edgeconv.runtime.arrays import read_npy, read_npz


def npy(array: np.ndarray) -> bytes:
    data = io.BytesIO()
    np.save(data, array, allow_pickle=True)
    return data.getvalue()


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6, dtype=np.float32).reshape(2, 3),
        np.asfortranarray(np.arange(6).reshape(2, 3)),
        np.array(3, np.int8),
        np.zeros((0, 4), np.uint8),
        np.arange(4, dtype=">f8"),
    ],
)
def test_arrays_of_numbers_come_back_as_they_were(array: np.ndarray) -> None:
    read = read_npy(npy(array), "x.npy")
    np.testing.assert_array_equal(read, array)
    assert read.dtype.isnative


def test_objects_and_text_are_refused_unpickled() -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (pytest.fail, ("it was unpickled",))

    for array in (np.array([Bomb()], object), np.array(["text"])):
        with pytest.raises(RefusedInput, match="not numbers"):
            read_npy(npy(array), "x.npy")


@pytest.mark.parametrize(
    "header",
    [
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000, 1000000000)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (-1, -4)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (3,)}",
        "{'descr': '<f4', 'fortran_order': False}",
        "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (4,)}",
        "__import__('os').getcwd()",
        "(" * 5000,
    ],
)
def test_a_header_that_claims_what_is_not_there_is_refused(header: str) -> None:
    text = header.encode()
    data = b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + bytes(16)
    with pytest.raises(RefusedInput):
        read_npy(data, "x.npy")


@pytest.mark.parametrize("data", [b"", b"\x93NUMPY", b"PK\x03\x04", b"x" * 1000])
def test_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(RefusedInput):
        read_npy(data, "x.npy")
    with pytest.raises(RefusedInput):
        read_npz(data, "x.npz", 1000)


def test_an_npz_is_the_same_bytes_for_the_same_arrays() -> None:
    arrays = {"b": np.arange(3), "a": np.zeros((2, 2), np.float32)}
    data = npz_bytes(arrays)
    assert data == npz_bytes(dict(reversed(arrays.items())))
    read = read_npz(data, "x.npz", 1 << 20)
    assert sorted(read) == ["a", "b"]
    np.testing.assert_array_equal(read["b"], arrays["b"])
    np.testing.assert_array_equal(np.load(io.BytesIO(data))["b"], arrays["b"])


def test_a_zip_bomb_is_refused_before_it_is_unpacked() -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", bytes(1 << 22))
    with pytest.raises(RefusedInput, match="unpacks to more"):
        read_npz(packed.getvalue(), "x.npz", 1 << 20)
