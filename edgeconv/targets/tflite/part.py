"""A part of a TFLite file, cut out with other inputs and outputs, and run.

    cut       t  ->  readers            becomes    t,   t' -> readers
    added     t  ->  readers            becomes    ADD(t, e) -> readers

XNNPACK runs it where it can, as it does on a device. One thread: the same sums on
every machine with the same instructions.
"""

from __future__ import annotations

import warnings
from collections.abc import Collection, Mapping, Sequence
from copy import copy
from typing import Any, Final

import numpy as np

from edgeconv.errors import Unsupported
from edgeconv.runtime.quiet import quiet_stderr
from edgeconv.targets.anatomy import Session, Step, needed
from edgeconv.targets.tflite import flatbuffer as fb
from edgeconv.types import Array

__all__ = ["open_part"]

_HINT: Final = "Parity itself doesn't need this; only the blame by layers is left out."


def open_part(
    model: fb.ModelT,
    steps: Sequence[Step],
    index: Mapping[str, int],
    reads: Sequence[str],
    cut: Collection[str],
    added: Collection[str],
) -> Session:
    """See ``Anatomy.session``.

    Args:
        model: The whole; is not changed.
        steps: Its operators.
        index: Tensor name -> number in the main subgraph.
        reads: What is given out.
        cut: What is fed to its readers.
        added: What gets an addend.
    """
    kept, fed = needed(steps, reads, cut)
    written = {name for i in kept for name in steps[i].outputs}
    surgery = _Surgery(model)
    feeds = {name: surgery.feed(index[name]) for name in sorted(fed) if name in cut}
    feeds |= {name: index[name] for name in sorted(fed) if name not in cut}
    present = written | fed
    addends = {name: surgery.add(index[name]) for name in sorted(added) if name in present}
    outputs = [name for name in dict.fromkeys(reads) if name in written]
    passed = [name for name in reads if name not in written]
    if not outputs:
        return _Through(passed)
    surgery.finish(
        _with_constants(surgery.main, kept, steps),
        [*feeds.values(), *addends.values()],
        [index[name] for name in outputs],
    )
    return _Part(fb.to_bytes(surgery.model), [*feeds], [*addends], outputs, passed)


def _with_constants(main: Any, kept: Sequence[int], steps: Sequence[Step]) -> list[int]:
    """``kept``, and the operators that make constants alone (float16 kernels)."""
    constant = [i for i, step in enumerate(steps) if not step.inputs and not step.outputs]
    return sorted({*kept, *constant})


class _Surgery:
    """Changes to a copy of a model, which shares all that isn't changed."""

    def __init__(self, model: fb.ModelT) -> None:
        self.model = copy(model)
        self.main = copy(model.subgraphs[0])
        self.model.subgraphs = [self.main, *model.subgraphs[1:]]
        self.model.operatorCodes = list(model.operatorCodes)
        self.main.tensors = list(self.main.tensors)
        self.main.operators = [copy(operator) for operator in self.main.operators]
        self._before = list(self.main.operators)
        self._adders: dict[int, Any] = {}
        self._replaced: dict[int, int] = {}

    def feed(self, tensor: int) -> int:
        """Let the readers of ``tensor`` read a new input instead."""
        fed = self._like(tensor)
        self._read_instead(tensor, fed)
        return fed

    def add(self, tensor: int) -> int:
        """Let the readers of ``tensor`` read its sum with a new input."""
        source = self._replaced.get(tensor, tensor)
        addend, total = self._like(tensor), self._like(tensor)
        self._read_instead(source, total)
        self._adders[tensor] = self._adder(source, addend, total)
        self._replaced[tensor] = total
        return addend

    def finish(self, kept: Sequence[int], inputs: list[int], outputs: list[int]) -> None:
        """Leave the operators ``kept``, and the additions behind them."""
        operators = []
        adders = dict(self._adders)
        kept_operators = [self._before[i] for i in kept]
        written = {int(i) for op in kept_operators for i in op.outputs}
        operators += [adder for tensor, adder in adders.items() if tensor not in written]
        for operator in kept_operators:
            operators.append(operator)
            operators += [adders[int(i)] for i in operator.outputs if int(i) in adders]
        self.main.operators = operators
        self.main.inputs = np.asarray(inputs, np.int32)
        self.main.outputs = np.asarray([self._replaced.get(i, i) for i in outputs], np.int32)
        self.model.signatureDefs = None
        self.model.metadata = None
        self.model.metadataBuffer = None

    def _like(self, tensor: int) -> int:
        clone = copy(self.main.tensors[tensor])
        clone.name = f"part/{len(self.main.tensors)}".encode()
        clone.buffer = 0
        self.main.tensors.append(clone)
        return len(self.main.tensors) - 1

    def _read_instead(self, old: int, new: int) -> None:
        for operator in self._before:
            operator.inputs = [new if i == old else int(i) for i in operator.inputs]

    def _adder(self, one: int, other: int, total: int) -> Any:
        from ai_edge_litert import schema_py_generated as schema

        options = schema.AddOptionsT()
        options.potScaleInt16 = True  # the schema's default
        made = schema.OperatorT()
        made.opcodeIndex = self._code(schema)
        made.inputs, made.outputs = [one, other], [total]
        made.builtinOptionsType = schema.BuiltinOptions.AddOptions
        made.builtinOptions = options
        return made

    def _code(self, schema: Any) -> int:
        add = schema.BuiltinOperator.ADD
        for number, code in enumerate(self.model.operatorCodes):
            if max(code.builtinCode, code.deprecatedBuiltinCode) == add and code.version == 1:
                return number
        code = schema.OperatorCodeT()
        code.builtinCode = code.deprecatedBuiltinCode = add
        code.version = 1
        self.model.operatorCodes.append(code)
        return len(self.model.operatorCodes) - 1


class _Through:
    """A part without operators: gives out what it is fed."""

    def __init__(self, passed: Sequence[str]) -> None:
        self._passed = passed

    def __call__(
        self, feeds: Mapping[str, Array], addends: Mapping[str, Array] | None = None
    ) -> Mapping[str, Array]:
        return {name: feeds[name] for name in self._passed}


class _Part:
    """An interpreter of a part."""

    def __init__(
        self,
        content: bytes,
        feeds: Sequence[str],
        addends: Sequence[str],
        outputs: Sequence[str],
        passed: Sequence[str],
    ) -> None:
        self._interpreter = _opened(content)
        slots = self._interpreter.get_input_details()
        numbers = [int(slot["index"]) for slot in slots]
        self._feeds = dict(zip(feeds, numbers, strict=False))
        self._addends = dict(zip(addends, numbers[len(feeds) :], strict=True))
        self._shapes = {int(slot["index"]): tuple(slot["shape"]) for slot in slots}
        self._outputs = [int(d["index"]) for d in self._interpreter.get_output_details()]
        self._names, self._passed = outputs, passed
        self._dirty = set(self._addends.values())

    def __call__(
        self, feeds: Mapping[str, Array], addends: Mapping[str, Array] | None = None
    ) -> Mapping[str, Array]:
        for name, number in self._feeds.items():
            self._set(number, feeds[name])
        given = {self._addends[name]: value for name, value in (addends or {}).items()}
        for number in sorted(self._dirty - given.keys()):
            self._set(number, np.zeros(self._shapes[number], np.float32))
        for number, value in given.items():
            self._set(number, value)
        self._dirty = set(given)
        self._interpreter.reset_all_variables()
        self._invoke()
        values = [self._interpreter.get_tensor(number) for number in self._outputs]
        found = dict(zip(self._names, values, strict=True))
        return found | {name: feeds[name] for name in self._passed}

    def _set(self, number: int, value: Array) -> None:
        self._interpreter.set_tensor(number, value.reshape(self._shapes[number]))

    def _invoke(self) -> None:
        try:
            self._interpreter.invoke()
        except (RuntimeError, ValueError) as error:
            raise _refused(error) from error


def _opened(content: bytes) -> Any:
    from ai_edge_litert.interpreter import Interpreter

    try:
        with quiet_stderr(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            interpreter = Interpreter(model_content=content, num_threads=1)
            interpreter.allocate_tensors()
    except (RuntimeError, ValueError) as error:
        raise _refused(error) from error
    return interpreter


def _refused(error: Exception) -> Unsupported:
    cause = (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
    return Unsupported(f"The TFLite engine can't run a part of the model: {cause}", _HINT)
