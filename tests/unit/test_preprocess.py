"""From a picture or an array to the model's input."""

import ast
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import edgeconv.pictures
import edgeconv.preprocess
from edgeconv.errors import RefusedInput, UsageError
from edgeconv.preprocess import (
    Preprocess,
    decode,
    normalize,
    prepare_array,
    prepare_image,
)

FIELDS = {
    "kind": "image",
    "height": 4,
    "width": 6,
    "color": "bgr",
    "resize": "stretch",
    "crop_fraction": 0.9,
    "filter": "lanczos",
    "layout": "nchw",
    "scale": [0.5, 0.25, 2.0],
    "offset": [1.0],
}


def noise(height: int, width: int, channels: int = 3, seed: int = 0) -> np.ndarray:
    shape = (height, width, channels) if channels else (height, width)
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


# --- the description -------------------------------------------------------------------------


def test_a_description_survives_json():
    preprocess = Preprocess.from_json(FIELDS)
    assert Preprocess.from_json(json.loads(json.dumps(preprocess.to_json()))) == preprocess
    assert preprocess.to_json() == FIELDS


@pytest.mark.parametrize(
    "change",
    [
        {"colour": "rgb"},
        {"kind": "video"},
        {"kind": ["image"]},
        {"height": 0},
        {"height": -1},
        {"height": 8193},
        {"height": 224.0},
        {"height": True},
        {"width": "224"},
        {"width": None},
        {"crop_fraction": 0},
        {"crop_fraction": 1.5},
        {"crop_fraction": float("nan")},
        {"scale": 1.0},
        {"scale": []},
        {"scale": [1.0, 2.0]},
        {"scale": [0.0]},
        {"scale": ["1"]},
        {"scale": [[1.0]]},
        {"offset": [float("inf")]},
        {"offset": [10**400]},
        {"kind": "array"},
    ],
    ids=str,
)
def test_a_senseless_description_is_refused(change: dict[str, object]):
    with pytest.raises(RefusedInput) as refused:
        Preprocess.from_json({**FIELDS, **change})
    assert next(iter(change)) in refused.value.message or "kind" in change


def test_a_description_that_is_no_table_is_refused():
    with pytest.raises(RefusedInput, match="not a table"):
        Preprocess.from_json([1])  # type: ignore[arg-type]


def test_a_wrong_argument_in_code_is_a_usage_error():
    with pytest.raises(UsageError, match="height is 0"):
        Preprocess()


@pytest.mark.parametrize(
    ("preprocess", "shape"),
    [
        (Preprocess(height=4, width=6), (1, 4, 6, 3)),
        (Preprocess(height=4, width=6, color="gray"), (1, 4, 6, 1)),
        (Preprocess(height=4, width=6, layout="nchw"), (1, 3, 4, 6)),
        (Preprocess(kind="array"), ()),
    ],
    ids=str,
)
def test_shape_is_that_of_the_models_input(preprocess: Preprocess, shape: tuple[int, ...]):
    assert preprocess.shape == shape
    if shape:
        assert prepare_image(preprocess, Image.new("RGB", (9, 9))).shape == shape


# --- values ----------------------------------------------------------------------------------


def test_scale_and_offset_are_applied_in_the_models_channel_order():
    pixels = noise(5, 7)
    scale, offset = (0.5, 0.25, 2.0), (1.0, -2.0, 3.0)
    for layout in ("nhwc", "nchw"):
        preprocess = Preprocess(
            height=5, width=7, color="bgr", layout=layout, scale=scale, offset=offset
        )
        wanted = pixels[..., ::-1].astype(np.float32) * np.float32(scale) + np.float32(offset)
        got = prepare_array(preprocess, pixels)[0]
        np.testing.assert_array_equal(got if layout == "nhwc" else got.transpose(1, 2, 0), wanted)


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int64", "float16", "float64", ">f4", "bool"])
def test_an_array_is_scaled_in_float32(dtype: str):
    array = np.arange(12).reshape(3, 4).astype(dtype)
    result = prepare_array(Preprocess(kind="array", scale=(0.5,), offset=(-3.0,)), array)
    assert result.dtype == np.float32 and result.shape == (1, 3, 4)
    np.testing.assert_array_equal(result[0], array.astype(np.float64) * 0.5 - 3)


def test_an_array_may_have_one_scale_for_each_entry_of_its_last_axis():
    preprocess = Preprocess(kind="array", scale=(1.0, 10.0), offset=(0.5,))
    np.testing.assert_array_equal(prepare_array(preprocess, [1, 2]), [[1.5, 20.5]])
    np.testing.assert_array_equal(
        prepare_array(preprocess, [[1, 2], [3, 4]]), [[[1.5, 20.5], [3.5, 40.5]]]
    )
    with pytest.raises(RefusedInput, match="2 scales"):
        prepare_array(preprocess, [1, 2, 3])


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_an_array_that_is_not_finite_is_refused(bad: float):
    with pytest.raises(RefusedInput, match="NaN or infinity"):
        prepare_array(Preprocess(kind="array"), np.array([0.0, bad]))


@pytest.mark.parametrize("array", [np.array(["a"]), np.array([1j]), np.array([None])])
def test_an_array_without_numbers_is_refused(array: np.ndarray):
    with pytest.raises(RefusedInput, match="not numbers"):
        prepare_array(Preprocess(kind="array"), array)


def test_float_pixels_are_taken_as_the_same_pixels():
    preprocess = Preprocess(height=5, width=7, scale=(1 / 255,))
    pixels = noise(5, 7)
    for dtype in (np.float32, np.int64):
        np.testing.assert_array_equal(
            prepare_array(preprocess, pixels.astype(dtype)), prepare_array(preprocess, pixels)
        )


@pytest.mark.parametrize("bad", [-1.0, 256.0, np.nan])
def test_pixels_outside_their_range_are_refused(bad: float):
    pixels = np.full((5, 7, 3), 9.0)
    pixels[2, 2, 1] = bad
    with pytest.raises(RefusedInput, match=r"outside 0\.\.255"):
        prepare_array(Preprocess(height=5, width=7), pixels)


@pytest.mark.parametrize("shape", [(5, 7, 2), (5,), (1, 5, 7, 3), (0, 7, 3), (5, 0, 3)])
def test_an_array_that_is_no_picture_is_refused_with_both_shapes(shape: tuple[int, ...]):
    with pytest.raises(RefusedInput, match=r"takes \[5, 7, 3\]") as refused:
        prepare_array(Preprocess(height=5, width=7), np.zeros(shape, np.uint8))
    assert str(list(shape)) in refused.value.message


def test_float_pixels_of_another_size_are_refused():
    with pytest.raises(RefusedInput, match=r"\[8, 8, 3\].*\[5, 7, 3\]"):
        prepare_array(Preprocess(height=5, width=7), np.zeros((8, 8, 3), np.float32))


def test_grey_pixels_serve_a_colour_model_and_colour_pixels_a_grey_one():
    grey = noise(5, 7, 0)
    color = prepare_array(Preprocess(height=5, width=7), grey)
    np.testing.assert_array_equal(color, np.repeat(grey[None, ..., None], 3, axis=3))
    back = prepare_array(Preprocess(height=5, width=7, color="gray"), np.stack([grey] * 3, -1))
    np.testing.assert_array_equal(back[0, ..., 0], grey)
    clear = np.zeros((5, 7, 4), np.uint8)
    assert (prepare_array(Preprocess(height=5, width=7), clear) == 255).all()


@given(
    count=st.integers(0, 3),
    height=st.integers(1, 5),
    width=st.integers(1, 5),
    scale=st.lists(st.floats(0.01, 100), min_size=3, max_size=3),
)
def test_normalize_works_on_whole_batches(count: int, height: int, width: int, scale: list[float]):
    preprocess = Preprocess(height=height, width=width, scale=tuple(scale), offset=(1.0,))
    batch = np.random.default_rng(count).integers(0, 256, (count, height, width, 3), np.uint8)
    wanted = [normalize(preprocess, item[None]) for item in batch]
    got = normalize(preprocess, batch)
    assert got.shape == batch.shape
    np.testing.assert_array_equal(got, np.concatenate([np.zeros((0, *got.shape[1:])), *wanted]))


# --- resize and crop -------------------------------------------------------------------------


def test_a_picture_whose_shorter_side_fits_is_only_cropped():
    pixels = noise(256, 341)
    preprocess = Preprocess(height=224, width=224)
    wanted = pixels[16 : 16 + 224, 58 : 58 + 224]
    np.testing.assert_array_equal(prepare_image(preprocess, Image.fromarray(pixels))[0], wanted)
    turned = prepare_image(preprocess, Image.fromarray(pixels.transpose(1, 0, 2)))[0]
    np.testing.assert_array_equal(turned, wanted.transpose(1, 0, 2))


@pytest.mark.parametrize("name", ["nearest", "bilinear", "bicubic", "lanczos"])
@pytest.mark.parametrize("size", [(500, 375), (375, 500), (100, 80), (301, 300)])
def test_resize_and_crop_equals_doing_both_in_turn(name: str, size: tuple[int, int]):
    image = Image.fromarray(noise(size[1] // 4, size[0] // 4)).resize(
        size, Image.Resampling.BICUBIC
    )
    width, height = (round(size[0] * 256 / min(size)), round(size[1] * 256 / min(size)))
    left, top = (width - 224) // 2, (height - 224) // 2
    whole = image.resize((width, height), Image.Resampling[name.upper()])
    wanted = np.asarray(whole.crop((left, top, left + 224, top + 224)), np.float32)
    got = prepare_image(Preprocess(height=224, width=224, filter=name), image)[0]
    off = np.abs(got - wanted)
    # Pillow keeps the box in float32: a rounding here and there, never a shift.
    assert off.max() <= (255 if name == "nearest" else 1)
    assert (off > 0).mean() < 0.01, "the crop is shifted"


def test_a_flat_sliver_costs_no_memory():
    sliver = Image.new("RGB", (1_000_000, 1), "red")
    result = prepare_image(Preprocess(height=224, width=224), sliver)
    assert (result == np.float32([255, 0, 0])).all()


def test_crop_fills_an_input_that_is_not_square():
    for size in ((50, 1000), (1000, 50), (60, 33)):
        result = prepare_image(Preprocess(height=32, width=64), Image.new("RGB", size, (7, 8, 9)))
        assert (result == np.float32([7, 8, 9])).all()


def test_stretch_keeps_the_whole_picture():
    image = Image.fromarray(noise(30, 20))
    got = prepare_image(Preprocess(height=8, width=16, resize="stretch", filter="bilinear"), image)
    wanted = np.asarray(image.resize((16, 8), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(got[0], wanted)


def test_without_resize_only_the_right_size_is_accepted():
    preprocess = Preprocess(height=8, width=16, resize="none")
    assert prepare_image(preprocess, Image.new("RGB", (16, 8))).shape == (1, 8, 16, 3)
    for give in (
        lambda: prepare_image(preprocess, Image.new("RGB", (8, 16))),
        lambda: prepare_array(preprocess, np.zeros((16, 8, 3), np.uint8)),
    ):
        with pytest.raises(RefusedInput, match="is 8 x 16, the model takes 16 x 8"):
            give()


def test_pixels_of_the_models_size_are_not_resized_again():
    pixels = noise(32, 32)
    np.testing.assert_array_equal(prepare_array(Preprocess(height=32, width=32), pixels)[0], pixels)


def test_pixels_of_another_size_are_treated_as_a_picture():
    preprocess, pixels = Preprocess(height=32, width=32), noise(50, 60)
    np.testing.assert_array_equal(
        prepare_array(preprocess, pixels), prepare_image(preprocess, Image.fromarray(pixels))
    )


def test_a_model_of_arrays_takes_no_picture():
    with pytest.raises(UsageError, match="takes arrays"):
        prepare_image(Preprocess(kind="array"), Image.new("RGB", (8, 8)))


# --- both run on devices with Python 3.9 -----------------------------------------------------


@pytest.mark.parametrize("module", [edgeconv.pictures, edgeconv.preprocess])
def test_what_ships_to_devices_parses_with_python_3_9(module):
    ast.parse(Path(module.__file__).read_text(encoding="utf-8"), feature_version=(3, 9))


def test_decode_is_offered_beside_what_it_feeds():
    assert decode is edgeconv.pictures.decode
