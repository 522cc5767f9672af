"""Small copies of some pictures of a dataset, for a page that shows them.

They are decoded like every picture, with the same limits, and encoded anew: what
else stood in the file (EXIF, a position, a colour profile) is not in the copy.
"""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np

from edgeconv.data.items import Items
from edgeconv.errors import EdgeconvError
from edgeconv.preprocess import Preprocess
from edgeconv.types import Array

__all__ = ["thumbnails"]

#: Pixels of a side: sharp at 160 CSS pixels, and about 5 kB a picture.
_SIDE = 160
_QUALITY = 70
_SQUARE = Preprocess(height=_SIDE, width=_SIDE, resize="crop", crop_fraction=1.0)


def thumbnails(items: Items, ids: Sequence[str]) -> dict[str, bytes]:
    """The centre square of each picture as a JPEG; only these pictures are read.

    Args:
        items: The dataset; one without pictures has no thumbnails.
        ids: Which of its items.

    Returns:
        Id -> bytes of a JPEG of 160 x 160 pixels, for those that are pictures.
    """
    if items.source.preprocess.kind != "image":
        return {}
    positions = {item: position for position, item in reversed(list(enumerate(items.ids)))}
    found = {item: _thumbnail(items, positions[item]) for item in ids if item in positions}
    return {item: picture for item, picture in found.items() if picture}


def _thumbnail(items: Items, position: int) -> bytes:
    try:
        batch = next(iter(items.select([position]).with_preprocess(_SQUARE).batches(1)))
    except EdgeconvError:
        # Such as scaled pixels, which are an input but no picture: a gap, no failure.
        return b""
    return _jpeg(batch.x[0][0].astype(np.uint8))


def _jpeg(pixels: Array) -> bytes:
    """Pixels uint8 [H, W, 3] as a JPEG."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=_QUALITY, optimize=True)
    return file.getvalue()
