"""Session: an open bundle that answers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Optional, Union

import numpy as np

from edgeconv.errors import MissingDependency, RefusedInput, Unsupported, UsageError
from edgeconv.runtime.answers import Answer, Prediction, activate, best, read_labels
from edgeconv.runtime.checksums import SealedFolder
from edgeconv.runtime.engines import ENGINES, Model, installed_engines, open_model
from edgeconv.runtime.inputs import Item, in_groups, ready_items
from edgeconv.runtime.manifest import (
    MANIFEST_FILE,
    MAX_MANIFEST_BYTES,
    ArtifactEntry,
    Manifest,
    parse_manifest,
)
from edgeconv.runtime.onnx_wire import external_files
from edgeconv.runtime.providers import DEVICES
from edgeconv.types import Array

__all__ = ["Session", "open_artifact", "read_manifest"]

_MAX_LABEL_BYTES = 4 << 20


class Session:
    """A bundle with one of its model files open; make one with ``Session.open``.

    Safe to use from several threads: ``run`` keeps no state, ONNX Runtime takes
    callers side by side, a TFLite interpreter takes them in turn.

    Attributes:
        folder: The bundle.
        manifest: What it says of itself.
        artifact: The model file that is open.
        model: The file, open in an engine; ``model.device`` and ``model.note`` tell where.
        labels: Class names by index; empty where there are none.
    """

    def __init__(
        self, folder: SealedFolder, manifest: Manifest, artifact: ArtifactEntry, model: Model
    ) -> None:
        self.folder = folder
        self.manifest = manifest
        self.artifact = artifact
        self.model = model
        self.labels: tuple[str, ...] = ()
        if manifest.labels is not None:
            self.labels = read_labels(folder.read(manifest.labels, _MAX_LABEL_BYTES))

    @staticmethod
    def open(
        bundle: Union[str, Path],
        device: Optional[str] = None,
        engine: Optional[str] = None,
        allow_fallback: bool = False,
        threads: int = 1,
    ) -> Session:
        """Check a bundle's checksums, then open the model file that suits the engine.

        Args:
            bundle: The folder.
            device: ``cpu``, ``cuda``, ``tensorrt``, or ``gpu`` for the best of the two that
                starts; None is the CPU.
            engine: ``litert``, ``tflite-runtime`` or ``onnxruntime``; None takes
                the first that is installed and opens one of the bundle's files.
            allow_fallback: Take the CPU where the device can't; ``model.note`` then says so.
            threads: Of one inference.

        Raises:
            UsageError: There is no such bundle, engine or device.
            RefusedInput: The bundle was damaged or is malformed.
            MissingDependency: The engine, or any, is not installed; or the device does
                not start.
            Unsupported: No engine that is installed opens a file of the bundle, or the
                device lacks an operator.
        """
        folder = SealedFolder(Path(bundle))
        manifest = read_manifest(folder)
        artifact, model = _first_that_opens(
            folder, manifest, engine, threads, device, allow_fallback
        )
        return Session(folder, manifest, artifact, model)

    def answers(self, items: Iterable[Item], batch: int = 1) -> Iterator[Answer]:
        """Answer item by item; see ``ready_items`` for what an item may be.

        Args:
            items: Pictures, arrays, or files of either.
            batch: How many go through the model at once: a gain on a GPU, none on a CPU.

        Raises:
            UsageError: There are no items, or one is absent or of the wrong shape or dtype.
            RefusedInput: One is damaged, or holds NaN.
        """
        preprocess, specs = self.manifest.preprocess, self.manifest.inputs
        ready = (pair for item in items for pair in ready_items(item, preprocess, specs))
        count = 0
        for group in in_groups(ready, batch):
            count += len(group)
            x = [np.concatenate(column) for column in zip(*(arrays for _, arrays in group))]
            outputs = self.model(*x)
            for i, (source, _) in enumerate(group):
                yield self._answer(source, tuple(y[i] for y in outputs))
        if not count:
            raise UsageError("There are no inputs to run.", "Pass at least one picture or array.")

    def run(self, items: Iterable[Item], batch: int = 1) -> list[Answer]:
        """All answers at once."""
        return list(self.answers(items, batch))

    def top(self, answer: Answer, count: int = 5) -> list[Prediction]:
        """The ``count`` best classes of an answer, best first."""
        return best(answer, self.manifest.activation, self.labels, count)

    def _answer(self, source: str, outputs: tuple[Array, ...]) -> Answer:
        if not all(np.isfinite(y).all() for y in outputs):
            raise Unsupported(f"The model's answer to {source} is not finite.")
        return Answer(source, outputs, activate(outputs[0], self.manifest.activation))


def read_manifest(folder: SealedFolder) -> Manifest:
    """The manifest of a sealed bundle."""
    return parse_manifest(folder.read(MANIFEST_FILE, MAX_MANIFEST_BYTES))


def open_artifact(
    folder: SealedFolder,
    artifact: ArtifactEntry,
    engine: Optional[str] = None,
    threads: int = 1,
    device: Optional[str] = None,
    allow_fallback: bool = False,
    profile: str = "",
) -> Model:
    """Open one model file of a sealed bundle; ``profile`` as in ``open_model``.

    Raises:
        EdgeconvError: As ``open_model``.
    """
    if folder.sums.get(artifact.file) != artifact.sha256:
        raise RefusedInput(f"{artifact.file} is not the file that {MANIFEST_FILE} describes.")
    data = folder.read(artifact.file)
    named = external_files(data) if artifact.format == "onnx" else set()
    return open_model(
        data,
        artifact.format,
        artifact.inputs,
        artifact.outputs,
        engine,
        threads,
        device,
        allow_fallback,
        half=artifact.precision == "fp16",
        profile=profile,
        # Only what the seal lists; whatever else the model asks for is refused.
        files={name: folder.read(name) for name in sorted(named & folder.sums.keys())},
    )


def _first_that_opens(
    folder: SealedFolder,
    manifest: Manifest,
    engine: Optional[str],
    threads: int,
    device: Optional[str],
    allow_fallback: bool,
) -> tuple[ArtifactEntry, Model]:
    if engine is not None and engine not in ENGINES:
        raise UsageError(f"There is no engine {engine!r}.", f"Choose one of: {', '.join(ENGINES)}.")
    if device is not None and device not in DEVICES:
        raise UsageError(f"There is no device {device!r}.", f"Choose one of: {', '.join(DEVICES)}.")
    wanted = ENGINES[engine].format if engine else None
    # TFLite first: its engines are the smallest to install and to load. But a GPU is ONNX's.
    first = "tflite" if device in (None, "cpu") else "onnx"
    if first == "onnx" and engine is None and not allow_fallback:
        _demand_onnx(manifest, device)
    failure: Optional[Exception] = None
    for entry in sorted(manifest.artifacts, key=lambda entry: entry.format != first):
        there = engine is not None or installed_engines(entry.format)
        if wanted not in (None, entry.format) or not there:
            continue
        try:
            return entry, open_artifact(folder, entry, engine, threads, device, allow_fallback)
        except (MissingDependency, Unsupported) as error:
            failure = failure or error
    raise failure or _no_engine(manifest, engine)


def _demand_onnx(manifest: Manifest, device: Optional[str]) -> None:
    if all(entry.format != "onnx" for entry in manifest.artifacts):
        raise Unsupported(
            f"Only ONNX files run on {device}, and the bundle has none.",
            "Export it again with --format onnx, or accept the CPU with --allow-fallback.",
        )
    if not installed_engines("onnx"):
        raise MissingDependency(
            f"ONNX Runtime is not installed; without it nothing runs on {device}.",
            "pip install 'onnxruntime-gpu[cuda,cudnn]'",
        )


def _no_engine(manifest: Manifest, engine: Optional[str]) -> Exception:
    files = " or ".join(entry.file for entry in manifest.artifacts)
    fitting = [e for e in ENGINES.values() if e.format in {a.format for a in manifest.artifacts}]
    hint = "Install one: " + " or ".join(f"pip install {e.package}" for e in fitting)
    here = [engine] if engine else installed_engines()
    if here:
        return Unsupported(
            f"{' and '.join(here)} can't open {files}, all that the bundle has.", hint
        )
    return MissingDependency(f"No engine is installed that opens {files}.", hint)
