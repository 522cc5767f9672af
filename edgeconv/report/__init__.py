"""Report: the verdict as a page to look at."""

from edgeconv.report.html import render

__all__ = ["render"]
