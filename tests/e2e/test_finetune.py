"""edgeconv finetune, through the real command line: from folders to a model that exports."""

import csv
import json
import random
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgeconv import knowledge
from tests.e2e.command import Outcome, edgeconv

Run = Callable[..., Outcome]

LABELS = ("blue", "rouge", "绿色")
#: A small network, so that what takes time is TensorFlow's start.
SMALL = ("mobilenet", "--alpha", "0.25", "--size", "32", "--weights", "none", "--batch", "8")


@pytest.fixture(scope="module")
def colours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three classes of 14, 14 and 6 pictures, told apart by their colour; and a text file."""
    folder = tmp_path_factory.mktemp("colours")
    rng = np.random.default_rng(7)
    for channel, name, count in ((2, "blue", 14), (0, "rouge", 14), (1, "绿色", 6)):
        (folder / name).mkdir()
        for number in range(count):
            pixels = rng.integers(0, 90, (24, 30, 3))
            pixels[:, :, channel] += 160
            Image.fromarray(pixels.astype(np.uint8)).save(folder / name / f"{number:02}.png")
    (folder / "blue" / "notes.txt").write_text("taken in May")
    return folder


@pytest.fixture(scope="module")
def trained(colours: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Outcome, Path]:
    """What the command said, and the model that it wrote."""
    model = tmp_path_factory.mktemp("trained") / "colours.keras"
    done = edgeconv(
        "finetune", *SMALL, "--data", colours, "--epochs", "3", "--output", model, "--json"
    )
    assert done.code == 0, done.stderr
    return done, model


def test_the_result_says_what_was_trained_and_how_well(trained: tuple[Outcome, Path]) -> None:
    done, model = trained
    found = json.loads(done.stdout)
    assert (found["output"], found["labels"]) == (str(model), list(LABELS))
    assert found["pictures"] == {"train": 24, "validation": 5, "test": 5}
    assert [epoch["phase"] for epoch in found["epochs"]] == ["fine"] * 3
    low, high = found["test_accuracy_ci95"]
    assert 0 <= low <= found["test_accuracy"] <= high <= 100
    assert "starts from nothing" in done.stderr
    assert "notes.txt is no picture" in done.stderr
    assert "epoch   3 fine" in done.stderr


def test_the_model_knows_its_labels_preprocessing_splits_and_origin(
    trained: tuple[Outcome, Path], colours: Path
) -> None:
    _, model = trained
    known = knowledge.read(model)
    assert known is not None
    assert known.labels == LABELS
    assert (known.preprocess.height, known.preprocess.scale) == (32, (1 / 127.5,))
    files = {
        name: {(model.parent / split.root / entry.file).resolve() for entry in split.entries}
        for name, split in known.splits.items()
    }
    assert set.union(*files.values()) == {path.resolve() for path in colours.rglob("*.png")}
    assert sum(map(len, files.values())) == 34
    assert known.provenance["base"] == "mobilenet" and known.provenance["weights"] == "random"


def test_reports_lie_beside_the_model_and_checkpoints_are_gone(
    trained: tuple[Outcome, Path],
) -> None:
    _, model = trained
    folder = model.with_name("colours-training")
    assert {path.name for path in folder.iterdir()} == {
        *("curves.png", "history.csv", "confusion.png", "confusion.csv"),
        *("report.txt", "report.json"),
    }
    assert "绿色" in (folder / "confusion.csv").read_text(encoding="utf-8-sig")
    assert "绿色" in (folder / "report.txt").read_text(encoding="utf-8")


def test_the_saved_model_is_plain_and_flat(trained: tuple[Outcome, Path]) -> None:
    _, model = trained
    with zipfile.ZipFile(model) as archive:
        config = json.loads(archive.read("config.json"))
    layers = config["config"]["layers"]
    assert config["class_name"] == "Functional" and not config.get("compile_config")
    assert not [layer for layer in layers if layer["class_name"] == "Functional"]
    assert [layer["config"]["name"] for layer in layers[-2:]] == [
        "dropout_of_features",
        "predictions",
    ]


def test_a_finished_model_is_not_replaced_nor_resumed_unasked(
    trained: tuple[Outcome, Path], colours: Path
) -> None:
    _, model = trained
    order = ("finetune", *SMALL, "--data", colours, "--epochs", "3", "--output", model)
    for extra, says in (((), "already exists"), (("--resume",), "nothing to resume")):
        done = edgeconv(*order, *extra)
        assert done.code == 2 and says in done.error_lines()[0]


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("mobilnetv2", "--data", "data"), 2, "mobilnetv2"),
        (("a.keras", "--data", "data"), 2, "BASE is a name of the zoo"),
        (("mobilenetv2", "--data", "absent"), 2, "absent does not exist"),
        (("mobilenetv2", "--data", "data", "--weights", "w.h5"), 2, "no weights file 'w.h5'"),
        (("mobilenetv2", "--data", "data", "--size", "16"), 2, "32 pixels or more"),
        (("mobilenetv2", "--data", "data", "--resume"), 2, "no training that could be resumed"),
        (("mobilenetv2", "--data", "data", "--unfreeze", "some"), 2, "--unfreeze"),
        (("mobilenetv2", "--data", "data"), 3, "one class folder, only"),
    ],
)
def test_what_is_wrong_is_said_before_anything_slow(
    run: Run, tmp_path: Path, arguments: tuple[str, ...], code: int, says: str
) -> None:
    (tmp_path / "data" / "only").mkdir(parents=True)
    Image.new("RGB", (8, 8)).save(tmp_path / "data" / "only" / "a.png")
    done = run("finetune", *arguments, "--output", "model.keras")
    assert done.code == code
    assert says in done.error_lines()[0] and len(done.error_lines()) == 2
    assert not list(tmp_path.glob("model*"))


def test_a_broken_picture_is_named_and_leaves_nothing_behind(
    run: Run, colours: Path, tmp_path: Path
) -> None:
    shutil.copytree(colours, tmp_path / "data")
    (tmp_path / "data" / "blue" / "03.png").write_bytes(b"no picture")
    done = run("finetune", *SMALL, "--data", "data", "--output", "model.keras")
    assert done.code == 3 and "blue/03.png" in done.error_lines()[0]
    assert {path.name for path in tmp_path.iterdir()} == {"data"}


def _rows(folder: Path) -> list[dict[str, str]]:
    """history.csv without the column that differs from run to run."""
    text = (folder / "history.csv").read_text(encoding="utf-8-sig")
    return [
        {k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(text.split("\n"))
    ]


def _stopped(arguments: list[object], folder: Path, epochs: int, number: int) -> tuple[int, str]:
    """Run until ``epochs`` epochs are done and a little longer, then send signal ``number``."""
    state = folder / "checkpoint.json"
    command = [sys.executable, "-m", "edgeconv", *map(str, arguments)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 240
    while child.poll() is None and time.monotonic() < deadline:
        if state.exists() and len(json.loads(state.read_text())["epochs"]) >= epochs:
            time.sleep(random.uniform(0, 0.3))
            child.send_signal(number)
            break
        time.sleep(0.02)
    _, said = child.communicate(timeout=60)
    return child.returncode, said


@pytest.mark.long
def test_interrupted_then_killed_it_ends_as_if_it_had_gone_through(
    colours: Path, tmp_path: Path
) -> None:
    order = ["finetune", *SMALL, "--data", colours, "--epochs", "12", "--seed", "4", "--output"]
    (tmp_path / "a").mkdir()
    through, halting = tmp_path / "a" / "m.keras", tmp_path / "m.keras"
    assert edgeconv(*order, through).code == 0
    folder = tmp_path / "m-training"
    code, said = _stopped([*order, halting], folder, 1, signal.SIGINT)
    assert code == 130 and "--resume" in said
    code, _ = _stopped([*order, halting, "--resume"], folder, 3, signal.SIGKILL)
    assert code == -signal.SIGKILL and not halting.exists()
    other = edgeconv(*order, halting, "--resume", "--batch", "4")
    assert other.code == 2 and "--batch differs" in other.stderr
    begun = edgeconv(*order, halting)
    assert begun.code == 2 and "--resume" in begun.stderr
    done = edgeconv(*order, halting, "--resume")
    assert done.code == 0, done.stderr
    assert _rows(folder) == _rows(tmp_path / "a" / "m-training")
    members = [zipfile.ZipFile(path).read("model.weights.h5") for path in (through, halting)]
    assert members[0] == members[1]


def test_the_model_exports_and_verifies_without_a_further_flag(
    trained: tuple[Outcome, Path], tmp_path: Path
) -> None:
    _, model = trained
    done = edgeconv("export", model, "--int8", "--device", "raspberrypi4", cwd=tmp_path)
    assert "judged on 5 pictures that training never saw" in done.stderr
    assert "calibrated on 24 pictures that trained colours.keras" in done.stderr
    bundle = tmp_path / "colours-int8"
    manifest = json.loads((bundle / "manifest.json").read_text())
    assert (bundle / "labels.txt").read_text(encoding="utf-8").split() == list(LABELS)
    assert manifest["preprocess"]["height"] == 32
    assert manifest["provenance"]["training"]["pictures"]["test"] == 5

    found = edgeconv("verify", bundle, "--against", model, "--json")
    verdict = json.loads(found.stdout)["verdict"]
    assert verdict["samples"] == 5 and verdict["status"] != "fail"
