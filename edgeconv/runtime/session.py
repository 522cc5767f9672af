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
from edgeconv.runtime.inputs import Item, ready_items
from edgeconv.runtime.manifest import (
    MANIFEST_FILE,
    MAX_MANIFEST_BYTES,
    ArtifactEntry,
    Manifest,
    parse_manifest,
)

__all__ = ["Session", "open_artifact", "read_manifest"]

_MAX_LABEL_BYTES = 4 << 20


class Session:
    """A bundle with one of its model files open; make one with ``Session.open``.

    Safe to use from several threads: ``run`` keeps no state, and a TFLite
    model takes its callers in turn.

    Attributes:
        folder: The bundle.
        manifest: What it says of itself.
        artifact: The model file that is open.
        model: The file, open in an engine.
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
    def open(bundle: Union[str, Path], engine: Optional[str] = None, threads: int = 1) -> Session:
        """Check a bundle's checksums, then open the model file that suits the engine.

        Args:
            bundle: The folder.
            engine: ``litert``, ``tflite-runtime`` or ``onnxruntime``; None takes
                the first that is installed and opens one of the bundle's files.
            threads: Of one inference.

        Raises:
            UsageError: There is no such bundle or engine.
            RefusedInput: The bundle was damaged or is malformed.
            MissingDependency: The engine, or any, is not installed.
            Unsupported: No engine that is installed opens a file of the bundle.
        """
        folder = SealedFolder(Path(bundle))
        manifest = read_manifest(folder)
        artifact, model = _first_that_opens(folder, manifest, engine, threads)
        return Session(folder, manifest, artifact, model)

    def answers(self, items: Iterable[Item]) -> Iterator[Answer]:
        """Answer one item at a time; see ``ready_items`` for what an item may be."""
        if len(self.model.inputs) != 1:
            raise Unsupported(
                f"The model takes {len(self.model.inputs)} inputs; a picture or .npy file is one.",
                "Call session.model with one array an input.",
            )
        for item in items:
            for source, x in ready_items(item, self.manifest.preprocess, self.manifest.inputs[0]):
                outputs = tuple(y[0] for y in self.model(x))
                if not all(np.isfinite(y).all() for y in outputs):
                    raise Unsupported(f"The model's answer to {source} is not finite.")
                activated = activate(outputs[0], self.manifest.activation)
                yield Answer(source, outputs, activated)

    def run(self, items: Iterable[Item]) -> list[Answer]:
        """All answers at once."""
        return list(self.answers(items))

    def top(self, answer: Answer, count: int = 5) -> list[Prediction]:
        """The ``count`` best classes of an answer, best first."""
        return best(answer, self.manifest.activation, self.labels, count)


def read_manifest(folder: SealedFolder) -> Manifest:
    """The manifest of a sealed bundle."""
    return parse_manifest(folder.read(MANIFEST_FILE, MAX_MANIFEST_BYTES))


def open_artifact(
    folder: SealedFolder, artifact: ArtifactEntry, engine: Optional[str] = None, threads: int = 1
) -> Model:
    """Open one model file of a sealed bundle.

    Raises:
        EdgeconvError: As ``open_model``.
    """
    if folder.sums.get(artifact.file) != artifact.sha256:
        raise RefusedInput(f"{artifact.file} is not the file that {MANIFEST_FILE} describes.")
    return open_model(
        folder.read(artifact.file),
        artifact.format,
        artifact.inputs,
        artifact.outputs,
        engine,
        threads,
    )


def _first_that_opens(
    folder: SealedFolder, manifest: Manifest, engine: Optional[str], threads: int
) -> tuple[ArtifactEntry, Model]:
    if engine is not None and engine not in ENGINES:
        raise UsageError(f"There is no engine {engine!r}.", f"Choose one of: {', '.join(ENGINES)}.")
    wanted = ENGINES[engine].format if engine else None
    # TFLite first: its engines are the smallest to install and to load.
    entries = sorted(manifest.artifacts, key=lambda entry: entry.format != "tflite")
    failure: Optional[Exception] = None
    for entry in entries:
        there = engine is not None or installed_engines(entry.format)
        if wanted not in (None, entry.format) or not there:
            continue
        try:
            return entry, open_artifact(folder, entry, engine, threads)
        except (MissingDependency, Unsupported) as error:
            failure = failure or error
    raise failure or _no_engine(manifest, engine)


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
