"""Report: the verdict as a page to look at."""
