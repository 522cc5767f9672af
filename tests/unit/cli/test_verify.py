"""The verify command in this process: what it refuses, and how it says so."""

import json
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


def test_a_report_that_cannot_be_written_is_the_disk_s_fault(
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    bundle: Path,
    data: Path,
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)

    given = ["--compare", str(bundle), "--data", str(data), "--junit", "no/out.xml"]
    code = main(["verify", str(bundle), *given])

    assert code == 6
    assert "out.xml" in capfd.readouterr().err
