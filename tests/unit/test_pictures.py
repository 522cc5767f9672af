"""Decoding: every mode, every orientation, nothing broken, nothing too large."""

import io
import os
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps

import edgeconv.pictures
from edgeconv.errors import RefusedInput, UsageError
from edgeconv.pictures import MAX_PIXELS, decode, printable, to_rgb

# The program keeps Pillow's warnings to itself; pytest puts its own filters before that one.
pytestmark = pytest.mark.filterwarnings(r"ignore::Warning:PIL\.")

GRADIENT = np.linspace(0, 255, 48).reshape(6, 8)


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def pixels(data: bytes) -> np.ndarray:
    image = decode(data)
    assert image.mode == "RGB"
    return np.asarray(image).astype(int)


def test_modes_of_eight_bits_keep_their_colours():
    color = Image.fromarray(np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8))
    for mode, kind in [
        ("1", "PNG"),
        ("L", "PNG"),
        ("L", "JPEG"),
        ("P", "PNG"),
        ("P", "GIF"),
        ("RGB", "PNG"),
        ("RGB", "BMP"),
        ("RGB", "PPM"),
        ("RGB", "TIFF"),
        ("RGB", "JPEG"),
        ("RGB", "WEBP"),
        ("CMYK", "TIFF"),
        ("CMYK", "JPEG"),
    ]:
        data = encoded(color.convert(mode), kind)
        with Image.open(io.BytesIO(data)) as plain:
            wanted = np.asarray(plain.convert("RGB")).astype(int)
        np.testing.assert_array_equal(pixels(data), wanted, err_msg=f"{mode} in {kind}")


def test_lab_becomes_srgb():
    color = Image.new("RGB", (6, 8), (200, 30, 60))
    srgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    image = ImageCms.profileToProfile(color, srgb, lab, outputMode="LAB")
    assert np.abs(pixels(encoded(image, "TIFF")) - [200, 30, 60]).max() <= 3


@pytest.mark.parametrize("mode", ["HSV", "YCbCr", "CMYK"])
def test_other_colour_spaces_become_rgb(mode: str):
    color = Image.new("RGB", (6, 8), (200, 30, 60))
    assert np.abs(np.asarray(to_rgb(color.convert(mode))).astype(int) - [200, 30, 60]).max() <= 3


@pytest.mark.parametrize("mode", ["La", "RGBa", "RGBX", "PA"])
def test_modes_that_no_file_holds_become_rgb(mode: str):
    source = {"La": "LA", "RGBa": "RGBA"}.get(mode)
    image = Image.new(source, (4, 4), 0).convert(mode) if source else Image.new(mode, (4, 4))
    assert to_rgb(image).mode == "RGB"


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_transparent_parts_become_white(mode: str):
    image = Image.new("RGBA", (2, 1), (10, 10, 10, 255))
    image.putpixel((1, 0), (10, 10, 10, 0))
    data = encoded(image.convert(mode), "PNG")
    assert pixels(data).tolist() == [[[10] * 3, [255] * 3]]


def test_half_transparent_parts_are_mixed_with_white():
    assert pixels(encoded(Image.new("RGBA", (1, 1), (0, 0, 0, 51)), "PNG"))[0, 0, 0] == 204


def test_a_transparent_colour_of_a_palette_or_of_plain_rgb_becomes_white():
    image = Image.new("RGB", (2, 1), (10, 20, 30))
    image.putpixel((1, 0), (200, 100, 50))
    keyed = encoded(image, "PNG", transparency=(200, 100, 50))
    assert pixels(keyed).tolist() == [[[10, 20, 30], [255] * 3]]
    palette = image.convert("P", palette=Image.Palette.ADAPTIVE)
    index = palette.getpixel((1, 0))
    for kind in ("PNG", "GIF"):
        assert pixels(encoded(palette, kind, transparency=index))[0, 1].tolist() == [255] * 3


@pytest.mark.parametrize(("dtype", "kind"), [("<u2", "PNG"), ("<u2", "TIFF"), (">u2", "TIFF")])
def test_sixteen_bits_keep_their_range(dtype: str, kind: str):
    image = Image.fromarray((GRADIENT * 257).astype(dtype))
    got = pixels(encoded(image, kind))
    assert np.abs(got[..., 0] - GRADIENT).max() <= 1


def test_a_dark_picture_of_sixteen_bits_stays_dark():
    assert pixels(encoded(Image.fromarray(np.full((4, 4), 200, np.uint16)), "PNG")).max() <= 1


def test_a_wide_ppm_keeps_its_range():
    data = b"P5 8 6 65535\n" + (GRADIENT * 257).astype(">u2").tobytes()
    assert np.abs(pixels(data)[..., 0] - GRADIENT).max() <= 1


@pytest.mark.parametrize(
    ("dtype", "factor"),
    [("int32", 1), ("int32", 257), ("int32", 8_000_000), ("float32", 1 / 255), ("float32", 1)],
)
def test_32_bit_files_take_the_smallest_range_that_holds_them(dtype: str, factor: float):
    data = encoded(Image.fromarray((GRADIENT * factor).astype(dtype)), "TIFF")
    top = 2**31 / 8_000_000 if factor > 300 else 255
    assert np.abs(pixels(data)[..., 0] - GRADIENT * 255 / top).max() <= 1.01


def test_floats_that_are_no_brightness_are_refused():
    for value in (np.nan, np.inf, 1e9):
        image = Image.fromarray(np.full((4, 4), value, np.float32))
        with pytest.raises(RefusedInput, match=r"scan\.tif is broken"):
            decode(encoded(image, "TIFF"), "scan.tif")


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_exif_orientation_is_undone(kind: str, orientation: int):
    # Four different corners, so that each of the eight orientations looks its own.
    corners = Image.new("RGB", (2, 2))
    corners.putdata([(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0)])
    image = corners.resize((32, 48), Image.Resampling.NEAREST)
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(image, kind, exif=exif)
    with Image.open(io.BytesIO(data)) as plain:
        wanted = np.asarray(ImageOps.exif_transpose(plain).convert("RGB")).astype(int)
    np.testing.assert_array_equal(pixels(data), wanted)
    assert pixels(data).shape == ((48, 32, 3) if orientation < 5 else (32, 48, 3))


def test_exif_that_cannot_be_read_says_nothing():
    image = Image.new("RGB", (8, 6), "blue")
    assert pixels(encoded(image, "JPEG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff")).shape == (6, 8, 3)


def test_only_the_first_frame_of_an_animation_counts():
    frames = [Image.new("RGB", (4, 4), c) for c in ("red", "blue")]
    for kind in ("GIF", "PNG", "TIFF", "WEBP"):
        data = encoded(frames[0], kind, save_all=True, append_images=frames[1:])
        assert np.abs(pixels(data)[0, 0] - [255, 0, 0]).max() < 10, kind


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "PPM"])
def test_a_truncated_file_is_refused_by_name(kind: str, tmp_path: Path):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    data = encoded(Image.fromarray(noise), kind)
    file = tmp_path / "照片.bin"
    file.write_bytes(data[: len(data) // 2])
    with pytest.raises(RefusedInput, match=r"照片\.bin"):
        decode(file)


def test_no_bytes_are_no_picture():
    with pytest.raises(RefusedInput, match="not a picture"):
        decode(b"")


def test_a_missing_file_is_a_usage_error(tmp_path: Path):
    with pytest.raises(UsageError, match="does not exist"):
        decode(tmp_path / "none.jpg")


def test_a_path_and_its_bytes_give_the_same_pixels(tmp_path: Path):
    file = tmp_path / "a.png"
    file.write_bytes(encoded(Image.new("RGB", (8, 6), "blue"), "PNG"))
    np.testing.assert_array_equal(np.asarray(decode(file)), np.asarray(decode(file.read_bytes())))
    np.testing.assert_array_equal(np.asarray(decode(str(file))), np.asarray(decode(file)))


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe.jpg")
    with pytest.raises(RefusedInput, match="not a regular file"):
        decode(tmp_path / "pipe.jpg")


def test_just_under_the_limit_is_accepted_and_just_over_is_not():
    # A bilevel PNG of 40 megapixels is small and quick.
    fits = encoded(Image.new("1", (8000, MAX_PIXELS // 8000)), "PNG")
    assert decode(fits).size == (8000, MAX_PIXELS // 8000)
    over = encoded(Image.new("1", (8000, MAX_PIXELS // 8000 + 1)), "PNG")
    with pytest.raises(RefusedInput, match="8000 x 5001 pixels"):
        decode(over)


def test_names_are_shown_on_one_line():
    assert printable("a\nb\x1b[31m\udcff照") == r"a\nb\x1b[31m\udcff照"


def test_pillow_says_nothing_on_the_terminal():
    # In the filters of a plain program, not in pytest's.
    large = encoded(Image.new("1", (10_000, 10_000)), "PNG")  # Pillow warns from 89 megapixels
    with warnings.catch_warnings(record=True) as caught:
        warnings.resetwarnings()
        warnings.simplefilter("always")
        edgeconv.pictures._silence_pillow.cache_clear()
        with pytest.raises(RefusedInput):
            decode(large)
    edgeconv.pictures._silence_pillow.cache_clear()
    assert not caught
