"""Abuse of pictures, manifests, folders and .npz files. None may run, hang or fill the memory."""

import io
import os
import struct
import tracemalloc
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgeconv.data import open_dataset
from edgeconv.errors import EdgeconvError, RefusedInput, UsageError
from edgeconv.pictures import decode
from edgeconv.preprocess import Preprocess, prepare_array

# The program keeps Pillow's warnings to itself; pytest puts its own filters before that one.
pytestmark = pytest.mark.filterwarnings(r"ignore::Warning:PIL\.")

SMALL = Preprocess(height=8, width=8, resize="stretch")
ARRAYS = Preprocess(kind="array")
MARK = "edgeconv-attack-ran"


class Payload:
    """What a pickle runs when it is read."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.mark),)


def png(path: Path) -> Path:
    Image.new("RGB", (9, 9)).save(path)
    return path


def png_header(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = zlib.compress(b"\0" * 100_000)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")
    )


def npy(header: str, body: bytes = b"") -> bytes:
    text = header.encode("latin-1") + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + body


def npz(path: Path, content: bytes, method: int = zipfile.ZIP_DEFLATED, name: str = "x") -> str:
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr(f"{name}.npy", content)
    return str(path)


# --- pictures --------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(7000, 6000), (12_000, 12_000), (60_000, 60_000), (2**31 - 1, 9)])
def test_a_header_that_promises_too_many_pixels_is_refused_before_decoding(size: tuple[int, int]):
    tracemalloc.start()
    with pytest.raises(RefusedInput, match=r"bomb\.png is too large"):
        decode(png_header(*size), "bomb.png")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**20


def test_an_uncompressed_picture_file_of_absurd_size_is_refused_unread(tmp_path: Path):
    with (tmp_path / "huge.bmp").open("wb") as file:
        file.write(b"BM")
        file.truncate(2**40)  # sparse: takes no room on the disk
    with pytest.raises(RefusedInput, match="too large"):
        decode(tmp_path / "huge.bmp")
    with pytest.raises(RefusedInput, match="too large"):
        _ = open_dataset(str(tmp_path), SMALL).fingerprint


@pytest.mark.parametrize(
    "data",
    [
        b"%!PS-Adobe-3.0 EPSF-3.0\n(%pipe%touch /x) (w) file\n",
        b"\xc5\xd0\xd3\xc6"
        + struct.pack("<IIIIII", 30, 99, 0, 0, 0, 0)
        + b"%!PS-Adobe-3.0 EPSF-3.0",
        b"%PDF-1.4\n1 0 obj\n",
        b"<svg xmlns='http://www.w3.org/2000/svg'><image href='file:///etc/passwd'/></svg>",
        b"SIMPLE  =                    T" + b" " * 2850,
        b"GIF89a",
        b"\xff\xd8\xff",
        b"RIFF\xff\xff\xff\xffWEBPVP8 ",
        b"II*\0\xff\xff\xff\xff",
        b"P6 9999999999 9999999999 255\n",
        b"P6 1 1 0\n\0\0\0",
    ],
)
def test_other_formats_under_a_picture_name_are_refused(data: bytes, tmp_path: Path):
    path = tmp_path / "innocent.jpg"
    path.write_bytes(data)
    with pytest.raises(RefusedInput, match=r"innocent\.jpg"):
        decode(path)


def test_bytes_flipped_anywhere_give_a_picture_or_a_refusal():
    rng = np.random.default_rng(0)
    noise = Image.fromarray(rng.integers(0, 256, (24, 24, 3), np.uint8))
    for kind in ("JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP", "PPM"):
        buffer = io.BytesIO()
        noise.save(buffer, kind)
        for _ in range(60):
            data = bytearray(buffer.getvalue())
            for place in rng.integers(0, min(len(data), 400), 3):
                data[place] = rng.integers(256)
            try:
                assert decode(bytes(data)).mode == "RGB"
            except RefusedInput as error:
                assert "\n" not in error.message


# --- manifests and folders -------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "../secret.png",
        "a/../../secret.png",
        "a\\..\\..\\secret.png",
        "{outside}/secret.png",
        "C:\\secret.png",
        "\\\\server\\share\\secret.png",
        "link.png",
        "linked/secret.png",
        "loop.png",
        "pipe.png",
        ".",
        "a\0.png",
        "x" * 5000,
    ],
)
def test_a_manifest_reaches_nothing_outside_its_folder(tmp_path: Path, name: str):
    inside = tmp_path / "data"
    (inside / "a").mkdir(parents=True)
    secret = png(tmp_path / "secret.png")
    (inside / "link.png").symlink_to(secret)
    (inside / "linked").symlink_to(tmp_path, target_is_directory=True)
    (inside / "loop.png").symlink_to("loop.png")
    os.mkfifo(inside / "pipe.png")
    (inside / "m.csv").write_text(f"file\n{name.format(outside=tmp_path)}\n")
    with pytest.raises(RefusedInput, match="row 2"):
        open_dataset(str(inside / "m.csv"), SMALL)


def test_a_link_inside_the_folder_is_fine(tmp_path: Path):
    png(tmp_path / "a.png")
    (tmp_path / "b.png").symlink_to("a.png")
    (tmp_path / "m.csv").write_text("file\nb.png\n")
    assert len(next(open_dataset(str(tmp_path / "m.csv"), SMALL).batches(1)).ids) == 1


def test_a_manifest_of_absurd_size_is_refused_unread(tmp_path: Path):
    with (tmp_path / "m.csv").open("wb") as file:
        file.write(b"file\n")
        file.truncate(2**40)
    with pytest.raises(RefusedInput, match="MiB"):
        open_dataset(str(tmp_path / "m.csv"), SMALL)


def test_a_field_of_absurd_length_is_refused(tmp_path: Path):
    (tmp_path / "m.csv").write_text("file\n" + "a" * 10**6 + "\n")
    with pytest.raises(RefusedInput, match="line 2"):
        open_dataset(str(tmp_path / "m.csv"), SMALL)


@pytest.mark.parametrize("target", ["picture", "folder"])
def test_a_folder_does_not_lead_out_by_links(tmp_path: Path, target: str):
    outside, inside = tmp_path / "outside", tmp_path / "data" / "class"
    outside.mkdir()
    inside.mkdir(parents=True)
    png(outside / "secret.png")
    png(inside / "a.png")
    if target == "picture":
        (inside / "b.png").symlink_to(outside / "secret.png")
    else:
        (inside.parent / "other").symlink_to(outside, target_is_directory=True)
    with pytest.raises(RefusedInput, match="leads out"):
        open_dataset(str(inside.parent), SMALL)


def test_a_pipe_in_a_folder_is_not_waited_for(tmp_path: Path):
    os.mkfifo(tmp_path / "a.png")
    items = open_dataset(str(tmp_path), SMALL)
    with pytest.raises(RefusedInput, match="not a regular file"):
        next(items.batches(1))
    with pytest.raises(RefusedInput, match="not a regular file"):
        items.item_hashes()


def test_a_pipe_named_like_a_set_is_not_waited_for(tmp_path: Path):
    for name in ("m.csv", "d.npz", "p.png"):
        os.mkfifo(tmp_path / name)
        with pytest.raises(EdgeconvError):
            list(open_dataset(str(tmp_path / name), SMALL).batches(1))


# --- arrays ----------------------------------------------------------------------------------


@pytest.mark.parametrize("compressed", [True, False])
def test_a_pickle_in_an_npz_is_refused_and_not_run(tmp_path: Path, compressed: bool):
    mark = tmp_path / MARK
    save = np.savez_compressed if compressed else np.savez
    save(tmp_path / "d.npz", x=np.array([Payload(mark)], dtype=object))
    with pytest.raises(RefusedInput, match="pickled"):
        open_dataset(str(tmp_path / "d.npz"), ARRAYS)
    assert not mark.exists()


def test_a_pickle_as_labels_is_refused_and_not_run(tmp_path: Path):
    mark = tmp_path / MARK
    labels = np.array([Payload(mark)], dtype=object)
    np.savez(tmp_path / "d.npz", x=np.zeros((1, 2)), y=labels)
    with pytest.raises(RefusedInput, match="pickled"):
        open_dataset(str(tmp_path / "d.npz"), ARRAYS)
    assert not mark.exists()


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path: Path):
    zeros = np.zeros(100 * 2**20, np.uint8)
    spec = str(tmp_path / "bomb.npz")
    np.savez_compressed(spec, x=zeros)
    assert Path(spec).stat().st_size < 2**18
    del zeros
    with pytest.raises(RefusedInput, match="would unpack from"):
        open_dataset(spec, ARRAYS)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize(
    "header",
    [
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000,), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999, 9), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (-1, -4), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), 'x': 1}",
        "{'descr': '|O', 'fortran_order': False, 'shape': (2,), }",
        "{'descr': [('a', '|O')], 'fortran_order': False, 'shape': (2,), }",
        "__import__('os').system('true')",
        "(" * 5000,
        "",
    ],
)
def test_an_npy_header_that_lies_is_refused(tmp_path: Path, header: str, method: int):
    with pytest.raises(RefusedInput, match="'x'"):
        open_dataset(npz(tmp_path / "d.npz", npy(header, b"\0" * 16), method), ARRAYS)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_an_array_that_was_changed_is_refused_by_its_checksum(tmp_path: Path, method: int):
    body = np.random.default_rng(0).bytes(8000)
    header = "{'descr': '<f8', 'fortran_order': False, 'shape': (1000,), }"
    path = Path(npz(tmp_path / "d.npz", npy(header, body), method))
    data = bytearray(path.read_bytes())
    data[4000] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(RefusedInput, match="broken"):
        open_dataset(str(path), ARRAYS)


@pytest.mark.parametrize(
    "data", [b"", b"PK\3\4", b"PK\5\6" + b"\xff" * 18, b"\x93NUMPY\1\0", b"\x80\4N."]
)
def test_a_file_that_is_no_npz_is_refused(tmp_path: Path, data: bytes):
    (tmp_path / "d.npz").write_bytes(data)
    with pytest.raises(RefusedInput, match="broken"):
        open_dataset(str(tmp_path / "d.npz"), ARRAYS)


def test_a_truncated_or_flipped_npz_never_escapes_as_another_error(tmp_path: Path):
    rng = np.random.default_rng(0)
    np.savez_compressed(tmp_path / "d.npz", x=rng.normal(size=(20, 4)), y=np.zeros(20, int))
    whole = (tmp_path / "d.npz").read_bytes()
    path = tmp_path / "e.npz"
    for trial in range(300):
        data = bytearray(whole[: rng.integers(len(whole))] if trial % 3 == 0 else whole)
        for place in rng.integers(0, max(len(data), 1), 2 if data else 0):
            data[place] = rng.integers(256)
        path.write_bytes(data)
        try:
            list(open_dataset(str(path), ARRAYS).batches(8))
        except (RefusedInput, UsageError) as error:
            assert "\n" not in error.message


def test_an_npz_with_very_many_members_is_refused(tmp_path: Path):
    with zipfile.ZipFile(tmp_path / "d.npz", "w") as archive:
        for number in range(1001):
            archive.writestr(f"{number}.npy", b"")
    with pytest.raises(RefusedInput, match="members"):
        open_dataset(str(tmp_path / "d.npz"), ARRAYS)


def test_pixels_that_would_make_too_large_a_picture_are_refused():
    flat = np.broadcast_to(np.uint8(0), (50_000, 50_000))
    with pytest.raises(RefusedInput, match="too large"):
        prepare_array(SMALL, flat)
