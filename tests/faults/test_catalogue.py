"""What the gate promises, on every fault of the catalogue and on good models."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from edgeconv.progress import Silent
from edgeconv.types import Precision
from edgeconv.verification.candidate import read_candidate
from edgeconv.verification.reference import answer
from edgeconv.verify import Given, Policy, judge_answers
from tests.faults import good
from tests.faults.__main__ import catalogue
from tests.faults.run import Bench, Row

pytestmark = pytest.mark.long

#: Of the layer faults that lose parity, and of the skews that do, the cause is told in at least:
LEAST = 0.9
SEEDS = 20


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("good")


@pytest.fixture(scope="module")
def rows(shared_data: Path, folder: Path) -> list[Row]:
    """All faults, but those of a layer in a few layers; ``python -m tests.faults`` has all."""
    return [
        row
        for subject in good.SUBJECTS.values()
        for row in catalogue(
            subject,
            shared_data,
            folder,
            subject.layers[1:2] if subject.slow else subject.layers[::2],
        )
    ]


def test_there_are_at_least_fifteen_faults_by_two_models_by_two_formats(rows: list[Row]) -> None:
    for model in good.SUBJECTS:
        for format in ("tflite", "onnx"):
            names = {r.fault.name for r in rows if r.model == model and r.format == format}
            assert len(names) >= 15, (model, format)


def test_every_proven_loss_is_failed(rows: list[Row]) -> None:
    missed = [(r.model, r.fault.title, r.format, r.status) for r in rows if r.lost]
    missed = [each for each in missed if each[-1] != "fail"]

    assert not missed


def test_nothing_that_loses_more_than_two_points_passes(rows: list[Row]) -> None:
    passed = [r for r in rows if r.status == "pass" and r.drop and r.drop.estimate > 2.0]

    assert not [(r.model, r.fault.title, r.format) for r in passed]


def test_faults_that_only_spoil_the_scores_fail_a_policy_that_looks_at_them(
    rows: list[Row],
) -> None:
    spoiled = [row for row in rows if not row.fault.moves_answers]

    assert spoiled
    assert {row.status for row in spoiled} == {"fail"}


def test_broken_layers_are_blamed_first_or_second(rows: list[Row]) -> None:
    _assert_most([r for r in rows if r.fault.family == "layer"], lambda row: row.found)


def test_skews_are_named_right(rows: list[Row]) -> None:
    _assert_most([r for r in rows if r.fault.family == "skew"], lambda row: row.named)


def _assert_most(rows: Sequence[Row], told: Callable[[Row], bool]) -> None:
    failed = [row for row in rows if row.status == "fail"]
    wrong = [
        (r.model, r.fault.title, r.format, r.suspected or r.blamed[:3])
        for r in failed
        if not told(r)
    ]
    assert len(failed) >= 20
    assert len(wrong) <= (1 - LEAST) * len(failed), wrong


@pytest.mark.parametrize("name", list(good.GOOD))
def test_no_good_model_ever_fails(shared_data: Path, folder: Path, name: str) -> None:
    prepared = good.prepare(good.GOOD[name], shared_data, folder)
    statuses: dict[str, int] = {}
    for precision in ("fp32", "fp16", "int8"):
        for status in _subset_statuses(prepared, precision, folder):
            statuses[status] = statuses.get(status, 0) + 1

    assert statuses.get("fail", 0) == 0
    assert sum(statuses.values()) == 3 * 2 * SEEDS


def _subset_statuses(prepared: good.Prepared, precision: Precision, folder: Path) -> Iterator[str]:
    """Of both files on SEEDS random halves of the pictures, each picture asked once."""
    bench = Bench(prepared, folder)
    candidate = read_candidate(good.export(prepared, precision, folder), folder)
    with bench.open():
        reference = bench.reference(candidate)
    stores = answer([m for _, m in candidate.entries], reference.dataset, folder, "own", Silent())
    count = len(reference.dataset)
    for seed in range(SEEDS):
        chosen = np.random.default_rng(seed).choice(count, count // 2, replace=False)
        subset = reference.dataset.select(chosen.tolist())
        given = [
            Given(
                artifact,
                [rows[0:count][chosen] for rows in stored],
                [np.asarray(rows[0:count])[chosen] for rows in reference.answers[artifact.format]],
                candidate.labels,
            )
            for (artifact, _), stored in zip(candidate.entries, stores, strict=True)
        ]
        verdict = judge_answers(given, subset, reference.source, Policy(), Silent())
        yield from (artifact.status for artifact in verdict.artifacts)
