"""Report: the verdict as a page to look at."""

from edgeconv.report.html import render
from edgeconv.report.sections import pictured

__all__ = ["pictured", "render"]
