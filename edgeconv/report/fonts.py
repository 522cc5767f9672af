"""Which installed font has the letters of a text: matplotlib's own first, then the system's."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Final

__all__ = ["OWN_FONT", "file_for", "readable"]

#: It has Latin, Greek and Cyrillic letters, and comes with matplotlib.
OWN_FONT: Final = "DejaVu Sans"


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


def file_for(text: str) -> str | None:
    """A font file that has all letters of ``text``; None where no installed one has."""
    if find_spec("matplotlib") is None:
        return None
    from matplotlib import font_manager

    wanted = set(map(ord, text))
    paths = [font_manager.findfont(OWN_FONT), *_system_fonts()]
    return next((path for path in paths if wanted <= _letters(path)[0]), None)


def _own_letters() -> frozenset[int]:
    from matplotlib import font_manager

    return _letters(font_manager.findfont(OWN_FONT))[0]


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
