"""Which activations' ranges may be learned, and which only together."""

import numpy as np

from edgeconv.qat.plan import Grid, Plan, Step, Tensor
from edgeconv.qat.ranges import groups


def grid(scale: float, zero_point: int = 0) -> Grid:
    return Grid("int8", np.array([scale], np.float32), zero_point, 0)


def tensor(name: str, scale: float) -> Tensor:
    return Tensor(name, (1, 4), None, grid(scale))


def names(plan: Plan, *known: str) -> list[set[str]]:
    return [{plan.tensors[i].name for i in group} for group in groups(plan, known)]


def chain(*steps: tuple[str, tuple[int, ...], int], tensors: tuple[Tensor, ...]) -> Plan:
    made = tuple(Step(kind, inputs, (output,), None, None) for kind, inputs, output in steps)
    return Plan(tensors, made, (0,), (len(tensors) - 1,))


def test_inputs_outputs_and_sigmoids_are_not_learned() -> None:
    given = tuple(tensor(name, 0.1 + i) for i, name in enumerate(["in", "a", "gate", "out"]))
    plan = chain(("ABS", (0,), 1), ("LOGISTIC", (1,), 2), ("ABS", (2,), 3), tensors=given)
    assert names(plan, "in", "a", "gate", "out") == [{"a"}]


def test_what_is_only_moved_keeps_the_grid_of_what_it_was() -> None:
    scales = {"in": 0.5, "a": 0.1, "padded": 0.1, "b": 0.2, "out": 0.3}
    given = tuple(tensor(name, scale) for name, scale in scales.items())
    plan = chain(
        ("ABS", (0,), 1), ("PAD", (1,), 2), ("ABS", (2,), 3), ("ABS", (3,), 4), tensors=given
    )
    assert names(plan, *scales) == [{"a", "padded"}, {"b"}]


def test_two_layers_that_happen_to_have_one_scale_are_learned_apart() -> None:
    given = (*(tensor(name, 6 / 255) for name in ["in", "a", "b"]), tensor("out", 1.0))
    plan = chain(("ABS", (0,), 1), ("ABS", (1,), 2), ("ABS", (2,), 3), tensors=given)
    assert names(plan, "in", "a", "b", "out") == [{"a"}, {"b"}]


def test_what_a_rewrite_put_in_goes_with_its_neighbour_or_stays() -> None:
    """An average pool is a sum and a product by a border; a hard-swish has a gate of its own."""
    scales = {"in": 0.5, "sums": 0.1, "pooled": 0.1, "gate": 0.004, "border": 0.25, "out": 0.3}
    given = tuple(tensor(name, scale) for name, scale in scales.items())
    plan = chain(
        ("DEPTHWISE_CONV_2D", (0,), 1),
        ("MUL", (1, 4), 2),
        ("ADD", (2,), 3),
        ("MUL", (2, 3), 5),
        tensors=given,
    )
    assert names(plan, "in", "pooled", "out") == [{"sums", "pooled"}]


def test_a_difference_that_is_squared_keeps_its_grid_and_so_does_the_square() -> None:
    given = tuple(tensor(name, 0.1 + i) for i, name in enumerate(["in", "d", "square", "out"]))
    plan = chain(("SUB", (0,), 1), ("MUL", (1, 1), 2), ("ABS", (2,), 3), tensors=given)
    assert names(plan, "in", "d", "square", "out") == []
