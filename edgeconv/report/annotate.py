"""A picture with its answer drawn on it.

The font is Pillow's own, which has Latin letters alone; for others an installed one that
has them, else their code points. The copy is encoded anew: what else stood in the file
(EXIF, a position) is not in it.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from edgeconv.pictures import decode, to_rgb
from edgeconv.report.fonts import file_for

__all__ = ["annotated"]

#: Pixels of the longer side at most: a photograph of a phone would be 20 MB as PNG.
_LONGEST: Final = 1600
_SHORTEST: Final = 320
_LINES_A_SIDE: Final = 24
_PAPER, _INK, _BAR = (24, 26, 30), (255, 255, 255), (64, 138, 214)


def annotated(picture: Path, rows: Sequence[tuple[str, float | None, str]]) -> bytes:
    """Draw an answer below its picture.

    Args:
        picture: The file.
        rows: (label, probability in [0, 1] or None, its text), best first.

    Returns:
        A PNG: the picture (at most 1,600 pixels a side, at least 320 wide), and a line
        a class with a bar as long as its probability.

    Raises:
        RefusedInput: The picture is broken.
    """
    from PIL import Image, ImageDraw, ImageFont

    image = to_rgb(decode(picture))
    scale = min(_LONGEST / max(image.size), 1.0)
    scale = max(scale, _SHORTEST / image.width)
    width, height = (max(1, round(side * scale)) for side in image.size)
    image = image.resize((width, height), Image.Resampling.LANCZOS)
    line = max(18, width // _LINES_A_SIDE)
    font = ImageFont.load_default(size=line * 0.62)
    page = Image.new("RGB", (width, height + line * len(rows) + line // 2), _PAPER)
    page.paste(image, (0, 0))
    draw = ImageDraw.Draw(page)
    for number, (label, share, text) in enumerate(rows):
        top = height + line // 4 + number * line
        if share is not None:
            end = round((width - 1) * min(max(share, 0.0), 1.0))
            draw.rectangle((0, top + 1, end, top + line - 2), fill=_BAR)
        middle = top + line // 2
        shown, own = _legible(label, font)
        draw.text((line // 3, middle), shown, _INK, own, anchor="lm")
        draw.text((width - line // 3, middle), text, _INK, font, anchor="rm")
    file = io.BytesIO()
    page.save(file, "PNG")
    return file.getvalue()


def _legible(label: str, font: Any) -> tuple[str, Any]:
    """``label`` and a font that has its letters, as large as ``font``."""
    from PIL import ImageFont

    if max(label, default=" ") <= "\xff":
        return label, font
    path = file_for(label)
    if path is None:
        return label.encode("ascii", "backslashreplace").decode(), font
    return label, ImageFont.truetype(path, font.size)
