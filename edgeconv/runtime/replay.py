"""The self-test: golden inputs through the model again, compared with golden outputs.

    golden.npz:  input_0, input_1, ...         float32 [N, ...], ready for the model
                 model.tflite.output_0, ...    float32 [N, ...], what that file gave

The difference allowed stands in the manifest, per model file: other CPUs and
other versions of an engine round differently.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

import numpy as np

from edgeconv.errors import MissingDependency, RefusedInput, Unsupported
from edgeconv.runtime.arrays import read_npz
from edgeconv.runtime.checksums import SealedFolder
from edgeconv.runtime.engines import ENGINES, installed_engines
from edgeconv.runtime.manifest import ArtifactEntry, Manifest
from edgeconv.runtime.session import open_artifact
from edgeconv.types import Array

__all__ = ["Replay", "golden_input_key", "golden_inputs", "golden_output_key", "replay_golden"]

_MAX_GOLDEN_BYTES = 1 << 28


@dataclass(frozen=True)
class Replay:
    """How one model file did.

    Attributes:
        file: Name in the bundle.
        engine: That ran it.
        version: Of the engine.
        samples: Number of golden inputs.
        difference: Largest absolute difference of an output, in its own units.
        tolerance: Largest that is allowed.
    """

    file: str
    engine: str
    version: str
    samples: int
    difference: float
    tolerance: float

    @property
    def passed(self) -> bool:
        """Whether the outputs are those that the bundle was made with."""
        return self.difference <= self.tolerance  # false for NaN


def golden_input_key(index: int) -> str:
    """Name in golden.npz of the inputs of one input tensor."""
    return f"input_{index}"


def golden_output_key(file: str, index: int) -> str:
    """Name in golden.npz of what one model file gave for one output tensor."""
    return f"{file}.output_{index}"


def golden_inputs(folder: SealedFolder, manifest: Manifest) -> tuple[Array, ...]:
    """The bundle's golden inputs, float32 [N, ...], one a model input.

    Raises:
        RefusedInput: The bundle has no golden file, or a malformed one.
    """
    golden = _golden(folder, manifest)
    return tuple([_array(golden, golden_input_key(i)) for i in range(len(manifest.inputs))])


def _golden(folder: SealedFolder, manifest: Manifest) -> dict[str, Array]:
    if manifest.golden is None:
        raise RefusedInput("The bundle has no golden inputs to replay.")
    return read_npz(folder.read(manifest.golden), manifest.golden, _MAX_GOLDEN_BYTES)


def replay_golden(
    folder: SealedFolder,
    manifest: Manifest,
    engine: Optional[str] = None,
    threads: int = 1,
    device: Optional[str] = None,
    allow_fallback: bool = False,
) -> list[Replay]:
    """Replay the golden inputs through every model file that can be opened here.

    Args:
        folder: The sealed bundle.
        manifest: Of the bundle.
        engine: Only this one; None takes the best for each file.
        threads: Of one inference.
        device: Where; None is the CPU. A GPU runs only the ONNX file.
        allow_fallback: Take the CPU where the device can't.

    Raises:
        RefusedInput: The bundle has no golden file, or a malformed one.
        MissingDependency: No engine is installed for any file, or the device doesn't start.
        Unsupported: The engine opens none of the files.
    """
    golden = _golden(folder, manifest)
    inputs = [_array(golden, golden_input_key(i)) for i in range(len(manifest.inputs))]
    replays = []
    for artifact in manifest.artifacts:
        if engine is None and not installed_engines(artifact.format):
            continue
        if engine in ENGINES and ENGINES[engine].format != artifact.format:
            continue
        if engine is None and device not in (None, "cpu") and artifact.format != "onnx":
            continue
        model = open_artifact(folder, artifact, engine, threads, device, allow_fallback)
        results = model(*inputs)
        replays.append(
            Replay(
                file=artifact.file,
                engine=model.engine,
                version=model.version,
                samples=len(inputs[0]),
                difference=_difference(golden, artifact, results),
                tolerance=manifest.tolerance.get(artifact.file, 0.0),
            )
        )
    if not replays and engine is None:
        raise MissingDependency(
            "No engine is installed that opens a file of the bundle.",
            "Install one: " + " or ".join(f"pip install {e.package}" for e in ENGINES.values()),
        )
    if not replays:
        raise Unsupported(f"{engine} opens none of the bundle's files.")
    return replays


def _difference(
    golden: dict[str, Array], artifact: ArtifactEntry, results: tuple[Array, ...]
) -> float:
    largest = 0.0
    for i, result in enumerate(results):
        expected = _array(golden, golden_output_key(artifact.file, i))
        if expected.shape != result.shape:
            raise RefusedInput(f"The golden outputs of {artifact.file} have another shape.")
        if result.size:
            # maximum() keeps NaN, max() of Python might not.
            largest = float(np.maximum(largest, np.abs(result - expected).max()))
    return largest


def _array(golden: dict[str, Array], key: str) -> Array:
    if key not in golden:
        raise RefusedInput(f"The golden file has no array {key!r}.")
    return golden[key]
