"""A device's answers, judged: against this machine's, or against the original's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from edgeconv import data, load
from edgeconv.data import DataRequest
from edgeconv.progress import Progress
from edgeconv.types import Array, ArtifactVerdict, Verdict
from edgeconv.verification.candidate import Candidate
from edgeconv.verification.on_device.answers import Answers
from edgeconv.verification.reference import Reference
from edgeconv.verify import Disagreement, Given, Policy, classifies_rows, judge_answers
from edgeconv.verify.judge import merged

__all__ = ["Judge", "host_as_reference"]


def host_as_reference(candidate: Candidate, request: DataRequest, watch: Progress) -> Reference:
    """The bundle itself, as this machine runs it; the answers are still to be given.

    Raises:
        EdgeconvError: As ``data.choose``.
    """
    assert candidate.source is not None
    _, dataset = data.choose(request, candidate.source, False, watch)
    source = load.settle_task(candidate.source, labelled=dataset.labelled)
    return Reference(source, dataset, {})


@dataclass(frozen=True)
class Judge:
    """Judges what a device answered.

    Attributes:
        reference: Its dataset has the items that the device was given a sample of.
        labels: The candidate's class names by index.
        policy: What parity has to hold.
        watch: Told what a person should know.
        on_disagreement: Called for every item with two different answers.
    """

    reference: Reference
    labels: tuple[str, ...]
    policy: Policy
    watch: Progress
    on_disagreement: Callable[[Disagreement], None]

    def against_host(self, answers: Answers) -> Verdict:
        """Device against host: their answers should agree, right or wrong."""
        policy = self.policy
        if policy.gate.metric is None and classifies_rows(
            self.reference.source.task, answers.host[0]
        ):
            policy = replace(policy, gate=replace(policy.gate, metric="agreement"))
        return self._judged(answers, answers.host, policy)

    def with_row(self, verdict: Verdict, answers: Answers) -> Verdict:
        """The candidate's verdict with one more row: the device against the original."""
        rows = self.reference.answers[answers.artifact.format]
        truth = [
            np.concatenate([np.asarray(r[p : p + 1]) for p in answers.positions]) for r in rows
        ]
        (row,) = self._judged(answers, truth, self.policy).artifacts
        if answers.identical and answers.as_judged:
            own = answers.artifact.path.name
            host = next(a for a in verdict.artifacts if a.file == own)
            row = _as_host(row, host, f"{len(answers.positions):,} of {verdict.samples:,} items")
        return merged((*verdict.artifacts, row), verdict.samples, verdict.gate)

    def _judged(self, answers: Answers, truth: Sequence[Array], policy: Policy) -> Verdict:
        verdict = judge_answers(
            [Given(answers.artifact, answers.device, truth, self.labels)],
            self.reference.dataset.select(answers.positions),
            self.reference.source,
            policy,
            self.watch,
            lambda found: self.on_disagreement(replace(found, file=answers.name)),
        )
        rows = tuple(replace(row, file=answers.name) for row in verdict.artifacts)
        return replace(verdict, artifacts=rows)


def _as_host(row: ArtifactVerdict, host: ArtifactVerdict, sample: str) -> ArtifactVerdict:
    """What gives the host's bits has the host's parity, which more items have shown."""
    same = f"the host's outputs to the bit on {sample}, so"
    return replace(
        row,
        status=host.status,
        reason=f"{same} {host.reason}",
        needed=host.needed,
        checks=tuple(replace(each, reason=f"{same} {each.reason}") for each in host.checks),
        gated=host.gated,
        limit=host.limit,
    )
