"""Preprocess: from a picture or an array to what a model takes.

    file ──decode──► RGB ──resize, crop──► uint8 [H, W, C] ──affine──► float32 [1, H, W, C]

The same code serves calibration, parity and the device, so that none of them
can differ. NumPy and Pillow only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from edgeconv.errors import RefusedInput, UsageError
from edgeconv.pictures import MAX_PIXELS, decode, printable, refuse_large, to_rgb

if TYPE_CHECKING:
    from PIL.Image import Image, Resampling

__all__ = [
    "MAX_PIXELS",
    "Preprocess",
    "decode",
    "normalize",
    "prepare_array",
    "prepare_image",
    "printable",
]

#: No model of pictures takes more; it keeps a forged description from filling the memory.
MAX_SIDE = 8192

_CHOICES = {
    "kind": ("image", "array"),
    "color": ("rgb", "bgr", "gray"),
    "resize": ("crop", "stretch", "none"),
    "filter": ("nearest", "bilinear", "bicubic", "lanczos"),
    "layout": ("nhwc", "nchw"),
}


@dataclass(frozen=True)
class Preprocess:
    """The one description used for calibration, parity and on the device.

    Attributes:
        kind: ``image`` for pictures, ``array`` for anything else.
        height: Rows of the model's input; 0 for arrays.
        width: Columns of the model's input; 0 for arrays.
        color: Channel order that the model takes.
        resize: ``crop``: the shorter side to ``size / crop_fraction``, then the
            centre; ``stretch``: both sides to size; ``none``: only the right
            size is accepted.
        crop_fraction: Share of the resized shorter side that the crop keeps.
        filter: Resampling filter of the resize.
        layout: Axis order of the model's input.
        scale: Factor on the raw values (0..255 for pictures), one or one a
            channel in the order of ``color``; for arrays along the last axis.
        offset: Added after it, one or one a channel.

    Raises:
        UsageError: A field makes no sense.
    """

    kind: Literal["image", "array"] = "image"
    height: int = 0
    width: int = 0
    color: Literal["rgb", "bgr", "gray"] = "rgb"
    resize: Literal["crop", "stretch", "none"] = "crop"
    crop_fraction: float = 0.875
    filter: Literal["nearest", "bilinear", "bicubic", "lanczos"] = "bicubic"
    layout: Literal["nhwc", "nchw"] = "nhwc"
    scale: tuple[float, ...] = (1.0,)
    offset: tuple[float, ...] = (0.0,)

    def __post_init__(self) -> None:
        for name, allowed in _CHOICES.items():
            value = getattr(self, name)
            _demand(value in allowed, name, value, "one of " + ", ".join(allowed))
        low, high = (1, MAX_SIDE) if self.kind == "image" else (0, 0)
        for name in ("height", "width"):
            value = getattr(self, name)
            good = type(value) is int and low <= value <= high
            _demand(good, name, value, f"a whole number from {low} to {high}")
        # Under a tenth the resize would be a hundred times the picture that is kept.
        good = _is_number(self.crop_fraction) and 0.1 <= self.crop_fraction <= 1
        _demand(good, "crop_fraction", self.crop_fraction, "from 0.1 to 1")
        lengths = {1, self.channels} if self.kind == "image" else range(1, MAX_SIDE + 1)
        for name in ("scale", "offset"):
            value = getattr(self, name)
            good = isinstance(value, tuple) and len(value) in lengths
            good = good and all(_is_number(number) for number in value)
            _demand(good, name, value, "one finite number, or one a channel")
        _demand(all(abs(n) > 1e-30 for n in self.scale), "scale", self.scale, "different from zero")

    @property
    def channels(self) -> int:
        """Of a picture as the model takes it."""
        return 1 if self.color == "gray" else 3

    @property
    def shape(self) -> tuple[int, ...]:
        """What the model's input must be, batch first; () for arrays."""
        if self.kind == "array":
            return ()
        if self.layout == "nchw":
            return (1, self.channels, self.height, self.width)
        return (1, self.height, self.width, self.channels)

    def to_json(self) -> dict[str, Any]:
        """All fields as JSON values; ``from_json`` reads them back."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {
            name: [float(number) for number in value] if isinstance(value, tuple) else value
            for name, value in values.items()
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Preprocess:
        """Read what ``to_json`` wrote, or a person; missing fields have their defaults.

        Raises:
            RefusedInput: Unknown keys, wrong types or values that make no sense.
        """
        if not isinstance(document, Mapping):
            raise RefusedInput("The preprocessing is not a table of settings.")
        known = {field.name for field in fields(cls)}
        for key in document:
            if key not in known:
                raise RefusedInput(
                    f"The preprocessing has an unknown setting {printable(str(key))[:60]!r}.",
                    "Known are " + ", ".join(sorted(known)) + ".",
                )
        values: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value
            for key, value in document.items()
        }
        try:
            return cls(**values)
        except UsageError as error:
            raise RefusedInput(error.message, error.hint) from None


def _is_number(value: object) -> bool:
    # Within what float32 can hold; false for NaN and infinity too.
    return isinstance(value, (int, float)) and type(value) is not bool and -1e30 < value < 1e30


def _demand(good: bool, name: str, value: object, wanted: str) -> None:
    if not good:
        shown = printable(repr(value))[:80]
        raise UsageError(f"Preprocessing: {name} is {shown}.", f"It must be {wanted}.")


def prepare_image(preprocess: Preprocess, image: Image) -> npt.NDArray[np.float32]:
    """From a decoded picture to the model's input.

    Args:
        preprocess: Of kind ``image``.
        image: A Pillow image of any mode, such as ``decode`` returns.

    Returns:
        float32 [1, H, W, C], or [1, C, H, W].

    Raises:
        RefusedInput: ``resize`` is ``none`` and the size is another.
        UsageError: The model takes arrays.
    """
    if preprocess.kind != "image":
        raise UsageError(
            "The model takes arrays, not pictures.", "Give an .npy file, or an .npz as data."
        )
    if image.mode not in ("RGB", "L") or "transparency" in image.info:
        image = to_rgb(image)
    return _from_picture(preprocess, _fitted(preprocess, image))


def _from_picture(preprocess: Preprocess, image: Image) -> npt.NDArray[np.float32]:
    """From a picture of the model's size to the model's input."""
    # Grey only now: after the resize there are fewer pixels to convert.
    mode = "L" if preprocess.color == "gray" else "RGB"
    pixels = np.asarray(image if image.mode == mode else image.convert(mode))
    return normalize(preprocess, pixels.reshape(1, image.height, image.width, -1))


def _fitted(preprocess: Preprocess, image: Image) -> Image:
    """Resize and crop to the model's rows and columns."""
    width, height = image.size
    size = (preprocess.width, preprocess.height)
    if preprocess.resize == "none" and image.size != size:
        raise RefusedInput(
            f"The picture is {width} x {height}, the model takes {size[0]} x {size[1]}.",
            "Resize it, or let the preprocessing do so (resize = crop or stretch).",
        )
    if preprocess.resize != "crop":
        return image if image.size == size else image.resize(size, _filter(preprocess))
    new = _resized(preprocess, width, height)
    left, top = (new[0] - size[0]) // 2, (new[1] - size[1]) // 2
    right, bottom = left + size[0], top + size[1]
    if new == (width, height):
        return image.crop((left, top, right, bottom))
    # Only the pixels that the crop keeps are computed: faster, and a picture of
    # 1 x 40,000,000 pixels does not become one of 256 x 10,240,000,000.
    x, y = width / new[0], height / new[1]
    return image.resize(size, _filter(preprocess), box=(left * x, top * y, right * x, bottom * y))


def _filter(preprocess: Preprocess) -> Resampling:
    from PIL import Image as pillow

    return pillow.Resampling[preprocess.filter.upper()]


def _resized(preprocess: Preprocess, width: int, height: int) -> tuple[int, int]:
    """The (width, height) of the whole picture just large enough for the crop."""
    least_width = round(preprocess.width / preprocess.crop_fraction)
    least_height = round(preprocess.height / preprocess.crop_fraction)
    if width * least_height <= height * least_width:
        return least_width, max(least_height, round(height * least_width / width))
    return max(least_width, round(width * least_height / height)), least_height


def prepare_array(preprocess: Preprocess, array: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """From one array without a batch axis to the model's input.

    For a model of pictures, whole numbers 0..255 are pixels and treated as a
    picture, except that those already of the model's size are taken as they
    are: whoever made them has cropped them. Float pixels (0..255 too) must be
    of the model's size.

    Args:
        preprocess: Of either kind.
        array: [H, W], [H, W, 1], [H, W, 3] in RGB or [H, W, 4] with alpha for
            pictures; any shape for arrays.

    Returns:
        float32 [1, H, W, C] or [1, C, H, W] for pictures, else [1, ...].

    Raises:
        RefusedInput: Wrong shape, values outside 0..255, or not finite.
    """
    array = np.asarray(array)
    if array.dtype.kind not in "biuf":
        raise RefusedInput(
            f"The array holds {array.dtype}, not numbers.", "Give integers or floats."
        )
    if preprocess.kind == "array":
        return normalize(preprocess, array[np.newaxis])
    pixels = array[..., np.newaxis] if array.ndim == 2 else array
    if pixels.ndim != 3 or pixels.shape[2] not in (1, 3, 4) or 0 in pixels.shape:
        raise _misshapen(preprocess, array.shape)
    pixels = _checked_pixels(pixels)
    if pixels.shape == (preprocess.height, preprocess.width, preprocess.channels):
        return normalize(preprocess, pixels[np.newaxis])
    if pixels.dtype != np.uint8:
        raise _misshapen(preprocess, array.shape)
    image = _as_picture(pixels)
    if image.size == (preprocess.width, preprocess.height):  # only the channels differ
        return _from_picture(preprocess, to_rgb(image))
    return prepare_image(preprocess, image)


def _checked_pixels(pixels: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """``pixels`` in 0..255; whole numbers as uint8."""
    if pixels.dtype == np.uint8:
        return pixels
    # Written so that NaN fails too.
    if not (pixels.min() >= 0 and pixels.max() <= 255):
        raise RefusedInput(
            "The array holds values outside 0..255, so it is no picture or is already scaled.",
            "Give raw pixels, or preprocessing of kind array.",
        )
    return pixels if pixels.dtype.kind == "f" else pixels.astype(np.uint8)


def _as_picture(pixels: npt.NDArray[np.uint8]) -> Image:
    """uint8 [H, W, C] -> a picture of mode L, RGB or RGBA."""
    from PIL import Image as pillow

    refuse_large(pixels.shape[1], pixels.shape[0], "The array")
    return pillow.fromarray(
        np.ascontiguousarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    )


def _misshapen(preprocess: Preprocess, shape: tuple[int, ...]) -> RefusedInput:
    wanted = (preprocess.height, preprocess.width, preprocess.channels)
    return RefusedInput(
        f"The array has the shape {list(shape)}, the model takes {list(wanted)}.",
        "Give one picture [rows, columns, channels] of that size, or uint8 pixels of any size.",
    )


def normalize(preprocess: Preprocess, values: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """``values * scale + offset`` in the model's channel order and layout.

    Args:
        preprocess: Of either kind.
        values: Numbers: [N, H, W, C] in RGB or grey for pictures, else [N, ...].

    Returns:
        float32 of the same shape, or [N, C, H, W] where the layout says so.

    Raises:
        RefusedInput: Not finite, or no axis as long as ``scale``.
    """
    if preprocess.kind == "image" and preprocess.color == "bgr":
        values = values[..., ::-1]
    channels_first = preprocess.kind == "image" and preprocess.layout == "nchw"
    if channels_first:
        values = values.transpose(0, 3, 1, 2)
    result = np.empty(values.shape, np.float32)
    scale = _along(preprocess.scale, values.shape, channels_first)
    offset = _along(preprocess.offset, values.shape, channels_first)
    flat = result if channels_first else _rows(result)
    np.multiply(values if channels_first else _rows(values), scale, out=flat)
    if any(preprocess.offset):
        np.add(flat, offset, out=flat)
    if values.dtype.kind == "f" and not np.isfinite(result).all():
        raise RefusedInput("The array holds NaN or infinity.", "Give finite numbers.")
    return result


def _rows(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """[..., W, C] -> [..., W * C]: NumPy's inner loop over 3 channels is ten times slower."""
    if values.ndim < 3:
        return values
    return values.reshape(*values.shape[:-2], values.shape[-2] * values.shape[-1])


def _along(
    numbers: tuple[float, ...], shape: tuple[int, ...], channels_first: bool
) -> npt.NDArray[np.float32]:
    """``numbers`` as they stand along values of ``shape``, in the form of ``_rows``."""
    factors = np.asarray(numbers, np.float32)
    if len(factors) == 1:
        return factors
    if channels_first:
        return factors[:, np.newaxis, np.newaxis]
    if len(shape) < 2 or shape[-1] != len(factors):
        raise RefusedInput(
            f"The preprocessing has {len(factors)} scales or offsets, "
            f"the array the shape {list(shape[1:])}.",
            "Its last axis must be as long.",
        )
    return np.tile(factors, shape[-2]) if len(shape) > 2 else factors
