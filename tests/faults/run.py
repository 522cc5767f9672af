"""The gate's word on every fault: the real ``verify``, with a reference that is asked once.

Loading a Keras model, asking it and lowering it take ten times as long as all that
differs from fault to fault, so each is done once and its result kept.
"""

import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock, local
from typing import Any
from unittest.mock import patch

from edgeconv.progress import Silent
from edgeconv.types import ArtifactVerdict, FloatGraph, Format, Interval
from edgeconv.verification import Verification, VerifyRequest, explain, job, verify
from edgeconv.verification.candidate import Candidate
from edgeconv.verification.reference import Reference, ask_keras
from edgeconv.verify import Policy, Threshold
from edgeconv.verify.skew import sentences, suspect
from edgeconv.workshop import Workshop
from tests.faults.catalogue import Fault
from tests.faults.draft import Draft
from tests.faults.good import Prepared

#: A model whose best class stays and whose scores mean nothing passes the default gate.
_SCORES_TOO = Policy(
    thresholds=(Threshold("*", "top1_drop", 1.0, True), Threshold("*", "mean_kl", 0.5, True))
)


class _Skips(local):
    """Whether this thread's verification leaves out the search for a skew."""

    value = False


@dataclass(frozen=True)
class Row:
    """One line of the table: a fault in one file.

    Attributes:
        status: Of the file, by the gate.
        drop: Top-1 drop in points; None where nothing could be compared.
        agreement: Percent.
        suspicions: The sentences.
        suspected: Kinds, likeliest first.
        blamed: Layers, worst first.
        seconds: That the verification of both files took.
    """

    model: str
    fault: Fault
    format: Format
    status: str
    drop: Interval | None
    agreement: float | None
    suspicions: tuple[str, ...]
    suspected: tuple[str, ...]
    blamed: tuple[str, ...]
    seconds: float

    @property
    def lost(self) -> bool:
        """Whether the pictures prove a loss beyond the margin of 1 point."""
        return self.drop is not None and self.drop.lower95 > 1.0

    @property
    def named(self) -> bool:
        """Whether the first suspicion is the mistake that was made."""
        return bool(self.suspected) and self.suspected[0] in self.fault.kinds

    @property
    def found(self) -> bool:
        """Whether the broken layer is the first or the second that is blamed."""
        return any(name.partition("#")[0] in self.fault.blamed for name in self.blamed[:2])


class Bench:
    """Verifies candidates against one original, which is loaded, asked and lowered once."""

    def __init__(self, prepared: Prepared, folder: Path) -> None:
        self.prepared = prepared
        self._folder = Path(tempfile.mkdtemp(prefix="bench-", dir=folder))
        self._lock = Lock()
        self._references: dict[bool, Reference] = {}
        self._graphs: dict[Format, FloatGraph] = {}
        self._workshop: Workshop | None = None
        self._skips = _Skips()

    def verify(self, fault: Fault, candidate: Path) -> Verification:
        """The gate's word; by the scores too where no answer can change."""
        policy = Policy() if fault.moves_answers else _SCORES_TOO
        request = VerifyRequest(candidate, self.prepared.model, self.prepared.data, policy)
        skip = self.prepared.subject.slow and fault.family == "layer"
        self._skips.value = skip
        return verify(request)

    @contextmanager
    def open(self) -> Iterator["Bench"]:
        """Within, ``verify`` keeps what doesn't depend on the candidate."""
        with ExitStack() as stack:
            self._workshop = stack.enter_context(Workshop(self._folder))
            stack.enter_context(patch.object(job, "Workshop", self._borrowed))
            stack.enter_context(patch.object(job, "ask_keras", self._asked))
            stack.enter_context(patch.object(explain.Explainer, "_lowered", self._lowered))
            stack.enter_context(patch.object(explain.verify, "suspect", self._suspected))
            yield self

    def reference(self, candidate: Candidate) -> Reference:
        """The original's answers to all pictures; within ``open``."""
        return self._asked(self.prepared.model, candidate, self.prepared.data)

    @contextmanager
    def _borrowed(self, folder: Path) -> Iterator[Workshop]:
        assert self._workshop is not None
        yield self._workshop

    def _suspected(self, *arguments: Any, **named: Any) -> Any:
        return () if self._skips.value else suspect(*arguments, **named)

    def _asked(self, request: Any, candidate: Any, data: Any, *_: Any) -> Reference:
        assert self._workshop is not None
        with self._lock:
            if candidate.keeps_head not in self._references:
                self._references[candidate.keeps_head] = ask_keras(
                    request, candidate, data, self._workshop, self._folder, Silent()
                )
        return self._references[candidate.keeps_head]

    @property
    def _lowered(self) -> Any:
        bench = self

        def lowered(explainer: explain.Explainer, format: Format) -> FloatGraph:
            with bench._lock:
                if format not in bench._graphs:
                    target = explain.TARGETS[format]
                    bench._graphs[format] = target.lower(
                        explainer.reference.source, bench._workshop, bench._folder
                    )
            return bench._graphs[format]

        return lowered


def rows(bench: Bench, good: Path, faults: Sequence[Fault], workers: int = 2) -> Iterator[Row]:
    """Build each fault from ``good`` and have it judged; in the order of ``faults``."""
    with (
        tempfile.TemporaryDirectory(prefix="faults-") as name,
        bench.open(),
        ThreadPoolExecutor(workers) as pool,
    ):
        jobs = [
            pool.submit(_judged, bench, good, fault, Path(name) / str(number))
            for number, fault in enumerate(faults)
        ]
        for job in jobs:
            yield from job.result()


def _judged(bench: Bench, good: Path, fault: Fault, folder: Path) -> list[Row]:
    draft = Draft.read(good)
    fault.apply(draft)
    draft.write(folder)
    start = time.perf_counter()
    verdict = bench.verify(fault, folder).verdict
    seconds = time.perf_counter() - start
    return [_row(bench, fault, artifact, seconds) for artifact in verdict.artifacts]


def _row(bench: Bench, fault: Fault, artifact: ArtifactVerdict, seconds: float) -> Row:
    drop, agreement = artifact.metrics.get("top1_drop"), artifact.metrics.get("agreement")
    return Row(
        model=bench.prepared.subject.name,
        fault=fault,
        format=artifact.format,
        status=artifact.status,
        drop=drop if isinstance(drop, Interval) else None,
        agreement=agreement if isinstance(agreement, float) else None,
        suspicions=artifact.suspicions,
        suspected=tuple(kind for text in artifact.suspicions for kind in _kinds(text)),
        blamed=tuple(str(layer["name"]) for layer in artifact.layers),
        seconds=seconds,
    )


def _kinds(sentence: str) -> list[str]:
    """The kinds that a sentence names, in its order."""
    words: Mapping[str, str] = {**sentences.NAMES, "channel-order": "BGR input"}
    looks = sentence.partition(":")[0]
    places = {looks.find(text): kind for kind, text in words.items() if text in looks}
    if "RGB input" in looks:
        places[looks.find("RGB input")] = "channel-order"
    return [places[place] for place in sorted(places)]
