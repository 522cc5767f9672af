"""Bundles held against bundles: real engines, real files, no TensorFlow."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeconv.data import DataRequest
from edgeconv.errors import RefusedInput, UsageError
from edgeconv.preprocess import prepare_array
from edgeconv.types import Interval, SourceModel
from edgeconv.verification import Verification, VerifyRequest, verify
from edgeconv.verification.explain import doubt
from edgeconv.verify import Policy, Threshold
from tests import bundles

COUNT = 300


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bundles.make_bundle(tmp_path_factory.mktemp("good"))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Pictures of another size than the model's, labelled with the model's own answers."""
    path = tmp_path_factory.mktemp("data") / "pictures.npz"
    x = np.random.default_rng(3).integers(0, 256, (COUNT, 12, 12, 3), dtype=np.uint8)
    ready = np.concatenate([prepare_array(bundles.PREPROCESS, picture) for picture in x])
    np.savez(path, x=x, y=bundles.logits(ready).argmax(axis=1))
    return str(path)


@pytest.fixture
def faulty(good: Path, tmp_path: Path) -> Callable[..., Path]:
    """The good bundle with its manifest or its labels changed."""

    def make(labels: list[str] | None = None, **changes: Any) -> Path:
        folder = tmp_path / "faulty"
        shutil.copytree(good, folder)
        manifest = json.loads((folder / "manifest.json").read_text())
        manifest["preprocess"] |= changes
        (folder / "manifest.json").write_text(json.dumps(manifest))
        if labels is not None:
            (folder / "labels.txt").write_text("".join(f"{label}\n" for label in labels))
        bundles.sign(folder)
        return folder

    return make


def held(candidate: Path, against: Path, data: str, policy: Policy | None = None) -> Verification:
    request = VerifyRequest(candidate, against, DataRequest(parity=data), policy or Policy())
    return verify(request)


def test_a_bundle_is_equivalent_to_itself(good: Path, data: str) -> None:
    found = held(good, good, data)

    assert found.verdict.status == "pass"
    assert found.verdict.samples == COUNT
    assert [a.file for a in found.verdict.artifacts] == ["model.tflite", "model.onnx"]
    assert all(a.equivalent and a.metrics["top1"] == 100.0 for a in found.verdict.artifacts)
    assert found.disagreements == ()


def test_the_single_check_is_the_task_s_own(good: Path, data: str) -> None:
    for artifact in held(good, good, data).verdict.artifacts:
        (check,) = artifact.checks
        assert (check.metric, check.limit, check.at_most) == ("top1_drop", 1.0, True)
        assert (artifact.gated, artifact.limit) == ("top1_drop", 1.0)


@pytest.mark.parametrize(
    "change",
    [{"color": "bgr"}, {"scale": [1 / 255]}, {"offset": [1.0]}],
    ids=["bgr", "scale", "mean"],
)
def test_wrong_preprocessing_in_a_bundle_is_caught(
    good: Path, data: str, faulty: Callable[..., Path], change: dict[str, Any]
) -> None:
    found = held(faulty(**change), good, data)

    assert found.verdict.status == "fail"
    for artifact in found.verdict.artifacts:
        assert artifact.status == "fail"
        assert artifact.metrics["top1_reference"] == 100.0
        assert artifact.suspicions
    assert {item.file for item in found.disagreements} == {"model.tflite", "model.onnx"}


def test_swapped_channels_are_named(good: Path, data: str, faulty: Callable[..., Path]) -> None:
    (sentence, *_) = held(faulty(color="bgr"), good, data).verdict.artifacts[0].suspicions

    assert "when swapped" in sentence


def test_a_pass_beside_a_reference_of_other_answers_is_doubted(
    good: Path, data: str, faulty: Callable[..., Path]
) -> None:
    """The gate asks only that nothing is lost: beside a misfed reference anything passes."""
    found = held(good, faulty(color="bgr"), data)

    assert found.verdict.status == "pass"
    for artifact in found.verdict.artifacts:
        assert "the model that was meant" in artifact.suspicions[0]
        assert "points worse than the file" in doubt(artifact, converted=True)


def test_a_second_softmax_is_named_though_it_moves_no_answer(
    good: Path, data: str, tmp_path: Path
) -> None:
    import onnx

    model = onnx.load_from_string((good / "model.onnx").read_bytes())
    model.graph.node[-1].output[0] = "scores"
    model.graph.node.append(onnx.helper.make_node("Softmax", ["scores"], ["logits"], axis=-1))
    folder = Path(shutil.copytree(good, tmp_path / "twice"))
    bundles.replace_file(folder, "model.onnx", model.SerializeToString())

    plain, twice = held(folder, good, data).verdict.artifacts

    assert (plain.status, plain.suspicions) == ("pass", ())
    assert twice.metrics["agreement"] == 100.0
    assert "softmax" in twice.suspicions[0]


def test_a_release_that_is_a_little_better_is_not_doubted(good: Path, data: str) -> None:
    (artifact, _) = held(good, good, data).verdict.artifacts
    better = replace(artifact, metrics={"top1_drop": Interval(-8.0, (-9.0, -7.0), -9.0, -7.0)})

    assert doubt(artifact, converted=True) == ""
    assert doubt(better, converted=False) == ""
    assert doubt(better, converted=True) != ""


def test_classes_in_another_order_are_the_same_classes(
    good: Path, data: str, tmp_path: Path
) -> None:
    """The columns of the file permuted, and the labels with them."""
    order = np.random.default_rng(5).permutation(bundles.CLASSES)
    permuted = permuted_bundle(tmp_path, order, [bundles.LABELS[i] for i in order])

    assert held(permuted, good, data).verdict.status == "pass"


def test_labels_in_the_wrong_order_are_caught(
    good: Path, data: str, faulty: Callable[..., Path]
) -> None:
    rotated = [*bundles.LABELS[1:], bundles.LABELS[0]]

    found = held(faulty(labels=rotated), good, data)

    assert [a.metrics["agreement"] for a in found.verdict.artifacts] == [0.0, 0.0]
    assert found.verdict.status == "fail"
    assert "shifted by one" in found.verdict.artifacts[0].suspicions[0]


def test_an_unknown_label_is_paired_with_the_one_that_is_left_and_said(
    good: Path, data: str, faulty: Callable[..., Path]
) -> None:
    renamed = ["renamed", *bundles.LABELS[1:]]

    found = held(faulty(labels=renamed), good, data)

    assert found.verdict.status == "pass"
    assert any("'class 0'" in note and "'renamed'" in note for note in found.notes)


def permuted_bundle(folder: Path, order: np.ndarray, labels: list[str]) -> Path:
    """A bundle whose ONNX file has its columns in another order; more than 10 repeat some."""
    onnx = pytest.importorskip("onnx")
    model = onnx.load_model_from_string(bundles.onnx_bytes())
    kernel = np.ascontiguousarray(bundles.kernel()[:, order])
    model.graph.initializer[0].CopyFrom(onnx.numpy_helper.from_array(kernel, "kernel"))
    model.graph.output[0].type.tensor_type.shape.dim[1].dim_value = len(order)
    output = replace(bundles.OUTPUT, shape=(None, len(order)))
    artifact = bundles.artifact(
        folder / "a.onnx", "onnx", model.SerializeToString(), outputs=(output,)
    )
    source: SourceModel = bundles.source(labels=tuple(labels), outputs=(output,))
    return bundles.make_bundle(folder, artifacts=[artifact], source=source)


def test_another_number_of_classes_fails_and_looks_shifted(
    good: Path, data: str, tmp_path: Path
) -> None:
    """A background class in front, as 1001-class models have it, and no labels to pair by."""
    wide = permuted_bundle(tmp_path, np.array([0, *range(bundles.CLASSES)]), [])

    (artifact,) = held(wide, good, data).verdict.artifacts

    assert artifact.status == "fail"
    assert "11" in artifact.reason and "10" in artifact.reason
    assert any("shifted" in sentence for sentence in artifact.suspicions)


def test_a_background_class_with_labels_is_left_out(good: Path, data: str, tmp_path: Path) -> None:
    order = np.array([0, *range(bundles.CLASSES)])
    wide = permuted_bundle(tmp_path, order, ["background", *bundles.LABELS])

    found = held(wide, good, data)

    assert found.verdict.status == "pass"
    assert any("'background'" in note for note in found.notes)


def test_thresholds_of_a_policy_are_all_checked(good: Path, data: str) -> None:
    policy = Policy(
        thresholds=(
            Threshold("*", "agreement", 90.0, at_most=False),
            Threshold("tflite", "sqnr_db", 200.0, at_most=False),
        )
    )

    tflite, onnx = held(good, good, data, policy).verdict.artifacts

    assert [c.metric for c in tflite.checks] == ["agreement_interval", "sqnr_db"]
    assert [c.metric for c in onnx.checks] == ["agreement_interval"]
    assert onnx.status == "pass"


def test_the_worst_check_is_the_artifact_s_status(
    good: Path, data: str, faulty: Callable[..., Path]
) -> None:
    policy = Policy(
        thresholds=(
            Threshold("*", "max_relative_difference", 1000.0, at_most=True),
            Threshold("*", "agreement", 99.0, at_most=False),
        )
    )

    (artifact, _) = held(faulty(color="bgr"), good, data, policy).verdict.artifacts

    assert [check.status for check in artifact.checks] == ["pass", "fail"]
    assert artifact.status == "fail"
    assert artifact.reason == artifact.checks[1].reason
    assert artifact.gated == "max_relative_difference"


def test_a_metric_that_was_not_measured_is_an_error_not_a_pass(good: Path, data: str) -> None:
    policy = Policy(thresholds=(Threshold("*", "recall_at_1", 50.0, at_most=False),))

    with pytest.raises(UsageError, match="recall_at_1"):
        held(good, good, data, policy)


def test_a_bare_file_is_fed_as_the_reference_is(good: Path, data: str, tmp_path: Path) -> None:
    for format, content in (("tflite", bundles.tflite_bytes()), ("onnx", bundles.onnx_bytes())):
        file = tmp_path / f"bare.{format}"
        file.write_bytes(content)

        (artifact,) = held(file, good, data).verdict.artifacts

        assert artifact.file == f"bare.{format}"
        assert (artifact.precision, artifact.equivalent) == ("fp32", True)


def test_a_changed_bundle_is_refused_before_it_runs(
    good: Path, data: str, faulty: Callable[..., Path]
) -> None:
    folder = faulty(color="bgr")
    (folder / "model.onnx").write_bytes(b"something else")

    with pytest.raises(RefusedInput, match="damaged or changed"):
        held(folder, good, data)


def test_a_bundle_of_no_zoo_model_needs_its_original_named(good: Path, data: str) -> None:
    with pytest.raises(UsageError, match="not given") as caught:
        verify(VerifyRequest(good, None, DataRequest(parity=data)))

    assert "tiny.keras" in caught.value.message
    assert "--against" in caught.value.hint


@pytest.mark.parametrize("name", ["nothing", "notes.txt", "model.keras"])
def test_what_is_no_candidate_is_refused(good: Path, data: str, tmp_path: Path, name: str) -> None:
    if name != "nothing":
        (tmp_path / name).write_text("something")

    with pytest.raises(UsageError, match=name):
        held(tmp_path / name, good, data)
