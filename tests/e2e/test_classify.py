"""edgeconv classify: the original model on pictures, through the real command line."""

import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from tests.e2e.command import Outcome

Run = Callable[..., Outcome]


def test_a_picture_gets_its_class_and_is_drawn_with_it(
    run: Run, models: Path, pictures: Path, labels: Path, tmp_path: Path
) -> None:
    picture = pictures / "green" / "03.png"
    done = run(
        "classify", picture, "--model", models / "colours.keras", "--preprocess", "unit",
        "--labels", labels, "--top", "2", "--annotate", "answer.png", "--json",
    )  # fmt: skip
    assert done.code == 0, done.stderr
    found = json.loads(done.stdout)
    (result,) = found["results"]
    assert result["top"][0]["label"] == "green"
    assert len(result["top"]) == 2 and 0.5 < result["top"][0]["probability"] <= 1
    drawn = Image.open(io.BytesIO((tmp_path / "answer.png").read_bytes()))
    assert drawn.format == "PNG" and drawn.width >= 320


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("absent.jpg",), 2, "no picture absent.jpg"),
        ((".",), 2, "is a folder"),
        (("broken.png",), 3, "broken.png"),
        (("a.png", "a.png", "--annotate", "out.png"), 2, "takes one picture"),
        (("a.png", "--annotate", "out.jpg"), 2, "writes PNG"),
        (("a.png", "--annotate", "a.png"), 2, "would replace"),
        (("a.png", "--model", "mobilnetv2"), 2, "mobilnetv2"),
    ],
)
def test_what_is_wrong_is_said_before_anything_slow(
    run: Run, tmp_path: Path, arguments: tuple[str, ...], code: int, says: str
) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    (tmp_path / "broken.png").write_bytes(b"no picture")
    done = run("classify", *arguments)
    assert done.code == code
    assert says in done.error_lines()[0]
    assert "✓" not in done.stderr
    assert not (tmp_path / "out.png").exists() and not (tmp_path / "out.jpg").exists()


def test_a_model_without_classes_is_refused(run: Run, models: Path, tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    done = run("classify", "a.png", "--model", models / "autoencoder.keras")
    assert done.code == 2
    assert len(done.error_lines()) == 2
