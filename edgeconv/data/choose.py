"""Which data calibrates and which judges: never the same."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from edgeconv.data.builtin import open_builtin
from edgeconv.data.items import Items
from edgeconv.data.overlap import refuse_overlap
from edgeconv.data.reader import open_dataset
from edgeconv.data.splits import split
from edgeconv.errors import UsageError
from edgeconv.progress import Progress
from edgeconv.types import SourceModel

__all__ = ["DataRequest", "check", "choose"]

_FEW_PICTURES = 32


@dataclass(frozen=True)
class DataRequest:
    """What to calibrate and judge on, as the command line has it.

    Attributes:
        calibration: ``PATH`` or ``PATH:SPLIT``; None where none is given; ``none`` where
            inputs are to be synthesised.
        parity: Likewise.
        x_key: Name of the inputs in an ``.npz``.
        y_key: Name of the labels in an ``.npz``.
        seed: Of the split where one set serves for both.
    """

    calibration: str | None = None
    parity: str | None = None
    x_key: str = "x"
    y_key: str = "y"
    seed: int = 0

    @property
    def synthesises(self) -> bool:
        """Whether no data calibrates."""
        return self.calibration == "none"


def check(request: DataRequest) -> None:
    """Refuse a path that isn't there before anything slow begins."""
    calibration = None if request.synthesises else request.calibration
    for spec in (calibration, request.parity):
        paths = () if spec is None else (spec, spec.rpartition(":")[0])
        # Path("") is the current folder, which is always there.
        if spec is not None and not any(path and Path(path).exists() for path in paths):
            raise UsageError(
                f"There is no data {spec!r}.",
                "Give an image folder, a CSV manifest or an .npz; PATH:SPLIT picks a split.",
            )


def choose(
    request: DataRequest, source: SourceModel, calibrates: bool, progress: Progress
) -> tuple[Items | None, Items]:
    """Open the calibration and the parity set.

    Two sets must not share an item; one is split in two; none at all means the
    built-in pictures. Where inputs are to be synthesised, all data judges.

    Args:
        request: What the user gave.
        source: Says how items become inputs.
        calibrates: Whether the precision needs calibration; else all data judges.
        progress: Receives warnings.

    Returns:
        The calibration set, None where it isn't needed or to be synthesised, and the
        parity set.

    Raises:
        EdgeconvError: The data is missing, broken, or the same on both sides.
    """
    if request.synthesises:
        if request.parity is None and source.preprocess.kind != "image":
            raise UsageError(
                "Inputs can be synthesised, but not what they should be judged on: the model"
                " takes no pictures, so the built-in ones don't serve.",
                "Give --parity DATA.npz.",
            )
        request, calibrates = replace(request, calibration=None), False
    if request.calibration is None and request.parity is None:
        return _builtin(source, calibrates=calibrates)
    given = [
        _open(spec, request, source, progress)
        for spec in (request.calibration, request.parity)
        if spec is not None
    ]
    calibration: Items | None = None
    if len(given) == 2:
        calibration, parity = given
        refuse_overlap(calibration, parity)
    elif calibrates:
        calibration, parity = split(given[0], seed=request.seed)
    else:
        parity = given[0]
    if not calibrates:
        return None, parity
    assert calibration is not None
    if len(calibration) < _FEW_PICTURES:
        progress.note(
            f"calibrated on {len(calibration)} only; ranges are better known from 100 or more"
        )
    return calibration, parity


def _builtin(source: SourceModel, *, calibrates: bool) -> tuple[Items | None, Items]:
    if source.preprocess.kind != "image":
        raise UsageError(
            "The model takes no pictures, so the built-in ones can't calibrate it.",
            "Give its own data: --calibration DATA.npz (and --parity DATA.npz).",
        )
    parity = open_builtin(source.preprocess, "parity")
    return (open_builtin(source.preprocess, "calibration") if calibrates else None), parity


def _open(spec: str, request: DataRequest, source: SourceModel, progress: Progress) -> Items:
    shape = source.outputs[0].shape
    classifies = source.task == "classification" or (
        source.task == "raw" and len(shape) == 2 and shape[1:] != source.inputs[0].shape[1:]
    )
    return open_dataset(
        spec,
        source.preprocess,
        labels=source.labels,
        classes=_classes(shape[-1]) if classifies else None,
        input_shapes=tuple(s.shape for s in source.inputs),
        x_key=request.x_key,
        y_key=request.y_key,
        progress=progress,
    )


def _classes(units: int | None) -> int | None:
    """A single unit tells two classes apart."""
    return 2 if units == 1 else units
