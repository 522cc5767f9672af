"""verify --on ssh, with OpenSSH's own client and server on loopback."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import bundles
from tests.device.conftest import SshServer
from tests.e2e.command import Outcome, edgeconv


def verify(server: SshServer, bundle: Path, *more: object, **options: object) -> Outcome:
    """The real command line against the server; ``options`` are of ``SshServer.options``."""
    environment = {"EDGECONV_SSH_OPTIONS": server.options(**options)}  # type: ignore[arg-type]
    arguments = ["--on", server.target, "--python", sys.executable, *more]
    return edgeconv("verify", bundle, "--json", *arguments, env=environment)


def refused(done: Outcome, code: int) -> tuple[str, str]:
    assert done.code == code, done
    error = json.loads(done.stdout)["error"]
    return error["message"], error["hint"]


@pytest.fixture(autouse=True)
def _nothing_is_left(server: SshServer) -> Iterator[None]:
    yield
    assert server.left() == []


def test_the_row_says_what_ran_and_that_its_bits_are_the_host_s(
    server: SshServer, tiny: Path
) -> None:
    done = verify(server, tiny, "--samples", 20)

    assert done.code == 0, done.stderr
    found = json.loads(done.stdout)
    (row,) = found["verdict"]["artifacts"]
    assert row["file"] == f"model.tflite on {server.target}"
    assert (row["status"], row["equivalent"]) == ("pass", True)
    assert found["verdict"]["samples"] == 20
    device = found["device"]
    assert device["bit_identical"] == {
        "items": 20, "items_differing": 0, "values": 20 * bundles.CLASSES,
        "values_differing": 0, "largest_difference": 0.0,
    }  # fmt: skip
    assert device["engine"] == device["host_engine"]
    assert device["latency_ms"]["calls"] == 20 and device["peak_memory_kib"] > 0


def test_the_bundle_s_other_file_runs_where_its_engine_is_named(
    server: SshServer, tiny: Path
) -> None:
    done = verify(server, tiny, "--engine", "onnxruntime", "--samples", 5)

    assert done.code == 0, done.stderr
    assert json.loads(done.stdout)["device"]["file"] == "model.onnx"


def test_a_key_that_is_not_let_in_says_how_to_be(server: SshServer, tiny: Path) -> None:
    message, hint = refused(verify(server, tiny, key="wrong"), 6)

    assert "Permission denied" in message and "ssh-copy-id" in hint


def test_a_host_whose_key_changed_is_not_talked_to(server: SshServer, tiny: Path) -> None:
    message, hint = refused(verify(server, tiny, known="changed"), 6)

    assert "Host key verification failed" in message and "ssh " in hint


def test_a_host_that_nobody_is_on_is_named(server: SshServer, tiny: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    done = edgeconv("verify", tiny, "--json", "--on", f"ssh://nobody@127.0.0.1:{port}")

    message, hint = refused(done, 6)
    assert "Connection refused" in message and "ssh server" in hint


def test_no_python_there_says_what_to_install(server: SshServer, tiny: Path) -> None:
    message, hint = refused(verify(server, tiny, "--python", "python9.9"), 4)

    assert "has no python9.9" in message
    assert "numpy" in hint and "pillow" in hint and "--python" in hint


def test_a_full_disk_there_is_a_full_disk(server: SshServer, tiny: Path, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(small)]
    if os.getuid() or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("needs the right to mount a small tmpfs")
    try:
        message, hint = refused(verify(server, tiny, tmp=small), 6)
        assert list(small.iterdir()) == []
    finally:
        subprocess.run(["umount", str(small)], check=True)
    assert "No space left" in message and "df -h" in hint


class Proxy:
    """Passes bytes on to the server, and breaks the connections after so many."""

    def __init__(self, port: int, budget: int) -> None:
        self._port, self._budget = port, budget
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            there, _ = self._listener.accept()
            here = socket.create_connection(("127.0.0.1", self._port))
            for pair in ((there, here), (here, there)):
                threading.Thread(target=self._pump, args=pair, daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(4096):
                self._budget -= len(data)
                if self._budget < 0:
                    break
                sink.sendall(data)
        for each in (source, sink):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)


#: In the handshake, in the making of the folder, and in the midst of the bundle.
@pytest.mark.parametrize("budget", [1000, 14_000, 60_000])
def test_a_connection_that_drops_is_an_error_of_the_network(
    server: SshServer, tiny: Path, budget: int
) -> None:
    proxy = Proxy(server.port, budget)
    target = server.target.replace(str(server.port), str(proxy.port))
    environment = {"EDGECONV_SSH_OPTIONS": server.options()}
    done = edgeconv(
        "verify", tiny, "--json", "--on", target, "--python", sys.executable, env=environment
    )

    message, hint = refused(done, 6)
    assert "can't be reached" in message and hint
    # What can't be removed any more is named.
    for name in server.left():
        assert name in done.stderr
        subprocess.run(["rm", "-rf", str(server.tmp / name)], check=True)


def test_an_interrupt_ends_what_runs_there_and_removes_its_folder(
    server: SshServer, tiny: Path, tmp_path: Path
) -> None:
    """The interpreter there hangs as soon as it is given infer.py."""
    python, started = tmp_path / "python", tmp_path / "started"
    python.write_text(
        '#!/bin/sh\ncase "$*" in *infer.py*) '
        f"echo $$ >{started}.part; mv {started}.part {started}; "
        f'exec sleep 600;; esac\nexec {sys.executable} "$@"\n'
    )
    python.chmod(0o755)
    command = [sys.executable, "-m", "edgeconv", "verify", tiny, "--on", server.target]
    process = subprocess.Popen(
        [*map(str, command), "--python", str(python)],
        env={**os.environ, "EDGECONV_SSH_OPTIONS": server.options()},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    while not started.exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    assert len(server.left()) == 1

    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)

    assert process.returncode == 130
    assert not Path(f"/proc/{started.read_text().strip()}").exists()
