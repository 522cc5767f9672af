"""A part of an ONNX model, cut out with other inputs and outputs, and run.

    cut       t  ->  readers            becomes    t,   t/fed -> readers
    added     t  ->  readers            becomes    Add(t, t/addend) -> readers

One thread: the same sums on every machine with the same instructions.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

import numpy as np

from edgeconv.errors import Unsupported
from edgeconv.runtime.quiet import quiet_stderr
from edgeconv.targets.anatomy import Session, Step, needed
from edgeconv.targets.onnx import model as om
from edgeconv.types import Array

__all__ = ["links_of", "open_part"]

_HINT: Final = "Parity itself doesn't need this; only the blame by layers is left out."


def links_of(node: om.Node) -> Step:
    """A node with all that it reads, in graphs inside it too."""
    inner = [
        name
        for attribute in node.attribute
        for graph in (attribute.g, *attribute.graphs)
        for each in graph.node
        for name in links_of(each).inputs
    ]
    return Step(
        op=node.op_type,
        inputs=tuple(dict.fromkeys(name for name in (*node.input, *inner) if name)),
        outputs=tuple(name for name in node.output if name),
    )


def open_part(
    model: om.Model, reads: Sequence[str], cut: Collection[str], added: Collection[str]
) -> Session:
    """See ``Anatomy.session``.

    Args:
        model: The whole, with the types of all tensors; is not changed.
        reads: What is given out.
        cut: What is fed to its readers.
        added: What gets an addend.
    """
    steps = [links_of(node) for node in model.graph.node]
    given = {v.name for v in model.graph.input}
    # What is fed from outside as it is needs no cut.
    kept, fed = needed(steps, reads, set(cut) - given)
    written = {name for i in kept for name in steps[i].outputs}
    held = om.constants(model)
    fed -= held.keys()
    outputs = [name for name in dict.fromkeys(reads) if name in written]
    passed = [name for name in reads if name not in written]
    if not outputs:
        return _Part(None, {}, {}, [], passed)
    surgery = _Surgery(model, [model.graph.node[i] for i in kept], written | fed)
    feeds = {name: surgery.feed(name) if name not in given else name for name in sorted(fed)}
    addends = {name: surgery.add(name) for name in sorted(added) if name in written | fed}
    content = surgery.written(outputs)
    return _Part(content, feeds, addends, outputs, passed)


class _Surgery:
    """A new model from some nodes of another."""

    def __init__(self, model: om.Model, nodes: Sequence[om.Node], taken: set[str]) -> None:
        self._model, self._taken = model, set(taken)
        self._nodes = [type(node).FromString(node.SerializeToString()) for node in nodes]
        graph = model.graph
        self._values = {v.name: v for v in (*graph.value_info, *graph.input, *graph.output)}
        self._inputs = [name for name in (v.name for v in graph.input) if name in taken]
        self._new_inputs: list[Any] = []
        self._adders: list[om.Node] = []
        self._now: dict[str, str] = {}

    def feed(self, name: str) -> str:
        """Let the readers of ``name`` read a new input instead."""
        fed = om.fresh_name(f"{name}/fed", self._taken)
        self._read_instead(name, fed)
        self._new_inputs.append(self._value(name, fed))
        self._now[name] = fed
        return fed

    def add(self, name: str) -> str:
        """Let the readers of ``name`` read its sum with a new input."""
        from onnx import helper

        addend = om.fresh_name(f"{name}/addend", self._taken)
        total = om.fresh_name(f"{name}/total", self._taken)
        source = self._now.get(name, name)
        self._read_instead(source, total)
        self._new_inputs.append(self._free(name, addend))
        self._adders.append(helper.make_node("Add", [source, addend], [total], total))
        self._now[name] = total
        return addend

    def written(self, outputs: Sequence[str]) -> bytes:
        """The file; its outputs are in the order of ``outputs``."""
        model = om.shell(self._model)
        model.graph.node.extend([*self._nodes, *self._adders])
        model.graph.input.extend(self._values[name] for name in self._inputs)
        model.graph.input.extend(self._new_inputs)
        for name in outputs:
            last = self._now.get(name, name) if self._is_added(name) else name
            model.graph.output.append(self._value(name, last))
        read = {name for node in model.graph.node for name in links_of(node).inputs}
        model.graph.initializer.extend(t for t in self._model.graph.initializer if t.name in read)
        om.sort_nodes(model)
        return om.to_bytes(model)

    def _is_added(self, name: str) -> bool:
        return any(node.output[0] == self._now.get(name) for node in self._adders)

    def _value(self, like: str, name: str) -> Any:
        from onnx import helper

        known = self._values.get(like)
        kind = known.type.tensor_type if known is not None else None
        if kind is None or not kind.HasField("shape"):
            return helper.make_tensor_value_info(name, kind.elem_type if kind else 1, None)
        value = om.copy(known)
        value.name = name
        return value

    def _free(self, like: str, name: str) -> Any:
        """An input of the rank of another tensor, so that one zero fits, too."""
        from onnx import helper

        value = self._value(like, name)
        kind = value.type.tensor_type
        shape = [None] * len(kind.shape.dim) if kind.HasField("shape") else None
        return helper.make_tensor_value_info(name, kind.elem_type, shape)

    def _read_instead(self, old: str, new: str) -> None:
        for node in self._nodes:
            node.input[:] = [new if name == old else name for name in node.input]


class _Part:
    """A session of a part; without a model it gives out what it is fed."""

    def __init__(
        self,
        content: bytes | None,
        feeds: Mapping[str, str],
        addends: Mapping[str, str],
        outputs: Sequence[str],
        passed: Sequence[str],
    ) -> None:
        self._session = None if content is None else _opened(content)
        self._feeds, self._addends = feeds, addends
        self._names, self._passed = outputs, passed
        slots = [] if self._session is None else self._session.get_inputs()
        self._shapes = {slot.name: tuple(slot.shape) for slot in slots}
        # One zero broadcasts over any shape.
        self._zeros = {
            name: np.zeros((1,) * len(self._shapes[inner]), np.float32)
            for name, inner in addends.items()
        }

    def __call__(
        self, feeds: Mapping[str, Array], addends: Mapping[str, Array] | None = None
    ) -> Mapping[str, Array]:
        found = {name: feeds[name] for name in self._passed}
        if self._session is None:
            return found
        given = {
            inner: _fitted(feeds[name], self._shapes[inner]) for name, inner in self._feeds.items()
        }
        for name, inner in self._addends.items():
            value = (addends or {}).get(name)
            given[inner] = (
                self._zeros[name] if value is None else _fitted(value, self._shapes[inner])
            )
        try:
            values = self._session.run(None, given)
        # onnxruntime's exceptions share no base class but Exception.
        except Exception as error:
            raise _refused(error) from error
        return found | dict(zip(self._names, values, strict=True))


def _fitted(value: Array, shape: Sequence[Any]) -> Array:
    """``value``, which may come from a file that has axes of length one elsewhere."""
    if len(shape) == value.ndim or not shape:
        return value
    return value.reshape([n if isinstance(n, int) else 1 for n in shape])


def _opened(content: bytes) -> Any:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    options.use_deterministic_compute = True
    # Several parts are open at once; each would keep the tensors of its largest run.
    options.enable_cpu_mem_arena = False
    try:
        with quiet_stderr():
            return ort.InferenceSession(
                content, sess_options=options, providers=["CPUExecutionProvider"]
            )
    except Exception as error:
        raise _refused(error) from error


def _refused(error: Exception) -> Unsupported:
    cause = (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
    return Unsupported(f"The ONNX engine can't run a part of the model: {cause}", _HINT)
