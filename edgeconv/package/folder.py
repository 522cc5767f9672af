"""A folder that appears whole or not at all.

.NAME.partial-1f2e/   everything is written here
.NAME.old-1f2e/       a bundle that is replaced waits here
NAME/                 appears by one rename
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from edgeconv.errors import HostFailure, UsageError
from edgeconv.runtime.checksums import SUMS_FILE
from edgeconv.runtime.manifest import MANIFEST_FILE

__all__ = ["BUNDLE_FILES", "check_destination", "write_folder"]

#: All that an edgeconv bundle may hold; a folder with more is not ours to delete.
BUNDLE_FILES = (
    "README.md",
    SUMS_FILE,
    "bench.json",
    "golden.npz",
    "infer.py",
    "labels.txt",
    MANIFEST_FILE,
    "model.onnx",
    "model.onnx.data",
    "model.tflite",
    "recipe.toml",
    "recovery.json",
    "report.html",
    "verdict.json",
)


def check_destination(destination: Path, *, force: bool) -> None:
    """Refuse early what ``write_folder`` would refuse after all the work.

    Args:
        destination: Of the bundle.
        force: A bundle that is there may be replaced.

    Raises:
        UsageError: Something is there that may not be replaced.
        HostFailure: Nothing can be written there.
    """
    _refuse_existing(destination, force)
    ancestor = destination.absolute().parent
    while not ancestor.exists():
        ancestor = ancestor.parent
    if not ancestor.is_dir():
        raise UsageError(f"{ancestor} is no folder.", "Choose another --output.")
    probe = _aside(ancestor / destination.name, "probe")
    try:
        probe.mkdir()
        probe.rmdir()
    except OSError as error:
        raise _host_failure(ancestor, error) from error


def write_folder(
    destination: Path,
    files: Mapping[str, bytes],
    *,
    force: bool,
    known: Collection[str] = (),
) -> Path:
    """Write a folder of files aside, then put it in its place by renaming.

    Args:
        destination: Of the folder.
        files: Path below the folder -> content.
        force: What is there is replaced, once the new one is complete.
        known: All that a folder may hold that ``force`` replaces; none means a bundle.

    Returns:
        ``destination``.

    Raises:
        UsageError: Something is there that may not be replaced.
        HostFailure: The disk is full or read-only; nothing is left behind.
    """
    _refuse_existing(destination, force, known)
    partial = _aside(destination, "partial")
    try:
        destination.parent.mkdir(parents=True, exist_ok=True)
        partial.mkdir()
        for name, data in files.items():
            (partial / name).parent.mkdir(parents=True, exist_ok=True)
            (partial / name).write_bytes(data)
        _put_in_place(partial, destination.resolve())  # "." can't be renamed
    except OSError as error:
        raise _host_failure(destination, error) from error
    finally:  # after Ctrl-C too
        shutil.rmtree(partial, ignore_errors=True)
    return destination


def _put_in_place(partial: Path, destination: Path) -> None:
    if not os.path.lexists(destination):
        partial.rename(destination)
        return
    old = _aside(destination, "old")
    destination.rename(old)
    try:
        partial.rename(destination)
    except BaseException:
        old.rename(destination)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _refuse_existing(destination: Path, force: bool, known: Collection[str] = ()) -> None:
    if not os.path.lexists(destination):
        return
    if not force:
        raise UsageError(
            f"{destination} exists already.", "Choose another --output, or replace it with --force."
        )
    if destination.is_symlink() or not destination.is_dir():
        raise UsageError(f"{destination} is no folder.", "Choose another --output.")
    top = {entry.name for entry in destination.iterdir()}
    if top and not known and not {MANIFEST_FILE, SUMS_FILE} <= top:
        raise UsageError(
            f"{destination} is no edgeconv bundle; --force replaces only those.",
            "Choose another --output, or remove the folder yourself.",
        )
    names = known or BUNDLE_FILES
    # Looked into only where nothing else lies beside it: it may be a home folder.
    foreign = sorted(top - {Path(name).parts[0] for name in names}) or sorted(
        _below(destination) - _with_parents(names)
    )
    if foreign:
        raise UsageError(
            f"{destination} holds {foreign[0]!r}, which is not edgeconv's to delete.",
            "Move it away, or choose another --output.",
        )


def _below(folder: Path) -> set[str]:
    return {str(entry.relative_to(folder)) for entry in folder.rglob("*")}


def _with_parents(names: Iterable[str]) -> set[str]:
    return {str(path) for name in names for path in (Path(name), *Path(name).parents)}


def _aside(destination: Path, role: str) -> Path:
    full = destination.resolve()  # "." has no name of its own
    return full.with_name(f".{full.name}.{role}-{secrets.token_hex(4)}")


def _host_failure(path: Path, error: OSError) -> HostFailure:
    remedy = "Choose another --output."
    if error.errno == errno.ENOSPC:
        with contextlib.suppress(OSError):
            folder = path if path.exists() else path.absolute().parent
            free_mib = shutil.disk_usage(folder).free >> 20
            remedy = f"Choose another --output; {free_mib} MiB are free there."
    return HostFailure(f"The bundle can't be written to {path}: {error.strerror or error}.", remedy)
