"""The parts of benchmarks/zoo.py, for tests: scripts there import their neighbours by name."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent.parent / "benchmarks"))

import supervise
import zoo
import zoo_page
import zoo_row

__all__ = ["supervise", "zoo", "zoo_page", "zoo_row"]
