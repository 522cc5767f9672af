"""Which data calibrates and which judges: never the same."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from edgeconv.data.builtin import open_builtin
from edgeconv.data.items import Items
from edgeconv.data.overlap import refuse_overlap
from edgeconv.data.reader import open_dataset
from edgeconv.data.recorded import Recorded, recorded_split
from edgeconv.data.splits import split
from edgeconv.errors import RefusedInput, UsageError
from edgeconv.knowledge import read
from edgeconv.pictures import printable
from edgeconv.progress import Progress
from edgeconv.types import SourceModel

__all__ = ["DataRequest", "check", "choose", "remembered"]

_FEW_PICTURES = 32
_WHICH_SPLIT = (
    "A model is not judged by what calibrated it; leave --calibration and --parity out, or name"
    " splits of the folder: FOLDER:train, FOLDER:test."
)


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
        moved: Where the pictures lie now that the model file names.
        recorded: What that file says of them; see ``remembered``.
    """

    calibration: str | None = None
    parity: str | None = None
    x_key: str = "x"
    y_key: str = "y"
    seed: int = 0
    moved: Path | None = None
    recorded: Recorded | None = None

    @property
    def synthesises(self) -> bool:
        """Whether no data calibrates."""
        return self.calibration == "none"


def remembered(request: DataRequest, model: str, where: str, instead: str) -> DataRequest:
    """The request with what a fine-tuned model file says of its pictures.

    Args:
        request: What the user gave, which comes first.
        model: Zoo name or path.
        where: What to do where the pictures lie elsewhere now, without a full stop.
        instead: What to do without them, likewise, to go on a sentence with.

    Raises:
        RefusedInput: The file's record is broken.
    """
    known = read(Path(model))
    if known is None or not any(split.entries for split in known.splits.values()):
        return request
    return replace(request, recorded=Recorded(Path(model), known, request.moved, where, instead))


def check(request: DataRequest, *, calibrates: bool = False) -> None:
    """Refuse a path that isn't there before anything slow begins.

    Args:
        request: What the user gave, and the model file says.
        calibrates: Whether the precision needs calibration.
    """
    calibration = None if request.synthesises else request.calibration
    for spec in (calibration, request.parity):
        paths = () if spec is None else (spec, spec.rpartition(":")[0])
        # Path("") is the current folder, which is always there.
        if spec is not None and not any(path and Path(path).exists() for path in paths):
            raise UsageError(
                f"There is no data {spec!r}.",
                "Give an image folder, a CSV manifest or an .npz; PATH:SPLIT picks a split.",
            )
    recorded = request.recorded
    _check_moved(request)
    if recorded is not None and request.parity is None:
        recorded.items(recorded.judging, recorded.knowledge.preprocess)
    if recorded is not None and request.calibration is None and calibrates:
        recorded.items("train", recorded.knowledge.preprocess)


def _check_moved(request: DataRequest) -> None:
    if request.moved is None:
        return
    if not request.moved.is_dir():
        raise UsageError(
            f"There is no folder {printable(request.moved)!r}.",
            "--data takes the folder of pictures that the model was trained from.",
        )
    if request.recorded is None:
        raise UsageError(
            f"The model names no pictures that could have moved to {printable(request.moved)}.",
            "--data is for models of edgeconv finetune; for others it is --calibration DATA.",
        )


def choose(
    request: DataRequest, source: SourceModel, calibrates: bool, progress: Progress
) -> tuple[Items | None, Items]:
    """Open the calibration and the parity set.

    Two sets must not share an item; one is split in two; none at all means what the
    model file names, else the built-in pictures. Where inputs are to be synthesised,
    all data judges.

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
        nothing = request.parity is None and request.recorded is None
        if nothing and source.preprocess.kind != "image":
            raise UsageError(
                "Inputs can be synthesised, but not what they should be judged on: the model"
                " takes no pictures, so the built-in ones don't serve.",
                "Give --parity DATA.npz.",
            )
        request, calibrates = replace(request, calibration=None), False
    if request.recorded is not None:
        return _recorded(request, request.recorded, source, calibrates, progress)
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
    _note_few(calibration, progress)
    return calibration, parity


def _recorded(
    request: DataRequest,
    recorded: Recorded,
    source: SourceModel,
    calibrates: bool,
    progress: Progress,
) -> tuple[Items | None, Items]:
    """What the user gave, and for what is left the splits that the model file names."""
    if request.parity is not None:
        parity = _open(request.parity, request, source, progress)
        _note_trained(recorded, parity, progress)
    else:
        parity = recorded.items(recorded.judging, source.preprocess)
        why = "training never saw" if recorded.judging == "test" else "stopped the training"
        progress.note(f"judged on {len(parity)} pictures that {why}, as {recorded.name} names them")
    if not calibrates:
        return None, parity
    if request.calibration is not None:
        calibration = _open(request.calibration, request, source, progress)
    else:
        calibration = recorded.items("train", source.preprocess)
        progress.note(f"calibrated on {len(calibration)} pictures that trained {recorded.name}")
    try:
        refuse_overlap(calibration, parity)
    except RefusedInput as error:
        raise RefusedInput(error.message, _WHICH_SPLIT) from None
    _note_few(calibration, progress)
    return calibration, parity


def _note_trained(recorded: Recorded, parity: Items, progress: Progress) -> None:
    known = recorded.trained()
    count = sum(content in known for content in parity.item_hashes())
    if count:
        progress.note(
            f"{count} of the {len(parity)} items of {parity.name} trained this model: it looks"
            " better on them than it is; FOLDER:test names what training never saw"
        )


def _note_few(calibration: Items, progress: Progress) -> None:
    if len(calibration) < _FEW_PICTURES:
        progress.note(
            f"calibrated on {len(calibration)} only; ranges are better known from 100 or more"
        )


def _builtin(source: SourceModel, *, calibrates: bool) -> tuple[Items | None, Items]:
    if source.preprocess.kind != "image":
        raise UsageError(
            "The model takes no pictures, so the built-in ones can't calibrate it.",
            "Give its own data: --calibration DATA.npz (and --parity DATA.npz).",
        )
    parity = open_builtin(source.preprocess, "parity")
    return (open_builtin(source.preprocess, "calibration") if calibrates else None), parity


def _open(spec: str, request: DataRequest, source: SourceModel, progress: Progress) -> Items:
    named = recorded_split(request.recorded, spec)
    if named is not None and request.recorded is not None:
        return request.recorded.items(named[1], source.preprocess, named[0])
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
