"""Load: a zoo name or a file becomes a SourceModel."""

from edgeconv.load.reference import answers
from edgeconv.load.source import LoadRequest, check, is_path, load, settle_task
from edgeconv.load.synthesis import Synthesis, synthesise
from edgeconv.load.variant import wishes

__all__ = [
    "LoadRequest",
    "Synthesis",
    "answers",
    "check",
    "is_path",
    "load",
    "settle_task",
    "synthesise",
    "wishes",
]
