"""Thumbnails: small, encoded by us, and only of the pictures that were asked for."""

import io

import numpy as np
import pytest
from PIL import Image

from edgeconv.data import read_folder, thumbnails
from edgeconv.data.arrays import read_arrays
from edgeconv.preprocess import Preprocess

MODEL = Preprocess(height=32, width=32, color="bgr", layout="nchw", scale=(1 / 255,))


def decoded(picture):
    image = Image.open(io.BytesIO(picture))
    image.load()
    return image


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("a", "b", "c"):
        pixels = rng.integers(0, 256, (300, 500, 3), np.uint8)
        exif = Image.Exif()
        exif[0x010E] = "a secret place"
        exif[0x0112] = 6
        Image.fromarray(pixels).save(tmp_path / f"{name}.jpg", exif=exif, icc_profile=b"profile")
    return tmp_path


def test_a_thumbnail_is_a_small_jpeg_without_what_else_stood_in_the_file(folder):
    (picture,) = thumbnails(read_folder(folder, MODEL), ["b.jpg"]).values()
    image = decoded(picture)
    assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (160, 160))
    assert not image.getexif() and "icc_profile" not in image.info
    assert b"secret" not in picture and len(picture) < 32_768


def test_only_pictures_that_are_asked_for_are_read(folder):
    items = read_folder(folder, MODEL)
    for name in ("a", "c"):
        (folder / f"{name}.jpg").write_bytes(b"broken since")
    assert list(thumbnails(items, ["b.jpg", "not there.jpg"])) == ["b.jpg"]


def test_a_picture_that_broke_leaves_a_gap(folder):
    items = read_folder(folder, MODEL)
    (folder / "a.jpg").write_bytes(b"broken since")
    assert list(thumbnails(items, ["a.jpg", "b.jpg"])) == ["b.jpg"]


def test_colours_are_those_of_the_picture_not_those_of_the_model(tmp_path):
    Image.new("RGB", (300, 200), (250, 20, 20)).save(tmp_path / "red.png")
    (picture,) = thumbnails(read_folder(tmp_path, MODEL), ["red.png"]).values()
    red, green, blue = decoded(picture).getpixel((80, 80))
    assert red > 240 and green < 40 and blue < 40


def test_a_picture_on_its_side_is_put_upright(tmp_path):
    pixels = np.zeros((200, 400, 3), np.uint8)
    pixels[:, :200] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise: the left half becomes the upper one
    Image.fromarray(pixels).save(tmp_path / "a.jpg", exif=exif)
    (picture,) = thumbnails(read_folder(tmp_path, MODEL), ["a.jpg"]).values()
    image = decoded(picture).convert("L")
    assert image.getpixel((80, 10)) > 240 and image.getpixel((80, 150)) < 15


@pytest.mark.parametrize("shape", [(4, 48, 48, 3), (4, 28, 28), (4, 28, 28, 1)])
def test_pixels_in_an_array_have_thumbnails_too(tmp_path, shape):
    x = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    np.savez(tmp_path / "x.npz", x=x)
    found = thumbnails(read_arrays(tmp_path / "x.npz", MODEL), ["array 2"])
    assert decoded(found["array 2"]).size == (160, 160)


def test_data_that_are_no_pictures_have_none(tmp_path):
    np.savez(tmp_path / "x.npz", x=np.zeros((4, 10), np.float32))
    assert thumbnails(read_arrays(tmp_path / "x.npz", Preprocess("array")), ["array 0"]) == {}


def test_the_same_picture_gives_the_same_bytes(folder):
    items = read_folder(folder, MODEL)
    assert thumbnails(items, ["a.jpg"]) == thumbnails(items, ["a.jpg"])
