"""Figures as inline SVG, in percent of the width so that text keeps its size.

intervals    each artifact's interval against the margin
bars         a bar an artifact, the float model's beside it
layers       SQNR and share of the error, a bar a layer
histogram    what a tensor held in float and holds now
"""

from edgeconv.report.figures.bars import Bar, latency_figure
from edgeconv.report.figures.histogram import Histogram, histogram_figure
from edgeconv.report.figures.intervals import interval_figure
from edgeconv.report.figures.layers import LayerBar, layer_figure

__all__ = [
    "Bar",
    "Histogram",
    "LayerBar",
    "histogram_figure",
    "interval_figure",
    "latency_figure",
    "layer_figure",
]
