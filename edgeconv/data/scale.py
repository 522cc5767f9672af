"""Arrays that bring their own scale: x_real = (x - zero_point) * scale.

Features that were stored as integers, as MLPerf Tiny's keyword set is, carry
two numbers in the same ``.npz``. They belong to the model's preprocessing: the
device needs them as much as calibration does.
"""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np

from edgeconv.data import npz
from edgeconv.data.choose import DataRequest
from edgeconv.errors import RefusedInput
from edgeconv.pictures import printable
from edgeconv.progress import Progress
from edgeconv.types import SourceModel

__all__ = ["with_input_scale"]


def with_input_scale(request: DataRequest, source: SourceModel, progress: Progress) -> SourceModel:
    """The source, its preprocessing completed by the scale that the data state.

    Args:
        request: The data; an ``.npz`` may hold ``scale`` and ``zero_point``.
        source: Left as it is unless it takes arrays that nobody scaled yet.
        progress: Told what was found.

    Raises:
        RefusedInput: The scale is no positive number.
    """
    plain = source.preprocess.scale == (1.0,) and source.preprocess.offset == (0.0,)
    if source.preprocess.kind != "array" or not plain:
        return source
    for spec in (request.calibration, request.parity):
        path = _npz(spec)
        if path is not None and "scale" in (known := npz.keys(path)):
            scale = _number(path, "scale")
            zero_point = _number(path, "zero_point") if "zero_point" in known else 0.0
            if scale <= 0:
                raise RefusedInput(f"{printable(path)}: scale is {scale}.", "It must be positive.")
            progress.note(f"inputs are (x - {zero_point:g}) * {scale:g}, as {path.name} says")
            ready = replace(source.preprocess, scale=(scale,), offset=(-zero_point * scale,))
            return replace(source, preprocess=ready)
    return source


def _npz(spec: str | None) -> Path | None:
    for name in () if spec is None else (spec, spec.rpartition(":")[0]):
        if name.lower().endswith(".npz") and Path(name).is_file():
            return Path(name)
    return None


def _number(path: Path, key: str) -> float:
    array = npz.load_array(path, key)
    if array.size != 1 or array.dtype.kind not in "fiu" or not math.isfinite(np.ravel(array)[0]):
        raise RefusedInput(
            f"{printable(path)}: {key} is no single number.", "Give one for the whole array."
        )
    return float(np.ravel(array)[0])
