"""The parts of the page below the verdict."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from edgeconv.report.figure import Bar, latency_figure
from edgeconv.report.table import by_file
from edgeconv.report.text import MISSING, escape, escape_lines

__all__ = [
    "disagreement_section",
    "facts_section",
    "latency_section",
    "recipe_section",
    "structure_section",
]

#: Rows of the table of disagreements; beyond them the page says how many more.
_MOST_DISAGREEMENTS = 60

_COUNTS = (("threads", "thread(s)"), ("runs", "runs"))


def latency_section(bench: Mapping[str, Any]) -> str:
    """Bars and what they were measured with; empty where nothing was timed."""
    bars: list[Bar] = []
    for file, row in by_file(bench.get("artifacts")).items():
        for key, name, floating in (
            ("latency_ms_median", file, False),
            ("float_latency_ms_median", f"{file}, float", True),
        ):
            value = row.get(key)
            # NaN and infinity fail the comparison.
            if isinstance(value, int | float) and 0.0 < value < 1e9:
                bars.append(Bar(name, float(value), floating))
    svg = latency_figure(bars)
    if not svg:
        return ""
    facts = [(k, v) for k, v in bench.items() if k not in ("artifacts", "date", "schema_version")]
    conditions = _definitions([*_flat(dict(facts)), *_measured_with(bench)])
    return (
        f"<h2>Latency</h2>\n<figure>\n{svg}\n<figcaption>Median time of one inference, one item "
        f"at a time, without preprocessing.</figcaption>\n</figure>\n{conditions}"
    )


def _measured_with(bench: Mapping[str, Any]) -> Iterable[tuple[str, object]]:
    """(file, such as ``litert 2.3.0, 100 runs, 95% within 2.1 ms``) pairs."""
    for file, row in by_file(bench.get("artifacts")).items():
        words = [str(row["engine"])] if row.get("engine") else []
        words += [f"{row[key]} {name}" for key, name in _COUNTS if row.get(key)]
        slow = row.get("latency_ms_p95")
        if isinstance(slow, int | float):
            words.append(f"95% within {slow:.1f} ms")
        yield file, ", ".join(words)


def disagreement_section(disagreements: Sequence[Mapping[str, Any]]) -> str:
    """The items that were answered differently; empty where there are none."""
    if not disagreements:
        return ""
    fields = {
        "File": "file",
        "Item": "item",
        "Original says": "reference",
        "Converted says": "candidate",
        "Label": "expected",
    }
    head = "".join(f"<th>{title}</th>" for title in fields)
    body = "\n".join(
        "<tr>"
        + "".join(
            f'<td data-label="{title}">{_known(found.get(key))}</td>'
            for title, key in fields.items()
        )
        + "</tr>"
        for found in disagreements[:_MOST_DISAGREEMENTS]
    )
    rest = len(disagreements) - _MOST_DISAGREEMENTS
    more = f'<p class="note">And {rest:,} more.</p>' if rest > 0 else ""
    return (
        f"<details>\n<summary>{len(disagreements):,} answers that differ from the original's"
        f'</summary>\n<table class="cards words">\n'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>\n{more}</details>"
    )


def _known(value: object) -> str:
    return MISSING if value is None else f"<span>{escape(value)}</span>"


def structure_section(manifest: Mapping[str, Any]) -> str:
    """The operators of each file, those that compute in float named first."""
    parts = []
    for file, entry in by_file(manifest.get("artifacts")).items():
        operators, floats = (
            value if isinstance(value := entry.get(key), Mapping) else {}
            for key in ("operators", "float_operators")
        )
        if operators:
            parts.append(
                f"<div>\n<h3>{escape(file)}</h3>\n<p>{_structure(entry, floats)}</p>\n"
                f'<p class="note">{_counts(operators)}</p>\n</div>'
            )
    body = "\n".join(parts)
    return f'<h2>Operators</h2>\n<div class="columns">\n{body}\n</div>' if parts else ""


def _structure(entry: Mapping[str, Any], floats: Mapping[str, Any]) -> str:
    if entry.get("precision") not in ("int8", "int16x8"):
        return "Computes in float."
    if not floats:
        return "Every operator computes in integers."
    return f"Computing in float: {_counts(floats)}."


def _counts(operators: Mapping[str, Any]) -> str:
    ranked = sorted(operators.items(), key=lambda item: (-_count(item[1]), str(item[0])))
    return ", ".join(f"{_count(count):,} {escape(name)}" for name, count in ranked)


def _count(value: object) -> int:
    return value if isinstance(value, int) else 0


def recipe_section(text: str) -> str:
    """The recipe as it stands in its file."""
    if not text.strip():
        return ""
    return f"<details>\n<summary>Recipe</summary>\n<pre>{escape_lines(text)}</pre>\n</details>"


def facts_section(manifest: Mapping[str, Any]) -> str:
    """Preprocessing, provenance, versions and checksums."""
    checksums = {
        file: entry.get("sha256") for file, entry in by_file(manifest.get("artifacts")).items()
    }
    groups = (
        ("Preprocessing", manifest.get("preprocess")),
        ("Provenance", manifest.get("provenance")),
        ("Versions", manifest.get("versions")),
        ("SHA-256", {file: value for file, value in checksums.items() if value}),
    )
    return "\n".join(
        f"<details>\n<summary>{title}</summary>\n{_definitions(_flat(facts))}\n</details>"
        for title, facts in groups
        if isinstance(facts, Mapping) and facts
    )


def _flat(facts: Mapping[Any, Any], prefix: str = "") -> Iterable[tuple[str, object]]:
    """(name, value) pairs, tables within tables by dotted names."""
    for key, value in facts.items():
        name = f"{prefix}{key}"
        # A dot of its own would make the name too long to read.
        if isinstance(value, Mapping) and len(prefix) < 80:
            yield from _flat(value, f"{name}.")
        else:
            yield name, value


def _definitions(facts: Iterable[tuple[str, object]]) -> str:
    rows = "\n".join(
        f"<dt>{escape(name)}</dt><dd>{escape(_said(value))}</dd>"
        for name, value in facts
        if value not in (None, "", [], ())
    )
    return f"<dl>\n{rows}\n</dl>" if rows else ""


def _said(value: object) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(_said(each) for each in value)
    if value is None:
        return MISSING
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)
