"""What was tried to keep the accuracy of int8, rung by rung, and what each came to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from edgeconv.report.facts import Facts, pointer
from edgeconv.report.text import MISSING, escape, megabytes, number, plain, signed

__all__ = ["recovery_section"]

_HEADINGS = ("Tried", "File", "Drop", "Agreement", "KL", "SQNR", "Size", "Time a run", "Kept")
_ENDED = {
    "held": "The search ended where the gate held on them",
    "tried": "The search ended when nothing was left to try",
    "budget": "The search ended with its time",
    "interrupted": "The search was interrupted",
}


def recovery_section(facts: Facts) -> str:
    """A table of the rungs and a sentence on the layers; empty where nothing was tried."""
    found = facts.recovery or {}
    times = _rows(facts.bench.get("search"))
    rungs = _rows(found.get("rungs"))
    if not rungs:
        return ""
    head = "".join(f"<th>{name}</th>" for name in _HEADINGS)
    body = "\n".join(
        row
        for index, rung in enumerate(rungs)
        for row in _rung(rung, index, times[index] if index < len(times) else {})
    )
    seconds = sum(time.get("seconds") or 0.0 for time in times)
    note = (
        f"{_ENDED.get(str(found.get('ended')), 'The search ended')}, after {plain(seconds)} s. "
        f"Calibrated on {escape(found.get('calibrated_on'))} items, judged on"
        f" {escape(found.get('held_back'))} others that were held back of the calibration set; "
        "the verdict above is on the parity set, which no trial has read."
    )
    return (
        f'<h2 id="recovery">What was tried</h2>\n<p class="note">{note}</p>\n'
        f'<table class="cards recovery">\n<thead><tr>{head}</tr></thead>\n'
        f"<tbody>\n{body}\n</tbody>\n</table>\n{_layers(found)}"
    )


def _rung(rung: Mapping[str, Any], index: int, times: Mapping[str, Any]) -> Iterator[str]:
    latencies = times.get("latency_ms") or {}
    failed = {"format": "failed"}
    for place, each in enumerate(_rows(rung.get("artifacts")) or [failed]):
        at = f"recovery.json#/rungs/{index}/artifacts/{place}"
        metrics = each.get("metrics") or {}
        taken = f"bench.json#/search/{index}"
        what = rung.get("failed") or rung.get("what")
        name = f"{escape(rung.get('name'))}<small>{escape(what)}</small>"
        latency = number(
            latencies.get(each.get("format")), " ms", 1,
            pointer(taken, "latency_ms", each.get("format")),
        )  # fmt: skip
        seconds = number(times.get("seconds"), " s", 1, pointer(taken, "seconds"))
        cells = (
            f"<span>{name}</span>",
            escape(each.get("format")),
            _drop(metrics.get("top1_drop"), pointer(at, "metrics", "top1_drop")),
            _metric(metrics, at, "agreement", "%", 1),
            _metric(metrics, at, "mean_kl", "", 4),
            _metric(metrics, at, "sqnr_db", " dB", 1),
            megabytes(each.get("bytes"), pointer(at, "bytes")),
            f"<span>{latency}<small>{seconds} to try</small></span>",
            "yes" if rung.get("kept") else "no",
        )
        row = zip(_HEADINGS, cells, strict=True)
        yield "<tr>" + "".join(f'<td data-label="{key}">{cell}</td>' for key, cell in row) + "</tr>"


def _metric(metrics: Mapping[str, Any], at: str, name: str, unit: str, digits: int) -> str:
    return number(metrics.get(name), unit, digits, pointer(at, "metrics", name))


def _drop(drop: object, at: str) -> str:
    if not isinstance(drop, Mapping):
        return MISSING
    low, high = (drop.get("ci95") or [None, None])[:2]
    ends = " to ".join(
        signed(end, "", 1, pointer(at, "ci95", place)) for place, end in enumerate((low, high))
    )
    estimate = signed(drop.get("estimate"), "", 1, pointer(at, "estimate"))
    return f"<span>{estimate}<small>{ends}</small></span>"


def _layers(found: Mapping[str, Any]) -> str:
    rows = enumerate(_rows(found.get("layers")))
    kept = [(row, pointer("recovery.json#/layers", i)) for i, row in rows if row.get("formats")]
    if not kept:
        return ""
    groups = groupby(kept, lambda each: _one_line(*each))
    items = "\n".join(_item(list(group)) for _, group in groups)
    return f'<p class="note">Layers that stayed in float:</p>\n<ul>\n{items}\n</ul>'


def _item(layers: Sequence[tuple[Mapping[str, Any], str]]) -> str:
    """Layers that were asked together, and what the output lost by them."""
    first, at = layers[0]
    names = ", ".join(str(row.get("name")) for row, _ in layers)
    formats = ", ".join(map(str, first["formats"]))
    alone = number(first.get("alone_db"), " dB", 1, pointer(at, "alone_db"))
    together = first.get("together", 1)
    which = "this layer alone is" if together == 1 else f"{together} layers in a row alone are"
    told = f"the output has {alone} where {escape(which)} int8"
    return f"<li>{escape(names)} ({escape(formats)}): {told}</li>"


def _one_line(row: Mapping[str, Any], at: str) -> tuple[object, ...]:
    """Equal for neighbours that were asked together."""
    own = at if row.get("together", 1) == 1 else ""
    return own, *(row.get(key) for key in ("formats", "alone_db", "together"))


def _rows(value: object) -> Sequence[Mapping[str, Any]]:
    rows = value if isinstance(value, list | tuple) else ()
    return [row for row in rows if isinstance(row, Mapping)]
