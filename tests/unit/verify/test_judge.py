"""The judge on real arithmetic: small linear models and degraded copies of them."""

from pathlib import Path

import numpy as np
import pytest

from edgeconv.errors import InternalError, RefusedInput, UsageError
from edgeconv.progress import Silent
from edgeconv.types import Artifact, Batch, Recipe, Verdict
from edgeconv.verify.gate import Gate
from edgeconv.verify.judge import judge, worst
from edgeconv.verify.structure import describe


class Arrays:
    """A dataset in memory."""

    name = "arrays"
    fingerprint = "0" * 64

    def __init__(self, x, y=None, id_format="photo {}.jpg"):
        self.x, self.y, self.id_format = x, y, id_format
        self.passes = 0

    @property
    def labelled(self):
        return self.y is not None

    def __len__(self):
        return len(self.x)

    def batches(self, size):
        self.passes += 1
        for i in range(0, len(self.x), size):
            x = self.x[i : i + size]
            y = None if self.y is None else self.y[i : i + size]
            yield Batch((x,), y, tuple(self.id_format.format(i + k) for k in range(len(x))))


class Watcher(Silent):
    def __init__(self):
        self.done, self.notes = 0, []

    def stage(self, title, total=None):
        pass

    def advance(self, steps=1):
        self.done += steps

    def note(self, text):
        self.notes.append(text)


def artifact(name="model.tflite", precision="int8", floats=()):
    return Artifact(
        format="onnx" if name.endswith("onnx") else "tflite",
        precision=precision,
        path=Path("out") / name,
        sha256="",
        size_bytes=1,
        inputs=(),
        outputs=(),
        recipe=Recipe(),
        operators={"CONV_2D": 10, **dict(floats)},
        float_operators=dict(floats),
    )


R = np.random.default_rng(3)
X = R.normal(size=(90, 4, 4, 3)).astype(np.float32)
KERNEL = R.normal(size=(48, 10)).astype(np.float32)
Y = (X.reshape(90, 48) @ KERNEL).argmax(1)


def linear(kernel=KERNEL):
    return lambda x: (x.reshape(len(x), -1) @ kernel,)


def rounded(bits):
    """The kernel on a grid of 2**bits steps, as an integer model has it."""
    step = 2 * np.abs(KERNEL).max() / 2**bits
    return linear((np.round(KERNEL / step) * step).astype(np.float32))


REFERENCE = linear()(X)


def run(*entries, data=None, reference=REFERENCE, task="classification", **rest):
    data = Arrays(X, Y) if data is None else data
    settings = {"gate": Gate(), "progress": Silent(), "activation": "softmax", **rest}
    return judge(entries, reference, data, task, **settings)


def test_one_pass_judges_every_artifact_in_its_order():
    data, watcher = Arrays(X, Y), Watcher()
    found = run(
        (artifact("model.tflite", "fp32"), linear()),
        (artifact("model.onnx"), rounded(2)),
        data=data,
        progress=watcher,
    )
    assert data.passes == 1 and watcher.done == 90
    assert [a.file for a in found.artifacts] == ["model.tflite", "model.onnx"]
    assert found.artifacts[0].equivalent and found.artifacts[0].status == "pass"
    assert found.artifacts[1].status == "fail" and found.status == "fail"
    assert found.samples == 90 and "top-1 drop at most 1.0 points" in found.gate
    # The labels are the reference's own answers, so it is always right.
    assert found.artifacts[1].metrics["top1_reference"] == 100.0


def test_more_bits_lose_less():
    verdicts = run(*((artifact(), rounded(bits)) for bits in (3, 5, 8))).artifacts
    agreement = [v.metrics["agreement"] for v in verdicts]
    noise = [v.metrics["sqnr_db"] for v in verdicts]
    assert agreement == sorted(agreement) and agreement[0] < agreement[-1]
    # Each bit halves the step: 6.02 dB.
    assert noise[2] - noise[1] == pytest.approx(3 * 6.02, abs=3)


def test_without_labels_agreement_decides():
    found = run((artifact(), rounded(8)), data=Arrays(X))
    assert found.artifacts[0].gated == "agreement_interval"
    assert "agreement at least 90%" in found.gate


@pytest.mark.parametrize(
    ("task", "gated"),
    [("embedding", "cosine_mean"), ("regression", "relative_error"), ("raw", "relative_error")],
)
def test_other_tasks_are_judged_by_their_numbers(task, gated):
    found = run((artifact(), rounded(8)), data=Arrays(X), task=task).artifacts[0]
    assert (found.gated, found.status) == (gated, "pass")
    broken = run((artifact(), linear(-KERNEL)), data=Arrays(X), task=task)
    assert broken.status == "fail"


def test_a_map_of_scores_is_no_classifier():
    def maps(x):
        return (np.repeat(x, 2, axis=-1),)

    found = run((artifact(), maps), reference=maps(X), data=Arrays(X))
    assert found.artifacts[0].gated == "relative_error" and found.status == "pass"


def test_the_first_output_decides_and_the_others_are_reported():
    def two(scale):
        return lambda x: (*linear()(x), x * scale)

    found = run((artifact(), two(1.1)), reference=two(1.0)(X)).artifacts[0]
    assert found.status == "pass" or found.status == "inconclusive"
    assert found.metrics["other_outputs_relative_error"] == pytest.approx(10.0, rel=1e-4)
    assert not found.equivalent


def test_a_further_output_that_is_beyond_all_use_fails():
    def two(scale):
        return lambda x: (*linear()(x), x * scale)

    found = run((artifact(), two(-1.0)), reference=two(1.0)(X)).artifacts[0]
    assert found.status == "fail" and "further output" in found.reason


def test_a_memory_mapped_reference_gives_the_same_verdict(tmp_path):
    np.save(tmp_path / "answers.npy", REFERENCE[0])
    mapped = np.load(tmp_path / "answers.npy", mmap_mode="r")
    assert isinstance(mapped, np.memmap)
    assert run((artifact(), rounded(5)), reference=[mapped]) == run((artifact(), rounded(5)))


@pytest.mark.parametrize("batch_size", [1, 7, 90, 1000])
def test_the_batch_size_does_not_change_the_counts(batch_size):
    found = run((artifact(), rounded(4)), batch_size=batch_size).artifacts[0]
    whole = run((artifact(), rounded(4))).artifacts[0]
    for name in ("top1", "top5", "agreement", "top1_drop"):
        assert found.metrics[name] == whole.metrics[name]


def test_disagreements_are_named_with_both_answers():
    seen = []
    found = run((artifact(), rounded(3)), on_disagreement=seen.append)
    share = 100 * (1 - len(seen) / 90)
    assert seen and share == pytest.approx(found.artifacts[0].metrics["agreement"])
    first = seen[0]
    index = int(first.item.split()[1].split(".")[0])
    assert first.reference == REFERENCE[0][index].argmax() == first.expected
    assert first.candidate == rounded(3)(X[index : index + 1])[0].argmax() != first.reference


def test_nan_of_an_artifact_fails_it_by_the_item_s_name():
    def poisoned(x):
        answers = linear()(x)[0].copy()
        answers[x.reshape(len(x), -1)[:, 0] == X[33, 0, 0, 0]] = np.nan
        return (answers,)

    found = run((artifact(), poisoned), (artifact("model.onnx"), linear()))
    assert [a.status for a in found.artifacts] == ["fail", "pass"]
    assert "1 of 90 pictures, first to 'photo 33.jpg'" in found.artifacts[0].reason


def test_nan_of_the_reference_is_refused_by_the_item_s_name():
    reference = REFERENCE[0].copy()
    reference[41, 3] = np.inf
    with pytest.raises(RefusedInput, match=r"NaN or infinity to photo 41\.jpg"):
        run((artifact(), linear()), reference=[reference])


def test_labels_of_another_model_are_refused():
    with pytest.raises(UsageError, match="class 10"):
        run((artifact(), linear()), data=Arrays(X, np.where(np.arange(90) == 50, 10, Y)))


def test_an_artifact_of_another_model_is_refused():
    with pytest.raises(UsageError, match=r"model\.tflite answers with shapes"):
        run((artifact(), linear(KERNEL[:, :7])))


def test_an_artifact_with_fewer_outputs_is_refused():
    with pytest.raises(UsageError, match="answers with shapes"):
        run((artifact(), linear()), reference=[*REFERENCE, *REFERENCE])


def test_nothing_to_verify_with_is_refused():
    with pytest.raises(UsageError, match="nothing to verify"):
        run((artifact(), linear()), data=Arrays(X[:0]), reference=[REFERENCE[0][:0]])


def test_a_reference_of_another_length_is_our_bug():
    with pytest.raises(InternalError, match="89"):
        run((artifact(), linear()), reference=[REFERENCE[0][:89]])


def test_arrays_are_not_called_pictures():
    named = run((artifact(), linear()), data=Arrays(X, Y, "array {}"))
    assert "90 items" in named.artifacts[0].reason


def test_float_operators_of_an_int8_model_are_counted_and_noted():
    watcher = Watcher()
    found = run(
        (artifact(floats=[("SOFTMAX", 1), ("GELU", 3)]), linear()),
        (artifact("model.onnx", "fp32", [("Conv", 5)]), linear()),
        progress=watcher,
    )
    assert found.artifacts[0].metrics["float_operators"] == 4.0
    assert "float_operators" not in found.artifacts[1].metrics
    assert watcher.notes == [
        "model.tflite is int8, but 4 of its 14 operators compute in float: 3 GELU, 1 SOFTMAX."
    ]


def test_an_integer_model_has_nothing_to_describe():
    assert describe(artifact()) is None
    assert describe(artifact(precision="fp16", floats=[("CONV_2D", 3)])) is None


def test_many_kinds_of_float_operators_are_cut_short():
    sentence = describe(artifact(floats=[(f"OP_{i}", 1) for i in range(9)]))
    assert sentence.endswith("1 OP_5 and 3 more kinds.")


def test_the_worst_status_is_the_whole_s():
    assert worst(["pass", "inconclusive", "pass"]) == "inconclusive"
    assert worst(["inconclusive", "fail", "pass"]) == "fail"
    assert isinstance(run((artifact(), linear())), Verdict)
