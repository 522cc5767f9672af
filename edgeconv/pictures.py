"""Decode any picture into upright RGB, or refuse it by name.

    file or bytes ──header──► size allowed? ──decode──► any mode ──► RGB ──EXIF──► upright

Pictures come from strangers, and this runs on devices too: Pillow and NumPy only.
"""

from __future__ import annotations

import functools
import io
import logging
import os
import stat
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Union

import numpy as np

from edgeconv.errors import EdgeconvError, HostFailure, RefusedInput, UsageError

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = [
    "FORMATS",
    "MAX_FILE_BYTES",
    "MAX_PIXELS",
    "decode",
    "printable",
    "refuse_large",
    "to_rgb",
]

#: Larger pictures are refused before their pixels are decoded; 40 megapixels
#: are 160 MB in Pillow's memory.
MAX_PIXELS = 40_000_000
#: The largest picture allowed, at 16 bits a channel with alpha and not compressed.
MAX_FILE_BYTES = MAX_PIXELS * 4 * 2
#: Raster formats whose decoders run no foreign program; PostScript and PDF would.
FORMATS = ("JPEG", "PNG", "BMP", "GIF", "PPM", "WEBP", "TIFF")

#: EXIF orientation -> name of the Pillow transposition that undoes it.
#: Source: Exif 2.32, tag 0x0112.
_ORIENTATION_TAG = 0x0112
_UPRIGHT = {
    2: "FLIP_LEFT_RIGHT",
    3: "ROTATE_180",
    4: "FLIP_TOP_BOTTOM",
    5: "TRANSPOSE",
    6: "ROTATE_270",
    7: "TRANSVERSE",
    8: "ROTATE_90",
}


def printable(text: object) -> str:
    """``text`` on one line, with control characters and stray bytes escaped.

    A file name may hold line ends and terminal commands.
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(text))


def decode(source: Union[bytes, str, os.PathLike[str]], name: str = "") -> Image:
    """Decode the first frame of a picture, upright, in RGB.

    Transparent parts become white, as they look in a document: the colour that
    an editor leaves under them is arbitrary. Colour profiles are ignored, as
    in training pipelines.

    Args:
        source: The file's bytes, or its path.
        name: What messages call it; by default its path.

    Returns:
        A Pillow image of mode RGB.

    Raises:
        UsageError: There is no such file.
        RefusedInput: Over 40 megapixels (told by the header, before any pixel is
            decoded), broken, or in none of ``FORMATS``.
    """
    from PIL import Image, UnidentifiedImageError

    _silence_pillow()
    shown = printable(name or ("The picture" if isinstance(source, bytes) else os.fspath(source)))
    file = io.BytesIO(source) if isinstance(source, bytes) else checked_path(source, shown)
    try:
        with Image.open(file, formats=FORMATS) as image:
            refuse_large(image.width, image.height, shown)
            image.load()
            return _upright(image)
    except EdgeconvError:
        raise
    except Image.DecompressionBombError:
        raise _too_large(f"over {MAX_PIXELS // 1_000_000} megapixels", shown) from None
    except PermissionError:
        raise HostFailure(f"{shown} can't be read.", "Check its permissions.") from None
    except UnidentifiedImageError:
        raise RefusedInput(
            f"{shown} is not a picture in a known format.",
            "Known are " + ", ".join(FORMATS) + "; convert or remove it.",
        ) from None
    # Decoders of hostile bytes raise anything: struct.error, KeyError, SyntaxError.
    except Exception as error:
        cause = printable(error)[:120] or type(error).__name__
        raise RefusedInput(
            f"{shown} is broken and can't be decoded ({cause}).", "Replace or remove it."
        ) from None


@functools.cache
def _silence_pillow() -> None:
    """Keep Pillow's messages off the terminal: what matters is refused here by name."""
    # Once and for good: catch_warnings isn't safe in threads, and several decode.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    # Without any handler, logging prints errors to the terminal.
    logging.getLogger("PIL").addHandler(logging.NullHandler())


def checked_path(source: Union[str, os.PathLike[str]], shown: str) -> str:
    """``source``, if it is a regular file of a size that a picture may have.

    Raises:
        UsageError: There is no such file.
        RefusedInput: It is no regular file, or larger than ``MAX_FILE_BYTES``.
        HostFailure: It can't be looked at.
    """
    path = os.fspath(source)
    try:
        status = Path(path).stat()
    except (FileNotFoundError, NotADirectoryError):
        raise UsageError(f"{shown} does not exist.", "Check the path.") from None
    except (OSError, ValueError) as error:
        raise HostFailure(f"{shown} can't be read ({printable(error)[:120]}).") from None
    if not stat.S_ISREG(status.st_mode):
        raise RefusedInput(f"{shown} is not a regular file.", "Give a picture file.")
    if status.st_size > MAX_FILE_BYTES:
        raise _too_large(f"{status.st_size / 1e6:.0f} MB", shown)
    return path


def _too_large(size: str, shown: str) -> RefusedInput:
    return RefusedInput(
        f"{shown} is too large ({size}).",
        f"Pictures may have up to {MAX_PIXELS // 1_000_000} megapixels; make it smaller.",
    )


def refuse_large(width: int, height: int, shown: str) -> None:
    """Refuse a picture over ``MAX_PIXELS``, calling it ``shown``.

    Raises:
        RefusedInput: It is too large.
    """
    if width * height > MAX_PIXELS:
        raise _too_large(f"{width} x {height} pixels", shown)


def _upright(image: Image) -> Image:
    """A loaded picture in RGB, turned as its EXIF orientation says."""
    from PIL import Image as pillow

    # After load(): Pillow turns TIFF files itself there, and drops their tag.
    try:
        orientation = image.getexif().get(_ORIENTATION_TAG, 1)
    except Exception:  # EXIF that can't be read says nothing; the pixels are sound
        orientation = 1
    turn = _UPRIGHT.get(orientation) if isinstance(orientation, int) else None
    picture = to_rgb(image)
    return picture.transpose(getattr(pillow.Transpose, turn)) if turn else picture


def to_rgb(image: Image) -> Image:
    """A loaded picture of any Pillow mode -> RGB, on white where it is transparent."""
    from PIL import Image as pillow

    mode = image.mode
    if mode in ("I", "F") or mode.startswith("I;"):
        return _narrowed(image)
    if mode == "LAB":
        return _from_lab(image)
    if mode in ("La", "RGBa"):  # alpha already multiplied in
        image = image.convert("LA" if mode == "La" else "RGBA")
    if image.mode in ("LA", "PA", "RGBA") or "transparency" in image.info:
        image = image.convert("RGBA")
        page = pillow.new("RGB", image.size, "white")
        page.paste(image, mask=image.getchannel("A"))
        return page
    return image if mode == "RGB" else image.convert("RGB")


def _narrowed(image: Image) -> Image:
    """16-bit, 32-bit and float greys -> RGB, white at the top of their range.

    The range of PNG and PPM is 16 bits by their definition. Other files of
    mode I or F don't say theirs: the smallest customary one that holds the
    brightest pixel is taken.
    """
    from PIL import Image as pillow

    values = np.asarray(image, dtype=np.float32)
    brightest = float(values.max(initial=0.0))
    if image.mode.startswith("I;") or image.format in ("PNG", "PPM"):
        tops = [65535.0]
    else:
        tops = [1.0, 255.0, 65535.0] if image.mode == "F" else [255.0, 65535.0, 2.0**31]
    top = next((top for top in tops if brightest <= top), None)
    if top is None or not np.isfinite(values).all():
        raise ValueError("values outside every known range")
    grey = np.clip(values * (255.0 / top) + 0.5, 0, 255).astype(np.uint8)
    return pillow.fromarray(grey).convert("RGB")


def _from_lab(image: Image) -> Image:
    """CIE L*a*b* -> sRGB, by Little CMS."""
    from PIL import ImageCms

    lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    transform = ImageCms.buildTransform(lab, srgb, "LAB", "RGB")
    converted = ImageCms.applyTransform(image, transform)
    assert converted is not None
    return converted
