"""Devices: what was asked for and is not there is an error, or a note where that was allowed."""

import os
import stat
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from edgeconv.errors import HostFailure, MissingDependency, RefusedInput, Unsupported, UsageError
from edgeconv.runtime import Session, gpu, providers
from edgeconv.runtime.engines import open_model
from edgeconv.runtime.providers import Place, start_session
from tests import bundles

GPUS = ("cuda", "tensorrt", "gpu")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bundles.make_bundle(tmp_path_factory.mktemp("devices"))


@pytest.fixture
def cpu_only() -> None:
    import onnxruntime

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this ONNX Runtime is built with CUDA")


@pytest.mark.parametrize("device", GPUS)
def test_a_device_that_is_not_there_is_an_error_and_names_the_package(
    bundle: Path, device: str, cpu_only: None
) -> None:
    with pytest.raises(MissingDependency, match=r"built without (CUDA|TensorRT)") as caught:
        Session.open(bundle, device=device)
    assert "onnxruntime-gpu" in caught.value.hint
    assert caught.value.exit_code == 5


@pytest.mark.parametrize("device", GPUS)
def test_a_fallback_that_was_allowed_answers_as_the_cpu_and_says_so(
    bundle: Path, device: str, cpu_only: None
) -> None:
    opened = Session.open(bundle, device=device, allow_fallback=True)
    assert (opened.artifact.file, opened.model.device) == ("model.onnx", "cpu")
    assert "built without CUDA" in opened.model.note
    assert opened.model.note.endswith("It runs on the CPU instead.")
    plain = Session.open(bundle, engine="onnxruntime")
    assert (plain.model.device, plain.model.note) == ("cpu", "")
    x = bundles.golden_inputs()
    assert opened.run([x])[2].outputs[0].tolist() == plain.run([x])[2].outputs[0].tolist()


def test_a_tflite_engine_knows_only_the_cpu(bundle: Path) -> None:
    with pytest.raises(Unsupported, match="CPU, not on cuda") as caught:
        Session.open(bundle, device="cuda", engine="litert")
    assert "onnxruntime" in caught.value.hint
    opened = Session.open(bundle, device="cuda", engine="litert", allow_fallback=True)
    assert (opened.artifact.file, opened.model.device) == ("model.tflite", "cpu")
    assert "not on cuda" in opened.model.note


def test_a_bundle_without_onnx_has_nothing_for_a_gpu(tmp_path: Path) -> None:
    only = bundles.artifact(tmp_path / "a.tflite", "tflite", bundles.tflite_bytes())
    bundle = bundles.make_bundle(tmp_path, artifacts=[only])
    with pytest.raises(Unsupported, match="bundle has none") as caught:
        Session.open(bundle, device="gpu")
    assert "--format onnx" in caught.value.hint
    assert Session.open(bundle, device="gpu", allow_fallback=True).model.device == "cpu"


def test_an_unknown_device_is_a_usage_error(bundle: Path) -> None:
    with pytest.raises(UsageError, match="no device 'npu'"):
        Session.open(bundle, device="npu")
    with pytest.raises(UsageError, match="no device 'npu'"):
        open_model(bundles.onnx_bytes(), "onnx", device="npu")


def test_a_corrupt_file_is_no_reason_to_try_another_device() -> None:
    import onnxruntime

    for place in (Place(), Place(device="gpu", allow_fallback=True)):
        with pytest.raises(RefusedInput):
            start_session(onnxruntime, b"\x08\x09garbage", place)


@pytest.fixture
def idle_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """``cuda`` becomes a device that starts and takes no operator; the CPU runs them all."""
    monkeypatch.setattr(providers, "_demand_provider", lambda library, device: None)
    monkeypatch.setitem(providers._PROVIDERS, "cuda", ("CPUExecutionProvider",))


def test_operators_on_the_cpu_are_an_error_unless_that_was_allowed(idle_device: None) -> None:
    import onnxruntime

    data, place = bundles.onnx_bytes(), Place(device="cuda")
    with pytest.raises(Unsupported, match="2 operators run on the CPU: Flatten, MatMul") as caught:
        start_session(onnxruntime, data, place)
    assert "--allow-fallback" in caught.value.hint
    started = start_session(onnxruntime, data, place._replace(allow_fallback=True))
    assert started.device == "cuda"
    assert started.note == "2 operators run on the CPU: Flatten, MatMul."


def test_an_onnx_runtime_that_can_not_tell_refuses_what_it_leaves_to_the_cpu(
    idle_device: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    import onnxruntime

    monkeypatch.setattr(providers, "_tells_assignment", lambda session: False)
    monkeypatch.setitem(providers._PROVIDERS, "cuda", ())
    with pytest.raises(Unsupported, match="did not start, or can't run all"):
        start_session(onnxruntime, bundles.onnx_bytes(), Place(device="cuda"))


def test_a_provider_that_onnx_runtime_left_out_is_an_error(
    monkeypatch: pytest.MonkeyPatch, cpu_only: None
) -> None:
    import onnxruntime

    monkeypatch.setattr(providers, "_demand_provider", lambda library, device: None)
    words = "CUDA did not start in ONNX Runtime"
    with (
        pytest.warns(UserWarning, match="not in available"),
        pytest.raises(MissingDependency, match=words),
    ):
        start_session(onnxruntime, bundles.onnx_bytes(), Place(device="cuda"))


def test_no_session_moves_to_the_cpu_in_the_middle_of_a_run() -> None:
    import onnxruntime

    session = start_session(onnxruntime, bundles.onnx_bytes(), Place()).session
    assert session._enable_fallback is False


@pytest.fixture
def shared_library(tmp_path: Path) -> Callable[[str], Any]:
    """An ``onnxruntime`` whose CUDA provider wants a library that nobody has."""
    import ctypes.util
    import subprocess

    def make(wanted: str) -> Any:
        if ctypes.util.find_library("c") is None or not Path("/usr/bin/gcc").exists():
            pytest.skip("needs gcc")
        capi = tmp_path / "capi"
        capi.mkdir()
        (tmp_path / "empty.c").write_text("int edgeconv_nothing(void) { return 0; }\n")
        build = ["gcc", "-shared", "-fPIC", tmp_path / "empty.c", "-o"]
        subprocess.run([*build, tmp_path / wanted, f"-Wl,-soname,{wanted}"], check=True)
        needs = [*build, capi / "libonnxruntime_providers_cuda.so"]
        subprocess.run([*needs, "-Wl,--no-as-needed", tmp_path / wanted], check=True)
        (tmp_path / wanted).unlink()
        return SimpleNamespace(__file__=str(tmp_path / "__init__.py"))

    return make


def test_the_missing_library_is_named_with_what_brings_it(
    shared_library: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    library = shared_library("libcudnn.so.99")
    import ctypes

    if Path("/proc/driver/nvidia").exists():
        pytest.skip("a machine with the driver")
    assert gpu.missing_library(library, "cuda") == "libcuda.so.1"
    real = ctypes.CDLL
    monkeypatch.setattr(ctypes, "CDLL", lambda name: None if "libcuda." in name else real(name))
    assert gpu.missing_library(library, "cuda") == "libcudnn.so.99"
    assert "cudnn" in gpu.who_brings("libcudnn.so.99")
    assert "driver" in gpu.who_brings("libcuda.so.1")
    assert gpu.who_brings("libnvinfer.so.10") == "pip install 'tensorrt<11'"
    assert gpu.who_brings("libnvonnxparser.so") == "pip install 'tensorrt'"
    assert "cuda" in gpu.who_brings("libcublasLt.so.13")


def test_engines_are_kept_one_folder_a_model_where_the_user_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(gpu.CACHE_VARIABLE, str(tmp_path / "mine"))
    a, b = gpu.engine_cache(b"a"), gpu.engine_cache(b"b")
    assert a != b and a == gpu.engine_cache(b"a") and a.parent == tmp_path / "mine"
    assert stat.S_IMODE(a.stat().st_mode) == 0o700
    options = gpu.tensorrt_options(b"... QuantizeLinear ...", half=False)
    assert options["trt_engine_cache_enable"] and options["trt_int8_enable"]
    assert not options["trt_fp16_enable"]
    assert not gpu.tensorrt_options(b"a", half=True)["trt_int8_enable"]
    monkeypatch.delenv(gpu.CACHE_VARIABLE)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert gpu.engine_cache(b"a").parent == tmp_path / "cache" / "edgeconv" / "tensorrt"


def test_a_cache_that_others_may_write_to_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(gpu.CACHE_VARIABLE, str(tmp_path))
    gpu.engine_cache(b"a").chmod(0o777)
    with pytest.raises(RefusedInput, match="Others may write"):
        gpu.engine_cache(b"a")
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(gpu.CACHE_VARIABLE, str(tmp_path / "file"))
    with pytest.raises(HostFailure, match="can't be made") as caught:
        gpu.engine_cache(b"a")
    assert os.environ[gpu.CACHE_VARIABLE] in caught.value.message


def test_tensorrt_is_found_where_pip_puts_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tensorrt_libs.py").write_text("import os; os.environ['SEEN_BY_TEST'] = 'yes'")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("SEEN_BY_TEST", "no")
    gpu.preload_libraries(SimpleNamespace(), "cuda")
    assert os.environ["SEEN_BY_TEST"] == "no"
    gpu.preload_libraries(SimpleNamespace(), "tensorrt")
    assert os.environ["SEEN_BY_TEST"] == "yes"
