"""What few need and all must be able to find: folded away at the end of the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from edgeconv.report.facts import Facts, Row, by_file
from edgeconv.report.metrics import shown, title
from edgeconv.report.sections.listing import definitions, flat
from edgeconv.report.text import escape, escape_lines

__all__ = ["detail_sections"]

#: Layers that one line names.
_NAMED_LAYERS = 4
_HOW_TO_READ = """<p>A drop is the original's top-1 accuracy minus the converted model's, in
percentage points, on the same inputs. Its interval is Tango's score interval for paired
proportions; an artifact passes when the one-sided 95% upper bound is inside the margin and fails
when the lower bound is outside. KL is the mean Kullback-Leibler divergence of the converted
model's answers from the original's, SQNR the power of the original's outputs over the power of
the error, both before the final activation: 20 dB is an error a tenth as large as the signal.</p>
<p>Every number on this page carries its exact value and the file that it was taken from.</p>"""


def detail_sections(facts: Facts) -> str:
    """Metrics, operators, recipe, preprocessing, provenance, versions, checksums, reading aid."""
    parts = [
        _folded("All metrics", _metrics(facts)),
        _folded("Operators", _operators(facts)),
        _folded("Recipe", _recipe(facts.recipe_text)),
        *(_folded(name, definitions(flat(found))) for name, found in _groups(facts)),
        _folded("How to read this", _HOW_TO_READ),
    ]
    body = "\n".join(part for part in parts if part)
    return f'<h2 id="details">Details</h2>\n{body}'


def _folded(name: str, content: str) -> str:
    return f"<details>\n<summary>{name}</summary>\n{content}\n</details>" if content else ""


def _metrics(facts: Facts) -> str:
    names = list(dict.fromkeys(name for row in facts.rows for name in row.artifact.metrics))
    if not names:
        return ""
    files = "".join(f"<th>{escape(row.artifact.file)}</th>" for row in facts.rows)
    body = "\n".join(_metric_row(facts.rows, name) for name in names)
    return (
        '<div class="scroll"><table>\n'
        f"<thead><tr><th>Metric</th>{files}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table></div>"
    )


def _metric_row(rows: tuple[Row, ...], name: str) -> str:
    cells = "".join(
        f'<td data-label="{escape(name)}">{shown(name, *row.metric(name))}</td>' for row in rows
    )
    key = f"{title(name)}<small><code>{escape(name)}</code></small>"
    return f'<tr><td data-label="Metric">{key}</td>{cells}</tr>'


def _operators(facts: Facts) -> str:
    """The operators of each file, those that compute in float named first."""
    parts = []
    for file, entry in by_file(facts.manifest.get("artifacts")).items():
        operators, floats = (
            value if isinstance(value := entry.get(key), Mapping) else {}
            for key in ("operators", "float_operators")
        )
        if operators:
            parts.append(
                f"<div>\n<h3>{escape(file)}</h3>\n<p>{_structure(entry, floats)}</p>\n"
                f'{_exceptions(entry)}<p class="note">{_counts(operators)}</p>\n</div>'
            )
    body = "\n".join(parts)
    return f'<div class="columns">\n{body}\n</div>' if parts else ""


def _structure(entry: Mapping[str, Any], floats: Mapping[str, Any]) -> str:
    if entry.get("precision") not in ("int8", "int16x8"):
        return "Computes in float."
    if not floats:
        return "Every operator computes in integers."
    return f"Computing in float: {_counts(floats)}."


def _exceptions(entry: Mapping[str, Any]) -> str:
    """A line a reason: which operators of which layers compute in float, and why."""
    found = entry.get("exceptions")
    places: dict[tuple[str, str], list[str]] = {}
    for one in found if isinstance(found, list) else ():
        if isinstance(one, Mapping):
            key = str(one.get("operator", "")), str(one.get("why", ""))
            places.setdefault(key, []).append(str(one.get("layer", "")) or "no layer")
    lines = "".join(
        f"<li>{escape(operator)} in {escape(_some(layers))}: {escape(why)}</li>\n"
        for (operator, why), layers in places.items()
    )
    return f"<ul>\n{lines}</ul>\n" if lines else ""


def _some(layers: Sequence[str]) -> str:
    more = len(layers) - _NAMED_LAYERS
    return ", ".join(layers[:_NAMED_LAYERS]) + (f" and {more:,} more" if more > 0 else "")


def _counts(operators: Mapping[str, Any]) -> str:
    ranked = sorted(operators.items(), key=lambda item: (-_count(item[1]), str(item[0])))
    return ", ".join(f"{_count(count):,} {escape(name)}" for name, count in ranked)


def _count(value: object) -> int:
    return value if isinstance(value, int) else 0


def _recipe(text: str) -> str:
    return f'<pre id="recipe">{escape_lines(text)}</pre>' if text.strip() else ""


def _groups(facts: Facts) -> list[tuple[str, Mapping[str, Any]]]:
    manifest = facts.manifest
    checksums = {
        file: entry["sha256"]
        for file, entry in by_file(manifest.get("artifacts")).items()
        if entry.get("sha256")
    }
    groups = (
        ("Device", manifest.get("device")),
        ("Preprocessing", manifest.get("preprocess")),
        ("Provenance", manifest.get("provenance")),
        ("Versions", manifest.get("versions")),
        ("SHA-256", checksums),
    )
    return [(name, found) for name, found in groups if isinstance(found, Mapping) and found]
