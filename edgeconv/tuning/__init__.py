"""Finetune: from a folder of pictures to a ``.keras`` file that knows all about itself."""

from edgeconv.tuning.job import finetune
from edgeconv.tuning.order import Finetuned, FinetuneRequest

__all__ = ["FinetuneRequest", "Finetuned", "finetune"]
