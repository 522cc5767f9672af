"""Which tensor of the file is which spec of the manifest, and how many items go in at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from edgeconv.errors import RefusedInput, UsageError
from edgeconv.types import Array, TensorSpec

__all__ = ["first_line", "in_batches", "match_tensors"]


def match_tensors(
    file: Sequence[TensorSpec], wanted: Sequence[TensorSpec], role: str
) -> tuple[list[int], tuple[TensorSpec, ...]]:
    """Positions in the file of the wanted tensors, and their specs.

    Args:
        file: The tensors as the file has them.
        wanted: What the caller expects, matched by name where the file has all
            the names, else by order; empty takes the file's own.
        role: ``input`` or ``output``, for messages.

    Raises:
        RefusedInput: The file has other tensors than were expected.
    """
    if not wanted:
        return list(range(len(file))), tuple(file)
    if len(file) != len(wanted):
        raise RefusedInput(f"The model file has {len(file)} {role}s, {len(wanted)} were expected.")
    names = [tensor.name for tensor in file]
    by_name = len(set(names)) == len(names) and {spec.name for spec in wanted} == set(names)
    order = [names.index(spec.name) if by_name else i for i, spec in enumerate(wanted)]
    for position, spec in zip(order, wanted):
        found = file[position]
        if found.dtype != spec.dtype:
            raise RefusedInput(
                f"The model file's {role} {found.name!r} is {found.dtype}, not {spec.dtype}."
            )
    return order, tuple(wanted)


def in_batches(
    run: Callable[[tuple[Array, ...]], tuple[Array, ...]], x: tuple[Array, ...], size: int
) -> tuple[Array, ...]:
    """Run a model of a fixed batch on any multiple of it.

    Args:
        run: Takes arrays [size, ...], gives arrays [size, ...].
        x: One array an input, each [N, ...].
        size: The fixed batch.

    Returns:
        One array an output, each [N, ...].

    Raises:
        UsageError: N is 0 or no multiple of ``size``.
    """
    count = len(x[0])
    if count == 0 or count % size:
        raise UsageError(f"The model takes {size} items at once, not {count}.")
    parts = [run(tuple([a[i : i + size] for a in x])) for i in range(0, count, size)]
    return tuple([np.concatenate(column) for column in zip(*parts)])


def first_line(error: Exception) -> str:
    """An engine's message, cut to what fits in a sentence."""
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__
