"""Other layouts of a bundle: Triton's model repository and C source."""

import importlib.util
import json
import shutil
import subprocess
import tomllib
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from edgeconv.cli import main
from edgeconv.errors import RefusedInput, Unsupported, UsageError
from edgeconv.package.deploy import deploy
from edgeconv.package.micro import plan_arena, resolver_methods
from edgeconv.package.micro.operators import _KNOWN
from tests import bundles
from tests.conftest import ROOT

NAMES = ("plain", '3 "quotes" */ and \\', "../../etc", "日本")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bundles.make_bundle(tmp_path_factory.mktemp("bundle"))


def renamed(bundle: Path, folder: Path, name: str) -> Path:
    """A copy of the bundle, signed again, whose model has another name."""
    copy = Path(shutil.copytree(bundle, folder / "renamed"))
    manifest = json.loads((copy / "manifest.json").read_text())
    (copy / "manifest.json").write_text(json.dumps({**manifest, "name": name}))
    bundles.sign(copy)
    return copy


def with_tflite(bundle: Path, folder: Path, **changes: object) -> Path:
    """A copy of the bundle, signed again, that says something else of its model.tflite."""
    copy = Path(shutil.copytree(bundle, folder / "changed"))
    manifest = json.loads((copy / "manifest.json").read_text())
    for entry in manifest["artifacts"]:
        if entry["format"] == "tflite":
            entry.update(changes)
    (copy / "manifest.json").write_text(json.dumps(manifest))
    bundles.sign(copy)
    return copy


@pytest.fixture(scope="module")
def triton_schema() -> ModuleType:
    """Triton's model_config.proto, without the client around it (which wants gRPC)."""
    found = importlib.util.find_spec("tritonclient")
    assert found is not None and found.submodule_search_locations
    path = Path(found.submodule_search_locations[0]) / "grpc" / "model_config_pb2.py"
    spec = importlib.util.spec_from_file_location("model_config_pb2", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", NAMES)
def test_triton_config_parses_and_tells_what_the_model_has(
    bundle: Path, tmp_path: Path, triton_schema: ModuleType, name: str
) -> None:
    import onnxruntime
    from google.protobuf import text_format

    repository = deploy(renamed(bundle, tmp_path, name), "triton", tmp_path / "out", force=False)
    (model,) = repository.iterdir()
    config = text_format.Parse((model / "config.pbtxt").read_text(), triton_schema.ModelConfig())
    session = onnxruntime.InferenceSession((model / "1" / "model.onnx").read_bytes())
    assert config.name == model.name
    assert config.platform == "onnxruntime_onnx" and config.max_batch_size > 1
    for ours, theirs in (
        (config.input, session.get_inputs()),
        (config.output, session.get_outputs()),
    ):
        assert [tensor.name for tensor in ours] == [tensor.name for tensor in theirs]
        assert [list(t.dims) for t in ours] == [t.shape[1:] for t in theirs]
        assert {t.data_type for t in ours} == {triton_schema.TYPE_FP32}
    labels = (model / config.output[0].label_filename).read_text().splitlines()
    assert labels == list(bundles.LABELS)


def test_the_c_array_compiles_and_holds_the_model(bundle: Path, tmp_path: Path) -> None:
    out = deploy(bundle, "c-array", tmp_path / "out", force=False)
    (header,), (source,) = out.glob("*.h"), out.glob("*.cc")
    stem = header.stem
    main_file = tmp_path / "main.cc"
    main_file.write_text(
        "#include <cstdio>\n"
        "struct R { int n; void AddReshape() { ++n; } void AddFullyConnected() { ++n; } };\n"
        f'#include "{header.name}"\n'
        "int main() {\n"
        f"  R resolver = {{0}}; {stem.upper()}_REGISTER(resolver)\n"
        f"  if (resolver.n != {stem.upper()}_OPERATORS) return 1;\n"
        f"  if (reinterpret_cast<uintptr_t>({stem}_model) % 16) return 2;\n"
        f"  fwrite({stem}_model, 1, {stem}_model_len, stdout);\n"
        "}\n"
    )
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("needs g++")
    program = tmp_path / "program"
    flags = ["-std=c++11", "-Wall", "-Wextra", "-pedantic", "-Werror", f"-I{out}"]
    subprocess.run([compiler, *flags, main_file, source, "-o", program], check=True)
    result = subprocess.run([program], capture_output=True)
    assert result.returncode == 0
    assert result.stdout == (bundle / "model.tflite").read_bytes()


@pytest.mark.parametrize("name", NAMES)
def test_a_strangers_name_stays_inside_its_comment(bundle: Path, tmp_path: Path, name: str) -> None:
    out = deploy(renamed(bundle, tmp_path, name), "c-array", tmp_path / "out", force=False)
    header = next(out.glob("*.h"))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out", "renamed"]
    assert header.stem.isidentifier() and header.stem.isascii()
    lines = header.read_text().splitlines()
    assert lines[1].startswith("// SHA-256"), "the name took more than its line"
    if compiler := shutil.which("g++"):
        subprocess.run([compiler, "-fsyntax-only", next(out.glob("*.cc"))], check=True)


def test_activations_are_packed_by_lifetime() -> None:
    # image 768 and its reshaped copy 768 live together; then the copy and the logits, 48.
    arena = plan_arena(bundles.tflite_bytes())
    assert arena.head_bytes == 2 * 8 * 8 * 3 * np.dtype("float32").itemsize
    assert arena.bytes % 1024 == 0
    assert arena.bytes >= arena.head_bytes + arena.tail_bytes + arena.cmsis_nn_bytes


@pytest.mark.parametrize(
    ("operator", "method"),
    [
        ("CONV_2D", "AddConv2D"),
        ("DEPTHWISE_CONV_2D", "AddDepthwiseConv2D"),
        ("L2_POOL_2D", "AddL2Pool2D"),
        ("RELU6", "AddRelu6"),
        ("PADV2", "AddPadV2"),
        ("BATCH_MATMUL", "AddBatchMatMul"),
        ("SPACE_TO_BATCH_ND", "AddSpaceToBatchNd"),
        ("RESIZE_NEAREST_NEIGHBOR", "AddResizeNearestNeighbor"),
    ],
)
def test_operators_have_the_resolvers_names(operator: str, method: str) -> None:
    assert resolver_methods([operator]) == [method]


def test_every_operator_of_the_table_is_one_of_the_schema() -> None:
    from ai_edge_litert.schema_py_generated import BuiltinOperator

    assert {name for name in _KNOWN if not hasattr(BuiltinOperator, name)} == set()


def test_the_microcontrollers_profile_names_no_operator_beyond_the_table() -> None:
    profile = tomllib.loads((ROOT / "devices" / "cortex-m.toml").read_text())
    assert set(profile["operators"]["tflite"]["only"]) <= _KNOWN


def test_an_operator_that_microcontrollers_lack_is_named() -> None:
    with pytest.raises(Unsupported, match="no BROADCAST_GRADIENT, ERF"):
        resolver_methods(["CONV_2D", "ERF", "BROADCAST_GRADIENT"])


@pytest.mark.parametrize("layout", ["triton", "c-array"])
def test_force_replaces_its_own_files_and_nothing_else(
    bundle: Path, tmp_path: Path, layout: str
) -> None:
    out = deploy(bundle, layout, tmp_path / "out", force=False)  # type: ignore[arg-type]
    before = {p: p.read_bytes() for p in out.rglob("*") if p.is_file()}
    with pytest.raises(UsageError, match="exists already"):
        deploy(bundle, layout, out, force=False)  # type: ignore[arg-type]
    deploy(bundle, layout, out, force=True)  # type: ignore[arg-type]
    assert {p: p.read_bytes() for p in out.rglob("*") if p.is_file()} == before
    (out / "mine.txt").write_text("precious")
    with pytest.raises(UsageError, match=r"mine\.txt"):
        deploy(bundle, layout, out, force=True)  # type: ignore[arg-type]
    assert (out / "mine.txt").read_text() == "precious"


def test_a_damaged_model_is_refused(bundle: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(bundle, tmp_path / "copy"))
    data = bytearray((copy / "model.tflite").read_bytes())
    data[:4] = b"\xff\xff\xff\x7f"
    bundles.replace_file(copy, "model.tflite", bytes(data))
    with pytest.raises(RefusedInput, match="damaged"):
        deploy(copy, "c-array", tmp_path / "out", force=False)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("precision", ["fp16", "dynamic"])
def test_a_precision_that_microcontrollers_lack_is_refused(
    bundle: Path, tmp_path: Path, precision: str
) -> None:
    copy = with_tflite(bundle, tmp_path, precision=precision)
    with pytest.raises(Unsupported, match=f"runs no {precision} models"):
        deploy(copy, "c-array", tmp_path / "out", force=False)


def test_a_manifest_that_describes_another_file_is_refused(bundle: Path, tmp_path: Path) -> None:
    copy = with_tflite(bundle, tmp_path, sha256="0" * 64)
    with pytest.raises(RefusedInput, match=r"model\.tflite is not the file"):
        deploy(copy, "c-array", tmp_path / "out", force=False)


def test_the_length_is_the_files_and_a_long_name_is_cut(bundle: Path, tmp_path: Path) -> None:
    copy = with_tflite(renamed(bundle, tmp_path, "n" * 900), tmp_path, bytes=1)
    out = deploy(copy, "c-array", tmp_path / "out", force=False)
    (header,) = out.glob("*.h")
    assert header.stem == "n" * 100
    size = (bundle / "model.tflite").stat().st_size
    assert f"_model_len = {size};" in header.read_text()


def test_the_command_lists_what_it_wrote(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    command = ["package", str(bundle), "--target", "c-array", "--output", str(out), "--json"]
    assert main(command) == 0
    listed = json.loads(capsys.readouterr().out)
    assert {row["file"] for row in listed["files"]} == {p.name for p in out.iterdir()}
