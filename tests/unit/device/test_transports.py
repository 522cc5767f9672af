"""Transports without a network: this machine, and a real shell on it."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgeconv.device import remote
from edgeconv.device.remote import Ask
from edgeconv.device.replies import costs_of, failure_of
from edgeconv.device.transports import Completed, check_target, open_transport
from edgeconv.device.transports.local import Local
from edgeconv.device.transports.process import execute
from edgeconv.device.transports.shell import Shell
from edgeconv.device.transports.ssh import Ssh
from edgeconv.errors import (
    EdgeconvError,
    HostFailure,
    InternalError,
    MissingDependency,
    RefusedInput,
    Unsupported,
    UsageError,
)
from edgeconv.package.infer import build_infer_script
from edgeconv.runtime.checksums import SealedFolder
from edgeconv.runtime.session import read_manifest
from tests import bundles

#: Words that a shell would make something of.
NASTY = ["$(touch bad)", "`touch bad`", "; touch bad", "a'b\"c", "-rf", "*", "two  words", "a\nb"]
SAY = "import json, sys; print(json.dumps(sys.argv[1:]))"


class Here(Shell):
    """A shell on this machine in place of one behind ssh or adb."""

    def __init__(self, base: Path, python: str = sys.executable, before: str = "") -> None:
        super().__init__("here", str(base), python)
        self.before = before

    def argv(self, command: str) -> list[str]:
        return ["sh", "-c", f"{self.before}{command}"]

    def failure(self, done: Completed) -> EdgeconvError:
        return HostFailure("here can't be reached: it hung up.")

    def missing(self) -> MissingDependency:
        return MissingDependency("there is no sh")


@pytest.fixture(params=["local", "shell"])
def device(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Local | Here]:
    """Each kind, not entered yet; whatever it does, its folder has to go."""
    base = tmp_path / "device"
    base.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(base))
    yield Local() if request.param == "local" else Here(base)
    assert list(base.iterdir()) == []


# What a user writes.


@pytest.mark.parametrize(
    "target",
    [
        "", "LOCAL", "local:", "ssh", "ssh:", "ssh://", "ssh:host", "ssh://user@", "ssh://@host",
        "ssh://-oProxyCommand=touch%20x", "ssh://user@-oProxyCommand=x", "ssh://-l@host",
        "ssh://user@host/path", "ssh://user@host:0x16", "ssh://user@host:99999", "ssh://a b@host",
        "ssh://user@host;id", "ssh://user@$(id)", "ssh://user:password@host", "ssh://user@host?x",
        "adb:", "adb:-s", "adb:a b", "adb:$(id)", "adb:x;y", "qemu:", "qemu:riscv64", "usb:1",
        "ssh://user@ho\nst", "ssh://user@host\x1b[2J",
    ],
)  # fmt: skip
def test_a_target_that_is_none_is_refused(target: str) -> None:
    with pytest.raises(UsageError) as caught:
        check_target(target)
    assert caught.value.hint
    assert "\x1b" not in caught.value.message and "\n" not in caught.value.message


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("ssh://pi@board", ["--", "pi@board"]),
        ("ssh://board", ["--", "board"]),
        ("ssh://pi@board:2222", ["-p", "2222", "--", "pi@board"]),
        ("ssh://pi@192.0.2.7:22", ["-p", "22", "--", "pi@192.0.2.7"]),
        ("ssh://pi@[2001:db8::7]:22", ["-p", "22", "--", "pi@2001:db8::7"]),
        ("ssh://my_board.local", ["--", "my_board.local"]),
    ],
)
def test_an_address_becomes_words_of_ssh(target: str, words: list[str]) -> None:
    transport = open_transport(target)
    assert isinstance(transport, Ssh)
    assert transport.argv("true")[-len(words) - 1 : -1] == words


def test_a_user_s_options_stand_before_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGECONV_SSH_OPTIONS", "-i 'my key' -o BatchMode=no")
    words = Ssh("ssh://board", "board").argv("true")
    assert words[:5] == ["ssh", "-i", "my key", "-o", "BatchMode=no"]


def test_options_that_can_t_be_read_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGECONV_SSH_OPTIONS", "-i 'my key")
    with pytest.raises(UsageError, match="EDGECONV_SSH_OPTIONS"):
        Ssh("ssh://board", "board")


@pytest.mark.parametrize(("target", "program"), [("ssh://board", "ssh"), ("adb:abc", "adb")])
def test_a_program_that_is_not_installed_is_named(
    target: str, program: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingDependency, match=program), open_transport(target):
        pass


def test_an_emulated_device_that_was_not_made_says_how(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("EDGECONV_DEVICE_CACHE", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingDependency, match="QEMU"):
        open_transport("qemu:aarch64")
    emulator = tmp_path / "qemu-aarch64-static"
    emulator.write_text("#!/bin/sh\n")
    emulator.chmod(0o755)
    with pytest.raises(MissingDependency) as caught:
        open_transport("qemu:aarch64")
    assert "edgeconv devices --setup qemu:aarch64" in caught.value.hint


# Files and commands.


def test_a_folder_and_a_file_arrive_and_come_back(device: Local | Here, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    data = bytes(range(256)) * 5000 + b"\nedgeconv:end:0\n"
    (folder / "one.bin").write_bytes(data)
    with device:
        device.put(folder, "there")
        device.put(folder / "one.bin", "two.bin")
        listing = "import os; print(sorted(os.listdir('.')), os.listdir('there'))"
        done = device.run([*device.python(), "-c", listing], 60)
        assert b"'there', 'two.bin'] ['one.bin']" in done.stdout
        assert device.get("two.bin", len(data)) == data


def test_words_of_a_command_reach_it_as_they_are(device: Local | Here) -> None:
    with device:
        done = device.run([*device.python(), "-c", SAY, *NASTY], 60)
        assert json.loads(done.stdout) == NASTY
        listing = device.run([*device.python(), "-c", "import os; print(os.listdir())"], 60)
        assert b"bad" not in listing.stdout


def test_exit_codes_and_complaints_come_back(device: Local | Here) -> None:
    with device:
        complain = "import sys; print('out'); print('err', file=sys.stderr); sys.exit(7)"
        done = device.run([*device.python(), "-c", complain], 60)
        assert (done.code, done.stdout.strip(), done.stderr.strip()) == (7, b"out", b"err")


def test_what_a_command_sends_is_bounded(device: Local | Here) -> None:
    flood = "import os\nwhile True: os.write(1, b'x' * 65536)"
    with device, pytest.raises(RefusedInput, match="more than"):
        device.run([*device.python(), "-c", flood], 60)


def test_a_flood_of_complaints_is_cut_and_no_error(device: Local | Here) -> None:
    flood = "import os; [os.write(2, b'x' * 65536) for _ in range(100)]"
    with device:
        done = device.run([*device.python(), "-c", flood], 60)
        assert done.code == 0 and len(done.stderr) == 1 << 20


@pytest.mark.parametrize("size", [1001, 300_000])
def test_a_file_larger_than_it_can_be_is_refused(
    device: Local | Here, tmp_path: Path, size: int
) -> None:
    large = tmp_path / "large"
    large.write_bytes(bytes(size))
    with device:
        device.put(large, "y.npz")
        with pytest.raises(RefusedInput, match="more than"):
            device.get("y.npz", 1000)


def test_a_file_that_is_not_there_is_named(device: Local | Here) -> None:
    with device, pytest.raises(HostFailure, match=r"left no y\.npz"):
        device.get("y.npz", 1000)


def test_a_command_that_takes_too_long_is_ended(device: Local | Here) -> None:
    with device, pytest.raises(HostFailure, match="did not end within 1 s"):
        device.run([*device.python(), "-c", "import time; time.sleep(600)"], 1)


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_the_folder_goes_whatever_happens(device: Local | Here, error: type) -> None:
    with pytest.raises(error), device:
        raise error
    assert device.leftover == ""


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "-rf", "a b", "a;b", "", "$x", "a\nb"])
def test_no_name_leaves_the_folder(device: Local | Here, name: str, tmp_path: Path) -> None:
    with device, pytest.raises(InternalError):
        device.put(tmp_path, name)
    with device, pytest.raises(InternalError):
        device.get(name, 10)


def test_a_link_in_place_of_the_outputs_is_refused(tmp_path: Path) -> None:
    with Local() as device:
        link = "import os; os.symlink('/etc/passwd', 'y.npz')"
        device.run([*device.python(), "-c", link], 60)
        with pytest.raises(RefusedInput, match="link"):
            device.get("y.npz", 1 << 20)


def test_what_a_login_prints_is_passed_over(tmp_path: Path) -> None:
    with Here(tmp_path, before="echo Welcome to this board; ") as device:
        done = device.run([*device.python(), "-c", "print('x')"], 60)
        assert (done.code, done.stdout) == (0, b"x\n")


def test_a_connection_that_breaks_is_no_exit_code(tmp_path: Path) -> None:
    """ssh says 255 then; adb says nothing at all."""
    with pytest.raises(HostFailure, match="can't be reached"), Here(tmp_path) as device:
        device.before = "exit 0; "
        device.run([*device.python(), "-c", "print('x')"], 60)
    assert "could not be removed from here" in device.leftover
    assert [path.name for path in tmp_path.iterdir()] == [Path(device.leftover.split()[0]).name]


@pytest.mark.parametrize(
    "answer", ["", "/", "/tmp", "relative", "/tmp/edgeconv-abcdef/../..", "/tmp/edgeconv-a b cdef"]
)
def test_only_a_folder_of_our_own_is_believed(tmp_path: Path, answer: str) -> None:
    """It is what rm -rf is given at the end."""
    lying = f"mktemp() {{ echo '{answer}'; }}; "
    device = Here(tmp_path)
    device.argv = lambda command: [  # type: ignore[method-assign]
        "bash", "-c", f"{lying} export -f mktemp; {command.replace('sh -c', 'bash -c', 1)}"
    ]  # fmt: skip
    with pytest.raises(HostFailure, match="no room for a temporary folder"), device:
        pass


def test_what_a_command_started_is_ended_with_it(tmp_path: Path) -> None:
    """A grandchild that lived on would write its file."""
    script = f"(sleep 1; touch {tmp_path / 'alive'}) & sleep 600"
    with pytest.raises(HostFailure):
        execute(["sh", "-c", script], 0.2)
    done = execute(["sh", "-c", f"sleep 1.5; ls {tmp_path}"], 60)
    assert done.stdout == b""


# A bundle on a device.


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bundles.make_bundle(tmp_path_factory.mktemp("remote"))


def test_a_bundle_runs_in_a_private_folder(device: Local | Here, bundle: Path) -> None:
    with device:
        sealed = SealedFolder(bundle)
        remote.check(device, read_manifest(sealed))
        remote.install(device, sealed, build_infer_script())
        reply = remote.ask(device, Ask(outputs=True, bench=True, repeat=3))
    assert reply.costs["file"] == "model.tflite"
    assert reply.costs["latency_ms"]["calls"] == 3
    assert reply.outputs[0].shape == (3, bundles.CLASSES)


def test_only_what_infer_py_needs_is_copied(bundle: Path) -> None:
    with Local() as device:
        remote.install(device, SealedFolder(bundle), build_infer_script())
        listing = "import os; print(sorted(os.listdir('bundle')))"
        done = device.run([*device.python(), "-c", listing], 60)
    assert done.stdout.decode().strip() == str(
        ["SHA256SUMS", "golden.npz", "infer.py", "labels.txt", "manifest.json", "model.onnx",
         "model.tflite"]
    )  # fmt: skip


def test_a_script_inside_a_bundle_is_never_run(bundle: Path, tmp_path: Path) -> None:
    """Whoever signs a bundle can write any infer.py into it."""
    copy = Path(shutil.copytree(bundle, tmp_path / "copy"))
    marker = tmp_path / "ran"
    (copy / "infer.py").write_text(f"open({str(marker)!r}, 'w')\n")
    bundles.sign(copy)
    with Local() as device:
        remote.install(device, SealedFolder(copy), build_infer_script())
        remote.ask(device, Ask(bench=True, repeat=1))
    assert not marker.exists()


@pytest.mark.parametrize("name", ["numpy.py", "json.abi3.so", "model.tflite.pyc"])
def test_a_bundle_can_t_bring_a_module(bundle: Path, tmp_path: Path, name: str) -> None:
    """Python looks for modules beside infer.py first."""
    copy = Path(shutil.copytree(bundle, tmp_path / "copy"))
    (copy / name).write_text("raise SystemExit('taken over')\n")
    manifest = json.loads((copy / "manifest.json").read_text())
    (copy / "manifest.json").write_text(json.dumps({**manifest, "labels": name}))
    bundles.sign(copy)
    with Local() as device, pytest.raises(RefusedInput, match="no model file"):
        remote.install(device, SealedFolder(copy), build_infer_script())


def interpreter(folder: Path, script: str) -> str:
    path = folder / "python"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize(
    ("script", "message", "hint"),
    [
        ("echo edgeconv 2 7", "Python 2.7; infer.py needs 3.9", "--python"),
        ("echo edgeconv 3 8 numpy PIL", "Python 3.8", "--python"),
        ("echo edgeconv 3 11", "lacks numpy and pillow and ai-edge-litert", "pip install numpy"),
        ("echo edgeconv 3 11 numpy PIL", "lacks ai-edge-litert", "install ai-edge-litert"),
        ("echo broken >&2; exit 1", "does not run on local: broken", "--python"),
        ("exit 127", "has no", "Install Python"),
    ],
)
def test_what_a_device_lacks_is_said_with_what_to_install(
    bundle: Path, tmp_path: Path, script: str, message: str, hint: str
) -> None:
    device = Local(python=interpreter(tmp_path, script))
    with device, pytest.raises(Unsupported) as caught:
        remote.check(device, read_manifest(SealedFolder(bundle)))
    assert message in caught.value.message and hint in caught.value.hint


def test_an_interpreter_that_is_not_there_is_named(bundle: Path, tmp_path: Path) -> None:
    missing = str(tmp_path / "python9")
    for device in (Local(python=missing), Here(tmp_path, missing)):
        with device, pytest.raises(Unsupported, match="python9") as caught:
            remote.check(device, read_manifest(SealedFolder(bundle)))
        assert "--python" in caught.value.hint


def test_a_crash_there_is_told_from_an_answer(bundle: Path, tmp_path: Path) -> None:
    crash = interpreter(tmp_path, "kill -SEGV $$")
    for device in (Local(python=crash), Here(tmp_path, crash)):
        with device, pytest.raises(Unsupported, match="signal 11"):
            remote.ask(device, Ask())


# What comes back is a stranger's.

COSTS = {
    "file": "model.tflite", "engine": {"name": "litert", "version": "1"}, "device": "cpu",
    "fallback": None, "python": "3", "numpy": "1", "machine": "m", "system": "s", "threads": 1,
    "batch": 1, "samples": 1, "load_ms": 1.0, "items_per_s": 1.0, "peak_memory_kib": None,
    "latency_ms": {"median": 1.0, "p95": 1.0, "calls": 1},
}  # fmt: skip


def said(**changes: object) -> bytes:
    return b"INFO: an engine\n" + json.dumps({**COSTS, **changes}).encode() + b"\n"


def test_an_answer_keeps_the_documented_keys_and_no_other() -> None:
    assert costs_of("board", said(extra=[1] * 1000)) == COSTS


def test_texts_of_a_device_can_t_steer_the_terminal() -> None:
    costs = costs_of("board", said(machine="\x1b[2Jarm\n" + "x" * 10_000))
    assert "\x1b" not in costs["machine"] and len(costs["machine"]) <= 300


@pytest.mark.parametrize(
    "answer",
    [
        b"", b"[]", b"{}", b"null", b"\xff", b"[" * 100_000, said(load_ms="1"), said(load_ms=-1),
        said(threads=True), said(threads=1.5), said(latency_ms={}), said(file=None),
        said(items_per_s=float("nan")), said(load_ms=10**400), said(engine="litert"),
    ],
)  # fmt: skip
def test_an_answer_of_another_kind_is_refused(answer: bytes) -> None:
    with pytest.raises(RefusedInput, match="board"):
        costs_of("board", answer)


def test_an_engine_that_is_missing_there_is_no_dependency_of_ours() -> None:
    problem = {"code": "missing-dependency", "message": "No engine.", "hint": "pip install x"}
    error = failure_of("board", Completed(5, json.dumps({"error": problem}).encode(), b""))
    assert type(error) is Unsupported
    assert error.message == "On board: No engine." and error.hint == "There: pip install x"
