"""docs/zoo.json as docs/zoo.md: three tables, red where a bound is missed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from zoo_row import FORMATS, LIGHT_PARAMETERS

from edgeconv.load.measured import CELLS

__all__ = ["page", "reds"]

RED = "🔴"
TITLES = {"tflite": "TFLite", "onnx": "ONNX"}
#: A float operator's name and count; longer lists are cut.
MOST_NAMED = 3

Row = Mapping[str, Any]


def page(document: Mapping[str, Any]) -> str:
    """The whole page, Markdown."""
    rows: Mapping[str, Row] = document["models"]
    versions = ", ".join(f"{name} {version}" for name, version in document["versions"].items())
    marked = [f"- {name}: {text}" for name, row in rows.items() for text in reds(row)]
    return (
        "\n\n".join(
            [
                INTRODUCTION.format(
                    count=len(rows),
                    whole=sum(all(passed(row, cell) for cell in CELLS) for row in rows.values()),
                    machine=document["machine"],
                    versions=versions,
                    red=RED,
                ).strip(),
                "## What converts, and what it costs",
                table(COSTS, [costs(name, row) for name, row in rows.items()]),
                "## Equal to Keras, and clean",
                table(FIDELITY, [fidelity(name, row) for name, row in rows.items()]),
                "## Latency on one thread",
                table(LATENCY, [latency(name, row) for name, row in rows.items()]),
                f"## {RED} Bounds that are missed",
                "\n".join(marked) or "None.",
            ]
        )
        + "\n"
    )


INTRODUCTION = """
# The zoo, measured

Made by `python benchmarks/zoo.py`; `--models NAME ...` measures single rows again, `--resume`
keeps the rows that are here. {whole} of {count} models hold in all four cells.

Machine: {machine}, shared with other work while this ran: seconds are upper bounds. Latencies are
medians of the processor time of single runs, float and int8 in turn in one process; the ratio is
the median of the pairs'. They compare within a row. Versions: {versions}.

Weights are random, from seed 0, and made alive: LayerScale 1, then BatchNorm statistics and the
head's scale set by real pictures, so that logits differ from picture to picture
(edgeconv/load/random_weights.py). Each model is exported by `edgeconv export NAME --weights none
--int8 --effort fast`, calibrated on 8 or 16 built-in pictures and compared on as many others.
Int8 figures of random weights say that nothing is lost on the way, not how accurate a trained
model stays. They are from before `equalize` was a pass of the plain recipe (NASNetMobile, measured
with it and without: less than 0.1 dB of the logits).

{red} marks what misses its bound: float more than 1e-4 from Keras (largest difference over
largest logit), int8 below a cosine of 0.8 with float, more than 2 Transposes in ONNX, inputs that
the model doesn't have, more than 2.0 GB + 8 x the weights at the peak of the export (summed PSS of
all its processes), int8 slower than float up to 30 million parameters.
"""

COSTS = (
    *("model", "M parameters", "input", "TFLite fp32", "TFLite int8", "ONNX fp32", "ONNX int8"),
    *("MB: TFLite fp32, int8", "MB: ONNX fp32, int8", "seconds", "peak GB", "bound GB"),
)
FIDELITY = (
    *("model", "TFLite fp32: max, relative", "ONNX fp32: max, relative"),
    *("TFLite int8: cosine", "ONNX int8: cosine"),
    *("TFLite int8: float operators", "ONNX int8: float operators", "Transposes: fp32, int8"),
)
LATENCY = (
    *("model", "TFLite fp32 ms", "TFLite int8 ms", "int8 / fp32"),
    *("ONNX fp32 ms", "ONNX int8 ms", "int8 / fp32", "to blame"),
)


def costs(name: str, row: Row) -> list[str]:
    return [
        name,
        f"{row['parameters'] / 1e6:.1f}",
        f"{row['input_size']}",
        *(verdict(row, cell) for cell in CELLS),
        *(both(row, format, "size_bytes", lambda size: f"{size / 1e6:.1f}") for format in FORMATS),
        f"{row['seconds']:.0f}",
        mark(f"{row['peak_memory_bytes'] / 1e9:.1f}", too_much_memory(row)),
        f"{row['memory_bound_bytes'] / 1e9:.1f}",
    ]


def fidelity(name: str, row: Row) -> list[str]:
    differences, cosines = [], []
    for format in FORMATS:
        cell = row[f"{format}-fp32"]
        largest, relative = cell.get("max_difference"), cell.get("relative_difference")
        text = "" if relative is None else f"{largest:.1e}, {relative:.1e}"
        differences.append(mark(text, cell["status"] == "fail"))
        cell = row[f"{format}-int8"]
        cosine = cell.get("cosine")
        cosines.append(mark("" if cosine is None else f"{cosine:.4f}", cell["status"] == "fail"))
    transposes = both(row, "onnx", "transposes", str)
    return [
        *(name, *differences, *cosines),
        *(operators(row[f"{format}-int8"].get("float_operators")) for format in FORMATS),
        mark(transposes, too_many_transposes(row)),
    ]


def latency(name: str, row: Row) -> list[str]:
    cells = [name]
    for format in FORMATS:
        for precision in ("fp32", "int8"):
            ms = row[f"{format}-{precision}"].get("latency_ms")
            cells.append("" if ms is None else f"{ms:.3g}")
        ratio = row[f"{format}-int8"].get("latency_ratio")
        cells.append(mark("" if ratio is None else f"{ratio:.2f}", is_slower(row, format)))
    blamed = [f"{TITLES[f]}: {text}" for f in FORMATS if (text := to_blame(row, f))]
    return [*cells, "; ".join(blamed)]


def reds(row: Row) -> list[str]:
    """What misses its bound, a sentence each."""
    found = [
        f"{TITLES[format]} {precision}: {row[f'{format}-{precision}']['reason']}"
        for format in FORMATS
        for precision in ("fp32", "int8")
        if not passed(row, f"{format}-{precision}")
    ]
    if too_much_memory(row):
        peak, bound = row["peak_memory_bytes"] / 1e9, row["memory_bound_bytes"] / 1e9
        found.append(f"{peak:.1f} GB at the peak of the export, bound {bound:.1f}")
    if too_many_transposes(row):
        counts = both(row, "onnx", "transposes", str)
        found.append(f"{counts} Transposes in ONNX (fp32, int8), bound {row['transposes_bound']}")
    for cell in ("onnx-fp32", "onnx-int8"):
        if row[cell].get("extra_inputs"):
            found.append(f"{cell} asks for {', '.join(row[cell]['extra_inputs'])}")
    for format in FORMATS:
        if is_slower(row, format):
            cell = row[f"{format}-int8"]
            blamed = to_blame(row, format)
            found.append(
                f"{TITLES[format]} int8 takes {cell['latency_ratio']:.2f} times as long as float"
                + (f" ({blamed})" if blamed else "")
            )
    return found


def passed(row: Row, cell: str) -> bool:
    return bool(row[cell]["status"] == "pass")


def too_much_memory(row: Row) -> bool:
    return bool(row["peak_memory_bytes"] > row["memory_bound_bytes"])


def too_many_transposes(row: Row) -> bool:
    counts = [row[cell].get("transposes", 0) for cell in ("onnx-fp32", "onnx-int8")]
    return max(counts) > row["transposes_bound"]


def is_slower(row: Row, format: str) -> bool:
    ratio = row[f"{format}-int8"].get("latency_ratio")
    return ratio is not None and ratio > 1.0 and row["parameters"] <= LIGHT_PARAMETERS


def to_blame(row: Row, format: str) -> str:
    blamed = row[f"{format}-int8"].get("to_blame", "")
    return blamed if isinstance(blamed, str) else ", ".join(str(each) for each in blamed)


def verdict(row: Row, cell: str) -> str:
    return "yes" if passed(row, cell) else f"{RED} {row[cell]['reason']}"


def both(row: Row, format: str, key: str, show: Any) -> str:
    values = [row[f"{format}-{precision}"].get(key) for precision in ("fp32", "int8")]
    return ", ".join("–" if value is None else show(value) for value in values)


def operators(counts: Mapping[str, int] | None) -> str:
    if counts is None:
        return "–"
    named = [f"{name} {count}" for name, count in sorted(counts.items())]
    rest = len(named) - MOST_NAMED
    return ", ".join(named[:MOST_NAMED]) + (f" and {rest} more" if rest > 0 else "") or "none"


def mark(text: str, red: bool) -> str:
    return f"{RED} {text}" if red else text


def table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [titles, ["---", *("---:" for _ in titles[1:])], *rows]
    # A reason may hold what would end its cell.
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines
    )
