"""Bad input through the real command line.

Each is one clear line, the right exit code, nothing half-written, no traceback.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image

from tests.e2e.command import Outcome

Run = Callable[..., Outcome]


def assert_refused(done: Outcome, code: int, *words: str) -> None:
    """One line for the cause with these words, one for the remedy, and the code."""
    assert done.code == code, f"exit code {done.code}\n{done.stderr}"
    lines = done.error_lines()
    assert len(lines) <= 2, f"more than cause and remedy:\n{done.stderr}"
    assert lines[0].startswith("edgeconv: "), done.stderr
    for word in words:
        assert word in lines[0], f"{word!r} is not in: {lines[0]}"
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


@pytest.fixture
def export(run: Run, models: Path, pictures: Path, tmp_path: Path) -> Run:
    """``edgeconv export`` of the colour classifier; nothing may be left behind when refused."""

    def call(model: str = "colours.keras", *arguments: object, data: object = None) -> Outcome:
        given = ("--calibration", data or pictures) if data != "" else ()
        path = models / model if not Path(model).is_absolute() else model
        done = run("export", path, "--preprocess", "unit", *given, *arguments, "--output", "out")
        if done.code not in (0, 1):
            assert not (tmp_path / "out").exists(), "a refused export left a bundle"
            leftovers = [p.name for p in tmp_path.iterdir() if p.name.startswith((".out", "out"))]
            assert not leftovers, f"a refused export left {leftovers}"
        return done

    return call


def test_a_missing_model(run: Run) -> None:
    assert_refused(run("export", "nowhere.keras"), 2, "nowhere.keras")


def test_an_unknown_zoo_name_suggests_the_nearest(run: Run) -> None:
    done = run("export", "mobilenet_v9")

    assert_refused(done, 2, "mobilenet_v9")
    assert "mobilenet" in done.error_lines()[1]


def test_a_folder_that_is_no_saved_model(run: Run, pictures: Path) -> None:
    assert_refused(run("export", pictures), 2, "no SavedModel")


def test_a_truncated_keras_file(export: Run, models: Path, tmp_path: Path) -> None:
    whole = (models / "colours.keras").read_bytes()
    (tmp_path / "cut.keras").write_bytes(whole[: len(whole) // 2])

    assert_refused(export(str(tmp_path / "cut.keras")), 3, "cut.keras", "truncated")


def test_a_truncated_h5_file(export: Run, models: Path, tmp_path: Path) -> None:
    whole = (models / "colours.h5").read_bytes()
    (tmp_path / "cut.h5").write_bytes(whole[: len(whole) // 2])

    assert_refused(export(str(tmp_path / "cut.h5")), 3, "cut.h5")


@pytest.mark.parametrize("name", ["lambda.h5", "lambda.keras"])
def test_a_lambda_layer_is_not_run(export: Run, name: str) -> None:
    done = export(name)

    assert_refused(done, 3, "twice", "Lambda")
    assert "--trust" in done.error_lines()[1]


def test_a_link_out_of_an_h5_file(export: Run) -> None:
    assert_refused(export("linked.h5"), 3, "linked.h5", "link")


def test_weights_given_as_a_model(export: Run) -> None:
    assert_refused(export("only.weights.h5"), 3, "only.weights.h5", "no model")


def test_a_preprocessing_file_for_another_size(run: Run, models: Path, tmp_path: Path) -> None:
    (tmp_path / "other.toml").write_text("height = 24\nwidth = 24\n")

    done = run("export", models / "colours.keras", "--preprocess", "other.toml")

    assert_refused(done, 2, "other.toml", "[24, 24, 3]", "[16, 16, 3]")


def test_a_model_that_does_not_say_its_preprocessing(run: Run, models: Path) -> None:
    done = run("export", models / "colours.keras")

    assert_refused(done, 2, "preprocess")
    assert "--preprocess" in done.error_lines()[1]


def test_free_axes_without_an_input_size(export: Run) -> None:
    done = export("free_size.keras")

    assert_refused(done, 4, "free axes")
    assert "--input-size" in done.error_lines()[1]


def test_nan_in_the_weights_names_the_layer(export: Run) -> None:
    assert_refused(export("nan.keras"), 3, "project", "NaN")


def test_missing_data(export: Run) -> None:
    assert_refused(export(data="nowhere"), 2, "nowhere")


def test_a_folder_without_a_picture(export: Run, tmp_path: Path) -> None:
    (tmp_path / "empty" / "red").mkdir(parents=True)
    (tmp_path / "empty" / "red" / "notes.txt").write_text("no picture")

    assert_refused(export(data=tmp_path / "empty"), 3, "empty")


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ("name,label\nred/00.png,red\n", ("file",)),
        ("file,label\nred/99.png,red\n", ("99.png",)),
        ("file,class_index\nred/00.png,first\n", ("first", "class_index")),
        ("file,class_index\nred/00.png,7\n", ("7",)),
        ("file,label\nred/00.png,purple\n", ("purple",)),
    ],
    ids=["no file column", "missing file", "index is text", "index too large", "unknown label"],
)
def test_a_bad_manifest(
    export: Run, pictures: Path, labels: Path, tmp_path: Path, rows: str, words: tuple[str, ...]
) -> None:
    shutil.copytree(pictures, tmp_path / "set")
    manifest = tmp_path / "set" / "manifest.csv"
    manifest.write_text(rows)

    done = export("colours.keras", "--labels", labels, data=manifest)

    assert_refused(done, 3, *words)


def test_a_broken_picture_is_named(export: Run, pictures: Path, tmp_path: Path) -> None:
    shutil.copytree(pictures, tmp_path / "set")
    (tmp_path / "set" / "red" / "00.png").write_bytes(b"no picture at all")

    assert_refused(export(data=tmp_path / "set"), 3, "00.png")


def test_arrays_of_the_wrong_size(export: Run, tmp_path: Path) -> None:
    x = np.random.default_rng(0).random((40, 9, 9, 3), dtype=np.float32)
    np.savez(tmp_path / "small.npz", x=x)

    assert_refused(export(data=tmp_path / "small.npz"), 3, "small.npz")


def test_the_same_pictures_on_both_sides(export: Run, pictures: Path) -> None:
    done = export("colours.keras", "--parity", pictures)

    assert_refused(done, 3, "00.png")


def test_one_calibration_picture_works_with_a_warning(
    export: Run, pictures: Path, labels: Path, tmp_path: Path
) -> None:
    (tmp_path / "one" / "red").mkdir(parents=True)
    pixels = np.random.default_rng(5).integers(0, 255, (16, 16, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "one" / "red" / "a.png")

    done = export("colours.keras", "--labels", labels, "--parity", pictures, data=tmp_path / "one")

    assert done.code in (0, 1), done.stderr
    assert "calibrated on 1" in done.stderr
    assert (tmp_path / "out" / "manifest.json").is_file()


def test_parity_without_labels_is_judged_by_agreement(
    export: Run, pictures: Path, tmp_path: Path
) -> None:
    flat = tmp_path / "flat"
    flat.mkdir()
    for picture in pictures.rglob("*.png"):
        shutil.copy(picture, flat / f"{picture.parent.name}-{picture.name}")

    done = export("colours.keras", "--json", data=flat)

    assert done.code == 0, done.stderr
    verdict = json.loads(done.stdout)["verdict"]
    assert "agreement" in verdict["artifacts"][0]["metrics"]
    assert "top1" not in verdict["artifacts"][0]["metrics"]


def test_labels_that_do_not_fit_the_model(export: Run, tmp_path: Path) -> None:
    (tmp_path / "two.txt").write_text("red\ngreen\n")

    assert_refused(export("colours.keras", "--labels", tmp_path / "two.txt"), 2, "2", "3")


def test_an_output_that_exists_is_kept(run: Run, models: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("years of work")
    arguments = ("export", models / "colours.keras", "--preprocess", "unit", "--output", "out")

    assert_refused(run(*arguments), 2, "out")
    assert_refused(run(*arguments, "--force"), 2, "out")
    assert (tmp_path / "out" / "thesis.txt").read_text() == "years of work"


def test_a_read_only_destination(run: Run, models: Path, pictures: Path) -> None:
    """/proc takes no folder even from root."""
    done = run(
        "export", models / "colours.keras", "--preprocess", "unit", "--calibration", pictures,
        "--output", "/proc/edgeconv-bundle",
    )  # fmt: skip

    assert_refused(done, 6, "/proc")


def test_a_full_disk(run: Run, models: Path, pictures: Path, tmp_path: Path) -> None:
    """/dev/full's kind of failure, by a limit on the size of files."""
    script = (
        "import resource, runpy, sys\n"
        "import edgeconv.package.folder as folder\n"
        "write = folder.write_folder\n"
        "def limited(*a, **k):\n"
        "    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "    import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "    return write(*a, **k)\n"
        "import edgeconv.package.bundle as bundle; bundle.write_folder = limited\n"
        "from edgeconv.cli import main; sys.exit(main(sys.argv[1:]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, "export", models / "colours.keras", "--preprocess", "unit",
         "--calibration", pictures, "--output", tmp_path / "out"],
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip

    assert_refused(Outcome(done.returncode, done.stdout, done.stderr), 6)
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_in_the_middle_leaves_nothing(models: Path, pictures: Path, tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "edgeconv", "export", models / "colours.keras", "--preprocess",
         "unit", "--calibration", pictures, "--output", tmp_path / "out", "--no-cache"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        # A shell's background jobs ignore it, and children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    deadline = time.monotonic() + 60
    children: list[psutil.Process] = []
    while not children and time.monotonic() < deadline:
        children = psutil.Process(process.pid).children()
        time.sleep(0.1)
    assert children, "no TensorFlow process was started"

    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=60)

    assert_refused(Outcome(process.returncode, stdout, stderr), 130, "Interrupted")
    assert not any(child.is_running() for child in children), "TensorFlow lives on"
    assert list(tmp_path.iterdir()) == []


def test_a_format_without_the_precision(export: Run) -> None:
    done = export("colours.keras", "--int16x8")

    assert_refused(done, 4, "ONNX", "int16x8")


def test_errors_are_one_json_object_too(run: Run) -> None:
    done = run("export", "nowhere.keras", "--json")

    assert done.code == 2
    error = json.loads(done.stdout)["error"]
    assert error["code"] == "usage"
    assert error["message"] and error["hint"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("exprot", "mobilenetv2"),
        ("export",),
        ("export", "mobilenetv2", "--int8", "--fp16"),
        ("export", "mobilenetv2", "--int4"),
        ("export", "mobilenetv2", "--format", "coreml"),
        ("export", "mobilenetv2", "--max-drop", "soon"),
        ("export", "mobilenetv2", "--input-size", "-3"),
        ("run", "nowhere", "cat.jpg"),
        ("inspect", "nowhere"),
    ],
    ids=" ".join,
)
def test_wrong_usage_is_one_line(run: Run, arguments: tuple[str, ...]) -> None:
    assert_refused(run(*arguments), 2)


def test_weights_that_are_not_there_say_where_they_would_be(run: Run, tmp_path: Path) -> None:
    done = run(
        "export", "mobilenetv2",
        env={"KERAS_HOME": str(tmp_path / "keras"), "https_proxy": "http://127.0.0.1:9"},
    )  # fmt: skip

    assert_refused(done, 6, "mobilenet_v2")
    assert "--weights" in done.error_lines()[1]


def fake_package(folder: Path, name: str) -> None:
    info = folder / f"{name.replace('-', '_')}-9.9.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 9.9\n")


@pytest.mark.parametrize("command", ["doctor", "export"])
def test_both_onnxruntime_packages_are_told(
    run: Run, models: Path, pictures: Path, tmp_path: Path, command: str
) -> None:
    fake_package(tmp_path / "site", "onnxruntime-gpu")
    arguments = (models / "colours.keras", "--preprocess", "unit", "--calibration", pictures)

    done = run(
        command, *(arguments if command == "export" else ()),
        env={"PYTHONPATH": str(tmp_path / "site")},
    )  # fmt: skip

    assert done.code == 5
    assert "onnxruntime-gpu" in done.stdout + done.stderr
    assert "overwrite" in done.stdout + done.stderr


def test_a_lone_engine_that_cannot_open_the_format(run: Run, bundle: Path, pictures: Path) -> None:
    picture = next(pictures.rglob("*.png"))

    done = run("run", bundle, picture, "--engine", "tflite-runtime")

    assert_refused(done, 5, "tflite-runtime")
    assert "pip install" in done.error_lines()[1]
