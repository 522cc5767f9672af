"""Streams that are closed, full, narrow in encoding or given up, and signals at any moment."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from PIL import Image

from tests import bundles


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bundles.make_bundle(tmp_path_factory.mktemp("streams"))


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "kätzchen.png"
    Image.new("RGB", (9, 9)).save(path)
    return path


def shell(script: str, *arguments: object, **env: str) -> subprocess.CompletedProcess:
    """Run a line of shell in which ``edgeconv`` is the command and ``$1``... the arguments."""
    return subprocess.run(
        ["bash", "-c", f'edgeconv() {{ "$PYTHON" -m edgeconv "$@"; }}; {script}', "-",
         *map(str, arguments)],
        capture_output=True, text=True, timeout=120,
        env={**os.environ, "PYTHON": sys.executable, **env},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("script", "code"),
    [
        ('edgeconv --help > >(true); sleep 0.1; (sleep 0.5; edgeconv --help) | true', 0),
        ('edgeconv run "$1" nowhere.png --json | true; exit ${PIPESTATUS[0]}', 2),
        ('edgeconv run "$1" nowhere.png --json > /dev/full', 2),
        ('edgeconv run "$1" nowhere.png 2> /dev/full', 2),
        ('edgeconv models --json > /dev/full', 6),
        ('edgeconv --help > /dev/full', 6),
        ('edgeconv run "$1" "$2" >&-', 0),
        ('edgeconv run "$1" nowhere.png <&- >&- 2>&-', 2),
        ('"$PYTHON" "$1"/infer.py nowhere.png --json | true; exit ${PIPESTATUS[0]}', 2),
        ('"$PYTHON" "$1"/infer.py "$2" >&-', 0),
    ],
)  # fmt: skip
def test_a_stream_that_is_gone_changes_no_exit_code(
    small: Path, picture: Path, script: str, code: int
) -> None:
    done = shell(script, small, picture)

    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr and "Exception ignored" not in done.stderr
    assert len(done.stderr.splitlines()) <= 2


@pytest.mark.parametrize("program", ["edgeconv run", '"$PYTHON" "$0"/infer.py'])
def test_a_terminal_without_the_letters_gets_escapes(
    small: Path, picture: Path, program: str
) -> None:
    command = program.replace("$0", str(small))
    bundle = str(small) if program == "edgeconv run" else ""
    plain = shell(f'{command} {bundle} "$1"', picture, PYTHONIOENCODING="ascii")
    as_json = shell(f'{command} {bundle} "$1" --json', picture, PYTHONIOENCODING="ascii")

    assert (plain.returncode, plain.stderr) == (0, "")
    assert plain.stdout.startswith("k\\xe4tzchen.png")
    assert json.loads(as_json.stdout)["results"][0]["input"] == "kätzchen.png"


def test_a_name_that_is_no_text_is_still_json(small: Path, tmp_path: Path) -> None:
    path = os.fsencode(tmp_path) + b"/\xff.png"
    Image.new("RGB", (9, 9)).save(os.fsdecode(path))

    done = shell('cd "$2" && edgeconv run "$1" $\'\\xff.png\' --json', small, tmp_path)

    assert json.loads(done.stdout)["results"][0]["input"] == "\udcff.png"


def test_an_export_whose_progress_nobody_reads_is_finished(
    models: Path, pictures: Path, tmp_path: Path
) -> None:
    script = 'edgeconv export "$1" --preprocess unit --calibration "$2" --output "$3" --fp32'
    arguments = (models / "colours.keras", pictures)

    unread = shell(f"{script} 2>&1 | true", *arguments, tmp_path / "unread")
    closed = shell(f"{script} <&- >&- 2>&-", *arguments, tmp_path / "closed")

    assert (unread.returncode, closed.returncode) == (0, 0)
    for name in ("unread", "closed"):
        assert (tmp_path / name / "SHA256SUMS").is_file()


@pytest.mark.parametrize("program", ["edgeconv run", '"$PYTHON" -I "$1"/infer.py'])
def test_onnx_runtime_leaves_no_trace_on_the_machine(
    small: Path, picture: Path, tmp_path: Path, program: str
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    command = f'{program} {"$1" if program == "edgeconv run" else ""} "$2" --engine onnxruntime'

    # What tells ONNX Runtime that this is a test silences it too.
    done = shell(f"unset CI GITHUB_ACTIONS ORT_DISABLE_TELEMETRY; {command}", small, picture,
                 HOME=str(home), TMPDIR=str(home), XDG_CACHE_HOME=str(home))  # fmt: skip

    assert (done.returncode, done.stderr) == (0, "")
    assert list(home.rglob("*")) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_being_told_to_end_is_as_orderly_as_ctrl_c(
    models: Path, pictures: Path, tmp_path: Path, number: int
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "edgeconv", "export", models / "colours.keras", "--preprocess",
         "unit", "--calibration", pictures, "--output", tmp_path / "out", "--no-cache"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        # An outer nohup ignores SIGHUP, which children inherit.
        preexec_fn=lambda: signal.signal(number, signal.SIG_DFL),
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while not psutil.Process(process.pid).children() and time.monotonic() < deadline:
        time.sleep(0.05)

    process.send_signal(number)
    _, stderr = process.communicate(timeout=60)

    assert process.returncode == 130
    assert stderr == "edgeconv: Interrupted; nothing is left half-written.\n"
    assert list(tmp_path.iterdir()) == []
