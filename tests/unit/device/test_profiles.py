"""Device profiles: the twelve that ship, and files of strangers."""

import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from edgeconv.cli import main
from edgeconv.device import device_names, find_device
from edgeconv.device.profile_text import ENGINES
from edgeconv.errors import EdgeconvError, HostFailure, RefusedInput, UsageError

ROOT = Path(__file__).resolve().parents[3]
FOLDER = ROOT / "devices"
PROMISED = {
    "raspberrypi3", "raspberrypi4", "raspberrypi5", "jetson-orin", "x86-vnni", "gpu-cuda",
    "gpu-tensorrt", "android-cpu", "android-gpu", "coral-edgetpu", "cortex-m", "browser",
}  # fmt: skip
GOOD = (FOLDER / "raspberrypi4.toml").read_text()


def own(folder: Path, text: str, name: str = "mine.toml") -> str:
    path = folder / name
    path.write_text(text)
    return str(path)


def refusal(folder: Path, text: str) -> EdgeconvError:
    with pytest.raises(EdgeconvError) as caught:
        find_device(own(folder, text))
    assert "\n" not in caught.value.message and "mine.toml" in caught.value.message
    assert caught.value.exit_code in (2, 3) and len(caught.value.message) < 400
    return caught.value


def test_every_promised_device_has_a_profile():
    assert set(device_names()) >= PROMISED


@pytest.mark.parametrize("name", sorted(PROMISED))
def test_a_profile_is_whole_and_each_fact_has_a_source(name):
    device = find_device(name)

    assert device.default_precision in device.precisions
    assert len(device.default_reason) > 20
    assert set(device.operators) == set(device.formats)
    assert all(ENGINES[device.runtime.engine] == format for format in device.formats)
    facts = {"processor", "runtime", "precisions", "default_precision", "memory", "operators"}
    assert set(device.sources) == facts | ({"int8"} if "int8" in device.precisions else set())
    for fact, source in device.sources.items():
        assert "https://" in source or source.startswith("an assumption"), (fact, source)


@pytest.mark.parametrize("name", sorted(PROMISED))
def test_operators_are_those_of_the_format(name):
    from ai_edge_litert import schema_py_generated as schema
    from onnx import defs

    known = {
        "tflite": {op for op in vars(schema.BuiltinOperator) if op.isupper()},
        "onnx": {op.name for op in defs.get_all_schemas()},
    }
    for format, rules in find_device(name).operators.items():
        named = {*(rules.only or ()), *rules.exceptions, *rules.limits}
        assert named <= known[format]
        assert all(rules.runs(op) for op in rules.limits)


def test_conventions_are_those_that_the_vendors_name():
    coral, orin, cuda = map(find_device, ("coral-edgetpu", "jetson-orin", "gpu-cuda"))

    assert coral.precisions == ("int8",) and coral.int8.integer_only
    assert coral.int8.io_dtype == "int8" and coral.on_chip_mib == 8
    assert orin.int8.activations == "signed" and orin.int8.symmetric
    assert orin.runtime.providers[0] == "TensorrtExecutionProvider"
    assert cuda.default_precision == "fp16" and "no gain" in cuda.default_reason
    assert find_device("raspberrypi3").runtime.engine == "tflite-runtime"
    assert find_device("x86-vnni").int8.activations == "unsigned"
    assert find_device("android-gpu").default_precision == "fp16"


def test_a_name_that_is_nearly_right_gets_the_right_ones():
    with pytest.raises(UsageError, match="no device 'rasberrypi4'") as caught:
        find_device("rasberrypi4")
    assert "raspberrypi4" in caught.value.hint
    with pytest.raises(UsageError) as caught:
        find_device("GPU")
    assert "android-gpu or gpu-cuda or gpu-tensorrt" in caught.value.hint
    with pytest.raises(UsageError) as caught:
        find_device("toaster")
    assert all(name in caught.value.hint for name in PROMISED)


def test_a_file_of_ones_own_goes_by_its_path(tmp_path):
    device = find_device(own(tmp_path, GOOD.replace("ram_mib = 2048", "ram_mib = 512.5")))
    assert (device.name, device.ram_mib) == ("mine", 512.5)


@pytest.mark.parametrize(
    ("old", "new", "named", "hinted"),
    [
        ("[memory]", "[memory]\nrom_mib = 3", "memory.rom_mib", "ram_mib"),
        ("schema_version = 1", "schema_version = 1\ncolour = 1", "'colour'", "Known"),
        ("threads = 4", f"threads = 4\n{'x' * 9000} = 1", "runtime.xxx", "Known"),
        ("providers = []", "", "runtime.providers", "missing"),
        ("ram_mib = 2048", "ram_mib = nan", "memory.ram_mib", "mebibytes"),
        ("ram_mib = 2048", "ram_mib = true", "memory.ram_mib", "mebibytes"),
        ("ram_mib = 2048", "ram_mib = -1", "memory.ram_mib", "mebibytes"),
        ("ram_mib = 2048", f"ram_mib = 1{'0' * 400}", "memory.ram_mib", "mebibytes"),
        ("ram_mib = 2048", f"ram_mib = 0x1{'0' * 9000}", "memory.ram_mib", "mebibytes"),
        ("threads = 4", f"threads = 0x1{'0' * 9000}", "runtime.threads", "whole number"),
        ("threads = 4", "threads = 0", "runtime.threads", "1 to"),
        ("threads = 4", 'threads = "4"', "runtime.threads", "whole number"),
        ('engine = "litert"', 'engine = "tvm"', "runtime.engine", "litert"),
        ('engine = "litert"', 'engine = ["litert"]', "runtime.engine", "litert"),
        ('engine = "litert"', 'engine = "onnxruntime"', "formats names tflite", "onnx"),
        ('formats = ["tflite"]', "formats = []", "formats", "tflite"),
        ('formats = ["tflite"]', 'formats = ["tflite", "onnx"]', "operators.onnx", "missing"),
        ('default_precision = "int8"', 'default_precision = "int4"', "default_precision", "int8"),
        ('activations = "signed"', 'activations = "unsigned"', "int8.activations", "TFLite"),
        ('io_dtype = "int8"', 'io_dtype = "float32"', "int8.io_dtype", "int8"),
        ("except = []", 'except = ["CONV 2D"]', "CONV 2D", "CONV_2D"),
        ("except = []", 'except = []\nonly = ["ADD"]', "operators.tflite", "either"),
        ("except = []", "except = {}", "operators.tflite.except", "list"),
        ("schema_version = 1", "schema_version = 2", "schema_version", "1"),
        ("[sources]", "[sources]\nweather = 'fine'", "sources.weather", "Known"),
        ("[memory]\n", "[[memory]]\n", "memory", "table"),
    ],
)  # fmt: skip
def test_what_no_profile_says_is_refused_with_its_file_and_key(tmp_path, old, new, named, hinted):
    assert old in GOOD
    error = refusal(tmp_path, GOOD.replace(old, new, 1))
    assert isinstance(error, UsageError)
    assert named in error.message and hinted in f"{error.message} {error.hint}"


@pytest.mark.parametrize(
    "text",
    ["", "[", "a = " + "[" * 5000, f"a = {'9' * 9000}", "title = '\x1b[2J'", '"a\\u0000b" = 1'],
    ids=["empty", "no TOML", "deep", "long number", "control character", "NUL in a key"],
)
def test_files_that_are_no_profile_are_refused_in_one_line(tmp_path, text):
    refusal(tmp_path, text)


@pytest.mark.parametrize("hostile", ["\\u001b]0;x\\u0007", "a\\nb", "\\u202egpj", "x" * 5000, " "])
def test_text_that_steers_a_terminal_or_floods_it_is_refused(tmp_path, hostile):
    line = re.search(r"^title = .*$", GOOD, re.MULTILINE)[0]
    error = refusal(tmp_path, GOOD.replace(line, f'title = "{hostile}"'))
    assert "title" in error.message and len(error.message) < 200


def test_a_file_that_is_too_large_no_text_or_no_file_is_refused(tmp_path):
    (tmp_path / "large.toml").write_bytes(b"#" * (1 << 20))
    (tmp_path / "bytes.toml").write_bytes(b"title = '\xff'")
    (tmp_path / "folder.toml").mkdir()
    os.mkfifo(tmp_path / "pipe.toml")
    for name, kind in [
        ("large", RefusedInput), ("bytes", RefusedInput), ("folder", UsageError),
        ("pipe", UsageError), ("absent", UsageError),
    ]:  # fmt: skip
        with pytest.raises(kind, match=name):
            find_device(str(tmp_path / f"{name}.toml"))
    with pytest.raises(UsageError, match="is no file"):
        find_device("./")


def test_a_file_name_that_is_no_name_is_refused(tmp_path):
    with pytest.raises(UsageError, match="can't be the name of a device"):
        find_device(own(tmp_path, GOOD, "my board.toml"))


def test_installation_without_profiles_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr("edgeconv.device.profiles._PACKAGE", tmp_path / "edgeconv")
    with pytest.raises(HostFailure, match="missing from this installation"):
        device_names()


def test_the_list_has_every_device_and_json_every_fact(capsys):
    import json

    assert main(["devices"]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines() if line.strip()]
    for name in PROMISED:
        row = next(row for row in rows if row[0] == name)
        device = find_device(name)
        assert row[1:4] == [
            device.runtime.engine,
            ", ".join(device.formats),
            device.default_precision,
        ]
    assert main(["devices", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)["devices"]
    assert [device["name"] for device in listed] == device_names()
    assert main(["devices", "cortex-m", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["device"]["flash_mib"] == 1


def test_one_device_is_shown_with_its_sources_and_limits(capsys):
    assert main(["devices", "coral-edgetpu"]) == 0
    out = capsys.readouterr().out
    for text in ("TRANSPOSE_CONV", "shared_axes", "edgetpu_compiler", "sources", "coral.ai"):
        assert text in out


def test_markup_in_a_file_is_shown_as_it_stands(tmp_path, capsys):
    line = re.search(r"^title = .*$", GOOD, re.MULTILINE)[0]
    path = own(tmp_path, GOOD.replace(line, 'title = "[red]A[/red] <b>"'))
    assert main(["devices", path]) == 0
    assert "[red]A[/red] <b>" in capsys.readouterr().out


def test_the_file_of_a_profile_begins_a_new_one(tmp_path, capsys):
    assert main(["devices", "browser", "--toml"]) == 0
    text = capsys.readouterr().out
    assert tomllib.loads(text) == tomllib.loads((FOLDER / "browser.toml").read_text())
    assert find_device(own(tmp_path, text)).runtime == find_device("browser").runtime
    steering = "# \u202e\x9b31m comment\n" + GOOD
    assert main(["devices", own(tmp_path, steering), "--toml"]) == 0
    assert not {"\u202e", "\x9b"} & set(capsys.readouterr().out)


def test_the_profiles_need_neither_tensorflow_nor_an_engine():
    code = (
        "import sys; from edgeconv.cli import main; code = main(['devices'])\n"
        "heavy = {'tensorflow', 'keras', 'onnx', 'onnxruntime', 'ai_edge_litert'}\n"
        "found = heavy & {*sys.modules}\n"
        "assert code == 0 and not found, found"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


def test_wheel_carries_the_profiles(tmp_path):
    pytest.importorskip("hatchling", reason="hatchling builds the wheel that is looked into")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        wheel.extractall(tmp_path / "site")
    # Only the wheel's own copy is on this path, so an answer proves that it was found.
    code = (
        "from edgeconv.device.profiles import device_names, find_device\n"
        "print(device_names(), find_device('browser').title)"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path / "site", capture_output=True, text=True
    )
    assert run.stdout.strip() == f"{device_names()} {find_device('browser').title}", run.stderr
    installed = tmp_path / "site" / "edgeconv" / "_devices"
    assert {path.stem for path in installed.glob("*.toml")} == set(device_names())
