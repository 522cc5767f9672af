"""Where figures are drawn: matplotlib as it comes, whatever its user has set, and no clock."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from edgeconv.report.fonts import OWN_FONT

__all__ = ["BLUE", "ORANGE", "Canvas", "canvas", "elided"]

BLUE, ORANGE = "#1f5fa8", "#d9730d"
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
        matplotlib.rcParams["font.family"] = [OWN_FONT, *fonts]
        figure = Figure(figsize=inches, dpi=_DPI, layout="constrained")
        FigureCanvasAgg(figure)
        yield Canvas(figure)


def elided(text: str, most: int) -> str:
    """``text``, its middle left out where it is longer than ``most`` characters."""
    if len(text) <= most:
        return text
    return f"{text[: most // 2]}…{text[-(most - most // 2 - 1) :]}"
