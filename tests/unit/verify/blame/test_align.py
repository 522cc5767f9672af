"""Aligning two sequences of tensors that are the same computation."""

import numpy as np

from edgeconv.targets.anatomy import Step
from edgeconv.verify.blame.align import align as aligned
from edgeconv.verify.blame.glimpse import glimpse


def align(reference, candidate, expected, found, others):
    seen = [{name: glimpse(value) for name, value in each.items()} for each in (expected, found)]
    return aligned(reference, candidate, *seen, others)


class Chain:
    """An anatomy of which only the order of operators is asked."""

    def __init__(self, *steps):
        self.steps = [Step(op, (f"{i - 1}",), (name,)) for i, (op, name) in enumerate(steps)]


def values(names, seed=0):
    rng = np.random.default_rng(seed)
    return {name: rng.normal(size=(1, 8, 8, 4)).astype(np.float32) for name in names}


def test_repeated_blocks_are_not_mixed_up():
    names = [f"block{i}" for i in range(6)]
    truth, walk = {}, np.zeros((1, 8, 8, 4), np.float32)
    for name, step in values(names).items():
        walk = walk + step * 0.2  # each much like the one before
        truth[name] = walk
    reference = Chain(*(("Add", name) for name in names))
    candidate = Chain(*(("Add", f"s{i}") for i in range(6)))
    found = {f"s{i}": truth[n] + 0.05 for i, n in enumerate(names)}
    pairs = align(reference, candidate, truth, found, list(found))
    assert pairs == [(n, f"s{i}") for i, n in enumerate(names)]


def test_what_was_fused_away_stays_unmatched():
    truth = values(["conv"])
    truth["relu"] = np.maximum(truth["conv"], 0)
    truth["next"] = values(["next"], seed=5)["next"]
    reference = Chain(("Conv", "conv"), ("Relu", "relu"), ("Conv", "next"))
    reference.steps[1] = Step("Relu", ("conv",), ("relu",))
    candidate = Chain(("QLinearConv", "a"), ("QLinearConv", "b"))
    found = {"a": truth["relu"] * 1.01, "b": truth["next"]}
    assert align(reference, candidate, truth, found, ["a", "b"]) == [("relu", "a"), ("next", "b")]


def test_worthless_values_are_matched_by_operator_and_order():
    names = ["stem", "add", "head"]
    truth = values(names)
    reference = Chain(("Conv", "stem"), ("Add", "add"), ("Conv", "head"))
    candidate = Chain(("Conv", "x"), ("Add", "y"), ("Conv", "z"))
    found = {name: np.zeros((1, 8, 8, 4), np.float32) for name in "xyz"}
    pairs = align(reference, candidate, truth, found, list("xyz"))
    assert pairs == [("stem", "x"), ("add", "y"), ("head", "z")]


def test_branches_in_another_order_are_found():
    truth = values(["left", "right", "sum"])
    truth["right"] = truth["right"][..., :3]
    reference = Chain(("Conv", "left"), ("Conv", "right"), ("Concat", "sum"))
    candidate = Chain(("Conv", "r"), ("Conv", "l"), ("Concat", "s"))
    found = {"r": truth["right"], "l": truth["left"], "s": truth["sum"]}
    pairs = align(reference, candidate, truth, found, ["r", "l", "s"])
    assert sorted(pairs) == [("left", "l"), ("right", "r"), ("sum", "s")]
