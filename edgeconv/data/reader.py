"""PATH or PATH:SPLIT -> the reader that knows it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edgeconv.data.arrays import read_arrays
from edgeconv.data.files import is_picture_name, picture_items
from edgeconv.data.folder import read_folder
from edgeconv.data.items import Items
from edgeconv.data.manifest import read_manifest
from edgeconv.errors import Unsupported, UsageError
from edgeconv.pictures import printable
from edgeconv.preprocess import Preprocess
from edgeconv.progress import Progress
from edgeconv.types import Shape

__all__ = ["open_dataset"]


def open_dataset(
    spec: str,
    preprocess: Preprocess,
    *,
    labels: Sequence[str] = (),
    classes: int | None = None,
    input_shapes: Sequence[Shape] = (),
    x_key: str = "x",
    y_key: str = "y",
    progress: Progress | None = None,
) -> Items:
    """Open an image folder, a CSV manifest, an .npz or a single picture.

    Args:
        spec: ``PATH`` or ``PATH:SPLIT``; a path that exists with a colon in its
            name is a path.
        preprocess: From its items to the model's input.
        labels: The model's class names by index; empty where not known.
        classes: How many the model has; None where it is no classifier.
        input_shapes: Of the model, batch first; None where a length is free.
        x_key: Name of the inputs in an .npz; several with commas.
        y_key: Name of the class indices in an .npz.
        progress: Told what was ignored.

    Returns:
        A Dataset, its pictures not yet opened.

    Raises:
        UsageError: No such path, split or array, or the wrong kind of data.
        Unsupported: Pictures for a model of several inputs.
        RefusedInput: The data are unsafe, broken or don't fit the model.
    """
    path, split = _parsed(spec)
    known = classes if classes is not None else len(labels) or None
    if path.suffix.lower() == ".npz" and path.is_file():
        return read_arrays(
            path,
            preprocess,
            split=split,
            classes=known,
            input_shapes=input_shapes,
            x_key=x_key,
            y_key=y_key,
            progress=progress,
        )
    _refuse_pictures_for_arrays(path, preprocess, len(input_shapes))
    if path.is_dir():
        return read_folder(
            path, preprocess, split=split, labels=labels, classes=known, progress=progress
        )
    if path.suffix.lower() == ".csv" and path.is_file():
        return read_manifest(path, preprocess, split=split, labels=labels, classes=known)
    if is_picture_name(path.name) and not split:
        return picture_items(str(path), [path], [path.name], None, preprocess)
    raise UsageError(
        f"{printable(path)} is no data set.", "Give an image folder, a .csv manifest or an .npz."
    )


def _parsed(spec: str) -> tuple[Path, str]:
    if spec and _exists(spec):
        return Path(spec), ""
    path, colon, split = spec.rpartition(":")
    if colon and path and split and _exists(path):
        return Path(path), split
    raise UsageError(
        f"There is no data at {printable(path if colon and path else spec)!r}.",
        "Give an image folder, a .csv manifest or an .npz; PATH:SPLIT picks a split.",
    )


def _exists(path: str) -> bool:
    try:
        return Path(path).exists()
    except (OSError, ValueError):  # too long, or a zero byte
        return False


def _refuse_pictures_for_arrays(path: Path, preprocess: Preprocess, inputs: int) -> None:
    if preprocess.kind == "array":
        raise UsageError(
            f"{printable(path)} holds pictures, the model takes arrays.", "Give an .npz."
        )
    if inputs > 1:
        raise Unsupported(
            f"The model takes {inputs} inputs, a picture is one.",
            "Give an .npz with one array an input, named by --x-key left,right.",
        )
