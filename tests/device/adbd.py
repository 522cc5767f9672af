"""A device for the real adb: its daemon's side of the protocol, over TCP, with a shell behind it.

    adb (client) ──► adb's server ──CNXN, OPEN, WRTE, OKAY, CLSE──► this ──► sh here

Only what ``adb shell`` without a terminal needs. What it can't be: Android. Its ``sh``,
``tar`` and ``mktemp`` are this machine's, and it asks for no key.

Source: packages/modules/adb, protocol.txt and shell_protocol.h of the Android Open Source
Project.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import subprocess
import threading
from pathlib import Path
from typing import IO

_HEADER = struct.Struct("<4sIIIII")
_PACKET = struct.Struct("<BI")
_VERSION, _MAX_PAYLOAD = 0x01000001, 1 << 18
_STDIN, _STDOUT, _STDERR, _EXIT, _CLOSE_STDIN = range(5)
_BANNER = b"device::ro.product.name=fake;ro.product.model=Fake;ro.product.device=fake;features="
_BASE = "/data/local/tmp"


class Adbd:
    """Listens on loopback until it is left.

    Args:
        folder: Stands for /data/local/tmp.
        features: What the device says that it can.

    Attributes:
        serial: What ``adb connect`` is given, and what adb then calls the device.
        folder: See above.
        commands: The shell commands that came, in order.
        hang_up_on: Break the connection where a command holds this text.
    """

    def __init__(self, folder: Path, features: str = "shell_v2,cmd") -> None:
        self.commands: list[str] = []
        self.hang_up_on = ""
        self.folder, self._features = folder, features.encode()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.serial = f"127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Adbd:
        return self

    def __exit__(self, *error: object) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # closed: the test is over
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        link = _Link(connection)
        with contextlib.suppress(OSError, EOFError), connection:
            while True:
                self._answer(link, *link.receive())

    def _answer(self, link: _Link, command: bytes, arg0: int, arg1: int, data: bytes) -> None:
        if command == b"CNXN":
            link.send(b"CNXN", _VERSION, _MAX_PAYLOAD, _BANNER + self._features)
        elif command == b"OPEN":
            self._open(link, arg0, data.rstrip(b"\0").decode())
        elif command == b"WRTE":
            if stream := link.streams.get(arg1):
                stream.take(data)
                link.send(b"OKAY", arg1, arg0)
        elif command == b"OKAY":
            if stream := link.streams.get(arg1):
                stream.ready.release()
        elif command == b"CLSE" and (stream := link.streams.pop(arg1, None)):
            stream.end()

    def _open(self, link: _Link, remote: int, service: str) -> None:
        kind, _, command = service.partition(":")
        if not {"shell", "v2", "raw"} <= set(kind.split(",")):  # TERM=... may stand between
            link.send(b"CLSE", 0, remote)
            return
        self.commands.append(command)
        if self.hang_up_on and self.hang_up_on in command:
            link.close()
            return
        stream = _Stream(link, remote, command.replace(_BASE, str(self.folder)))
        link.streams[stream.number] = stream
        link.send(b"OKAY", stream.number, remote)
        stream.start()


class _Link:
    """Messages of the connection; several streams share it."""

    def __init__(self, connection: socket.socket) -> None:
        self.streams: dict[int, _Stream] = {}
        self._connection = connection
        self._lock = threading.Lock()

    def send(self, command: bytes, arg0: int, arg1: int, data: bytes = b"") -> None:
        magic = int.from_bytes(command, "little") ^ 0xFFFFFFFF
        header = _HEADER.pack(command, arg0, arg1, len(data), sum(data) & 0xFFFFFFFF, magic)
        with self._lock:
            self._connection.sendall(header + data)

    def receive(self) -> tuple[bytes, int, int, bytes]:
        command, arg0, arg1, size, _, magic = _HEADER.unpack(self._exactly(_HEADER.size))
        if int.from_bytes(command, "little") ^ 0xFFFFFFFF != magic:
            raise EOFError(f"no message: {command!r}")
        return command, arg0, arg1, self._exactly(size)

    def close(self) -> None:
        self._connection.shutdown(socket.SHUT_RDWR)

    def _exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            chunk = self._connection.recv(count - len(data))
            if not chunk:
                raise EOFError
            data += chunk
        return data


class _Stream:
    """One shell command, with its three streams and its exit code in packets."""

    _numbers = iter(range(1, 1 << 31))

    def __init__(self, link: _Link, remote: int, command: str) -> None:
        self.number = next(self._numbers)
        self.ready = threading.Semaphore(1)
        self._link, self._remote, self._command = link, remote, command
        self._incoming = b""

    def start(self) -> None:
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(
            ["sh", "-c", self._command], stdin=pipe, stdout=pipe, stderr=pipe, bufsize=0
        )
        threading.Thread(target=self._run, daemon=True).start()

    def take(self, data: bytes) -> None:
        """Packets of the client's standard input; they may come in pieces."""
        self._incoming += data
        assert self._process.stdin is not None
        while len(self._incoming) >= _PACKET.size:
            kind, size = _PACKET.unpack_from(self._incoming)
            if len(self._incoming) < _PACKET.size + size:
                return
            body = self._incoming[_PACKET.size : _PACKET.size + size]
            self._incoming = self._incoming[_PACKET.size + size :]
            with contextlib.suppress(OSError):  # the command reads no more
                if kind == _STDIN:
                    self._process.stdin.write(body)
                elif kind == _CLOSE_STDIN:
                    self._process.stdin.close()

    def end(self) -> None:
        """The client is gone; Android ends the command then, too."""
        self._process.kill()
        self.ready.release()

    def _run(self) -> None:
        process = self._process
        assert process.stdout is not None and process.stderr is not None
        pumps = [
            threading.Thread(target=self._pump, args=(pipe, kind), daemon=True)
            for pipe, kind in ((process.stdout, _STDOUT), (process.stderr, _STDERR))
        ]
        with contextlib.suppress(OSError):
            for pump in pumps:
                pump.start()
            for pump in pumps:
                pump.join()
            self._write(_EXIT, bytes([process.wait() & 0xFF]))
            self._link.send(b"CLSE", self.number, self._remote)

    def _pump(self, pipe: IO[bytes], kind: int) -> None:
        with contextlib.suppress(OSError):
            while data := pipe.read(1 << 16):
                self._write(kind, data)

    def _write(self, kind: int, data: bytes) -> None:
        """One message, when the other side has taken the last."""
        self.ready.acquire()
        payload = _PACKET.pack(kind, len(data)) + data
        self._link.send(b"WRTE", self.number, self._remote, payload)
