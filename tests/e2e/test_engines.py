"""The engines that devices have, each alone, against what this machine answers."""

import hashlib
import importlib.machinery
import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edgeconv.errors import RefusedInput, Unsupported
from edgeconv.pictures import decode
from edgeconv.preprocess import prepare_image
from edgeconv.runtime import Session
from edgeconv.runtime.manifest import parse_manifest
from tests import bundles
from tests.e2e.command import Outcome, edgeconv

SOAK = Path(__file__).with_name("soak.py")
#: What the runtime may weigh without its engine.
MAX_RUNTIME_BYTES = 300_000

#: What devices have; versions without a number are those of constraints.txt.
#: tflite-runtime 2.14 is the last of its line; its wheels need NumPy 1.x and Python up to 3.11.
DEVICES = {
    "litert": ("numpy", "pillow", "ai-edge-litert"),
    "onnxruntime": ("numpy", "pillow", "onnxruntime"),
    "tflite-runtime": ("numpy==1.26.4", "pillow", "tflite-runtime==2.14.0"),
}

#: Of 100 pictures, the top-1 that LiteRT and tflite-runtime should share, and under which
#: something is broken. Between them lie near ties: docs/runtime.md says what was measured, and why.
TOP1_GOAL, TOP1_FLOOR = 99, 95


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bundles.make_bundle(tmp_path_factory.mktemp("engines"))


@pytest.fixture(scope="module")
def mobilenet(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An int8 bundle of MobileNetV2 with its trained weights."""
    folder = tmp_path_factory.mktemp("mobilenet") / "mobilenetv2-int8"
    done = edgeconv(
        "export", "mobilenetv2", "--weights", shared_data / "models/mobilenetv2_imagenet.keras",
        "--calibration", f"{shared_data / 'imagenet-sample/manifest.csv'}:calibration",
        "--output", folder,
    )  # fmt: skip
    assert done.code == 0, done.stderr
    return folder


# Before anything is parsed.


@pytest.fixture(params=["package", "infer.py"])
def opener(request: pytest.FixtureRequest, bundle: Path) -> Iterator[Any]:
    """``Session``, of the package and of the script that ships."""
    if request.param == "package":
        yield Session
        return
    name = f"infer_{os.getpid()}"
    spec = importlib.util.spec_from_file_location(name, bundle / "infer.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    yield module.Session
    del sys.modules[name]


class Recorder(list[str]):
    """Engines that note that they were given a model, and open none."""

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name, attribute in (
            ("ai_edge_litert.interpreter", "Interpreter"),
            ("tflite_runtime.interpreter", "Interpreter"),
            ("onnxruntime", "InferenceSession"),
            ("onnxruntime", "SessionOptions"),
        ):
            module = ModuleType(name)
            module.__spec__ = importlib.machinery.ModuleSpec(name, None)
            setattr(module, attribute, self.called)
            monkeypatch.setitem(sys.modules, name, module)

    def called(self, *arguments: object, **options: object) -> None:
        self.append("called")
        raise RuntimeError("recorded")


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    engines = Recorder()
    engines.install(monkeypatch)
    return engines


def refused(opener: Any, bundle: Path, error: str) -> None:
    """The script has exceptions of its own, of the same names."""
    for engine in (None, "litert", "onnxruntime"):
        with pytest.raises(Exception) as caught:
            opener.open(bundle, engine=engine)
        assert type(caught.value).__name__ == error, repr(caught.value)


def test_the_recorder_sees_a_model_that_is_parsed(
    opener: Any, bundle: Path, recorder: Recorder
) -> None:
    for engine in (None, "litert", "onnxruntime"):
        with pytest.raises(Exception):  # noqa: B017
            opener.open(bundle, engine=engine)
    assert len(recorder) == 3


def test_one_flipped_byte_at_200_places_of_all_files_reaches_no_engine(
    opener: Any, bundle: Path, recorder: Recorder, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(bundle, tmp_path / "copy"))
    chosen = random.Random(11)
    files = sorted(copy.iterdir())
    places = [(path, i) for path in files for i in _spread(path.stat().st_size, 200, len(files))]
    chosen.shuffle(places)
    assert len(places) >= 200 and {path for path, _ in places} == set(files)
    for path, position in places:
        whole = path.read_bytes()
        broken = bytearray(whole)
        broken[position] ^= chosen.randrange(1, 256)
        path.write_bytes(broken)
        with pytest.raises(Exception) as caught:
            opener.open(copy)
        assert type(caught.value).__name__ == "RefusedInput", (path.name, position, caught.value)
        path.write_bytes(whole)
    assert recorder == []


def _spread(size: int, count: int, files: int) -> list[int]:
    """Evenly spread positions, first and last byte among them."""
    share = -(-count // files)
    return sorted({round(k * (size - 1) / (share - 1)) for k in range(share)})


def test_a_missing_file_or_a_newer_schema_reaches_no_engine(
    opener: Any, bundle: Path, recorder: Recorder, tmp_path: Path
) -> None:
    for path in sorted(bundle.iterdir()):
        copy = Path(shutil.copytree(bundle, tmp_path / path.name))
        (copy / path.name).unlink()
        refused(opener, copy, RefusedInput.__name__)
    copy = Path(shutil.copytree(bundle, tmp_path / "newer"))
    manifest = json.loads((copy / "manifest.json").read_text())
    (copy / "manifest.json").write_text(json.dumps({**manifest, "schema_version": 2}))
    _seal(copy)
    refused(opener, copy, Unsupported.__name__)
    assert recorder == []


def _seal(bundle: Path) -> None:
    names = sorted(path.name for path in bundle.iterdir() if path.name != "SHA256SUMS")
    sums = [f"{hashlib.sha256((bundle / n).read_bytes()).hexdigest()}  {n}\n" for n in names]
    (bundle / "SHA256SUMS").write_text("".join(sums))


# What it weighs.


def test_the_runtime_is_under_300_kb_without_its_engine(bundle: Path) -> None:
    assert (bundle / "infer.py").stat().st_size < MAX_RUNTIME_BYTES
    code = (
        "import sys, os, edgeconv.runtime, edgeconv.runtime.script\n"
        "files = [m.__file__ for n, m in sys.modules.items() if n.split('.')[0] == 'edgeconv']\n"
        "print(sum(os.path.getsize(f) for f in files))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 10_000 < int(done.stdout) < MAX_RUNTIME_BYTES


# Many calls, many threads.


def soak(python: Path, bundle: Path, engine: str, invokes: int) -> dict[str, Any]:
    command = [python, "-I", SOAK, bundle, engine, invokes]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def assert_nothing_grew(found: dict[str, Any]) -> None:
    before, after = found["before"], found["after"]
    growth = 100.0 * (after["rss_kib"] - before["rss_kib"]) / before["rss_kib"]
    print(f"memory {before['rss_kib']} -> {after['rss_kib']} KiB ({growth:+.2f}%)")
    assert growth < 2.0
    assert after["threads"] == before["threads"]
    assert found["equal"], "eight threads that share a session got other answers than one"


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc")
@pytest.mark.parametrize("engine", ["litert", "onnxruntime"])
def test_ten_thousand_invokes_leave_memory_and_threads_as_they_were(
    bundle: Path, engine: str
) -> None:
    assert_nothing_grew(soak(Path(sys.executable), bundle, engine, 10_000))


@pytest.mark.long
@pytest.mark.parametrize("engine", ["litert", "onnxruntime"])
def test_ten_thousand_invokes_of_mobilenetv2_leave_memory_and_threads_as_they_were(
    mobilenet: Path, engine: str
) -> None:
    assert_nothing_grew(soak(Path(sys.executable), mobilenet, engine, 10_000))


# Each engine alone, in an environment of its own.


def _old_enough(engine: str) -> None:
    if engine == "tflite-runtime" and sys.version_info >= (3, 12):
        pytest.skip("tflite-runtime has no wheels for Python 3.12 and later")


def infer(python: Path, bundle: Path, *arguments: object) -> Outcome:
    """Run the script as a device does: -I keeps edgeconv of this folder out of reach."""
    command = [python, "-I", bundle / "infer.py", *arguments]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=600)
    return Outcome(done.returncode, done.stdout, done.stderr)


@pytest.mark.long
@pytest.mark.parametrize("engine", DEVICES)
def test_numpy_pillow_and_one_engine_are_enough(
    bundle: Path, tmp_path: Path, environment: Any, engine: str
) -> None:
    _old_enough(engine)
    python = environment(*DEVICES[engine])
    code = (
        "from importlib.util import find_spec\n"
        "print([n for n in ('tensorflow', 'keras', 'edgeconv') if find_spec(n)])\n"
    )
    done = subprocess.run([python, "-I", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"

    tested = infer(python, bundle, "--self-test", "--json")
    assert tested.code == 0, tested.stdout + tested.stderr
    (row,) = json.loads(tested.stdout)["self_test"]
    assert row["engine"] == engine and row["passed"]

    pixels = np.random.default_rng(5).integers(0, 256, (20, 30, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    here, there = (
        json.loads(infer(p, bundle, tmp_path / "a.png", "--json").stdout)["results"][0]["top"]
        for p in (Path(sys.executable), python)
    )
    assert [row["label"] for row in there] == [row["label"] for row in here]
    assert there[0]["probability"] == pytest.approx(here[0]["probability"], abs=1e-4)


@pytest.mark.long
def test_python_3_9_is_new_enough(bundle: Path, environment: Any) -> None:
    python = environment("numpy<2.1", "pillow<12", "ai-edge-litert<2.2", base=_python_3_9())
    assert infer(python, bundle, "--self-test").code == 0
    done = infer(python, bundle, "--bench", "--json")
    assert json.loads(done.stdout)["python"].startswith("3.9.")


def _python_3_9() -> Path:
    """An interpreter that starts; a name on PATH may be a signpost to one that isn't chosen."""
    found = shutil.which("python3.9")
    pyenv = Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser() / "versions"
    for python in [*([Path(found)] if found else []), *sorted(pyenv.glob("3.9.*/bin/python"))]:
        code = "import sys, venv; sys.exit(sys.version_info[:2] != (3, 9))"
        if subprocess.run([python, "-c", code], capture_output=True).returncode == 0:
            return python
    pytest.skip("there is no Python 3.9 here")


@pytest.mark.long
def test_ten_thousand_invokes_of_tflite_runtime_leave_memory_and_threads_as_they_were(
    bundle: Path, environment: Any
) -> None:
    _old_enough("tflite-runtime")
    python = environment(*DEVICES["tflite-runtime"])
    assert_nothing_grew(soak(python, bundle, "tflite-runtime", 10_000))


@pytest.mark.long
def test_tflite_runtime_beside_numpy_2_says_what_to_do(bundle: Path, environment: Any) -> None:
    _old_enough("tflite-runtime")
    python = environment("numpy", "pillow", "tflite-runtime==2.14.0")
    done = infer(python, bundle, "--bench")
    assert done.code == 5
    assert "numpy<2" in done.stderr
    assert len(done.stderr.splitlines()) == 2


@pytest.mark.long
def test_the_gpu_package_without_a_gpu_names_what_is_missing(
    bundle: Path, environment: Any
) -> None:
    if Path("/proc/driver/nvidia").exists():
        pytest.skip("a machine with a GPU")
    python = environment("numpy", "pillow", "onnxruntime-gpu==1.31.1")
    for device in ("cuda", "tensorrt", "gpu"):
        done = infer(python, bundle, "--bench", "--device", device)
        assert done.code == 5
        assert "libcuda.so.1 is missing" in done.stderr
        assert "driver" in done.stderr
        allowed = infer(python, bundle, "--bench", "--device", device, "--allow-fallback", "--json")
        assert allowed.code == 0, allowed.stderr
        document = json.loads(allowed.stdout)
        assert document["device"] == "cpu"
        assert "runs on the CPU instead" in document["fallback"]


@pytest.mark.long
def test_tflite_runtime_answers_as_litert_does_but_for_near_ties(
    mobilenet: Path, shared_data: Path, tmp_path: Path, environment: Any
) -> None:
    _old_enough("tflite-runtime")
    manifest = parse_manifest((mobilenet / "manifest.json").read_bytes())
    x = _evaluation_pictures(shared_data, manifest.preprocess, 100)
    np.savez(tmp_path / "x.npz", x0=x)
    found = {}
    for engine, python in (
        ("litert", environment(*DEVICES["litert"])),
        ("tflite-runtime", environment(*DEVICES["tflite-runtime"])),
    ):
        files = ("--inputs-npz", tmp_path / "x.npz", "--outputs-npz", tmp_path / "y.npz")
        done = infer(python, mobilenet, *files, "--json")
        assert done.code == 0, done.stderr
        assert json.loads(done.stdout)["engine"]["name"] == engine
        found[engine] = np.load(tmp_path / "y.npz")["y0"]
    new, old = found["litert"], found["tflite-runtime"]
    assert new.dtype == old.dtype == np.int8

    steps = np.abs(new.astype(np.int32) - old.astype(np.int32))
    scale = manifest.artifacts[0].outputs[0].scale
    assert scale is not None
    differs = new.argmax(axis=1) != old.argmax(axis=1)
    equal = int((~differs).sum())
    leads = np.diff(np.sort(new[differs].astype(np.int32), axis=1)[:, -2:], axis=1).ravel()
    told = (
        f"{equal} of 100 top-1 equal (LiteRT's lead in the others: {leads.tolist()} steps); "
        f"{int((steps > 0).sum())} of {steps.size} outputs differ, "
        f"by up to {steps.max()} steps of {scale:.4f} ({steps.max() * scale:.3f}; "
        f"allowed {manifest.tolerance['model.tflite']:.3f}); "
        f"{int((steps == 0).all(axis=1).sum())} of 100 pictures equal in every bit"
    )
    print(f"\n{told}")
    assert steps.max() * scale <= manifest.tolerance["model.tflite"]
    assert equal >= TOP1_FLOOR
    if equal < TOP1_GOAL:
        pytest.xfail(told)


def _evaluation_pictures(shared_data: Path, preprocess: Any, count: int) -> np.ndarray:
    """float32 [count, ...], ready for the model."""
    folder = shared_data / "imagenet-sample"
    rows = (line.split(",") for line in (folder / "manifest.csv").read_text().splitlines())
    files = [row[0] for row in rows if row[-1] == "evaluation"][:count]
    assert len(files) == count
    return np.concatenate([prepare_image(preprocess, decode(folder / file)) for file in files])
