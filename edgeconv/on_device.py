"""The candidate on a device: the same inputs there and here, and what differs.

items ──► inputs ──┬──► device: infer.py ──► raw outputs ──┬──► bits that differ
                   └──► host: the same file ──► raw outputs ┴──► a row of the verdict
"""

from __future__ import annotations

import math
import zipfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from edgeconv import data, load
from edgeconv.candidate import Candidate
from edgeconv.data import DataRequest, Items
from edgeconv.device import remote
from edgeconv.device.remote import Ask
from edgeconv.device.transports import Transport, check_target, open_transport
from edgeconv.errors import RefusedInput, Unsupported, UsageError
from edgeconv.package.infer import build_infer_script
from edgeconv.pictures import printable
from edgeconv.progress import Progress
from edgeconv.reference import Reference
from edgeconv.runtime.affine import dequantize
from edgeconv.runtime.checksums import SealedFolder
from edgeconv.runtime.engines import ENGINES
from edgeconv.runtime.inputs import MAX_ARRAY_BYTES
from edgeconv.runtime.session import read_manifest
from edgeconv.types import Array, Artifact, ArtifactVerdict, Verdict
from edgeconv.verify import Disagreement, Given, Policy, classifies_rows, judge_answers
from edgeconv.verify.judge import merged

__all__ = ["Answers", "DeviceOrder", "DeviceRun", "Judge", "check_order", "host_as_reference"]

_INPUTS = "x.npz"
#: The fastest that zlib has: pictures shrink to a third, and a network is slower.
_COMPRESSION = 1
_BATCH = 8
#: Of an archive and its arrays.
_HEADER_BYTES = 1 << 16


@dataclass(frozen=True)
class DeviceOrder:
    """Where to run, and how much.

    Attributes:
        target: See ``device.transports.TARGETS``.
        python: The interpreter there; None for the transport's own choice.
        engine: A key of ``runtime.ENGINES``; None for the first that is there.
        samples: At most this many items travel, evenly spread.
        threads: Of one inference there.
        timeout_s: For all of them.
    """

    target: str
    python: str | None = None
    engine: str | None = None
    samples: int = 100
    threads: int = 1
    timeout_s: float = 1800.0


@dataclass(frozen=True)
class Answers:
    """What the device said.

    Attributes:
        artifact: The file that it ran.
        positions: Which of the items it was asked.
        device: One float32 [N, ...] an output.
        host: Likewise, by the same file here.
        facts: JSON: target, engine, versions, latency, memory, and how many of its raw
            outputs are the host's to the last bit.
    """

    artifact: Artifact
    positions: tuple[int, ...]
    device: tuple[Array, ...]
    host: tuple[Array, ...]
    facts: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Such as ``model.tflite on local``."""
        return f"{self.artifact.path.name} on {self.facts['target']}"

    @property
    def identical(self) -> bool:
        """Whether every raw output is the host's to the last bit."""
        return int(self.facts["bit_identical"]["values_differing"]) == 0


def check_order(order: DeviceOrder, candidate: Path) -> None:
    """Refuse before anything slow what can't come to an answer.

    Raises:
        UsageError: The target or the engine is none, or the candidate is no bundle.
    """
    check_target(order.target)
    if order.engine is not None and order.engine not in ENGINES:
        raise UsageError(
            f"There is no engine {printable(order.engine)!r}.", f"Known: {', '.join(ENGINES)}."
        )
    if not candidate.is_dir():
        raise UsageError(
            f"{candidate} is no bundle; a device runs its infer.py.",
            "Give the folder that export made, or leave --on away.",
        )


class DeviceRun:
    """A candidate that was copied to a device, from ``with`` to its end.

    Args:
        order: Where.
        candidate: What.
        path: The candidate's bundle.
        watch: Told what is being done.
    """

    def __init__(
        self, order: DeviceOrder, candidate: Candidate, path: Path, watch: Progress
    ) -> None:
        self._order, self._candidate, self._path, self._watch = order, candidate, path, watch
        self._stack = ExitStack()
        self._transport: Transport | None = None

    def __enter__(self) -> DeviceRun:
        """Reach the device, see what it has, and copy the bundle.

        Raises:
            EdgeconvError: As ``Transport`` and ``remote.install``.
        """
        order, bundle = self._order, SealedFolder(self._path)
        self._watch.stage(f"reach {order.target}")
        self._transport = transport = open_transport(order.target, order.python)
        with ExitStack() as stack:
            stack.callback(self._tell_leftover)
            stack.enter_context(transport)
            remote.check(transport, read_manifest(bundle), order.engine)
            self._watch.stage(f"copy the bundle to {order.target}")
            script = build_infer_script()
            if "infer.py" in bundle.sums and bundle.read("infer.py") != script.encode():
                self._watch.note(
                    "The bundle's infer.py is another than this edgeconv's, which runs in its place"
                )
            remote.install(transport, bundle, script)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error: Any) -> None:
        """Remove everything from the device."""
        self._stack.__exit__(*error)

    def _tell_leftover(self) -> None:
        if self._transport is not None and self._transport.leftover:
            self._watch.note(self._transport.leftover)

    def answers(self, items: Items, folder: Path) -> Answers:
        """Have the device and this machine answer a sample.

        Args:
            items: As the candidate takes them.
            folder: Scratch.

        Raises:
            EdgeconvError: As ``remote.ask``; or the items are too large to travel.
        """
        order, transport = self._order, self._transport
        assert transport is not None
        count = min(order.samples, len(items))
        positions = tuple(place * len(items) // count for place in range(count))
        x = _inputs(items.select(positions), order)
        self._watch.stage(f"ask {order.target}", count)
        _write_inputs(folder / _INPUTS, x)
        transport.put(folder / _INPUTS, _INPUTS)
        asked = Ask(
            inputs=_INPUTS,
            outputs=True,
            engine=order.engine,
            threads=order.threads,
            timeout_s=order.timeout_s,
            limit_bytes=_most_bytes(self._candidate, count),
        )
        reply = remote.ask(transport, asked)
        self._watch.advance(count)
        return _compared(self._candidate, order.target, positions, x, reply)


def _inputs(items: Items, order: DeviceOrder) -> tuple[Array, ...]:
    """One float32 [N, ...] a model input, all items together."""
    rows: list[tuple[Array, ...]] = []
    size = 0
    for batch in items.batches(_BATCH):
        rows.append(batch.x)
        size += sum(array.nbytes for array in batch.x)
        if size > MAX_ARRAY_BYTES:
            raise UsageError(
                f"{order.samples} items are more than 1 GiB.", "Send fewer: --samples 10"
            )
    columns = list(zip(*rows, strict=True))
    if any(len({array.shape[1:] for array in column}) > 1 for column in columns):
        raise Unsupported(
            "The items have different shapes, and infer.py takes arrays of one.",
            "Give data of one shape.",
        )
    return tuple(np.concatenate(column) for column in columns)


def _write_inputs(path: Path, x: Sequence[Array]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=_COMPRESSION) as archive:
        for number, array in enumerate(x):
            with archive.open(f"x{number}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(
                    member, np.ascontiguousarray(array, np.float32), allow_pickle=False
                )


def _most_bytes(candidate: Candidate, count: int) -> int:
    """What the outputs of any file of the bundle may have, unpacked."""
    sizes = []
    for _, model in candidate.entries:
        size = 0
        for spec in model.outputs:
            lengths = [length for length in spec.shape[1:] if length is not None]
            if len(lengths) < len(spec.shape) - 1:
                return MAX_ARRAY_BYTES
            size += count * math.prod(lengths) * np.dtype(spec.dtype).itemsize
        sizes.append(size)
    return min(max(sizes) + _HEADER_BYTES, MAX_ARRAY_BYTES)


def _compared(
    candidate: Candidate,
    target: str,
    positions: tuple[int, ...],
    x: tuple[Array, ...],
    reply: remote.Reply,
) -> Answers:
    """The device's raw outputs beside those of the same file here."""
    ran = [entry for entry in candidate.entries if entry[0].path.name == reply.costs["file"]]
    if not ran:
        raise RefusedInput(f"{target} says that it ran a file that the bundle doesn't have.")
    artifact, model = ran[0]
    host = model.raw(*model.quantized(*x))
    expected = [(y.dtype, y.shape) for y in host]
    if [(y.dtype, y.shape) for y in reply.outputs] != expected:
        raise RefusedInput(f"{target} sent outputs of another shape or type than the model has.")
    facts = {
        "target": target,
        **reply.costs,
        "host_engine": {"name": model.engine, "version": model.version},
        "bit_identical": _bits(reply.outputs, host, [spec.scale for spec in model.outputs]),
    }
    return Answers(
        artifact,
        positions,
        tuple(dequantize(y, s) for y, s in zip(reply.outputs, model.outputs, strict=True)),
        tuple(dequantize(y, s) for y, s in zip(host, model.outputs, strict=True)),
        facts,
    )


def _bits(
    theirs: Sequence[Array], ours: Sequence[Array], scales: Sequence[float | None]
) -> dict[str, Any]:
    """How many raw values differ in any bit, in how many items, and by how much at most."""
    items = np.zeros(len(ours[0]), bool)
    values = differing = 0
    largest = 0.0
    for a, b, scale in zip(theirs, ours, scales, strict=True):
        rows = [np.ascontiguousarray(y).view(np.uint8).reshape(y.size, -1) for y in (a, b)]
        unequal = (rows[0] != rows[1]).any(axis=1)
        items |= unequal.reshape(len(items), -1).any(axis=1)
        values, differing = values + unequal.size, differing + int(unequal.sum())
        gap = np.abs(a.astype(np.float64) - b.astype(np.float64)).max(initial=0.0)
        largest = max(largest, float(gap) * (scale or 1.0))
    return {
        "items": len(items),
        "items_differing": int(items.sum()),
        "values": values,
        "values_differing": differing,
        "largest_difference": largest if np.isfinite(largest) else None,
    }


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
        if answers.identical:
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
