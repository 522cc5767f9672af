"""Load: a zoo name or a file becomes a SourceModel."""

from edgeconv.load.reference import answers
from edgeconv.load.source import LoadRequest, check, load, settle_task

__all__ = ["LoadRequest", "answers", "check", "load", "settle_task"]
