"""What the original model, not yet exported, says of some pictures."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgeconv import data, load
from edgeconv.cache import user_cache
from edgeconv.errors import UsageError
from edgeconv.pictures import decode
from edgeconv.progress import Progress, Silent
from edgeconv.runtime.answers import Answer, Prediction, activate, best
from edgeconv.types import Activation, Array, SourceModel, Task
from edgeconv.workshop import Workshop

__all__ = ["Classified", "classify", "embed"]


@dataclass(frozen=True)
class Classified:
    """Answers of the original model.

    Attributes:
        model: Its name.
        activation: What its scores went through; ``linear`` leaves them without probabilities.
        answers: (picture, its best classes, best first) in the order of the pictures.
    """

    model: str
    activation: Activation
    answers: tuple[tuple[str, tuple[Prediction, ...]], ...]


def classify(
    request: load.LoadRequest,
    pictures: Sequence[Path],
    count: int = 5,
    progress: Progress | None = None,
) -> Classified:
    """Ask a Keras model for the classes of some pictures.

    Args:
        request: The model.
        pictures: Files.
        count: Classes a picture.
        progress: Told what is being done.

    Raises:
        UsageError: The model has no classes, or takes no pictures.
        RefusedInput: A picture or the model is broken or unsafe.
        HostFailure: A file can't be read or fetched.
    """
    source, names, scores = _asked(request, pictures, ("classification",), progress)
    answers = [
        Answer(name, (row,), activate(row, source.activation))
        for name, row in zip(names, scores, strict=True)
    ]
    return Classified(
        source.name,
        source.activation,
        tuple(
            (answer.source, tuple(best(answer, source.activation, source.labels, count)))
            for answer in answers
        ),
    )


def embed(
    request: load.LoadRequest, pictures: Sequence[Path], progress: Progress | None = None
) -> Array:
    """Ask a headless Keras model for the embeddings of some pictures.

    Args:
        request: The model, with ``top=False`` for one of the zoo; a file is taken as it is.
        pictures: Files.
        progress: Told what is being done.

    Returns:
        float32 [N, D].

    Raises:
        UsageError: The model gives no embeddings, or takes no pictures.
        RefusedInput: A picture or the model is broken or unsafe.
        HostFailure: A file can't be read or fetched.
    """
    _, _, vectors = _asked(request, pictures, ("embedding", "raw"), progress)
    return vectors.reshape(len(vectors), -1)


def _asked(
    request: load.LoadRequest,
    pictures: Sequence[Path],
    tasks: Sequence[Task],
    progress: Progress | None,
) -> tuple[SourceModel, Sequence[str], Array]:
    """The model, a name for each picture, and its first output float32 [N, ...]."""
    watch = progress or Silent()
    load.check(request)
    for picture in pictures:
        _refuse_absent(picture)
        decode(picture)  # a broken one is told of before the model is loaded
    with (
        tempfile.TemporaryDirectory(prefix="edgeconv-") as name,
        Workshop(Path(name), user_cache(watch)) as workshop,
    ):
        watch.stage(f"load {request.name}")
        source = load.load(request, workshop, Path(name), watch)
        if source.task not in tasks or source.preprocess.kind != "image":
            raise UsageError(
                f"{source.name} is no model for this: its task is {source.task} of"
                f" {source.preprocess.kind}s, not {tasks[0]} of images.",
                "See --help for the models that are.",
            )
        names = [str(picture) for picture in pictures]
        items = data.picture_items("pictures", pictures, names, None, source.preprocess)
        watch.stage("ask the model", len(items))
        # A copy: what is mapped goes with the folder.
        return source, items.ids, np.array(load.answers(source, items, workshop, Path(name))[0])


def _refuse_absent(picture: Path) -> None:
    if picture.is_dir():
        raise UsageError(f"{picture} is a folder.", f"Name the pictures: {picture}/*.jpg")
    if not picture.exists():
        raise UsageError(f"There is no picture {picture}.", "Give the path of a picture file.")
