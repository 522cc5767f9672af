"""What is to be measured, and the cases that follow from it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeconv.errors import MissingDependency, RefusedInput, UsageError
from edgeconv.runtime.checksums import SealedFolder
from edgeconv.runtime.engines import ENGINES, installed_engines
from edgeconv.runtime.manifest import ArtifactEntry, Manifest
from edgeconv.runtime.session import read_manifest

__all__ = ["BenchRequest", "Case", "Subject", "cases", "read_subjects"]

_MOST_CASES = 200
_BENCH_FILE = "bench.json"
_MAX_BENCH_BYTES = 4 << 20


@dataclass(frozen=True)
class BenchRequest:
    """One benchmark.

    Attributes:
        bundles: The bundle, then those that stand beside it.
        on: A target, as transports write it; None for this machine.
        python: The interpreter there; None for the transport's own choice.
        engines: Keys of ``ENGINES``; () for each that opens a file of a bundle here, on a
            target for the first one there.
        device: ``cpu``, ``cuda``, ``tensorrt`` or ``gpu``.
        allow_fallback: Take the CPU where the device can't.
        threads: Of one inference, each on its own.
        batch: Items a call, each on its own.
        repeat: Timed calls a measurement; None for about a second of them.
        rounds: Measurements a case, each in a process of its own.
        warmup: Calls before the clock starts.
        bind: Inputs and outputs stay on the device.
        profile: Read the engine's profile of each file too.
        script: The text of infer.py, which a target runs; a bundle's own is code of
            whoever made it.
    """

    bundles: tuple[Path, ...]
    on: str | None = None
    python: str | None = None
    engines: tuple[str, ...] = ()
    device: str = "cpu"
    allow_fallback: bool = False
    threads: tuple[int, ...] = (1,)
    batch: tuple[int, ...] = (1,)
    repeat: int | None = None
    rounds: int = 3
    warmup: int = 5
    bind: bool = False
    profile: bool = True
    script: str = ""


@dataclass(frozen=True)
class Subject:
    """A bundle that is measured.

    Attributes:
        path: Its folder.
        name: For people: the folder's name.
        manifest: What it says of itself.
        exported: The content of its bench.json, of the day when it was exported; {} without.
    """

    path: Path
    name: str
    manifest: Manifest
    exported: Mapping[str, Any]

    def entry(self, file: str) -> ArtifactEntry | None:
        """The manifest's entry of a model file."""
        return next((a for a in self.manifest.artifacts if a.file == file), None)


@dataclass(frozen=True)
class Case:
    """One combination that is measured; ``engine`` None leaves the choice to the target."""

    subject: Subject
    engine: str | None
    threads: int
    batch: int


def read_subjects(paths: Sequence[Path]) -> tuple[Subject, ...]:
    """Check the bundles' checksums and read their manifests.

    Raises:
        EdgeconvError: One is no bundle, or was changed.
    """
    subjects: list[Subject] = []
    for path in paths:
        folder = SealedFolder(path)
        manifest = read_manifest(folder)
        taken = {subject.name for subject in subjects}
        name = path.resolve().name
        name = str(path) if name in taken else name
        subjects.append(Subject(path, name, manifest, _exported(folder)))
    return tuple(subjects)


def _exported(folder: SealedFolder) -> Mapping[str, Any]:
    if _BENCH_FILE not in folder.sums:
        return {}
    try:
        found = json.loads(folder.read(_BENCH_FILE, _MAX_BENCH_BYTES))
    except (ValueError, RecursionError) as error:
        raise RefusedInput(f"{_BENCH_FILE} of {folder.path} is no valid JSON.") from error
    return found if isinstance(found, dict) else {}


def cases(request: BenchRequest, subjects: Sequence[Subject]) -> tuple[Case, ...]:
    """Every combination, in the order in which a round takes them.

    Raises:
        UsageError: There are too many, or an engine opens no file of a bundle.
        MissingDependency: No engine is installed here that opens one.
    """
    found = tuple(
        Case(subject, engine, threads, batch)
        for threads in request.threads
        for batch in request.batch
        for subject in subjects
        for engine in _engines(request, subject)
    )
    if len(found) > _MOST_CASES:
        raise UsageError(
            f"These are {len(found)} cases; {_MOST_CASES} are the most.",
            "Name fewer --threads, --batch or --engine.",
        )
    return found


def _engines(request: BenchRequest, subject: Subject) -> tuple[str | None, ...]:
    formats = [artifact.format for artifact in subject.manifest.artifacts]
    for engine in request.engines:
        if ENGINES[engine].format not in formats:
            raise UsageError(
                f"{engine} opens no file of {subject.name}.",
                f"It holds {' and '.join(a.file for a in subject.manifest.artifacts)}.",
            )
    if request.engines or request.on is not None:
        return request.engines or (None,)
    if request.device != "cpu" or request.bind:
        return ("onnxruntime",) if "onnx" in formats else (None,)
    here = [engine for form in formats for engine in installed_engines(form)[:1]]
    if not here:
        wanted = " or ".join(e.package for e in ENGINES.values() if e.format in formats)
        raise MissingDependency(
            f"No engine is installed that opens a file of {subject.name}.", f"pip install {wanted}"
        )
    return tuple(here)
