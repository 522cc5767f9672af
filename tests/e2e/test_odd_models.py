"""Every odd kind of model that users bring, through the command line.

Each is small and built here (make_odd_models.py). An export compares the float
model of each format with Keras before it writes anything, so one int8 export in
both formats says of a kind that it converts, that it is the same function, and
what int8 keeps of it. All run in one process with one TensorFlow child.
"""

import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.e2e.command import Outcome, edgeconv
from tests.e2e.test_bad_input import assert_refused

HERE = Path(__file__).parent
OWN = ("--custom", "odd_layers", "--trust")


@dataclass(frozen=True)
class Odd:
    """A kind of model.

    Attributes:
        file: In the folder of models.
        arguments: Beside its data.
        data: Whose inputs it takes.
        activation: The head that its manifest names.
        note: What the export tells of it.
        inputs: Shapes in its manifest, where they are not plain.
    """

    file: str
    arguments: tuple[str, ...] = ()
    data: str = ""
    activation: str = "linear"
    note: str = ""
    inputs: dict[str, list[int | None]] = field(default_factory=dict)


PIXELS = [None, 16, 16, 3]
FAST = {
    "nested": Odd("nested.keras", activation="softmax"),
    "shared": Odd("shared.keras", inputs={"left": PIXELS, "right": PIXELS}),
    "several": Odd("several.keras", inputs={"pixels": PIXELS, "facts": [None, 5]}),
    "by name": Odd("by_name.keras", inputs={"angle": [None, 4], "zoom": [None, 6]}),
    "audio": Odd("audio.keras", activation="softmax"),
    "vector": Odd("vector.keras"),
    "words": Odd("words.keras"),
    "custom layer": Odd("custom.keras", OWN, activation="softmax"),
    "class not registered": Odd("doubled.keras", OWN, activation="softmax"),
    "subclassed": Odd("subclassed.keras", OWN, activation="softmax"),
    "free length": Odd("free_length.keras", ("--input-size", "24")),
    "channels first": Odd(
        "channels_first.keras", activation="softmax", inputs={"input": [None, 3, 16, 16]}
    ),
    "mixed float16": Odd("mixed_float16.keras", activation="softmax", note="float32"),
    "bfloat16": Odd("bfloat16.keras", activation="softmax", note="float32"),
    "preprocessing inside": Odd("preprocessing.keras", activation="softmax"),
    "no softmax": Odd("no_softmax.keras"),
    "sigmoid": Odd("sigmoid.keras", activation="sigmoid"),
    "several labels": Odd("many_labels.keras", activation="sigmoid"),
    "sequential without input": Odd("sequential.keras", activation="softmax"),
    "bytes in": Odd("bytes_in.keras", activation="softmax"),
    "strange names": Odd("strange_names.keras", activation="softmax", note="goes by another name"),
    "legacy h5": Odd("legacy.h5", data="nested", activation="softmax"),
    "SavedModel of several": Odd(
        "several_saved", data="several", inputs={"facts": [None, 5], "pixels": PIXELS}
    ),
    "SavedModel of a class": Odd("subclassed_saved", data="subclassed", activation="softmax"),
    "SavedModel in float16": Odd(
        "mixed_float16_saved", data="mixed_float16", activation="softmax", note="float32"
    ),
    "SavedModel of free length": Odd(
        "free_length_saved", ("--input-size", "24"), data="free_length"
    ),
    "SavedModel with preprocessing": Odd(
        "resting_saved", data="preprocessing", activation="softmax"
    ),
}
SLOW = {
    "signal": Odd("signal.keras"),
    "softmax layer": Odd("softmax_layer.keras", activation="softmax"),
    "segmentation": Odd("segmentation.keras"),
    "groups, GELU, PReLU": Odd("grouped.keras", activation="softmax"),
    "attention": Odd("attention.keras"),
    "mixed bfloat16": Odd("mixed_bfloat16.keras", activation="softmax", note="float32"),
    "float16": Odd("float16.keras", activation="softmax", note="float32"),
    "float64": Odd("float64.keras", activation="softmax", note="float32"),
    "video": Odd("video.keras"),
    "LSTM": Odd("lstm.keras", note="step by step"),
    "GRU": Odd("gru.keras", note="step by step"),
    "recurrent layers in a row": Odd("stacked_memory.keras", note="step by step"),
}

#: Arguments, exit code and words of what can't be.
REFUSED: dict[str, tuple[tuple[str, ...], int, tuple[str, ...]]] = {
    "custom layer without its module": (("custom.keras",), 3, ("odd_layers", "outside Keras")),
    "module without trust": (("custom.keras", "--custom", "odd_layers"), 2, ("runs that module",)),
    "free length": (("free_length.keras",), 4, ("free axes",)),
    "size of what is fixed": (("vector.keras", "--input-size", "9"), 2, ("fixed at", "9")),
    "exported as it trains": (("preprocessing_saved",), 3, ("as it trains", "AssignVariableOp")),
    "loops of a SavedModel": (("lstm_saved",), 4, ("TFLite", "TensorListReserve")),
    "weights of a file": (("nested.keras", "--weights", "none"), 2, ("--weights",)),
    "width of a file": (("nested.keras", "--alpha", "0.5"), 2, ("--alpha",)),
    "classes of a file": (("nested.keras", "--classes", "5"), 2, ("--classes",)),
    "head of a file": (("nested.keras", "--no-top"), 2, ("--no-top",)),
    "classes of ImageNet": (("mobilenetv2", "--classes", "5"), 2, ("1,000", "--classes")),
    "width of a ResNet": (("resnet50", "--alpha", "0.5"), 2, ("resnet50", "--alpha")),
    "width unknown to ImageNet": (("mobilenetv2", "--alpha", "0.4"), 2, ("0.4", "0.35")),
    "classes without a head": (("mobilenetv2", "--no-top", "--classes", "5"), 2, ("--classes",)),
    "task without a head": (
        ("mobilenetv2", "--weights", "none", "--no-top", "--task", "classification"),
        2,
        ("--no-top", "classification"),
    ),
    "size of VGG's dense layers": (("vgg16", "--input-size", "96"), 2, ("vgg16", "224")),
    "size of AlexNet's": (
        ("alexnet", "--weights", "none", "--input-size", "300"),
        2,
        ("alexnet", "300"),
    ),
    "too small a picture": (
        ("xception", "--weights", "none", "--input-size", "64"),
        2,
        ("xception", "71"),
    ),
    "no published weights": (("squeezenet11",), 2, ("no ImageNet weights", "squeezenet11")),
}

SMALL = ("--weights", "none", "--input-size", "32")
VARIANTS: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {
    "narrow, other classes": (
        ("mobilenetv2", *SMALL, "--alpha", "0.35", "--classes", "5"),
        {"name": "mobilenetv2-0.35", "task": "classification", "outputs": [1, 5]},
    ),
    "embedding": (
        ("mobilenetv2", *SMALL, "--alpha", "0.35", "--no-top"),
        {"name": "mobilenetv2-0.35-embedding", "task": "embedding", "outputs": [1, 1280]},
    ),
}


@pytest.fixture(scope="session")
def odd(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """The folder that make_odd_models.py fills, built once for all test processes."""
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "odd"
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "legacy.h5").exists():
            script = HERE / "make_odd_models.py"
            subprocess.run([sys.executable, script, folder], check=True, capture_output=True)
    return folder


def data_of(odd: Path, kind: Odd) -> list[str]:
    file = odd / f"{kind.data or Path(kind.file).stem}.npz"
    names = list(np.load(file))
    if kind.inputs and len(names) > 1:
        names = list(kind.inputs)  # a SavedModel has its inputs in the order of their names
    pixels = len(names) == 1 and np.load(file)[names[0]].dtype == np.uint8
    pictures = pixels and np.load(file)[names[0]].ndim == 4
    return [
        "--preprocess", "none" if pictures else "array",
        "--calibration", str(file), "--x-key", ",".join(names),
    ]  # fmt: skip


def exports(odd: Path, kinds: Mapping[str, Odd], *options: str) -> dict[str, list[str]]:
    out = odd / "-".join(["bundles", *options])
    return {
        name: [
            "export", str(odd / kind.file), *kind.arguments, *data_of(odd, kind), *options,
            "--output", str(out / name.replace(" ", "-")), "--json",
        ]
        for name, kind in kinds.items()
    }  # fmt: skip


def run_all(odd: Path, name: str, jobs: Mapping[str, Iterable[str]]) -> dict[str, Outcome]:
    """Run command lines in one process, once for all test processes."""
    done = odd / f"{name}.outcomes.json"
    with (odd / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            asked = odd / f"{name}.jobs.json"
            asked.write_text(json.dumps([list(job) for job in jobs.values()]))
            temporary = odd / "tmp"
            temporary.mkdir(exist_ok=True)
            subprocess.run(
                [sys.executable, HERE / "one_child.py", asked, done],
                check=True,
                cwd=HERE,
                env={**os.environ, "TMPDIR": str(temporary)},
            )
    return {
        name: Outcome(*outcome)
        for name, outcome in zip(jobs, json.loads(done.read_text()), strict=True)
    }


@pytest.fixture(scope="session")
def outcomes(odd: Path) -> dict[str, Outcome]:
    """All that the fast tests ask, by the names of the tables above."""
    jobs = exports(odd, FAST)
    for name, (arguments, _, _) in REFUSED.items():
        model, *rest = arguments
        given = str(odd / model) if (odd / model).exists() else model
        kind = Odd(model.replace("_saved", ""), data="")
        data = data_of(odd, kind) if given != model else []
        jobs[f"refused: {name}"] = [
            "export", given, *rest, *data, "--output", str(odd / "refused")
        ]  # fmt: skip
    for name, (arguments, _) in VARIANTS.items():
        folder = odd / "variants" / name
        jobs[name] = ["export", *arguments, "--output", str(folder), "--json", "--fp32"]
    return run_all(odd, "fast", jobs)


def bundle_of(outcome: Outcome) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Manifest and verdicts of an export."""
    assert outcome.code == 0, outcome.stdout[:500] + outcome.stderr
    result = json.loads(outcome.stdout)
    manifest = json.loads((Path(result["bundle"]) / "manifest.json").read_text())
    return manifest, result["verdict"]["artifacts"]


def check_int8(kind: Odd, outcome: Outcome) -> None:
    manifest, artifacts = bundle_of(outcome)

    assert [a["format"] for a in artifacts] == ["tflite", "onnx"]
    for artifact in artifacts:
        # Random weights, 24 items to calibrate on: what is broken lies at 0 dB or below.
        assert artifact["metrics"]["sqnr_db"] > 12, artifact["file"]
    assert manifest["activation"] == kind.activation
    if kind.inputs:
        assert {i["name"]: i["shape"] for i in manifest["inputs"]} == kind.inputs
    assert kind.note in outcome.stderr


@pytest.mark.parametrize("name", FAST)
def test_an_odd_model_keeps_its_function_in_both_formats(
    outcomes: dict[str, Outcome], name: str
) -> None:
    check_int8(FAST[name], outcomes[name])


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_is_one_clear_line(
    odd: Path, outcomes: dict[str, Outcome], name: str
) -> None:
    _, code, words = REFUSED[name]

    assert_refused(outcomes[f"refused: {name}"], code, *words)
    assert not (odd / "refused").exists()


@pytest.mark.parametrize("name", VARIANTS)
def test_a_zoo_model_is_built_as_it_is_wished(outcomes: dict[str, Outcome], name: str) -> None:
    _, expected = VARIANTS[name]

    manifest, artifacts = bundle_of(outcomes[name])

    assert manifest["name"] == expected["name"]
    assert manifest["task"] == expected["task"]
    assert manifest["labels"] is None
    assert manifest["inputs"][0]["shape"] == [None, 32, 32, 3]
    assert manifest["artifacts"][0]["outputs"][0]["shape"] == expected["outputs"]
    assert all(artifact["equivalent"] for artifact in artifacts)


def test_layers_bear_names_that_a_recipe_can_say(outcomes: dict[str, Outcome]) -> None:
    """Nested, called twice or renamed: a layer is one name in both formats."""
    for name, layers in (
        ("nested", {"middle/stem", "middle/inner/stem", "head"}),
        ("shared", {"encoder/stem", "encoder/code", "head"}),
        ("strange names", {"conv_1_a__", "1", "head"}),
    ):
        for artifact in bundle_of(outcomes[name])[1]:
            found = {layer["name"] for layer in artifact["layers"] if "weights" in layer}
            assert {layer.partition("#")[0] for layer in found} == layers, artifact["file"]


@pytest.mark.long
def test_a_variant_is_verified_against_the_same_variant(outcomes: dict[str, Outcome]) -> None:
    for name in VARIANTS:
        done = edgeconv("verify", json.loads(outcomes[name].stdout)["bundle"], "--json")

        assert done.code == 0, done.stderr
        verdicts = json.loads(done.stdout)["verdict"]["artifacts"]
        assert all(verdict["equivalent"] for verdict in verdicts), name


@pytest.mark.long
def test_slower_odd_models_keep_theirs_too(odd: Path) -> None:
    for name, outcome in run_all(odd, "slow", exports(odd, SLOW)).items():
        check_int8(SLOW[name], outcome)


@pytest.mark.long
def test_every_odd_model_is_exact_in_float(odd: Path) -> None:
    for name, outcome in run_all(odd, "fp32", exports(odd, {**FAST, **SLOW}, "--fp32")).items():
        for artifact in bundle_of(outcome)[1]:
            # In percent of the largest: 1e-4 relative.
            assert artifact["metrics"]["max_relative_difference"] <= 0.01, (name, artifact["file"])
