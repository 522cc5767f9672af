"""What the original model sees in a picture: its own preprocessing, its own labels."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgeconv import data, load
from edgeconv.cache import user_cache
from edgeconv.errors import UsageError
from edgeconv.pictures import decode
from edgeconv.progress import Progress, Silent
from edgeconv.runtime.answers import Answer, Prediction, activate, best
from edgeconv.types import Activation
from edgeconv.workshop import Workshop

__all__ = ["Classified", "classify"]


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
        source = load.settle_task(source, labelled=False)
        if source.task != "classification" or source.preprocess.kind != "image":
            raise UsageError(
                f"{source.name} is no classifier of pictures, its task is {source.task}.",
                "Give a classifier, or export it and use edgeconv run.",
            )
        names = [str(picture) for picture in pictures]
        items = data.picture_items("pictures", pictures, names, None, source.preprocess)
        watch.stage("ask the model", len(items))
        scores = load.answers(source, items, workshop, Path(name))[0]
        answers = [
            Answer(shown, (row,), activate(row, source.activation))
            for shown, row in zip(items.ids, scores, strict=True)
        ]
    found = tuple(
        (answer.source, tuple(best(answer, source.activation, source.labels, count)))
        for answer in answers
    )
    return Classified(source.name, source.activation, found)


def _refuse_absent(picture: Path) -> None:
    if picture.is_dir():
        raise UsageError(f"{picture} is a folder.", f"Name the pictures: {picture}/*.jpg")
    if not picture.exists():
        raise UsageError(f"There is no picture {picture}.", "Give the path of a picture file.")
