"""Let onnxruntime's quantizer find constants by name in place of looking through all of them.

For each tensor it goes through every constant and every input of every node, several
times over: of the 4.9 s that DenseNet121 took, 3 s went by in that.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from edgeconv.targets.onnx.model import Tensor

__all__ = ["quicker"]


@contextlib.contextmanager
def quicker(quantizer: Any) -> Iterator[None]:
    """Let one ``QDQQuantizer`` find the same in less time.

    Args:
        quantizer: Before ``quantize_model``.
    """
    from onnxruntime.quantization import base_quantizer, qdq_quantizer

    model = quantizer.model
    tensors = model.initializer()
    index = _Index(tensors)
    searching = base_quantizer, qdq_quantizer
    plain = [module.find_by_name for module in searching]

    def find(name: str, items: Any) -> Any:
        return index.find(name) if items is tensors else plain[0](name, items)

    def add(tensor: Tensor) -> None:
        if index.find(tensor.name) is None:
            tensors.append(tensor)

    def replace(old: str, new: str) -> None:
        for node in model.nodes():
            if old in node.input:
                node.input[:] = [new if name == old else name for name in node.input]

    model.add_initializer = add
    model.get_initializer = index.find
    model.replace_input_of_all_nodes = replace
    for module in searching:
        module.find_by_name = find
    try:
        yield
    finally:
        for module, function in zip(searching, plain, strict=True):
            module.find_by_name = function


class _Index:
    """Places of constants in a list that others append to and remove from."""

    def __init__(self, tensors: Any) -> None:
        self._tensors = tensors
        self._places: dict[str, int] = {}
        self._known = 0
        self._last = ""

    def find(self, name: str) -> Tensor | None:
        """The first constant of that name."""
        self._catch_up()
        place = self._places.get(name)
        return None if place is None else self._tensors[place]

    def _catch_up(self) -> None:
        count = len(self._tensors)
        # Whatever was removed since, the one that was last has moved.
        if self._known and (
            count < self._known or self._tensors[self._known - 1].name != self._last
        ):
            self._places, self._known = {}, 0
        for place in range(self._known, count):
            self._last = self._tensors[place].name
            self._places.setdefault(self._last, place)
        self._known = count
