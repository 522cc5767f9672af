"""The gate, a step a line: read, ask, judge, blame, explain.

candidate ──► read ──► ask ─┐
                            ├──► judge ──► blame ──► explain ──► Verification
reference ──► load ──► ask ─┘
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from edgeconv import data, load
from edgeconv import verify as room
from edgeconv.data import Items
from edgeconv.errors import EdgeconvError
from edgeconv.load import LoadRequest
from edgeconv.pictures import printable
from edgeconv.progress import Progress, Silent
from edgeconv.rows import Rows
from edgeconv.types import Format, Verdict
from edgeconv.verification import on_device
from edgeconv.verification.candidate import Candidate, read_candidate
from edgeconv.verification.explain import Explainer, doubt, has_odd_scores, looks_lost
from edgeconv.verification.on_device import DeviceOrder, DeviceRun, Judge
from edgeconv.verification.order import Blame, Verification, VerifyRequest
from edgeconv.verification.reference import (
    Reference,
    answer,
    ask_bundle,
    ask_keras,
    from_provenance,
)
from edgeconv.verify import Disagreement, Given
from edgeconv.workshop import Workshop

__all__ = ["verify"]


def verify(request: VerifyRequest, progress: Progress | None = None) -> Verification:
    """Hold a candidate against a reference on the same items.

    A bundle is run with its own preprocessing, the reference with the model's
    own, so that a wrong one in a bundle is caught.

    Args:
        request: What to verify.
        progress: Told what is being done.

    Returns:
        The verdict. A lost parity is a verdict, not an error.

    Raises:
        EdgeconvError: Nothing could be judged.
    """
    watch = _Notes(progress or Silent())
    request = _remembering(request)
    data.check(request.data)
    if request.on is not None:
        on_device.check_order(request.on, request.candidate)
        if request.against is None:
            return _verify_device(request, request.on, watch)
    with tempfile.TemporaryDirectory(prefix="edgeconv-") as name, ExitStack() as stack:
        folder = Path(name)
        watch.stage(f"open {request.candidate.name}")
        beside = stack.enter_context(ThreadPoolExecutor(1))
        # Closed before the thread is waited for, which ends whatever waits for it there.
        workshop = _workshop(request, beside, stack, folder)
        candidate = read_candidate(request.candidate, folder / "candidate")
        device = _enter_device(request, candidate, stack, watch)
        against = request.against or from_provenance(candidate)
        asked = _ask_reference(request, candidate, against, workshop, beside, folder, watch)
        rows, reference = _ask_candidate(request, candidate, asked, folder, watch)
        watch.stage("compare", len(reference.dataset))
        _note_idle_thresholds(request, candidate, watch)
        given, reference = _same_heads(
            _given(candidate, rows, reference), candidate, reference, folder, watch
        )
        differing: list[Disagreement] = []
        verdict = room.judge_answers(
            given, reference.dataset, reference.source, request.policy, watch, differing.append
        )
        explainer = Explainer(candidate, reference, workshop, folder, watch)
        verdict = _explained(verdict, given, explainer, request.blame)
        facts = None
        if device is not None:
            own = candidate.source.preprocess if candidate.source else None
            items = reference.dataset.with_preprocess(own) if own else reference.dataset
            answers = device.answers(items, folder)
            judge = Judge(reference, candidate.labels, request.policy, watch, differing.append)
            verdict, facts = judge.with_row(verdict, answers), answers.facts
    return Verification(
        verdict=verdict,
        disagreements=tuple(differing),
        labels=reference.source.labels,
        reference=reference.source.name,
        data=reference.dataset.name,
        items=reference.dataset,
        notes=tuple(watch.notes),
        device=facts,
    )


#: What to do where the pictures that a model file names are not what they were.
_WHERE = "If the folder was moved, say where it lies now with --data FOLDER:test"
_INSTEAD = "judge on other pictures with --data DATA"


def _remembering(request: VerifyRequest) -> VerifyRequest:
    """The order with what a fine-tuned original says of its pictures."""
    if not isinstance(request.against, LoadRequest):
        return request
    known = data.remembered(request.data, request.against.model, _WHERE, _INSTEAD)
    return replace(request, data=known)


def _enter_device(
    request: VerifyRequest, candidate: Candidate, stack: ExitStack, watch: Progress
) -> DeviceRun | None:
    """The device, reached before the long work begins."""
    if request.on is None:
        return None
    return stack.enter_context(DeviceRun(request.on, candidate, request.candidate, watch))


def _verify_device(request: VerifyRequest, order: DeviceOrder, watch: _Notes) -> Verification:
    """A device against this machine; neither the original nor TensorFlow is needed."""
    with tempfile.TemporaryDirectory(prefix="edgeconv-") as name:
        folder = Path(name)
        watch.stage(f"open {request.candidate.name}")
        candidate = read_candidate(request.candidate, folder / "candidate")
        reference = on_device.host_as_reference(candidate, request.data, watch)
        with DeviceRun(order, candidate, request.candidate, watch) as device:
            answers = device.answers(reference.dataset, folder)
    differing: list[Disagreement] = []
    judge = Judge(reference, candidate.labels, request.policy, watch, differing.append)
    verdict = judge.against_host(answers)
    return Verification(
        verdict=verdict,
        disagreements=tuple(differing),
        labels=reference.source.labels,
        reference=f"{candidate.name} on this machine",
        data=reference.dataset.name,
        items=reference.dataset,
        notes=tuple(watch.notes),
        device=answers.facts,
    )


def _workshop(
    request: VerifyRequest, beside: ThreadPoolExecutor, stack: ExitStack, folder: Path
) -> Workshop | None:
    """TensorFlow's process, busy importing it while the candidate is opened."""
    if isinstance(request.against, Path):
        return None
    if request.against is not None:
        load.check(request.against)
    workshop = stack.enter_context(Workshop(folder))
    beside.submit(workshop.call, "edgeconv.verification.reference:warm_up")
    return workshop


def _ask_reference(
    request: VerifyRequest,
    candidate: Candidate,
    against: LoadRequest | Path,
    workshop: Workshop | None,
    beside: ThreadPoolExecutor,
    folder: Path,
    watch: Progress,
) -> Future[Reference]:
    """Begin to ask the reference; TensorFlow works in its process meanwhile."""
    quiet = _Quiet(watch)
    if isinstance(against, Path):
        formats: list[Format] = [artifact.format for artifact, _ in candidate.entries]
        return beside.submit(ask_bundle, against, request.data, formats, folder, quiet)
    assert workshop is not None
    return beside.submit(ask_keras, against, candidate, request.data, workshop, folder, quiet)


def _ask_candidate(
    request: VerifyRequest,
    candidate: Candidate,
    asked: Future[Reference],
    folder: Path,
    watch: Progress,
) -> tuple[list[list[Rows]], Reference]:
    """The candidate's answers, asked while the reference still thinks where that is possible."""
    runners = [model for _, model in candidate.entries]
    early = _own_items(request, candidate)
    if early is not None:
        watch.stage("ask the candidate", len(early))
        rows = answer(runners, early, folder, "candidate", _Watchful(watch, asked))
    if not asked.done():
        watch.stage("wait for the reference")
    reference = asked.result()
    if early is not None and early.ids == reference.dataset.ids:
        return rows, reference
    own = candidate.source.preprocess if candidate.source else None
    items = reference.dataset.with_preprocess(own) if own else reference.dataset
    watch.stage("ask the candidate", len(items))
    return answer(runners, items, folder, "candidate-again", watch), reference


def _own_items(request: VerifyRequest, candidate: Candidate) -> Items | None:
    """The items as a bundle itself takes them; None where the reference has to say which."""
    if candidate.source is None:
        return None
    try:
        return data.choose(request.data, candidate.source, False, Silent())[1]
    except EdgeconvError:
        return None  # the reference meets the same data, and says what is wrong with it


def _given(
    candidate: Candidate, rows: Sequence[Sequence[Rows]], reference: Reference
) -> list[Given]:
    return [
        Given(artifact, stored, reference.answers[artifact.format], candidate.labels)
        for (artifact, _), stored in zip(candidate.entries, rows, strict=True)
    ]


def _note_idle_thresholds(request: VerifyRequest, candidate: Candidate, watch: Progress) -> None:
    for pattern in request.policy.idle([artifact for artifact, _ in candidate.entries]):
        watch.note(f"the policy's thresholds for {printable(pattern)} are meant for no file here")


def _same_heads(
    given: list[Given], candidate: Candidate, reference: Reference, folder: Path, watch: Progress
) -> tuple[list[Given], Reference]:
    """Probabilities beside probabilities, where a file alone ends in its softmax."""
    classifies = reference.source.task == "classification" and len(reference.dataset) > 0
    note = room.unlike_heads(given, candidate.keeps_head) if classifies else ""
    if note:
        watch.note(note)
    if note != room.ENDED:
        return given, reference
    source = replace(reference.source, activation="linear")
    return room.ended(given, folder), replace(reference, source=source)


def _explained(
    verdict: Verdict, given: Sequence[Given], explainer: Explainer, blame: Blame
) -> Verdict:
    """The verdict with the causes of what was lost."""
    if blame == "always" and explainer.workshop is None:
        explainer.watch.note("no layer is blamed: that takes the original, not another bundle")
    found = []
    for each, entry in zip(verdict.artifacts, given, strict=True):
        lost = looks_lost(each)
        if each.status != "pass" or has_odd_scores(each):
            explainer.watch.stage(f"look for the cause in {each.file}")
            each = explainer.suspected(each, entry)
        if blame == "always" or (lost and blame == "auto"):
            explainer.watch.stage(f"blame the layers of {each.file}")
            each = explainer.blamed(each, entry)
        if sentence := doubt(each, converted=explainer.workshop is not None):
            each = replace(each, suspicions=(sentence, *each.suspicions))
        found.append(each)
    return replace(verdict, artifacts=tuple(found))


class _Notes:
    """Passes everything on and keeps the notes."""

    def __init__(self, watch: Progress) -> None:
        self._watch = watch
        self.notes: list[str] = []

    def stage(self, title: str, total: int | None = None) -> None:
        self._watch.stage(title, total)

    def advance(self, steps: int = 1) -> None:
        self._watch.advance(steps)

    def note(self, text: str) -> None:
        self.notes.append(text)
        self._watch.note(text)


class _Quiet(Silent):
    """Of a second thread: only its notes are passed on, for there is one line of progress."""

    def __init__(self, watch: Progress) -> None:
        self._watch = watch

    def note(self, text: str) -> None:
        self._watch.note(text)


class _Watchful(Silent):
    """Advances another; ends the work early where what it is for has failed already."""

    def __init__(self, watch: Progress, other: Future[Any]) -> None:
        self._watch, self._other = watch, other

    def advance(self, steps: int = 1) -> None:
        if self._other.done():
            self._other.result()
        self._watch.advance(steps)
