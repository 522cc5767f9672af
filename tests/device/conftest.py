"""Devices that set themselves up: an ssh server, adb with a daemon, an emulated Arm machine."""

from __future__ import annotations

import getpass
import os
import shlex
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests import bundles
from tests.device.adbd import Adbd
from tests.e2e.command import edgeconv


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything below this folder takes seconds or minutes."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.long)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of a few kilobytes, in both formats."""
    return bundles.make_bundle(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def mobilenet(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An int8 bundle of MobileNetV2 with its trained weights."""
    folder = tmp_path_factory.mktemp("mobilenet") / "mobilenetv2-int8"
    done = edgeconv(
        "export", "mobilenetv2", "--weights", shared_data / "models/mobilenetv2_imagenet.keras",
        "--calibration", f"{shared_data / 'imagenet-sample/manifest.csv'}:calibration",
        "--format", "tflite", "--output", folder,
    )  # fmt: skip
    assert done.code == 0, done.stderr
    return folder


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@dataclass(frozen=True)
class SshServer:
    """A server on loopback that one key opens.

    Attributes:
        folder: Its files: ``user`` and ``wrong`` are keys, ``known`` has its own.
        port: Where it listens.
        tmp: Where temporary folders are made on it.
    """

    folder: Path
    port: int
    tmp: Path

    @property
    def target(self) -> str:
        return f"ssh://{getpass.getuser()}@127.0.0.1:{self.port}"

    def options(self, key: str = "user", known: str = "known", tmp: Path | None = None) -> str:
        """For EDGECONV_SSH_OPTIONS; nothing of the machine's own user is looked at."""
        words = ["-F", "none", "-i", str(self.folder / key)]
        for option in (
            "IdentitiesOnly=yes", "IdentityAgent=none", "GlobalKnownHostsFile=none",
            f"UserKnownHostsFile={self.folder / known}", f"SetEnv=TMPDIR={tmp or self.tmp}",
        ):  # fmt: skip
            words += ["-o", option]
        return shlex.join(words)

    def left(self) -> list[str]:
        """What is left of us on it."""
        return sorted(path.name for path in self.tmp.iterdir())


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshServer]:
    """OpenSSH's own server, without root, with keys of its own."""
    program = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    if program is None or shutil.which("ssh") is None:
        pytest.skip("needs OpenSSH's client and server (apt install openssh-server)")
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # the service does it where it runs
    folder = tmp_path_factory.mktemp("sshd")
    made = SshServer(folder, free_port(), folder / "tmp")
    made.tmp.mkdir()
    for key in ("host", "user", "wrong"):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / key)]
        subprocess.run(command, check=True)
    (folder / "known").write_text(f"* {(folder / 'host.pub').read_text()}")
    (folder / "changed").write_text(f"* {(folder / 'wrong.pub').read_text()}")
    (folder / "authorized").write_text((folder / "user.pub").read_text())
    (folder / "config").write_text(
        f"ListenAddress 127.0.0.1:{made.port}\nHostKey {folder / 'host'}\n"
        f"AuthorizedKeysFile {folder / 'authorized'}\nPidFile none\nStrictModes no\nUsePAM no\n"
        "AcceptEnv TMPDIR\nPasswordAuthentication no\nPermitRootLogin yes\n"
        "KbdInteractiveAuthentication no\n"
    )
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [program, "-D", "-e", "-f", str(folder / "config")], stdout=log, stderr=log
        )
    try:
        _wait_for(made.port, process, folder / "log")
        yield made
    finally:
        process.terminate()
        process.wait()


def _wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(100):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            if process.poll() is not None:
                pytest.skip(f"sshd does not start here: {log.read_text()[-200:]}")
            time.sleep(0.1)
    pytest.fail("sshd does not listen")


@pytest.fixture(scope="session")
def adb_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The real adb with a server of its own: the variables that lead to it."""
    if shutil.which("adb") is None:
        pytest.skip("needs Android's adb (apt install adb)")
    home = tmp_path_factory.mktemp("adb")
    variables = {"ANDROID_ADB_SERVER_PORT": str(free_port()), "HOME": str(home), "TERM": "dumb"}
    environment = {**os.environ, **variables}
    started = subprocess.run(
        ["adb", "start-server"], env=environment, capture_output=True, text=True, timeout=60
    )
    if started.returncode:
        pytest.skip(f"adb's server does not start here: {started.stderr[-200:]}")
    yield variables
    subprocess.run(["adb", "kill-server"], env=environment, capture_output=True, timeout=60)


@pytest.fixture
def android(
    adb_server: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Adbd]:
    """A device that the real adb is connected to."""
    for name, value in adb_server.items():
        monkeypatch.setenv(name, value)
    folder = tmp_path / "data-local-tmp"
    folder.mkdir()
    with Adbd(folder) as device:
        done = subprocess.run(
            ["adb", "connect", device.serial], capture_output=True, text=True, timeout=60
        )
        assert "connected to" in done.stdout, done
        yield device
        subprocess.run(["adb", "disconnect", device.serial], capture_output=True, timeout=60)


@pytest.fixture(scope="session")
def emulated(pytestconfig: pytest.Config) -> dict[str, str]:
    """The emulated machine, fetched once: the variables that lead to it."""
    for program in ("qemu-aarch64-static", "dpkg", "apt-get"):
        if shutil.which(program) is None:
            pytest.skip(f"needs {program} (apt install qemu-user-static, on Debian)")
    assert pytestconfig.cache is not None
    variables = {"EDGECONV_DEVICE_CACHE": str(pytestconfig.cache.mkdir("devices"))}
    done = edgeconv("devices", "--setup", "qemu:aarch64", env=variables)
    if done.code == 6:
        pytest.skip(f"the emulated device can't be fetched: {done.stderr.strip()[-300:]}")
    assert done.code == 0, done.stderr
    return variables


@pytest.fixture(scope="session")
def tflite_runtime(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """tflite-runtime beside what is installed here, with the NumPy that it needs."""
    if sys.version_info >= (3, 12):
        pytest.skip("tflite-runtime has no wheels for Python 3.12 and later")
    folder = tmp_path_factory.mktemp("tflite-runtime")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(folder)]
    command += ["--only-binary=:all:", "tflite-runtime==2.14.0", "numpy==1.26.4", "pillow"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    if done.returncode:
        pytest.skip(f"tflite-runtime can't be fetched: {done.stderr[-300:]}")
    return {"PYTHONPATH": str(folder)}
