"""Run a float ONNX file part by part, to see all its tensors without holding them at once.

    f = f_3 . f_2 . f_1        each part gives what is watched of its own tensors,
                               and what later parts read

Every tensor of EfficientNetB7 takes 3.8 GB for one picture; a model whose watched ones
take more than a quarter of a gigabyte is cut where they grow beyond an eighth, and the
weights of a part are its own. They are given out as copies.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from edgeconv.runtime.quiet import quiet_stderr
from edgeconv.targets.onnx.model import Model, Node, constants, shell, to_bytes
from edgeconv.types import Array

__all__ = ["Segment", "open_segments", "run_segments"]

_WHOLE_BYTES: Final = 2**28
_PART_BYTES: Final = 2**27
#: More threads than this gain little at batch 1.
_MOST_THREADS: Final = 4
#: ONNX's number for float32.
_FLOAT: Final = 1
#: Bytes of an element that nothing says the type of.
_BYTES: Final = 4


@dataclass(frozen=True)
class Segment:
    """One part, ready to run.

    Attributes:
        session: ``onnxruntime.InferenceSession``.
        inputs: What it reads of the graph's inputs and of earlier parts.
        outputs: What is watched, and what later parts read.
        later: Names that later parts read, whoever wrote them.
    """

    session: Any
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    later: frozenset[str]


def open_segments(
    model: Model,
    watched: Collection[str],
    whole_bytes: int = _WHOLE_BYTES,
    part_bytes: int = _PART_BYTES,
) -> list[Segment]:
    """Open ``model`` in parts.

    Args:
        model: Float, its nodes in order, with the types and shapes of its tensors.
        watched: Names of tensors that nodes write.
        whole_bytes: That the watched tensors may take in one part, for one item.
        part_bytes: That those of one part may take where there are several.
    """
    values = {v.name: v for v in (*model.graph.input, *model.graph.value_info)}
    values.update((v.name, v) for v in model.graph.output)
    parts = _cut(list(model.graph.node), values, set(watched), whole_bytes)
    if len(parts) > 1:
        parts = _cut(list(model.graph.node), values, set(watched), part_bytes)
    held = set(constants(model))
    reads = [{name for node in part for name in _reads(node)} for part in parts]
    segments = []
    for at, part in enumerate(parts):
        writes = [name for node in part for name in node.output if name]
        later = frozenset(set().union(*reads[at + 1 :]) - held)
        inputs = [n for n in values if n in reads[at] and n not in writes and n not in held]
        outputs = [n for n in writes if n in later or n in watched]
        ends = [values.get(n) or _float(n) for n in outputs]
        if outputs:
            made = _part(model, part, [values[n] for n in inputs], ends, reads[at])
            segments.append(Segment(_open(made), tuple(inputs), tuple(outputs), later))
    return segments


def run_segments(
    segments: Sequence[Segment], feeds: Mapping[str, Array]
) -> Iterator[dict[str, Array]]:
    """Run one item through all parts.

    Args:
        segments: In order.
        feeds: The graph's inputs.

    Yields:
        What each part gives; empty as soon as the next is asked for.
    """
    alive = dict(feeds)
    for segment in segments:
        found = segment.session.run(segment.outputs, {n: alive[n] for n in segment.inputs})
        seen = dict(zip(segment.outputs, found, strict=True))
        del found
        alive = {n: x for n, x in {**alive, **seen}.items() if n in segment.later}
        yield seen
        seen.clear()


def _cut(
    nodes: Sequence[Node], values: Mapping[str, Any], watched: Collection[str], most_bytes: int
) -> list[list[Node]]:
    parts: list[list[Node]] = [[]]
    held = 0
    for node in nodes:
        size = sum(_bytes(values.get(name)) for name in node.output if name in watched)
        # A tensor of unknown type can't be handed from part to part.
        known = all(n in values for before in parts[-1] for n in before.output if n)
        if parts[-1] and held + size > most_bytes and known:
            parts.append([])
            held = 0
        parts[-1].append(node)
        held += size
    return parts


def _bytes(value: Any) -> int:
    """Of one item; a free axis counts as 1."""
    elements = 1
    for axis in value.type.tensor_type.shape.dim if value is not None else ():
        elements *= axis.dim_value or 1
    return elements * _BYTES


def _reads(node: Node) -> Iterator[str]:
    """Names that a node reads, those of the graphs inside it too."""
    yield from node.input
    for attribute in node.attribute:
        for inner in attribute.g.node:
            yield from _reads(inner)


def _float(name: str) -> Any:
    from onnx import helper

    return helper.make_tensor_value_info(name, _FLOAT, None)


def _part(
    model: Model,
    nodes: Sequence[Node],
    inputs: Sequence[Any],
    outputs: Sequence[Any],
    reads: Collection[str],
) -> bytes:
    made = shell(model)
    made.graph.node.extend(nodes)
    made.graph.input.extend(inputs)
    made.graph.output.extend(outputs)
    made.graph.initializer.extend(t for t in model.graph.initializer if t.name in reads)
    return to_bytes(made)


def _open(part: bytes) -> Any:
    """A session; opened by a path it keeps no copy of the file."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = min(_MOST_THREADS, os.cpu_count() or 1)
    options.log_severity_level = 4
    options.use_deterministic_compute = True
    # Each part would keep its tensors' memory for its next item.
    options.enable_cpu_mem_arena = False
    options.enable_mem_pattern = False
    with tempfile.TemporaryDirectory(prefix="edgeconv-") as folder, quiet_stderr():
        path = Path(folder) / "part.onnx"
        path.write_bytes(part)
        return ort.InferenceSession(
            str(path), sess_options=options, providers=["CPUExecutionProvider"]
        )
