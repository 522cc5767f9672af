"""What slow steps made before, kept between runs under a hash of all that decides it.

    FOLDER/                   $EDGECONV_CACHE, XDG_CACHE_HOME/edgeconv or ~/.cache/edgeconv
    └── <SHA-256 of the key>/
        ├── entry.json        <SHA-256 of the rest> newline {"key", "meta", "files"}
        └── float.tflite      and whatever else the step made

A key holds hashes of the step's inputs, and to every key come edgeconv's own code,
the versions of the packages that work on models, and the processor (sums differ by
it). A file is copied out and its checksum compared on the way; an entry that is
damaged is thrown away and made again. Entries appear whole, by a rename; the least
recently used go when the folder grows beyond its bound. Nothing that goes wrong here
fails a run: then there is no cache.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import shutil
import stat
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any, Final

from edgeconv.errors import UsageError
from edgeconv.progress import Progress

__all__ = ["Cache", "user_cache"]

_MIB: Final = 1 << 20
_DEFAULT_MIB: Final = 4096
_BLOCK: Final = 1 << 20
#: NASNetLarge, the zoo's model of most operators, has 0.3 MB of names.
_MAX_ENTRY_BYTES: Final = 64 * _MIB
_ENTRY: Final = "entry.json"
_ASIDE: Final = ".aside-"
#: What a run that was killed left behind is swept up after as long.
_STALE_S: Final = 3600
_PACKAGES: Final = (
    "tensorflow", "tensorflow-cpu", "keras", "tf2onnx", "onnx", "onnxruntime", "ai-edge-litert",
    "numpy", "pillow", "h5py", "protobuf", "flatbuffers",
)  # fmt: skip
#: Settings of TensorFlow and its kernels that change what they answer.
_SETTINGS: Final = ("TF_", "KERAS_", "OMP_", "DNNL_", "ONEDNN_")

Json = Mapping[str, Any]


def user_cache(watch: Progress) -> Cache | None:
    """The cache of whoever runs this, or None where there is none to be had.

    ``EDGECONV_CACHE`` says where, ``EDGECONV_CACHE_MIB`` how large (4096; 0 for none).

    Args:
        watch: Told why there is none.

    Raises:
        UsageError: ``EDGECONV_CACHE_MIB`` is no whole number.
    """
    text = os.environ.get("EDGECONV_CACHE_MIB", "") or str(_DEFAULT_MIB)
    if not text.isdecimal() or len(text) > 12:
        raise UsageError(
            f"EDGECONV_CACHE_MIB is {text[:40]!r}, no whole number of MiB.",
            "Set it to how large the cache may grow; 0 is for none.",
        )
    if int(text) == 0:
        return None
    try:
        return Cache(_open_folder(_user_folder()), int(text) * _MIB)
    except (OSError, RuntimeError) as error:
        cause = getattr(error, "strerror", None) or error
        watch.note(f"nothing is kept for the next run: the cache folder can't be used ({cause})")
        return None


class Cache:
    """Entries in a folder of the user's own.

    Args:
        folder: There, and nobody else's.
        limit_bytes: How much all entries may take together.
    """

    def __init__(self, folder: Path, limit_bytes: int) -> None:
        self._folder, self._limit = folder, limit_bytes

    def fetch(self, key: Json, into: Path | None = None) -> Any | None:
        """What was kept under ``key``, its files copied into ``into``.

        Args:
            key: As it was kept; JSON.
            into: Where the files go; None where there are none.

        Returns:
            ``meta`` as it was kept; None where nothing is, or nothing that is whole.
        """
        place = self._folder / _digest(key)
        try:
            entry = _read_entry(place / _ENTRY)
            if entry["key"] != _full(key):
                raise _DamagedError
            for name, sha256 in entry["files"].items():
                if into is None or Path(name).name != name:
                    raise _DamagedError
                _copy_checked(place / name, into / name, sha256)
            os.utime(place / _ENTRY)
        except (OSError, _DamagedError):
            if place.exists():
                self._discard(place)
            return None
        return entry["meta"]

    def keep(self, key: Json, meta: Any, files: Sequence[Path] = ()) -> None:
        """Keep ``meta`` and copies of ``files`` under ``key``; does nothing where it can't.

        Args:
            key: All that decides the rest, beside edgeconv and its packages; JSON.
            meta: JSON.
            files: Their names are kept too.
        """
        with contextlib.suppress(OSError):
            size = sum(file.stat().st_size for file in files)
            free = shutil.disk_usage(self._folder).free
            # The run itself needs room too, for as much once more.
            if size > self._limit or free < 2 * size + _MAX_ENTRY_BYTES:
                return
            self._make_room(size)
            aside = Path(tempfile.mkdtemp(prefix=_ASIDE, dir=self._folder))
            try:
                sums = {file.name: _copy(file, aside / file.name) for file in files}
                _write_entry(aside / _ENTRY, {"key": _full(key), "meta": meta, "files": sums})
                # Another process may have been first; then this fails, and theirs is the same.
                aside.rename(self._folder / _digest(key))
            finally:
                shutil.rmtree(aside, ignore_errors=True)

    def _make_room(self, wanted: int) -> None:
        """Remove the least recently used entries until ``wanted`` bytes more fit."""
        entries = sorted(self._entries())
        total = sum(size for _, size, _ in entries)
        for used, size, place in entries:
            stale = place.name.startswith(_ASIDE)
            if stale and time.time() - used < _STALE_S:
                continue
            if stale or total + wanted > self._limit:
                self._discard(place)
                total -= size

    def _entries(self) -> Iterator[tuple[float, int, Path]]:
        """Last use in seconds, bytes and folder of each entry."""
        for place in self._folder.iterdir():
            with contextlib.suppress(OSError):
                status = [file.stat(follow_symlinks=False) for file in place.iterdir()]
                used = max((s.st_mtime for s in status), default=place.stat().st_mtime)
                yield used, sum(s.st_size for s in status), place

    def _discard(self, place: Path) -> None:
        """Remove an entry; whoever reads it meanwhile finds it damaged or gone."""
        with contextlib.suppress(OSError):
            aside = Path(tempfile.mkdtemp(prefix=_ASIDE, dir=self._folder))
            with contextlib.suppress(OSError):
                place.rename(aside / place.name)
            shutil.rmtree(aside, ignore_errors=True)


class _DamagedError(Exception):
    """An entry is not what was kept."""


def _user_folder() -> Path:
    if chosen := os.environ.get("EDGECONV_CACHE"):
        return Path(chosen).expanduser().absolute()
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if Path(base).is_absolute() else Path.home() / ".cache") / "edgeconv"


def _open_folder(folder: Path) -> Path:
    """Make ``folder`` ours alone: what others can write there could be a hostile model."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = folder.stat()
    if hasattr(os, "getuid") and status.st_uid != os.getuid():
        raise PermissionError(1, f"{folder} belongs to another user")
    if stat.S_IMODE(status.st_mode) & 0o077:
        folder.chmod(0o700)
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        raise PermissionError(13, f"{folder} is not writable")
    return folder


def _full(key: Json) -> dict[str, Any]:
    """The key with all that decides beside it, as JSON gives it back."""
    full: dict[str, Any] = json.loads(json.dumps({**key, "made_by": _makers()}))
    return full


def _digest(key: Json) -> str:
    return hashlib.sha256(json.dumps(_full(key), sort_keys=True).encode()).hexdigest()


def _makers() -> dict[str, Any]:
    settings = {k: v for k, v in sorted(os.environ.items()) if k.startswith(_SETTINGS)}
    return {**_installed(), "settings": settings}


@cache
def _installed() -> dict[str, Any]:
    """The hash of edgeconv's own code, Python, packages and processor."""
    versions = {}
    for name in _PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    return {
        "code": _code_hash(),
        "python": sys.version,
        "versions": versions,
        "machine": [platform.system(), platform.machine(), os.cpu_count(), _processor_flags()],
    }


def _code_hash() -> str:
    """SHA-256 of edgeconv's modules, so that no change of them finds the old results."""
    digest = hashlib.sha256()
    package = Path(__file__).resolve().parent
    for path in sorted(package.rglob("*.py")):
        digest.update(f"{path.relative_to(package).as_posix()}\n".encode() + path.read_bytes())
    return digest.hexdigest()


def _processor_flags() -> str:
    """What instructions there are: kernels choose by them, and their sums differ."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith(("flags", "Features")):
                return hashlib.sha256(line.encode()).hexdigest()
    return platform.processor()


def _read_entry(path: Path) -> dict[str, Any]:
    """The parsed entry.json.

    Raises:
        _DamagedError: Its checksum differs.
    """
    with path.open("rb") as file:
        content = file.read(_MAX_ENTRY_BYTES + 1)
    sha256, _, body = content.partition(b"\n")
    if hashlib.sha256(body).hexdigest().encode() != sha256:
        raise _DamagedError
    entry: dict[str, Any] = json.loads(body)
    return entry


def _write_entry(path: Path, entry: Json) -> None:
    body = json.dumps(entry).encode()
    if len(body) >= _MAX_ENTRY_BYTES:
        raise OSError("too large for the cache")
    path.write_bytes(hashlib.sha256(body).hexdigest().encode() + b"\n" + body)


def _copy_checked(source: Path, target: Path, sha256: str) -> None:
    aside = target.with_name(target.name + ".part")
    try:
        if _copy(source, aside) != sha256:
            raise _DamagedError
        aside.replace(target)
    finally:
        aside.unlink(missing_ok=True)


def _copy(source: Path, target: Path) -> str:
    """Copy a file and return the SHA-256 of what was copied."""
    digest = hashlib.sha256()
    descriptor = os.open(source, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
    with os.fdopen(descriptor, "rb") as reader, target.open("wb") as writer:
        while block := reader.read(_BLOCK):
            digest.update(block)
            writer.write(block)
    return digest.hexdigest()
