"""The published weights of a zoo model: from Keras's cache, else by download into it."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import math
import os
import secrets
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from edgeconv.errors import HostFailure
from edgeconv.load.zoo import ZooModel
from edgeconv.progress import Progress, Silent

__all__ = ["find_weights", "is_cached", "keras_cache"]

_CHUNK_BYTES = 2**20
_SILENCE_S = 30.0
#: Source: HDF5 File Format Specification 3.0, II.A: the signature, and where each
#: version of the superblock says how long the file is.
_HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_HDF5_END_AT = {0: 40, 1: 44, 2: 28, 3: 28}


class _Broken(Exception):
    """The download did not bring the file; the text says why."""


def keras_cache() -> Path:
    """The folder in which Keras keeps weights: ``$KERAS_HOME/models`` or ``~/.keras/models``."""
    return Path(os.environ.get("KERAS_HOME") or "~/.keras").expanduser() / "models"


def is_cached(model: ZooModel, cache: Path | None = None) -> bool:
    """Whether the weights lie in ``cache``; their checksum is not looked at."""
    return bool(model.weights_file) and ((cache or keras_cache()) / model.weights_file).is_file()


def find_weights(
    model: ZooModel,
    cache: Path | None = None,
    progress: Progress | None = None,
    *,
    base_url: str | None = None,
) -> Path:
    """The weights of ``model`` as a file on this machine.

    Args:
        model: Whose weights.
        cache: Folder to look in and to download into; Keras's own by default.
        progress: Told how far a download is, in MiB.
        base_url: Folder on another server that mirrors the files, which may
            then be plain http; by default they come from Keras's, over https.

    Returns:
        A file in ``cache`` whose checksum is the one that Keras pins, where it
        pins one, and that is an HDF5 file in any case.

    Raises:
        HostFailure: It is not there and the download failed, or ``cache`` can't
            be written. Nothing is left half-written.
    """
    path = (cache or keras_cache()) / model.weights_file
    watcher = progress or Silent()
    try:
        if path.is_file():
            flaw = _flaw(path, model)
            if not flaw:
                return path
            watcher.note(f"{path} is not what Keras published: {flaw}. It is downloaded again.")
        _download(model, path, watcher, base_url)
    except _Broken as error:
        raise HostFailure(
            f"The weights {model.weights_file} of {model.name} are not in {path.parent}"
            f" and could not be downloaded: {error}.",
            f"Copy the file there or pass it with --weights FILE; it comes from"
            f" {model.weights_url}.",
        ) from error
    except OSError as error:
        raise HostFailure(
            f"The weights of {model.name} can't be kept in {path.parent}:"
            f" {error.strerror or error}.",
            "Make room there, set KERAS_HOME to another folder, or pass --weights FILE.",
        ) from error
    return path


def _flaw(path: Path, model: ZooModel) -> str:
    """What is wrong with the file at ``path``, or "" where nothing is."""
    # Keras pins MD5 for the older models and SHA-256 for the newer ones.
    kind = "sha256" if len(model.weights_hash) == 64 else "md5"
    digest = hashlib.new(kind, usedforsecurity=False)
    with path.open("rb") as file:
        head = file.read(_CHUNK_BYTES)
        if not head.startswith(_HDF5_SIGNATURE):
            return "it is no HDF5 file"
        if _hdf5_bytes(head) > path.stat().st_size:
            return "it is cut short"
        if not model.weights_hash:
            return ""
        while head:
            digest.update(head)
            head = file.read(_CHUNK_BYTES)
    same = digest.hexdigest() == model.weights_hash
    return "" if same else f"its checksum is {digest.hexdigest()}, not {model.weights_hash}"


def _hdf5_bytes(head: bytes) -> int:
    """How long the file that starts with ``head`` says it is; 0 where it doesn't say."""
    at = _HDF5_END_AT.get(head[8] if len(head) > 8 else -1)
    return 0 if at is None else int.from_bytes(head[at : at + 8], "little")


def _download(model: ZooModel, path: Path, progress: Progress, base_url: str | None) -> None:
    url = model.weights_url
    if base_url is not None:
        url = base_url.rstrip("/") + "/" + url.rpartition("/")[2]
    with _opened(url, https_only=base_url is None) as response:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _aside(path) as (file, part):
            _receive(response, file, model, progress)
            file.flush()
            os.fsync(file.fileno())
            flaw = _flaw(part, model)
            if flaw:
                raise _Broken(f"what {urlsplit(url).netloc} sent is wrong, {flaw}")
            part.replace(path)


@contextlib.contextmanager
def _aside(path: Path) -> Iterator[tuple[IO[bytes], Path]]:
    """A new file beside ``path`` that is gone afterwards unless it was renamed."""
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        with part.open("xb") as file:
            yield file, part
    finally:
        part.unlink(missing_ok=True)


def _opened(url: str, *, https_only: bool) -> Any:
    handlers = [_StayOnHttps] if https_only else []
    host = urlsplit(url).netloc
    try:
        return urllib.request.build_opener(*handlers).open(url, timeout=_SILENCE_S)
    except urllib.error.HTTPError as error:
        error.close()
        raise _Broken(f"{host} answered {error.code} {error.reason}") from error
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", "") or error
        raise _Broken(f"{host} can't be reached ({reason})") from error


class _StayOnHttps(urllib.request.HTTPRedirectHandler):
    def redirect_request(
        self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        if urlsplit(newurl).scheme != "https":
            raise _Broken("the server sends on to an address without https")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _receive(response: Any, file: IO[bytes], model: ZooModel, progress: Progress) -> None:
    length = response.headers.get("Content-Length", "")
    expected = int(length) if length.isdecimal() else None
    steps = None if expected is None else math.ceil(expected / _CHUNK_BYTES)
    progress.stage(f"download weights of {model.name} (MiB)", steps)
    received = 0
    while chunk := _next(response):
        received += len(chunk)
        if received > _limit_bytes(model):
            raise _Broken(f"more than {_limit_bytes(model) // 2**20} MiB came, which it can't be")
        file.write(chunk)
        progress.advance()
    if expected is not None and received != expected:
        raise _Broken(f"the connection ended after {received:,} of {expected:,} bytes")


def _next(response: Any) -> bytes:
    try:
        chunk: bytes = response.read(_CHUNK_BYTES)
    except (OSError, http.client.HTTPException) as error:
        raise _Broken(f"the connection broke ({error})") from error
    return chunk


def _limit_bytes(model: ZooModel) -> int:
    # Float32 weights, and room for HDF5's own tables: keras.io lists up to 1.4 times the weights.
    return model.parameters * 5 + 2**24
