"""Sentences: what int8 gains over float, and where it gains nothing, why and what to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from edgeconv.device.benchmark.operators import OperatorTime, Profile
from edgeconv.device.benchmark.rounds import Measured

__all__ = ["findings"]

_FLOATS = ("fp32", "fp16")
_INTEGERS = ("int8", "int16x8", "dynamic")
#: Operators that have weights: the k-th of the one file is the k-th of the other.
_COMPUTE = ("Conv", "ConvTranspose", "FusedConv", "Gemm", "MatMul", "FusedGemm", "FusedMatMul")
_INTEGER_COMPUTE = ("QLinearConv", "ConvInteger", "QGemm", "QLinearMatMul", "MatMulIntegerToFloat",
                    "DynamicQuantizeMatMul", "MatMulInteger")  # fmt: skip
_CONVERSIONS = ("QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear")
_NAMED = 3
#: Below this percentage of the time, conversions are not what slows a model down.
_MUCH = 10.0
_LONGEST_MS = 1e12


def findings(
    measured: Sequence[Measured],
    profiles: Mapping[int, Profile],
    slow_cpu: bool,
    emulated: bool = False,
) -> list[str]:
    """What the figures say, in sentences.

    Args:
        measured: All cases.
        profiles: Index in ``measured`` -> its profile, where one was read.
        slow_cpu: This machine's processor has no int8 dot product.
        emulated: The target was.

    Returns:
        One for each pair of float and integer that differs in nothing else, or what was
        measured at the export where there is no pair, and one for each file that takes a
        batch one by one.
    """
    said = []
    pairs = [
        (one, other)
        for one in measured
        for other in measured
        if one.about["precision"] in _INTEGERS
        and other.about["precision"] in _FLOATS
        and _alike(one, other)
    ]
    told = {key: profiles[i] for i, one in enumerate(measured) if i in profiles
            for key in [(one.case.subject.name, one.engine)]}  # fmt: skip
    for one, other in pairs:
        mine, its = (told.get((m.case.subject.name, m.engine)) for m in (one, other))
        said += _compared(one, other, mine, its, slow_cpu)
    if emulated:
        said.append("The device is emulated: its times and memory are no real device's.")
    return said + ([] if pairs else _at_export(measured)) + _one_by_one(measured)


def _at_export(measured: Sequence[Measured]) -> list[str]:
    """What bench.json has of the float form, which the bundle itself no longer has."""
    files = {(m.case.subject.name, m.about["file"]): m.case.subject.exported for m in measured}
    said = []
    for (_, file), exported in files.items():
        rows = exported.get("artifacts")
        for row in rows if isinstance(rows, list) else []:
            if not isinstance(row, dict) or row.get("file") != file:
                continue
            mine, its = _time(row, "latency_ms_median"), _time(row, "float_latency_ms_median")
            if mine and its:
                slower = " It was slower than float." if mine > its else ""
                said.append(
                    f"{file} took {mine:.3g} ms and its float form {its:.3g} ms when it was "
                    f"exported.{slower} To measure both now: --compare FLOAT_BUNDLE."
                )
    return said


def _time(row: Mapping[str, Any], key: str) -> float | None:
    """A bundle's own word, which may be NaN, or an integer beyond any float."""
    value = row.get(key)
    return value if isinstance(value, int | float) and 0 < value < _LONGEST_MS else None


def _alike(one: Measured, other: Measured) -> bool:
    return (one.engine, one.about["device"], one.case.threads, one.case.batch) == (
        other.engine, other.about["device"], other.case.threads, other.case.batch
    )  # fmt: skip


def _compared(
    one: Measured, other: Measured, mine: Profile | None, its: Profile | None, slow_cpu: bool
) -> list[str]:
    fast, slow = sorted((one.median_ms, other.median_ms))
    times = f"{one.median_ms:.3g} ms beside {other.median_ms:.3g} ms"
    precision, floating = one.about["precision"], other.about["precision"]
    threads = f"{one.case.threads} thread" + ("s" if one.case.threads > 1 else "")
    where = f"{one.about['file']}, {one.engine}, {threads}, batch {one.case.batch}"
    # A round measures both within seconds of each other.
    won = sum(a.median_ms < b.median_ms for a, b in zip(one.runs, other.runs, strict=True))
    if 0 < won < len(one.runs):
        return [
            f"{where}: {precision} was faster than {floating} in {won} of {len(one.runs)} rounds "
            f"({times}), which decides nothing; take more --rounds, or a quieter machine."
        ]
    if won:
        return [f"{where}: {precision} is {slow / fast:.2f} times as fast as {floating} ({times})."]
    said = f"{where}: {precision} is slower than {floating} ({times})."
    return [" ".join([said, *_reasons(one, mine, its), _remedy(one, mine, slow_cpu)])]


def _reasons(one: Measured, mine: Profile | None, its: Profile | None) -> list[str]:
    if mine is None or not mine.rows:
        return _reasons_without_profile(one)
    said = []
    spent = _percent(mine.rows, _CONVERSIONS)
    if spent >= _MUCH:
        said.append(f"Conversions between float and integer take {spent:.0f}% of the time.")
    floats = [row for row in mine.rows if row.op in _COMPUTE]
    if floats:
        said.append(f"{_named(floats)} compute in float.")
    worse = _worse(mine.rows, its.rows if its else ())
    if worse:
        said.append(f"Slower than in float are {', '.join(worse)}.")
    if not said:
        slowest = sorted(mine.rows, key=lambda row: -row.ms)
        said.append(f"Most of the time goes to {_named(slowest)}.")
    return said


def _reasons_without_profile(one: Measured) -> list[str]:
    entry = one.case.subject.entry(one.about["file"])
    floats = dict(entry.float_operators) if entry else {}
    if not floats:
        return [f"{one.about['engine']['name']} has no profile that would tell which operators."]
    kinds = ", ".join(f"{count} {op}" for op, count in sorted(floats.items()))
    return [f"Of its operators {kinds} compute in float, with conversions around them."]


def _worse(mine: Sequence[OperatorTime], its: Sequence[OperatorTime]) -> list[str]:
    """The operators with weights that lost most, in pairs by their order."""
    kinds = _COMPUTE + _INTEGER_COMPUTE
    ours = [row for row in mine if row.op in kinds]
    theirs = [row for row in its if row.op in kinds]
    if len(ours) != len(theirs):
        return []
    pairs = sorted(zip(ours, theirs, strict=True), key=lambda pair: pair[1].ms - pair[0].ms)
    return [
        f"{a.layer} ({a.op} {a.ms:.3g} ms, {b.ms:.3g} ms in float)"
        for a, b in pairs[:_NAMED]
        if a.ms > b.ms
    ]


def _percent(rows: Sequence[OperatorTime], kinds: Sequence[str]) -> float:
    return sum(row.percent for row in rows if row.op in kinds)


def _named(rows: Sequence[OperatorTime]) -> str:
    names = [f"{row.layer} ({row.op})" for row in rows[:_NAMED]]
    more = len(rows) - len(names)
    return ", ".join(names) + (f" and {more} more" if more > 0 else "")


def _remedy(one: Measured, mine: Profile | None, slow_cpu: bool) -> str:
    """What to do about it; the first that applies."""
    recipe = one.case.subject.manifest.recipe
    if one.about["device"] == "cuda":
        return (
            "CUDA's provider has no int8 convolution: export fp16 with --device gpu-cuda, or "
            "int8 with --device gpu-tensorrt and run it on TensorRT."
        )
    signed = recipe.get("onnx_activations") == "signed"
    if signed and one.about["device"] == "cpu" and one.about["file"] == "model.onnx":
        return (
            "Its activations are signed, as TensorRT wants them, and ONNX Runtime fuses fewer "
            "of those on a CPU: export it with --device x86-vnni."
        )
    if mine is not None and _percent(mine.rows, _CONVERSIONS) >= _MUCH:
        return (
            "Let the recipe's scopes leave whole blocks in float rather than single layers, or "
            "ship the float file."
        )
    if slow_cpu:
        return (
            "This processor has no int8 dot product (VNNI, SDOT): ship the float file here, and "
            "measure on the device itself with --on."
        )
    return "Ship the float file here, or fp16, which is half its size."


def _one_by_one(measured: Sequence[Measured]) -> list[str]:
    files = {
        one.about["file"]
        for one in measured
        if one.case.batch > 1 and one.about["file"].endswith(".tflite")
    }
    return [
        f"{file} is made for one item: a batch is that many calls, and its throughput that of one."
        for file in sorted(files)
    ]
