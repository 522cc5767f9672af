"""Finetune: a base of the zoo and a folder of pictures become a classifier of its classes."""

from edgeconv.finetune.balance import class_weights
from edgeconv.finetune.job import train
from edgeconv.finetune.plan import best
from edgeconv.finetune.settings import Settings
from edgeconv.finetune.split import TEST, TRAIN, VALIDATION, divide, refuse_contradictions

__all__ = [
    "TEST",
    "TRAIN",
    "VALIDATION",
    "Settings",
    "best",
    "class_weights",
    "divide",
    "refuse_contradictions",
    "train",
]
