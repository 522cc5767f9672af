"""golden.npz: a few inputs, and what each model file answers to them here.

How far another machine may be off depends on the arithmetic: integer engines
round intermediate results in different places. tflite-runtime 2.14 against
LiteRT 2.3 on MLPerf Tiny's models came to 4e-7 of the largest output in float
and to 0.02 to 0.07 in int8, 0.19 after an int8 softmax. A wrong answer, of
broken hardware or a broken engine, is off by the whole output.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence

import numpy as np

from edgeconv.package.manifest import artifact_file
from edgeconv.runtime.engines import open_model
from edgeconv.runtime.replay import golden_input_key, golden_output_key
from edgeconv.targets.onnx.outside import files_beside
from edgeconv.types import Array, Artifact, Precision

__all__ = ["make_golden", "npz_bytes"]

#: Allowed difference as a share of the largest absolute output; see above.
_SHARE: Mapping[Precision, float] = {
    "fp32": 1e-3,
    "fp16": 2e-2,
    "dynamic": 0.1,
    "int16x8": 0.1,
    "int8": 0.25,
}
#: The oldest date that a zip archive can hold: a fixed one, for equal bytes.
_ZIP_DATE = (1980, 1, 1, 0, 0, 0)


def make_golden(
    artifacts: Sequence[Artifact], inputs: Sequence[Array]
) -> tuple[bytes, dict[str, float]]:
    """Run every artifact on the golden inputs, as the device will.

    Args:
        artifacts: The model files.
        inputs: One array a model input, float32 [N, ...], ready for the model.

    Returns:
        The bytes of golden.npz, and file name -> tolerance in the output's units.

    Raises:
        EdgeconvError: An artifact can't be opened or run.
    """
    arrays = {golden_input_key(i): np.asarray(x, np.float32) for i, x in enumerate(inputs)}
    tolerance = {}
    for artifact in artifacts:
        file = artifact_file(artifact.format)
        data = artifact.path.read_bytes()
        model = open_model(
            data,
            artifact.format,
            artifact.inputs,
            artifact.outputs,
            files=files_beside(artifact.path),
        )
        outputs = model(*inputs)
        arrays.update({golden_output_key(file, i): y for i, y in enumerate(outputs)})
        peak = max(float(np.abs(y).max(initial=0.0)) for y in outputs)
        tolerance[file] = _SHARE[artifact.precision] * peak
    return npz_bytes(arrays), tolerance


def npz_bytes(arrays: Mapping[str, Array]) -> bytes:
    """An .npz archive whose bytes depend on nothing but the arrays."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        for name in sorted(arrays):
            member = zipfile.ZipInfo(f"{name}.npy", _ZIP_DATE)
            member.compress_type = zipfile.ZIP_DEFLATED
            member.create_system = 3  # Unix, wherever this runs
            member.external_attr = 0o644 << 16
            data = io.BytesIO()
            np.lib.format.write_array(data, np.ascontiguousarray(arrays[name]), allow_pickle=False)
            archive.writestr(member, data.getvalue())
    return packed.getvalue()
