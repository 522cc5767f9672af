"""A model that knows its preprocessing, labels and pictures needs no flags afterwards."""

import hashlib
import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edgeconv.knowledge import Entry, Knowledge, Split, root_of, write
from edgeconv.preprocess import Preprocess
from tests.e2e.command import Outcome, edgeconv

LABELS = ("red", "green", "蓝色")
#: What may differ between two exports of the same model.
TIMED = ("bench.json", "report.html", "SHA256SUMS")


def remembering(model: Path, folder: Path) -> Path:
    """Put into ``model`` what finetune would: 60 pictures train it, 30 test it."""
    rng = np.random.default_rng(11)
    entries: dict[str, list[Entry]] = {"train": [], "validation": [], "test": []}
    for index, label in enumerate(LABELS):
        (folder / label).mkdir(parents=True)
        for number in range(32):
            pixels = rng.integers(0, 150, (20, 16, 3))
            pixels[:, :, index] += 90
            path = folder / label / f"{number:02}.png"
            Image.fromarray(pixels.astype(np.uint8)).save(path)
            split = "train" if number < 20 else "validation" if number < 22 else "test"
            content = hashlib.sha256(path.read_bytes()).hexdigest()
            entries[split].append(Entry(f"{label}/{path.name}", content, index))
    splits = {name: Split(root_of(model, folder), tuple(e)) for name, e in entries.items()}
    preprocess = Preprocess(height=16, width=16, scale=(1 / 255,))
    provenance = {"base": "mobilenet", "weights": "imagenet", "seed": 4, "test_accuracy": 97.5}
    write(model, Knowledge(preprocess, LABELS, splits, provenance))
    return model


@pytest.fixture
def workplace(models: Path, tmp_path: Path) -> Path:
    """A folder with ``colours.keras`` and the pictures that it names."""
    shutil.copy(models / "colours.keras", tmp_path / "colours.keras")
    remembering(tmp_path / "colours.keras", tmp_path / "pictures")
    return tmp_path


def documents(done: Outcome) -> Any:
    assert done.code in (0, 1), done.stderr
    return json.loads(done.stdout)


def test_two_commands_need_no_flags_wherever_the_pictures_lie(workplace: Path) -> None:
    order = ("export", "colours.keras", "--int8", "--device", "raspberrypi4")
    done = edgeconv(*order, cwd=workplace)
    assert done.code == 0, done.stderr
    assert "judged on 30 pictures that training never saw" in done.stderr
    assert "calibrated on 60 pictures that trained colours.keras" in done.stderr

    bundle = workplace / "colours-int8"
    manifest = json.loads((bundle / "manifest.json").read_text())
    assert (bundle / "labels.txt").read_text().split() == list(LABELS)
    assert manifest["preprocess"]["scale"] == [1 / 255]
    training = manifest["provenance"]["training"]
    assert training["pictures"] == {"test": 30, "train": 60, "validation": 6}
    assert (training["base"], training["seed"]) == ("mobilenet", 4)
    assert "pictures/" not in json.dumps(manifest), "where pictures lay is nobody's business"
    card = (bundle / "README.md").read_text()
    assert "| test accuracy | 97.50 % |" in card and "| pictures, test | 30 |" in card
    assert "mobilenet" in (bundle / "report.html").read_text()

    verified = documents(
        edgeconv("verify", bundle, "--against", "colours.keras", "--json", cwd=workplace)
    )
    assert verified["verdict"]["samples"] == 30
    assert verified["verdict"]["artifacts"][0]["metrics"]["top1"] == 100.0

    (workplace / "pictures").rename(workplace / "moved")
    again = edgeconv(*order, "--data", "moved", "--output", "again", cwd=workplace)
    assert again.code == 0, again.stderr
    for file in sorted(bundle.iterdir()):
        if file.name not in TIMED:
            assert file.read_bytes() == (workplace / "again" / file.name).read_bytes(), file.name


def test_classify_knows_preprocessing_and_labels(workplace: Path) -> None:
    picture = workplace / "pictures" / "蓝色" / "31.png"
    done = edgeconv("classify", picture, "--model", workplace / "colours.keras", "--json")
    assert documents(done)["results"][0]["top"][0]["label"] == "蓝色"


def test_embed_leaves_the_classifier_out(workplace: Path) -> None:
    pictures = sorted((workplace / "pictures").rglob("3*.png"))
    done = edgeconv("embed", "colours.keras", *pictures, "--output", "v.npz", cwd=workplace)
    assert done.code == 0, done.stderr
    vectors = np.load(workplace / "v.npz")["vectors"]
    assert vectors.shape == (6, 8), "what the last layer takes"


def test_inspect_shows_what_the_model_knows(workplace: Path) -> None:
    done = edgeconv("inspect", "colours.keras", cwd=workplace)
    assert done.code == 0, done.stderr
    assert "red, green, 蓝色" in done.stdout
    assert "30 pictures in pictures" in done.stdout and "mobilenet" in done.stdout
    found = documents(edgeconv("inspect", "colours.keras", "--json", cwd=workplace))
    assert found["knowledge"]["splits"]["train"] == {"folder": "pictures", "pictures": 60}


def refused(done: Outcome, code: int, says: str) -> None:
    lines = done.error_lines()
    assert done.code == code, done.stderr
    assert len(lines) == 2 and says in lines[0], done.stderr


def test_pictures_that_are_gone_or_changed_are_told_before_anything_slow(workplace: Path) -> None:
    lost = workplace / "pictures" / "red" / "05.png"
    content = lost.read_bytes()
    lost.unlink()
    done = edgeconv("export", "colours.keras", cwd=workplace)
    refused(done, 2, "1 of the 60 pictures that colours.keras names as its train split is missing")
    assert "--data DIR" in done.stderr and "load" not in done.stderr

    lost.write_bytes(content + b"\n")
    done = edgeconv("export", "colours.keras", cwd=workplace)
    refused(done, 3, "no longer what they were")

    shutil.rmtree(workplace / "pictures")
    refused(edgeconv("export", "colours.keras", cwd=workplace), 2, "30 of the 30 pictures")
    done = edgeconv("export", "colours.keras", "--data", "nowhere", cwd=workplace)
    refused(done, 2, "no folder 'nowhere'")
    refused(edgeconv("export", "mobilenetv2", "--data", ".", cwd=workplace), 2, "names no pictures")


@pytest.mark.parametrize("command", ["export", "verify", "classify", "embed", "inspect"])
def test_a_record_that_was_made_to_do_harm_is_refused_by_every_command(
    workplace: Path, command: str
) -> None:
    model = workplace / "evil.keras"
    shutil.copy(workplace / "colours.keras", model)
    record = {
        "schema_version": 1,
        "preprocess": {"height": 16, "width": 16},
        "labels": ["a", "b", "c"],
        "splits": {"test": {"root": "..", "files": [["../../etc/passwd.png", "0" * 64, 0]]}},
    }
    with zipfile.ZipFile(model) as old, zipfile.ZipFile(workplace / "new", "w") as new:
        for name in old.namelist():
            content = old.read(name)
            new.writestr(name, json.dumps(record) if name == "edgeconv.json" else content)
    (workplace / "new").replace(model)
    arguments = {
        "export": ("evil.keras",),
        "verify": ("evil.tflite", "--against", "evil.keras"),
        "classify": ("pictures/red/00.png", "--model", "evil.keras"),
        "embed": ("evil.keras", "pictures/red/00.png", "--output", "v.npz"),
        "inspect": ("evil.keras",),
    }[command]
    refused(edgeconv(command, *arguments, cwd=workplace), 3, "leads out of its folder")
