"""The emulated device: Debian's arm64 packages and aarch64 wheels, unpacked into a folder.

apt-get download ──► dpkg -x ──► root/            Python 3.11 and its libraries
pip --platform ────────────────► litert/          NumPy 2, Pillow, ai-edge-litert
                └──────────────► tflite-runtime/  NumPy 1.26, Pillow, tflite-runtime

Needs no root and installs nothing: apt works on lists and a cache of its own. From
where packages come is as apt and pip are configured here.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import sys
import tempfile
from pathlib import Path

from edgeconv.device.transports.process import Completed, execute, last_line
from edgeconv.errors import EdgeconvError, HostFailure, MissingDependency, RefusedInput
from edgeconv.progress import Progress

__all__ = [
    "CACHE_VARIABLE",
    "EMULATED_ENGINES",
    "emulator",
    "find_environment",
    "prepare",
    "setup_hint",
]

#: Where emulated devices are kept; by default the user's cache folder.
CACHE_VARIABLE = "EDGECONV_DEVICE_CACHE"

#: With the libraries that they depend on. Python 3.11 is the last with wheels of tflite-runtime.
_PACKAGES = ("python3.11-minimal", "libpython3.11-stdlib", "libstdc++6")
#: Engine -> what is installed with it. ai-edge-litert 2.3.0 and onnxruntime 1.31.1 crash
#: under this emulator; tflite-runtime's wheels need NumPy 1.x.
EMULATED_ENGINES = {
    "litert": ("ai-edge-litert==2.1.6", "numpy==2.4.6", "pillow"),
    "tflite-runtime": ("tflite-runtime==2.14.0", "numpy==1.26.4", "pillow"),
}
#: Debian 12 has glibc 2.36, and older wheels run there too.
_PLATFORMS = ("manylinux2014", *(f"manylinux_2_{minor}" for minor in (17, 24, 27, 28, 31, 34, 35)))
#: Longer than any of this takes on a slow line.
_DOWNLOAD_S = 1800.0


def setup_hint() -> str:
    """The command that makes the emulated device."""
    return "Make it once, about 300 MB: edgeconv devices --setup qemu:aarch64"


def emulator() -> str:
    """The path of QEMU's user-mode emulator.

    Raises:
        MissingDependency: It isn't installed.
    """
    for name in ("qemu-aarch64-static", "qemu-aarch64"):
        if found := shutil.which(name):
            return found
    raise MissingDependency(
        "QEMU's user-mode emulation is not installed.", "Install it: apt install qemu-user-static"
    )


def find_environment() -> Path | None:
    """The folder that ``prepare`` filled for these versions; None where it has not.

    Raises:
        RefusedInput: Others may write there; what lies there is run.
    """
    folder = _folder()
    if not folder.is_dir():
        return None
    status = folder.stat()
    if status.st_uid != os.getuid() or status.st_mode & (stat.S_IWOTH | stat.S_IWGRP):
        raise RefusedInput(
            f"Others may write to the emulated device {folder}.",
            f"Name a folder of your own in {CACHE_VARIABLE}.",
        )
    return folder


def prepare(progress: Progress) -> Path:
    """Make the emulated device where it is absent.

    Args:
        progress: Told what is being fetched.

    Returns:
        Its folder.

    Raises:
        MissingDependency: QEMU, apt, dpkg or pip is not installed.
        HostFailure: A package can't be fetched, or the disk is full.
    """
    emulator()
    if (found := find_environment()) is not None:
        return found
    target = _folder()
    try:
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Beside its place, so that it appears there whole or not at all.
        with tempfile.TemporaryDirectory(prefix=".making-", dir=target.parent) as name:
            made = Path(name) / "device"
            made.mkdir(mode=0o700)
            _fill(made, Path(name), progress)
            made.replace(target)
    except OSError as error:
        raise HostFailure(
            f"{target} can't be made: {error.strerror}.",
            f"Name another folder in {CACHE_VARIABLE}.",
        ) from error
    return target


def _folder() -> Path:
    base = os.environ.get(CACHE_VARIABLE)
    if not base:
        home = os.environ.get("XDG_CACHE_HOME") or str(Path("~/.cache").expanduser())
        base = str(Path(home) / "edgeconv" / "devices")
    recipe = json.dumps([_PACKAGES, EMULATED_ENGINES], sort_keys=True).encode()
    return Path(base).absolute() / f"aarch64-{hashlib.sha256(recipe).hexdigest()[:12]}"


def _fill(made: Path, scratch: Path, progress: Progress) -> None:
    progress.stage("fetch Debian's arm64 packages")
    archives = _fetch_debian(scratch / "apt")
    progress.stage("unpack them", len(archives))
    for archive in archives:
        _do(["dpkg", "-x", str(archive), str(made / "root")], f"{archive.name} can't be unpacked")
        progress.advance()
    for engine, wheels in EMULATED_ENGINES.items():
        progress.stage(f"fetch {wheels[0]} for aarch64")
        _fetch_wheels(wheels, made / engine)


def _fetch_debian(folder: Path) -> list[Path]:
    """Download the packages and what they depend on, with lists and a cache of our own."""
    for name in ("state", "lists/partial", "cache/archives/partial"):
        (folder / name).mkdir(parents=True)
    (folder / "status").touch()  # nothing is installed: all of it is wanted
    settings = {
        "Dir::State": folder / "state",
        "Dir::State::Lists": folder / "lists",
        "Dir::State::status": folder / "status",
        "Dir::Cache": folder / "cache",
        "APT::Architecture": "arm64",
        "APT::Architectures::": "arm64",
        "APT::Sandbox::User": "",  # else root can't read our folder on its behalf
        "Debug::NoLocking": "1",
    }
    apt = ["apt-get", "-qq", *(f"-o{key}={value}" for key, value in settings.items())]
    _do([*apt, "update"], "The lists of arm64 packages can't be fetched")
    wanted = ["--no-install-recommends", "--download-only", "-y", "install", *_PACKAGES]
    _do([*apt, *wanted], "Debian's arm64 packages can't be fetched")
    return sorted((folder / "cache" / "archives").glob("*.deb"))


def _fetch_wheels(wheels: tuple[str, ...], folder: Path) -> None:
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-input"]
    command += ["--target", str(folder), "--only-binary=:all:", "--python-version", "3.11"]
    command += ["--implementation", "cp", "--abi", "cp311", "--abi", "abi3", "--abi", "none"]
    for platform in _PLATFORMS:
        command += ["--platform", f"{platform}_aarch64"]
    _do([*command, *wheels], f"{wheels[0]} for aarch64 can't be fetched")


def _do(command: list[str], problem: str) -> Completed:
    try:
        done = execute(command, _DOWNLOAD_S, environment={"LC_ALL": "C"})
    except FileNotFoundError:
        raise MissingDependency(
            f"{command[0]} is not installed here.", "The emulated device needs Debian or Ubuntu."
        ) from None
    except EdgeconvError as error:
        raise HostFailure(f"{problem}: {error.message}") from error
    if done.code:
        cause = last_line(done.stderr) or f"{command[0]} ended with {done.code}"
        raise HostFailure(
            f"{problem}: {cause.rstrip('.')}.",
            "It needs the sources of Debian 12 (bookworm) in apt, and pip; see docs/remote.md.",
        )
    return done
