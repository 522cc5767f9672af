"""Judge: one pass over the data, every artifact beside the reference."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from edgeconv.errors import InternalError, RefusedInput, UsageError
from edgeconv.metric_names import describe_metric
from edgeconv.progress import Progress
from edgeconv.rows import Rows
from edgeconv.types import (
    Activation,
    Array,
    Artifact,
    ArtifactVerdict,
    Batch,
    Check,
    Dataset,
    Status,
    Task,
    Verdict,
)
from edgeconv.verify.answers import threshold_for
from edgeconv.verify.checks import check
from edgeconv.verify.gate import Gate, Metric, status
from edgeconv.verify.meaning import evidence
from edgeconv.verify.metrics import Measurement, Meter
from edgeconv.verify.policy import Policy
from edgeconv.verify.structure import describe

__all__ = ["Disagreement", "check_reference", "classifies_rows", "judge", "merged", "worst"]

#: Float inputs (one array each, [N, ...]) -> float outputs; a ``Runner`` is one.
Answering = Callable[..., tuple[Array, ...]]

_ORDER: tuple[Status, ...] = ("pass", "inconclusive", "fail")


@dataclass(frozen=True)
class Disagreement:
    """An item to which an artifact and the reference answer differently.

    Attributes:
        file: Of the artifact.
        item: Id of the item in its dataset.
        reference: Class index that the reference answers.
        candidate: Class index that the artifact answers; -1 where it is NaN.
        expected: The label; None where there is none.
    """

    file: str
    item: str
    reference: int
    candidate: int
    expected: int | None


def judge(
    entries: Sequence[tuple[Artifact, Answering]],
    reference: Sequence[Array | Rows],
    dataset: Dataset,
    task: Task,
    activation: Activation,
    gate: Gate | Policy,
    progress: Progress,
    batch_size: int = 8,
    on_disagreement: Callable[[Disagreement], None] | None = None,
    noun: str | None = None,
) -> Verdict:
    """Compare every artifact with the reference, item by item.

    Classification with labels is gated on the top-1 drop, without labels on
    agreement; embeddings on the cosine, everything else on the relative error.

    Args:
        entries: The artifacts, each with what runs it.
        reference: The reference's answers to the whole dataset, in its order:
            one float array an output, each [N, ...]; may be memory-mapped. The
            first is judged, the others are reported as relative errors.
        dataset: The items.
        task: What the outputs mean.
        activation: What was taken off the head.
        gate: The margins, or a whole policy.
        progress: Advances by items.
        batch_size: Items an artifact is given at once.
        on_disagreement: Called for every item with two different answers.
        noun: What the items are called, in the plural; None to tell from them.

    Returns:
        A verdict for each artifact, in order; the worst status is the whole's.

    Raises:
        UsageError: No items, labels that the model doesn't have, or outputs of
            another shape than the reference's.
        RefusedInput: The reference answers NaN or infinity.
    """
    policy = gate if isinstance(gate, Policy) else Policy(gate)
    _check(entries, reference, dataset)
    classifies = classifies_rows(task, reference[0])
    metric = policy.gate.choose(classifies, dataset.labelled, task)
    threshold = _threshold(reference[0], activation)
    meters = [
        Meter(activation, classifies, threshold, artifact.path.name, task)
        for artifact, _ in entries
    ]
    called = noun or "items"
    for batch, truth in _aligned(dataset, reference, batch_size):
        called = noun or _noun(batch)
        check_reference(truth, batch)
        for (artifact, run), meter in zip(entries, meters, strict=True):
            theirs = run(*batch.x)[: len(truth)]
            answers = meter.add(truth, theirs, batch.y, batch.ids, batch.x)
            if on_disagreement is not None and answers is not None:
                for found in _disagreements(artifact.path.name, answers, batch):
                    on_disagreement(found)
        progress.advance(len(batch.ids))
    verdicts = tuple(
        _verdict(artifact, meter.result(), policy, metric, called)
        for (artifact, _), meter in zip(entries, meters, strict=True)
    )
    for artifact, _ in entries:
        if sentence := describe(artifact):
            progress.note(sentence)
    return merged(verdicts, len(dataset), policy.describe(policy.gate.describe(metric)))


def merged(verdicts: Sequence[ArtifactVerdict], samples: int, gate: str) -> Verdict:
    """The verdict on several artifacts; the worst status is the whole's."""
    status = worst(verdict.status for verdict in verdicts)
    return Verdict(status, samples, gate, tuple(verdicts))


def worst(statuses: Iterable[Status]) -> Status:
    """``fail`` over ``inconclusive`` over ``pass``."""
    return max(statuses, key=_ORDER.index)


def _check(
    entries: Sequence[tuple[Artifact, Answering]],
    reference: Sequence[Array | Rows],
    dataset: Dataset,
) -> None:
    if not entries or not reference:
        raise InternalError("There is no artifact or no reference to judge.")
    if len(dataset) == 0:
        raise UsageError(
            f"{dataset.name} holds nothing to verify with.", "Give it at least one item."
        )
    for answers in reference:
        if len(answers) != len(dataset):
            raise InternalError(
                f"The reference answered {len(answers)} items, {dataset.name} has {len(dataset)}."
            )


def classifies_rows(task: Task, answers: Array | Rows) -> bool:
    """Whether the answers are [N, C], but for axes of length one, of a classifier.

    A map of scores has no single answer.
    """
    row = sum(length != 1 for length in answers.shape[1:]) <= 1
    return task == "classification" and bool(row)


def _threshold(answers: Array | Rows, activation: Activation) -> float:
    units = int(np.prod(answers.shape[1:], dtype=np.int64))
    return threshold_for(answers[:].reshape(-1, 1), activation) if units == 1 else 0.0


def _aligned(
    dataset: Dataset, reference: Sequence[Array | Rows], size: int
) -> Iterator[tuple[Batch, list[Array]]]:
    """Each batch with the reference's answers to it."""
    start = 0
    for batch in dataset.batches(size):
        stop = start + len(batch.ids)
        yield batch, [np.asarray(answers[start:stop]) for answers in reference]
        start = stop
    if start != len(dataset):
        raise InternalError(f"{dataset.name} yielded {start} of its {len(dataset)} items.")


def check_reference(truth: Sequence[Array], batch: Batch) -> None:
    """Refuse a reference that is none.

    Raises:
        RefusedInput: One of the original's answers to ``batch`` is NaN or infinite.
    """
    for answers in truth:
        sound = np.isfinite(answers.reshape(len(answers), -1)).all(axis=1)
        if not sound.all():
            item = batch.ids[int(np.argmin(sound))]
            raise RefusedInput(
                f"The original model answers NaN or infinity to {item}.",
                "Check its weights for NaN and its preprocessing for wrong values.",
            )


def _noun(batch: Batch) -> str:
    """What to call the items: arrays without a file name are no pictures."""
    picture = batch.x[0].ndim == 4 and not batch.ids[0].startswith("array ")
    return "pictures" if picture else "items"


def _disagreements(file: str, answers: Array, batch: Batch) -> Iterator[Disagreement]:
    for row in np.flatnonzero(answers[:, 0] != answers[:, 1]):
        ours, theirs = answers[row].tolist()
        label = None if batch.y is None else int(batch.y[row])
        yield Disagreement(file, batch.ids[row], ours, theirs, label)


def _verdict(
    artifact: Artifact, found: Measurement, policy: Policy, metric: Metric, noun: str
) -> ArtifactVerdict:
    """Every threshold that is meant for the artifact; without any the task's own."""
    if artifact.precision in ("int8", "int16x8"):
        floats = float(sum(artifact.float_operators.values()))
        found = replace(found, metrics={**found.metrics, "float_operators": floats})
    wanted = policy.thresholds_for(artifact)
    if wanted:
        checks = [check(t.metric, t.limit, t.at_most, found, noun) for t in wanted]
    else:
        checks = [_usual(policy, metric, found, artifact, noun)]
    deciding = max(checks, key=lambda each: _ORDER.index(each.status))
    verdict = ArtifactVerdict(
        file=artifact.path.name,
        format=artifact.format,
        precision=artifact.precision,
        status=deciding.status,
        equivalent=found.equivalent,
        reason=deciding.reason,
        metrics=found.metrics,
        needed=deciding.needed,
        checks=tuple(checks),
        gated=checks[0].metric,
        limit=checks[0].limit,
    )
    return replace(verdict, evidence=evidence(verdict))


def _usual(
    policy: Policy, metric: Metric, found: Measurement, artifact: Artifact, noun: str
) -> Check:
    outcome = status(policy.gate, metric, found, artifact.precision, noun)
    info = describe_metric(outcome.gated)
    assert info is not None and outcome.limit is not None
    at_most = info.at_most is True
    return Check(
        outcome.gated, outcome.limit, at_most, outcome.status, outcome.reason, outcome.needed
    )
