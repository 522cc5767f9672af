"""Cut a float TFLite file into parts, to see all its tensors without holding them at once.

    f = f_3 . f_2 . f_1        each part reads inputs and what earlier parts wrote

Every tensor of EfficientNetB7 takes 3.8 GB for one picture; a model whose watched ones
take more than a quarter of a gigabyte is cut where they grow beyond an eighth, and each
part has its own weights alone. Tensors keep their numbers in every part.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Collection, Mapping
from copy import copy
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any, Final

import numpy as np

from edgeconv.targets.tflite import flatbuffer as fb

__all__ = ["Segment", "segments"]

#: Two interpreters of a part are open at first, to be compared.
_WHOLE_BYTES: Final = 2**28
_PART_BYTES: Final = 2**27
_FLOAT_BYTES: Final = 4


@dataclass(frozen=True)
class Segment:
    """One part.

    Attributes:
        read: Gives a file of its own, which waits on disk.
        inputs: Numbers of the tensors that it is fed, in order.
        outputs: Numbers of what it writes and later parts read.
        watched: Number -> name of the watched tensors that it holds.
        waiting: float32 bytes of what parts hand on to it and to later ones, an item.
    """

    read: Callable[[], bytes]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    watched: Mapping[int, str]
    waiting: int = 0


def segments(
    path: Path,
    watched: Mapping[int, str],
    whole_bytes: int = _WHOLE_BYTES,
    part_bytes: int = _PART_BYTES,
) -> list[Segment]:
    """The parts of a file, in order.

    Args:
        path: One of our own float files.
        watched: Number -> name of tensors of its main subgraph, inputs too.
        whole_bytes: That the watched tensors may take in one part.
        part_bytes: That those of one part may take where there are several.
    """
    # Not the shared view of it: the pages of this one go when we are done.
    model = fb.read(path)
    main = model.subgraphs[0]
    parts = _cut(main, watched, whole_bytes)
    if len(parts) > 1:
        parts = _cut(main, watched, part_bytes)
    # Control flow and state reach across parts.
    if len(parts) == 1 or len(model.subgraphs) > 1 or any(t.isVariable for t in main.tensors):
        return [Segment(path.read_bytes, tuple(map(int, main.inputs)), (), watched)]
    ends = set(map(int, main.outputs))
    reads = [_numbers(part, "inputs") for part in parts]
    made: list[Segment] = []
    store = tempfile.TemporaryFile(prefix="edgeconv-")  # noqa: SIM115 (open as long as a part is)
    known = list(map(int, main.inputs))
    for at, part in enumerate(parts):
        writes = _numbers(part, "outputs")
        inputs = tuple(i for i in known if i in reads[at])
        later = set().union(*reads[at + 1 :])
        outputs = tuple(sorted(i for i in writes if i in later))
        before = {i for earlier in made for i in earlier.watched}
        new = (writes | set(inputs)) - before
        seen = {i: name for i, name in watched.items() if i in new}
        last = tuple(sorted(writes & ends))
        content = _cut_out(model, part, inputs, outputs or last or tuple(sorted(writes)))
        waiting = sum(_bytes(main.tensors[i]) for i in known if i in reads[at] | later)
        made.append(Segment(_keep(store, content), inputs, outputs, seen, waiting))
        known += outputs
    return made


def _keep(store: IO[bytes], content: bytes) -> Callable[[], bytes]:
    return partial(_read, store, store.seek(0, 2), store.write(content))


def _read(store: IO[bytes], start: int, size: int) -> bytes:
    store.seek(start)
    return store.read(size)


def _cut(main: Any, watched: Collection[int], most_bytes: int) -> list[list[Any]]:
    parts: list[list[Any]] = [[]]
    held = 0
    for operator in main.operators:
        size = sum(_bytes(main.tensors[i]) for i in map(int, operator.outputs) if i in watched)
        if parts[-1] and held + size > most_bytes:
            parts.append([])
            held = 0
        parts[-1].append(operator)
        held += size
    return parts


def _bytes(tensor: Any) -> int:
    return math.prod(map(int, tensor.shape if tensor.shape is not None else ())) * _FLOAT_BYTES


def _numbers(part: Collection[Any], side: str) -> set[int]:
    return {int(i) for operator in part for i in getattr(operator, side) if i >= 0}


def _cut_out(
    model: fb.ModelT, part: list[Any], inputs: tuple[int, ...], outputs: tuple[int, ...]
) -> bytes:
    from ai_edge_litert import schema_py_generated as schema

    made, main = copy(model), copy(model.subgraphs[0])
    made.subgraphs = [main]
    main.operators = part
    main.inputs, main.outputs = np.asarray(inputs, np.int32), np.asarray(outputs, np.int32)
    made.signatureDefs = made.metadata = made.metadataBuffer = None
    used = {main.tensors[i].buffer for i in _numbers(part, "inputs") | _numbers(part, "outputs")}
    nothing = schema.BufferT()
    made.buffers = [buffer if n in used else nothing for n, buffer in enumerate(model.buffers)]
    return fb.to_bytes(made)
