"""The reference of a verification: a Keras model, or another bundle, and its answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import tomli_w

from edgeconv import data, knowledge, load
from edgeconv.data import DataRequest, Items
from edgeconv.errors import UsageError
from edgeconv.load import LoadRequest, wishes
from edgeconv.progress import Progress, Silent
from edgeconv.rows import Rows
from edgeconv.types import Array, Dataset, Format, SourceModel
from edgeconv.verification.candidate import Candidate, read_candidate
from edgeconv.workshop import Workshop

__all__ = ["Reference", "answer", "ask_bundle", "ask_keras", "from_provenance", "warm_up"]

_BATCH = 8


@dataclass(frozen=True)
class Reference:
    """What is held against the candidate.

    Attributes:
        source: How it is fed, and what its outputs mean.
        dataset: The items, preprocessed as the reference takes them.
        answers: One array [N, ...] an output, by the format of the artifact that
            is compared with them: another bundle answers with its file of the
            same format.
    """

    source: SourceModel
    dataset: Items
    answers: Mapping[Format, Sequence[Array | Rows]]


def warm_up(state: dict[str, Any], progress: Progress) -> None:
    """Import TensorFlow; called inside the workshop, where that takes seconds."""
    import keras
    import tensorflow

    state["warm"] = (keras, tensorflow)


def from_provenance(candidate: Candidate) -> LoadRequest:
    """The model that a bundle says it was made from, where that is one of the zoo.

    Raises:
        UsageError: It was made from a file, which only the user can find.
    """
    made_from = candidate.provenance or {}
    if isinstance(name := made_from.get("zoo"), str):
        random = made_from.get("weights") == "random"
        seed = made_from.get("seed")
        return LoadRequest(
            model=name,
            weights="none" if random else None,
            input_size=_side(candidate),
            seed=seed if isinstance(seed, int) else 0,
            **wishes(made_from),
        )
    known = f" (it was {made_from['file']})" if "file" in made_from else ""
    raise UsageError(
        f"What {candidate.name} is to be compared with is not given{known}.",
        "Give the original with --against MODEL, or the last release with --compare BUNDLE.",
    )


def _side(candidate: Candidate) -> int | None:
    """Rows and columns of a bundle's pictures: export may have been given others than usual."""
    shape = candidate.source.inputs[0].shape if candidate.source else ()
    return shape[1] if len(shape) == 4 and shape[1] == shape[2] else None


def _warn_of_another(candidate: Candidate, source: SourceModel, watch: Progress) -> None:
    """A stale model or other weights explain a lost parity at once."""
    made_from = candidate.provenance or {}
    was, here = made_from.get("sha256"), source.provenance.get("sha256")
    if isinstance(was, str) and isinstance(here, str) and was != here:
        names = [
            str(said.get("weights") or said.get("file")) for said in (made_from, source.provenance)
        ]
        watch.note(
            f"{candidate.name} says that it was made from {names[0]} ({was[:8]}); "
            f"the original here is {names[1]} ({here[:8]})"
        )


def ask_keras(
    request: LoadRequest,
    candidate: Candidate,
    data_request: DataRequest,
    workshop: Workshop,
    folder: Path,
    watch: Progress,
) -> Reference:
    """Load a Keras model and have it answer all items.

    Args:
        request: The model.
        candidate: What it is to be compared with; where a model file doesn't say
            how its inputs are made or what its classes are called, a bundle does.
        data_request: The items are its parity set.
        workshop: The TensorFlow process.
        folder: Scratch.
        watch: Told what was taken for granted.

    Raises:
        EdgeconvError: As ``load.load``, ``data.choose`` and ``load.answers``.
    """
    source = load_original(request, candidate, workshop, folder, watch)
    _warn_of_another(candidate, source, watch)
    source = data.with_input_scale(data_request, source, watch)
    _, dataset = data.choose(data_request, source, False, watch)
    source = load.settle_task(source, labelled=dataset.labelled)
    answers = load.answers(source, dataset, workshop, folder)
    return Reference(source, dataset, {"tflite": answers, "onnx": answers})


def load_original(
    request: LoadRequest, candidate: Candidate, workshop: Workshop, folder: Path, watch: Progress
) -> SourceModel:
    """The float reference, its gaps filled with what the candidate's bundle says."""
    request = replace(request, keep_softmax=request.keep_softmax or candidate.keeps_head)
    said = candidate.source
    if said is not None and said.task == "embedding" and _knows(request):
        request = replace(request, top=False)
    borrowed = []
    silent = Path(request.model).exists() and not _knows(request)
    if said is not None and request.preprocess is None and silent:
        path = folder / "preprocess.toml"
        path.write_text(tomli_w.dumps(said.preprocess.to_json()), encoding="utf-8")
        request = replace(request, preprocess=str(path))
        borrowed.append("preprocessing")
    source = load.load(request, workshop, folder, watch)
    if said is not None and not source.labels and _units(source) == len(said.labels):
        source = replace(source, labels=said.labels)
        borrowed.append("labels")
    if said is not None and request.task is None and source.task == "raw":
        source = replace(source, task=said.task)
    if request.task is None and source.task == "raw" and said is None and candidate.keeps_head:
        # The head stayed on for the file's sake, else it would have told that this classifies.
        source = replace(source, task="classification")
    if borrowed:
        what = " and ".join(borrowed)
        watch.note(
            f"{Path(request.model).name} doesn't say its {what}; the bundle's own serve for both, "
            "so a mistake in them can't be found"
        )
    return source


def _knows(request: LoadRequest) -> bool:
    """Whether it is a model that edgeconv fine-tuned."""
    return knowledge.read(Path(request.model)) is not None


def _units(source: SourceModel) -> int | None:
    return source.outputs[0].shape[-1]


def ask_bundle(
    path: Path, data_request: DataRequest, formats: Sequence[Format], folder: Path, watch: Progress
) -> Reference:
    """Open another bundle and have it answer all items with its own engine.

    An artifact is compared with the file of its own format where the bundle has
    one, else with the bundle's first.

    Raises:
        EdgeconvError: As ``read_candidate`` and ``data.choose``.
    """
    other = read_candidate(path, folder)
    if other.source is None:
        raise UsageError(f"{path} is no bundle.", "Give a Keras model or a bundle to compare with.")
    _, dataset = data.choose(data_request, other.source, False, watch)
    source = load.settle_task(other.source, labelled=dataset.labelled)
    models = {artifact.format: model for artifact, model in other.entries}
    first = other.entries[0][0].format
    used = {format: format if format in models else first for format in formats}
    asked = {
        format: answer([models[format]], dataset, folder, f"reference-{format}", Silent())[0]
        for format in sorted(set(used.values()))
    }
    return Reference(source, dataset, {format: asked[used[format]] for format in formats})


def answer(
    runners: Sequence[Callable[..., tuple[Array, ...]]],
    dataset: Dataset,
    folder: Path,
    name: str,
    watch: Progress,
) -> list[list[Rows]]:
    """Ask several models the same items, each decoded once.

    Args:
        runners: Each takes float arrays [N, ...] and returns some.
        dataset: The items, preprocessed for all of them.
        folder: Scratch; receives the answers.
        name: Of the files there.
        watch: Advances by items.

    Returns:
        For each model one float32 [N, ...] an output.
    """
    stores: list[list[Rows]] = [[] for _ in runners]
    for batch in dataset.batches(_BATCH):
        for number, run in enumerate(runners):
            outputs = run(*batch.x)
            if not stores[number]:
                stores[number] = [
                    Rows(folder / f"{name}-{number}-{at}.f32") for at in range(len(outputs))
                ]
            for store, output in zip(stores[number], outputs, strict=True):
                store.append(output)
        watch.advance(len(batch.ids))
    return stores
