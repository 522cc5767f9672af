"""The benchmark: cases, rounds, what it makes of a device's answers, sentences and the plot."""

import contextlib
import json
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from edgeconv.device.benchmark import BenchRequest, benchmark, plot
from edgeconv.device.benchmark.findings import findings
from edgeconv.device.benchmark.operators import Profile, layer_of_node, read_profile
from edgeconv.device.benchmark.places import enter
from edgeconv.device.benchmark.request import Subject, cases, read_subjects
from edgeconv.device.benchmark.rounds import Measured, Run, measure_rounds
from edgeconv.errors import RefusedInput, Unsupported, UsageError
from edgeconv.package.infer import build_infer_script
from tests import bundles


class Silent:
    def stage(self, title: str, total: int | None = None) -> None: ...
    def advance(self, steps: int = 1) -> None: ...
    def note(self, text: str) -> None: ...


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bundles.make_bundle(tmp_path_factory.mktemp("benchmark"))


@pytest.fixture(scope="module")
def subject(bundle: Path) -> Subject:
    return read_subjects([bundle])[0]


class Recorder:
    """A place that answers what it is told to, and keeps what it was asked."""

    def __init__(self, **changes: Any) -> None:
        self.calls: list[tuple[str | None, list[str]]] = []
        self._reply = {
            "file": "model.onnx", "precision": "fp32", "device": "cpu", "machine": "x",
            "engine": {"name": "onnxruntime", "version": "1"}, "load_ms": 2.0,
            "latency_ms": {"median": 4.0, "p95": 5.0, "calls": 10}, "first_call_ms": 9.0,
            "peak_memory_kib": 1000, **changes,
        }  # fmt: skip

    def run(self, subject: Subject, engine: str | None, arguments: Sequence[str]) -> dict[str, Any]:
        self.calls.append((engine, list(arguments)))
        return self._reply


def value_of(arguments: list[str], option: str) -> str:
    return arguments[arguments.index(option) + 1]


def measured(subject: Subject, *medians: float, **about: Any) -> Measured:
    (case, *_) = cases(BenchRequest((subject.path,), engines=("onnxruntime",)), [subject])
    known = {
        "file": "model.onnx", "precision": "fp32", "device": "cpu", "fallback": None,
        "engine": {"name": "onnxruntime", "version": "1"}, **about,
    }  # fmt: skip
    runs = tuple(Run(median, median * 1.2, 10, 3.0, 5.0, 900.0) for median in medians)
    return Measured(case, known, runs)


def profile(subject: Subject, *rows: tuple[str, str, float]) -> Profile:
    reply = [{"node": n, "op": op, "provider": "CPU", "ms": ms} for n, op, ms in rows]
    return read_profile(Recorder(operators=reply), measured(subject, 1.0), BenchRequest(()))


def test_every_engine_of_this_machine_is_a_case_and_threads_and_batches_multiply(
    subject: Subject,
) -> None:
    request = BenchRequest((subject.path,), threads=(1, 2), batch=(1, 8))
    found = cases(request, [subject])
    assert len(found) == 8
    assert {(c.engine, c.threads, c.batch) for c in found} == {
        (e, t, b) for e in ("litert", "onnxruntime") for t in (1, 2) for b in (1, 8)
    }


def test_a_gpu_has_only_onnx_and_a_target_chooses_for_itself(subject: Subject) -> None:
    for request in (
        BenchRequest((subject.path,), device="cuda"),
        BenchRequest((subject.path,), bind=True),
    ):
        assert [case.engine for case in cases(request, [subject])] == ["onnxruntime"]
    there = cases(BenchRequest((subject.path,), on="local"), [subject])
    assert [case.engine for case in there] == [None]


def test_hours_of_cases_are_refused(subject: Subject) -> None:
    request = BenchRequest((subject.path,), threads=tuple(range(1, 102)))
    with pytest.raises(UsageError, match="202 cases"):
        cases(request, [subject])


def test_rounds_go_there_and_back_after_one_short_run_of_each_file(subject: Subject) -> None:
    place = Recorder()
    request = BenchRequest((subject.path,), batch=(1, 4), rounds=2, warmup=7)
    found = cases(request, [subject])
    result = measure_rounds(place, found, request, lambda: None)
    asked = [(e, value_of(a, "--batch"), value_of(a, "--repeat")) for e, a in place.calls]
    assert asked[:2] == [("litert", "1", "3"), ("onnxruntime", "1", "3")]
    one_round = [("litert", "1"), ("onnxruntime", "1"), ("litert", "4"), ("onnxruntime", "4")]
    assert [(e, b) for e, b, _ in asked[2:]] == one_round + one_round[::-1]
    # A second of 4 ms calls is more than the most; of 16 ms ones it is 63.
    assert [r for _, _, r in asked[2:6]] == ["200", "200", "63", "63"]
    assert {value_of(a, "--warmup") for _, a in place.calls} == {"7"}
    assert [len(one.runs) for one in result] == [2, 2, 2, 2]


def test_a_repeat_that_was_asked_for_is_kept(subject: Subject) -> None:
    place = Recorder()
    request = BenchRequest((subject.path,), engines=("onnxruntime",), repeat=17, rounds=1)
    measure_rounds(place, cases(request, [subject]), request, lambda: None)
    assert [value_of(a, "--repeat") for _, a in place.calls] == ["3", "17"]


@pytest.mark.parametrize(
    "changes",
    [
        {"latency_ms": None},
        {"latency_ms": {"median": -1, "p95": 1, "calls": 1}},
        {"latency_ms": {"median": True, "p95": 1, "calls": 1}},
        {"latency_ms": {"median": 5e-324, "p95": 1, "calls": 1}},
        {"latency_ms": {"median": float("nan"), "p95": 1, "calls": 1}},
        {"load_ms": "soon"},
        {"peak_memory_kib": 1e300},
        {"engine": "onnxruntime"},
        {"file": 3},
    ],
)
def test_a_device_that_answers_nonsense_is_refused(
    subject: Subject, changes: dict[str, Any]
) -> None:
    request = BenchRequest((subject.path,), engines=("onnxruntime",))
    with pytest.raises(RefusedInput, match=r"told no .* that can be"):
        measure_rounds(Recorder(**changes), cases(request, [subject]), request, lambda: None)


def test_memory_that_a_system_does_not_tell_stays_unknown(subject: Subject) -> None:
    request = BenchRequest((subject.path,), engines=("onnxruntime",), rounds=1)
    (one,) = measure_rounds(
        Recorder(peak_memory_kib=None), cases(request, [subject]), request, lambda: None
    )
    assert one.runs[0].peak_memory_kib is None


@pytest.mark.parametrize(
    ("node", "layer"),
    [
        ("block_1_project/Conv_token_17", "block_1_project"),
        ("Conv1_relu/Clip_nchwc", "Conv1_relu"),
        ("inner/block/dense/MatMul", "inner/block/dense"),
        ("input_q", "input_q"),
    ],
)
def test_a_node_is_named_after_its_layer(node: str, layer: str) -> None:
    assert layer_of_node(node) == layer


def test_a_profile_has_percentages_and_drops_what_is_no_row(subject: Subject) -> None:
    rows = [
        {"node": "a/Conv", "op": "Conv", "provider": "CPUExecutionProvider", "ms": 3.0},
        {"node": "b/Gemm", "op": "Gemm", "provider": "CPUExecutionProvider", "ms": 1.0},
        {"node": "c/Gemm", "op": "Gemm", "provider": "CPUExecutionProvider", "ms": "x"},
        7,
    ]
    found = read_profile(Recorder(operators=rows), measured(subject, 1.0), BenchRequest(()))
    assert [(r.layer, r.provider, r.percent) for r in found.rows] == [
        ("a", "CPU", 75.0), ("b", "CPU", 25.0),
    ]  # fmt: skip
    none = read_profile(Recorder(operators_note="none here"), measured(subject, 1.0),
                        BenchRequest(()))  # fmt: skip
    assert (none.rows, none.note) == ((), "none here")


def test_int8_that_is_faster_is_told_with_its_factor(subject: Subject) -> None:
    pair = [measured(subject, 2.0, 2.1, precision="int8"), measured(subject, 5.0, 5.1)]
    (said,) = findings(pair, {}, False)
    assert said == (
        "model.onnx, onnxruntime 1, 1 thread, batch 1: int8 is 2.46 times as fast as fp32 "
        "(2.05 ms beside 5.05 ms)."
    )


def test_rounds_that_contradict_each_other_decide_nothing(subject: Subject) -> None:
    pair = [measured(subject, 2.0, 6.0, precision="int8"), measured(subject, 5.0, 5.1)]
    (said,) = findings(pair, {}, False)
    assert "int8 was faster than fp32 in 1 of 2 rounds" in said and "more --rounds" in said


def test_slower_int8_of_two_bundles_is_explained_by_their_profiles(
    subject: Subject, tmp_path: Path
) -> None:
    other = Subject(tmp_path, "float", subject.manifest, {})
    one, two = measured(subject, 9.0, precision="int8"), measured(other, 5.0)
    mine = profile(
        subject,
        ("a/Conv_token_1", "QLinearConv", 4.0), ("b/Conv", "Conv", 2.0),
        ("b_in_dq", "DequantizeLinear", 2.0), ("b_q", "QuantizeLinear", 1.0),
    )  # fmt: skip
    its = profile(subject, ("a/Conv_nchwc", "Conv", 1.0), ("b/Conv_nchwc", "Conv", 2.0))
    (said,) = findings([one, two], {0: mine, 1: its}, False)
    assert "Conversions between float and integer take 33% of the time." in said
    assert "b (Conv) compute in float." in said
    assert "Slower than in float are a (QLinearConv 4 ms, 1 ms in float)." in said
    assert "scopes leave whole blocks in float" in said


def test_slower_int8_on_cuda_is_no_surprise(subject: Subject, tmp_path: Path) -> None:
    other = Subject(tmp_path, "float", subject.manifest, {})
    pair = [
        measured(subject, 9.0, precision="int8", device="cuda"),
        measured(other, 5.0, device="cuda"),
    ]
    (said,) = findings(pair, {}, False)
    assert "CUDA's provider has no int8 convolution" in said and "--device gpu-tensorrt" in said


def test_an_emulated_device_is_called_one(subject: Subject) -> None:
    assert "The device is emulated: its times and memory are no real device's." in findings(
        [measured(subject, 1.0)], {}, False, emulated=True
    )


def test_no_process_is_spent_on_an_engine_without_a_profile(subject: Subject) -> None:
    place = Recorder()
    one = measured(subject, 1.0, engine={"name": "litert", "version": "2"})
    found = read_profile(place, one, BenchRequest(()))
    assert found.rows == () and found.note.startswith("litert has no profile")
    assert place.calls == []


def test_an_old_processor_is_named(subject: Subject, tmp_path: Path) -> None:
    other = Subject(tmp_path, "float", subject.manifest, {})
    pair = [measured(subject, 9.0, precision="int8"), measured(other, 5.0)]
    (said,) = findings(pair, {}, True)
    assert "no int8 dot product (VNNI, SDOT)" in said


def test_the_days_of_the_export_are_told_where_there_is_no_float_bundle(subject: Subject) -> None:
    row = {"file": "model.onnx", "latency_ms_median": 8.0, "float_latency_ms_median": 4.0}
    lies = {**row, "latency_ms_median": 10**400}
    old = Subject(subject.path, "old", subject.manifest, {"artifacts": [row, 3, {}, lies]})
    (said,) = findings([measured(old, 7.0, precision="int8")], {}, False)
    assert "took 8 ms and its float form 4 ms when it was exported." in said
    assert "It was slower than float." in said and "--compare" in said


def test_a_batch_of_a_tflite_file_is_that_many_calls(subject: Subject) -> None:
    (case,) = cases(BenchRequest((subject.path,), engines=("litert",), batch=(4,)), [subject])
    known = measured(subject, 1.0)
    one = Measured(case, {**known.about, "file": "model.tflite"}, known.runs)
    (said,) = findings([one], {}, False)
    assert said.startswith("model.tflite is made for one item")


def test_an_error_of_the_child_comes_back_as_it_was(subject: Subject) -> None:
    with enter(BenchRequest(()), [subject]) as place, pytest.raises(Unsupported) as caught:
        place.run(subject, "litert", ["--bench", "--json", "--engine", "litert", "--bind"])
    assert "can't keep inputs and outputs on a device" in caught.value.message
    assert caught.value.hint


def test_the_real_thing_here_and_through_a_transport(bundle: Path) -> None:
    request = BenchRequest((bundle,), engines=("onnxruntime",), repeat=2, rounds=1, batch=(1, 2))
    here = benchmark(request, Silent())
    assert here["target"] == "here" and len(here["rows"]) == 2
    (operators,) = here["operators"]
    assert [row["op"] for row in operators["rows"]] == ["Flatten", "MatMul"]
    request = BenchRequest(
        (bundle,), on="local", repeat=2, rounds=1, engines=("litert",), script=build_infer_script()
    )
    there = benchmark(request, Silent())
    (row,) = there["rows"]
    assert (there["target"], row["file"], row["calls"]) == ("local", "model.tflite", 2)
    assert row["peak_memory_kib"] > 10_000 and row["load_ms"] > 0
    assert json.loads(json.dumps([here, there])) == [here, there]


def test_the_slowest_device_that_is_believed_still_has_a_rate_and_a_plot(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = Recorder(latency_ms={"median": 9e11, "p95": 9.5e11, "calls": 1})
    monkeypatch.setattr(
        "edgeconv.device.benchmark.run.enter", lambda *_: contextlib.nullcontext(slow)
    )
    request = BenchRequest((bundle,), engines=("onnxruntime",), rounds=1, batch=(1, 2))
    found = benchmark(request, Silent())
    assert [row["items_per_s"] for row in found["rows"]] == [1.11111e-09, 2.22222e-09]
    assert "<svg" in plot(found)


def test_the_plot_is_a_safe_document_with_every_case(bundle: Path) -> None:
    def row(name: str, batch: int, ms: float) -> dict[str, Any]:
        return {
            "bundle": name, "model": "<script>", "precision": "int8", "engine": "litert 2",
            "device": "cpu", "threads": 2, "batch": batch, "latency_ms_median": ms,
            "latency_ms_p95": 2 * ms, "items_per_s": batch * 1e3 / ms,
        }  # fmt: skip

    for rows in ([row('a"&<b>', 1, 2.0), row("c\x1b[31m", 1, 3.0)],
                 [row("a", 1, 2.0), row("a", 8, 3.0), row("b", 1, 700.0)]):  # fmt: skip
        text = plot({"machine": "m & n", "rows": rows})
        root = ElementTree.fromstring(text)
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        assert "<script" not in text and "\x1b" not in text
        said = root.attrib["aria-label"]
        assert said.count("batch") == len(rows)
