"""Damaged and hostile bundles: refused in one line, before a model is parsed."""

import hashlib
import io
import json
import random
import shutil
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeconv.errors import RefusedInput
from edgeconv.package.describe import describe
from edgeconv.runtime import Session, session
from tests import bundles
from tests.e2e.command import edgeconv


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bundles.make_bundle(tmp_path_factory.mktemp("sound"))


@pytest.fixture
def bundle(sound: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sound, tmp_path / "bundle"))


def reseal(bundle: Path) -> None:
    """What an attacker does too: the checksums match again."""
    names = sorted(p.name for p in bundle.iterdir() if p.name != "SHA256SUMS")
    lines = [f"{hashlib.sha256((bundle / n).read_bytes()).hexdigest()}  {n}\n" for n in names]
    (bundle / "SHA256SUMS").write_text("".join(lines))


def edit_manifest(bundle: Path, change: Callable[[dict[str, Any]], object]) -> None:
    manifest = json.loads((bundle / "manifest.json").read_text())
    change(manifest)
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    reseal(bundle)


def test_a_flipped_bit_anywhere_is_refused_before_anything_is_parsed(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def parsed(*arguments: object) -> None:
        pytest.fail("a damaged bundle was parsed")

    monkeypatch.setattr(session, "parse_manifest", parsed)
    monkeypatch.setattr(session, "open_model", parsed)
    chosen = random.Random(0)
    files = sorted(bundle.iterdir())
    sizes = [path.stat().st_size for path in files]
    # Every file a few times, then wherever the bytes are.
    targets = [*files * 5, *chosen.choices(files, weights=sizes, k=200 - 5 * len(files))]
    assert len(targets) == 200
    for path in targets:
        whole = path.read_bytes()
        position = chosen.randrange(len(whole))
        broken = bytearray(whole)
        broken[position] ^= 1 << chosen.randrange(8)
        path.write_bytes(broken)
        with pytest.raises(RefusedInput):
            Session.open(bundle)
            pytest.fail(f"{path.name} with byte {position} changed was opened")
        path.write_bytes(whole)
    monkeypatch.undo()
    assert Session.open(bundle).labels == bundles.LABELS


@pytest.mark.parametrize("keep", [0.0, 0.5, 0.99])
def test_a_truncated_file_is_refused(sound: Path, tmp_path: Path, keep: float) -> None:
    for path in sorted(sound.iterdir()):
        bundle = Path(shutil.copytree(sound, tmp_path / path.name))
        data = path.read_bytes()
        (bundle / path.name).write_bytes(data[: int(len(data) * keep)])
        with pytest.raises(RefusedInput):
            Session.open(bundle)


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "sub/model.tflite", "..", "x"])
def test_no_name_in_the_manifest_leads_out_of_the_folder(bundle: Path, name: str) -> None:
    for change in (
        lambda m: m["artifacts"][0].update(file=name),
        lambda m: m.update(labels=name),
    ):
        copy = Path(shutil.copytree(bundle, bundle.parent / "copy", dirs_exist_ok=True))
        edit_manifest(copy, change)
        with pytest.raises(RefusedInput):
            Session.open(copy)


def test_a_model_file_swapped_for_another_of_the_bundle_is_refused(bundle: Path) -> None:
    edit_manifest(bundle, lambda m: m["artifacts"][0].update(file="model.onnx"))
    with pytest.raises(RefusedInput, match=r"model\.onnx is not the file"):
        Session.open(bundle)


def test_specs_that_are_not_the_files_are_refused(bundle: Path) -> None:
    quantized = {
        "name": "image",
        "shape": [1, 8, 8, 3],
        "dtype": "int8",
        "scale": 0.1,
        "zero_point": 0,
    }
    edit_manifest(bundle, lambda m: m["artifacts"][0].update(inputs=[quantized]))
    with pytest.raises(RefusedInput, match="is float32, not int8"):
        Session.open(bundle)


#: Bytes of the test model's tables that end the process inside LiteRT's loader.
CRASHES_LITERT = {10: 0x06, 181: 0xD1, 182: 0x02, 196: 0x17}


def test_inspect_survives_a_file_that_crashes_the_engine(tmp_path: Path) -> None:
    data = bytearray(bundles.tflite_bytes())
    for position, value in CRASHES_LITERT.items():
        data[position] = value
    (tmp_path / "a.tflite").write_bytes(data)
    done = edgeconv("inspect", tmp_path / "a.tflite")
    assert done.code == 3
    assert len(done.stderr.splitlines()) == 2
    assert "a.tflite is damaged" in done.stderr


@pytest.mark.parametrize("format", ["tflite", "onnx"])
def test_inspect_survives_flipped_bits(tmp_path: Path, format: str) -> None:
    chosen = random.Random(2)
    whole = bundles.tflite_bytes() if format == "tflite" else bundles.onnx_bytes()
    path = tmp_path / f"a.{format}"
    for _ in range(8):
        broken = bytearray(whole)
        # The tables, not the weights, where any bits are as good as others.
        for position in chosen.sample([*range(250), *range(len(whole) - 100, len(whole))], 3):
            broken[position] ^= 1 << chosen.randrange(8)
        path.write_bytes(broken)
        try:
            describe(path)
        except RefusedInput as error:
            assert "\n" not in error.message


def test_a_golden_file_of_pickles_or_bombs_is_refused(bundle: Path) -> None:
    pickled, packed = io.BytesIO(), io.BytesIO()
    np.savez(pickled, input_0=np.array([print], object))
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for i in range(5):
            archive.writestr(f"{i}.npy", bytes(60 << 20))
    for data in (pickled.getvalue(), packed.getvalue(), b"PK"):
        (bundle / "golden.npz").write_bytes(data)
        reseal(bundle)
        done = _infer(bundle, "--self-test")
        assert done.code == 3, done.stderr
        assert "Traceback" not in done.stderr


def test_a_label_can_not_steer_the_terminal(bundle: Path) -> None:
    (bundle / "labels.txt").write_text("\x1b]0;owned\x07\n" * 10)
    reseal(bundle)
    with pytest.raises(RefusedInput, match="control character"):
        Session.open(bundle)


@pytest.mark.parametrize("command", ["run", "inspect", "infer.py"])
def test_the_command_line_says_it_in_one_line(bundle: Path, tmp_path: Path, command: str) -> None:
    np.save(tmp_path / "x.npy", bundles.golden_inputs())
    data = bytearray((bundle / "model.onnx").read_bytes())
    data[100] ^= 1
    (bundle / "model.onnx").write_bytes(data)
    inputs = [tmp_path / "x.npy"]
    if command == "infer.py":
        plain, as_json = _infer(bundle, *inputs), _infer(bundle, *inputs, "--json")
    else:
        inputs = inputs if command == "run" else []
        plain = edgeconv(command, bundle, *inputs)
        as_json = edgeconv(command, bundle, *inputs, "--json")
    assert (plain.code, as_json.code) == (3, 3)
    assert plain.stdout == ""
    assert "model.onnx is not the file that SHA256SUMS lists" in plain.stderr.splitlines()[0]
    assert len(plain.stderr.splitlines()) == 2
    error = json.loads(as_json.stdout)["error"]
    assert error["code"] == "refused-input"
    assert error["hint"]


def _infer(bundle: Path, *arguments: object) -> Any:
    import subprocess

    from tests.e2e.command import Outcome

    command = [sys.executable, "-I", str(bundle / "infer.py"), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    return Outcome(done.returncode, done.stdout, done.stderr)
