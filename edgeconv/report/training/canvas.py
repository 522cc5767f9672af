"""Where figures are drawn: matplotlib as it comes, whatever its user has set, and no clock."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Final

__all__ = ["BLUE", "ORANGE", "Canvas", "canvas", "elided", "readable"]

BLUE, ORANGE = "#1f5fa8", "#d9730d"
_OWN_FONT: Final = "DejaVu Sans"
#: Pixels an inch; a matrix of 100 classes becomes 2,500 pixels wide.
_DPI: Final = 110
#: A dollar sign in a class name is one, and begins no formula.
_SETTINGS: Final = {"font.size": 9.5, "axes.titlesize": 10.5, "text.parse_math": False}


class Canvas:
    """A figure that ends as PNG."""

    def __init__(self, figure: Any) -> None:
        self._figure = figure

    def __getattr__(self, name: str) -> Any:
        return getattr(self._figure, name)

    def png(self) -> bytes:
        """The figure, without a word on when and by what it was drawn."""
        content = io.BytesIO()
        self._figure.savefig(
            content, format="png", metadata={"Software": None}, bbox_inches="tight", pad_inches=0.15
        )
        return content.getvalue()


@contextmanager
def canvas(inches: tuple[float, float], fonts: Sequence[str]) -> Iterator[Canvas]:
    """A figure of its own size, drawn by matplotlib's defaults.

    Args:
        inches: Width and height.
        fonts: Families to look for letters in that matplotlib's own font lacks.
    """
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    # It tells of every font that lacks a letter, and that it builds its list of fonts.
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_SETTINGS)
        matplotlib.rcParams["font.family"] = [_OWN_FONT, *fonts]
        figure = Figure(figsize=inches, dpi=_DPI, layout="constrained")
        FigureCanvasAgg(figure)
        yield Canvas(figure)


def readable(texts: Sequence[str]) -> tuple[tuple[str, ...], frozenset[str]]:
    """What it takes to draw some texts.

    Returns:
        Families of installed fonts that have the letters which matplotlib's own font
        lacks, and the letters that none has.
    """
    missing = frozenset(ord(letter) for text in texts for letter in text) - _own_letters()
    families = []
    for path in _system_fonts() if missing else ():
        letters, family = _letters(path)
        if missing & letters:
            families.append(family)
            missing -= letters
        if not missing:
            break
    return tuple(families), frozenset(map(chr, missing))


def elided(text: str, most: int) -> str:
    """``text``, its middle left out where it is longer than ``most`` characters."""
    if len(text) <= most:
        return text
    return f"{text[: most // 2]}…{text[-(most - most // 2 - 1) :]}"


def _own_letters() -> frozenset[int]:
    from matplotlib import font_manager

    return _letters(font_manager.findfont(_OWN_FONT))[0]


def _system_fonts() -> list[str]:
    """Files of installed fonts, upright ones for text first; the same order on every run."""
    from matplotlib import font_manager

    def plainness(path: str) -> tuple[bool, str, str]:
        name = Path(path).name
        plain = "regular" in name.lower() or "-" not in name
        return not plain, name, path

    return sorted(font_manager.findSystemFonts(), key=plainness)


@cache
def _letters(path: str) -> tuple[frozenset[int], str]:
    """The letters that a font has and its family, under which it can be drawn with from now on."""
    from matplotlib import font_manager, ft2font

    try:
        font = ft2font.FT2Font(path)
        font_manager.fontManager.addfont(path)
        return frozenset(font.get_charmap()), font.family_name
    except Exception:  # a file that is no font, or in a form that FreeType knows and others don't
        return frozenset(), ""
