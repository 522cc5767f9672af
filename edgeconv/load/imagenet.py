"""The 1,000 classes of ImageNet-1k, in the order of Keras's outputs.

The labels are Keras's own with spaces for underscores (``great white shark``).
Two of them name two classes each: ``crane`` is the bird at 134 and the machine
at 517, ``maillot`` the tights at 638 and the swimsuit at 639. Their WordNet ids
tell them apart.

Source: the names and ids that Keras downloads to decode a prediction
(``imagenet_class_index.json``), shipped so that nothing needs the network.
"""

from __future__ import annotations

import csv
import functools
import importlib.resources
import io

__all__ = ["imagenet_labels", "imagenet_wnids"]


def imagenet_labels() -> tuple[str, ...]:
    """The label of each class index, 0 to 999."""
    return tuple(label for _, label in _rows())


def imagenet_wnids() -> tuple[str, ...]:
    """The WordNet id of each class index, such as ``n01440764``; image folders bear these."""
    return tuple(wnid for wnid, _ in _rows())


@functools.cache
def _rows() -> tuple[tuple[str, str], ...]:
    file = importlib.resources.files("edgeconv.load").joinpath("imagenet_classes.csv")
    table = csv.DictReader(io.StringIO(file.read_text(encoding="utf-8")))
    return tuple((row["wnid"], row["label"]) for row in table)
