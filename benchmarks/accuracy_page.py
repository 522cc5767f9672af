"""docs/accuracy.json as the tables of docs/accuracy.md; the words around them stay."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = ["tables", "write"]

PAGE = Path(__file__).resolve().parent.parent / "docs" / "accuracy.md"
MARKS = ("<!-- tables: written by benchmarks/accuracy.py -->", "<!-- end of tables -->")
EFFORTS = ("fast", "balanced", "best")
TITLES = {"tflite": "TFLite", "onnx": "ONNX"}
#: What may be lost against a published int8 file of the same training, points of top-1.
PUBLISHED_POINTS = 0.5

Row = Mapping[str, Any]


def write(results: Mapping[str, Any]) -> None:
    """Put the tables between their marks."""
    page = PAGE.read_text() if PAGE.is_file() else "\n".join(("# Accuracy\n", *MARKS, ""))
    before, _, rest = page.partition(MARKS[0])
    _, _, after = rest.partition(MARKS[1])
    PAGE.write_text(f"{before}{MARKS[0]}\n\n{tables(results)}\n{MARKS[1]}{after}")


def tables(results: Mapping[str, Any]) -> str:
    """A summary, then every row of every model, as Markdown."""
    parts = ["## What was promised\n", _summary(results), _published(results)]
    parts += ["## What the search takes\n", _costs(results), "## Every file\n"]
    for name, result in results.items():
        top1 = result["top1_float"]
        parts.append(f"### {name}\n")
        parts.append(
            f"Judged on {result['items']} items; the float model's top-1 is {top1:.1f}%.\n"
            if top1 is not None
            else f"Judged on {result['items']} pictures by the SQNR of the logits: the weights "
            "are random.\n"
        )
        parts.append(
            "| tool | format | top-1, % | drop, points | agreement, % | SQNR, dB | MB | ms | s |\n"
            "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n"
            + "\n".join(_line(row) for row in result["rows"])
            + "\n"
        )
    return "\n".join(parts)


def _summary(results: Mapping[str, Any]) -> str:
    lines = [
        "| model | figure | best stock tool | promised | edgeconv | TFLite | ONNX | |",
        "| --- | --- | --- | ---: | --- | ---: | ---: | --- |",
    ]
    for name, result in results.items():
        best = best_stock(result)
        if best is None:
            continue
        key, unit = _figure(result)
        for effort, promised in _promises(name, result, best[key]):
            own = {row["format"]: row[key] for row in result["rows"] if row.get("effort") == effort}
            if not own:
                continue
            cells = [f"{own[f]:.1f}" if f in own else "–" for f in TITLES]
            held = "holds" if min(own.values()) >= promised - 1e-9 else "**missed**"
            stock = f"{best['tool']} {best[key]:.1f}"
            lines.append(
                f"| {name} | {unit} | {stock} | {promised:.1f} | {effort} "
                f"| {' | '.join(cells)} | {held} |"
            )
    return "\n".join(lines) + "\n"


def _published(results: Mapping[str, Any]) -> str:
    lines = [
        "| model | top-1 of the published int8 file, % | edgeconv | TFLite | ONNX | |",
        "| --- | ---: | --- | ---: | ---: | --- |",
    ]
    for name, result in results.items():
        theirs = next((row for row in result["rows"] if row["by"] == "published"), None)
        for effort in EFFORTS if theirs else ():
            own = {r["format"]: r["top1"] for r in result["rows"] if r.get("effort") == effort}
            if not own:
                continue
            held = min(own.values()) >= theirs["top1"] - PUBLISHED_POINTS - 1e-9
            cells = [f"{own[f]:.1f}" if f in own else "–" for f in TITLES]
            verdict = f"within {PUBLISHED_POINTS} points" if held else "**missed**"
            lines.append(
                f"| {name} | {theirs['top1']:.1f} | {effort} | {' | '.join(cells)} | {verdict} |"
            )
    return "\n".join(lines) + "\n"


def _costs(results: Mapping[str, Any]) -> str:
    lines = [
        "| model | effort | kept | CPU s | s | peak, MiB | of `fast`: CPU | peak |",
        "| --- | --- | --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, result in results.items():
        own = {row["effort"]: row for row in result["rows"] if "effort" in row}
        plain = own.get("fast")
        for effort in EFFORTS:
            if effort not in own:
                continue
            row = own[effort]
            cells = [_number(row, key, 0) for key in ("cpu_s", "seconds", "peak_mib")]
            beside = ["–", "–"]
            if plain is not None and plain is not row:
                beside = [f"{row[key] / plain[key]:.2f}" for key in ("cpu_s", "peak_mib")]
            kept = ", ".join(row["kept"]) or "plain int8"
            lines.append(f"| {name} | {effort} | {kept} | {' | '.join((*cells, *beside))} |")
    return "\n".join(lines) + "\n"


def _promises(name: str, result: Row, best: float) -> Sequence[tuple[str, float]]:
    """(effort, least figure): of MobileNetV2 the default is held to the stock tools alone."""
    above = result["above_stock"]
    if result["top1_float"] is None or not above:
        efforts = EFFORTS if result["top1_float"] is None else EFFORTS[1:]
        return [(effort, best + above) for effort in efforts]
    return [("balanced", best), ("best", best + above)]


def best_stock(result: Row) -> Row | None:
    """The stock tool's row that comes nearest to the float model, of both formats."""
    key, _ = _figure(result)
    rows = [row for row in result["rows"] if row["by"] == "stock" and key in row]
    return max(rows, key=lambda row: row[key], default=None)


def _figure(result: Row) -> tuple[str, str]:
    if result["top1_float"] is None:
        return "sqnr_db", "SQNR, dB"
    return "agreement", "agreement, %"


def _line(row: Row) -> str:
    if "error" in row:
        reason = row["error"].splitlines()[0][:90].replace("|", "/")
        return f"| {row['tool']} | failed: {reason} | | | | | | | |"
    cells = [
        row["tool"],
        TITLES[row["format"]],
        *(_number(row, key, 1) for key in ("top1", "drop", "agreement", "sqnr_db")),
        _number(row, "size_mb", 2),
        _number(row, "ms", 2),
        _number(row, "seconds", 0),
    ]
    return f"| {' | '.join(cells)} |"


def _number(row: Row, key: str, digits: int) -> str:
    return f"{row[key]:.{digits}f}" if key in row else "–"
