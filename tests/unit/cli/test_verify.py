"""The verify command in this process: what it refuses, and how it says so."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from edgeconv.cli import main
from tests import bundles


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bundles.make_bundle(tmp_path_factory.mktemp("bundle"))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "x.npz"
    np.savez(path, x=np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3), dtype=np.uint8))
    return path


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("nothing",), 2, "nothing does not exist"),
        (("BUNDLE", "--compare", "nothing"), 2, "nothing does not exist"),
        (("BUNDLE", "--data", "nothing.csv"), 2, "no data"),
        (("BUNDLE",), 2, "--against"),
        (("BUNDLE", "--compare", "BUNDLE", "--against", "x.keras"), 2, "two references"),
        (("BUNDLE", "--against", "nosuchmodel"), 2, "nosuchmodel"),
        (("BUNDLE", "--compare", "BUNDLE", "--policy", "none.toml"), 2, "none.toml"),
        (
            ("BUNDLE", "--compare", "BUNDLE", "--policy", "none.toml", "--max-drop", "top1=1"),
            2,
            "two policies",
        ),
        (("BUNDLE", "--compare", "BUNDLE", "--max-drop", "top1"), 2, "--max-drop"),
        (("BUNDLE", "--compare", ""), 2, "--compare: it is empty"),
        (("", "--compare", "BUNDLE"), 2, "it is empty"),
        (("BUNDLE", "--compare", "BUNDLE", "--junit", ""), 2, "--junit: it is empty"),
        (("BUNDLE", "--compare", "."), 2, "no bundle"),
        (("BUNDLE", "--compare", "BUNDLE", "--junit", "a", "--report", "a"), 2, "same file"),
        (("BUNDLE", "--compare", "BUNDLE", "--labels", "l.txt"), 2, "--labels tells"),
        (("BUNDLE", "--weights", "w.h5"), 2, "--weights tells"),
        (("x.keras", "--against", "broken.tflite"), 2, "converted file"),
        (("broken.tflite", "--compare", "BUNDLE"), 3, "broken.tflite"),
        (("broken.onnx", "--compare", "BUNDLE"), 3, "broken.onnx"),
    ],
)
def test_errors_say_what_and_what_to_do(
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    bundle: Path,
    data: Path,
    tmp_path: Path,
    arguments: tuple[str, ...],
    code: int,
    words: str,
) -> None:
    for name in ("broken.tflite", "broken.onnx"):
        (tmp_path / name).write_bytes(b"\x1c\0\0\0TFL3" + bytes(range(256)))
    (tmp_path / "x.keras").write_bytes(b"")
    monkeypatch.chdir(tmp_path)
    given = [str(bundle) if a == "BUNDLE" else a for a in arguments]
    items = [] if "--data" in arguments else ["--data", str(data)]

    assert main(["verify", *given, *items, "--json"]) == code

    output = capfd.readouterr()
    error = json.loads(output.out)["error"]
    assert words in error["message"] + error["hint"]
    assert "Traceback" not in output.err


@pytest.mark.parametrize("option", ["--junit", "--report"])
@pytest.mark.parametrize("path", ["no/out", "."])
def test_a_file_that_cannot_be_written_is_refused_before_anything_is_run(
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    option: str,
    path: str,
) -> None:
    monkeypatch.chdir(tmp_path)

    code = main(["verify", "nothing", "--compare", "nothing", option, path])

    assert code == 6
    assert f"{path} can't be written" in capfd.readouterr().err


def test_the_page_says_what_was_compared_with_what_and_shows_what_changed(
    bundle: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    shutil.copytree(bundle, other)
    manifest = json.loads((other / "manifest.json").read_text())
    manifest["preprocess"]["color"] = "bgr"
    (other / "manifest.json").write_text(json.dumps(manifest))
    bundles.sign(other)
    pixels = np.random.default_rng(0).integers(0, 256, (24, 8, 8, 3), dtype=np.uint8)
    np.savez(tmp_path / "x.npz", x=pixels)
    page = tmp_path / "report.html"

    given = ["--compare", str(bundle), "--data", str(tmp_path / "x.npz"), "--report", str(page)]
    assert main(["verify", str(other), *given]) == 1

    text = page.read_text()
    assert "against tiny on" in text and "x.npz" in text
    assert "data:image/jpeg;base64," in text
    assert "Looks like" in text


def test_a_summary_that_cannot_be_written_hides_no_verdict(
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    bundle: Path,
    data: Path,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "absent" / "summary.md"))

    code = main(["verify", str(bundle), "--compare", str(bundle), "--data", str(data), "--json"])

    told = capfd.readouterr()
    assert code == 0
    assert json.loads(told.out)["verdict"]["status"] == "pass"
    assert "GITHUB_STEP_SUMMARY" in told.err
