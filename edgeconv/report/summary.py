"""A verdict as Markdown, for the summary page of a CI job."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from edgeconv.pictures import printable
from edgeconv.report.device import device_sentences
from edgeconv.types import ArtifactVerdict, Interval, MetricValue, Verdict

__all__ = ["step_summary"]

_MARKS = {"pass": "✅ pass", "fail": "❌ fail", "inconclusive": "⚠️ inconclusive"}
_BLAMED = 3
#: What Markdown or HTML would make something of.
_SPECIAL = "\\`*_{}[]<>()#+-.!|~&@:$"


def step_summary(
    verdict: Verdict,
    name: str,
    reference: str,
    data: str,
    device: Mapping[str, Any] | None = None,
) -> str:
    """Write a verdict as GitHub Markdown.

    Args:
        verdict: Of a bundle or a file.
        name: What was verified.
        reference: What it was compared with.
        data: What both were asked.
        device: What a device was and took, where one ran too.

    Returns:
        Markdown that ends in a line end; no name in it can become markup.
    """
    lines = [
        f"## {_MARKS[verdict.status]}: {_safe(name)}",
        "",
        f"Compared with {_safe(reference)} on {verdict.samples:,} items of {_safe(data)}. "
        f"Asked for: {_safe(verdict.gate)}.",
        "",
        "| artifact | precision | verdict | checked | found |",
        "|---|---|---|---|---|",
    ]
    lines += [row for artifact in verdict.artifacts for row in _rows(artifact)]
    for artifact in verdict.artifacts:
        lines += _causes(artifact)
    if device is not None:
        lines += ["", *(f"- {_safe(sentence)}" for sentence in device_sentences(device))]
    return "\n".join(lines) + "\n"


def _rows(artifact: ArtifactVerdict) -> Iterator[str]:
    head = [_safe(artifact.file), artifact.precision]
    if not artifact.checks:
        yield _row([*head, _MARKS[artifact.status], "", _safe(artifact.reason)])
    for check in artifact.checks:
        side = "≤" if check.at_most else "≥"
        asked = f"{_safe(check.metric)} {side} {check.limit:g}"
        found = _safe(check.reason)
        if check.status != "inconclusive":  # whose sentence has the interval in it
            found += _value(artifact.metrics.get(check.metric))
        yield _row([*head, _MARKS[check.status], asked, found])


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _value(value: MetricValue) -> str:
    if not isinstance(value, Interval):
        return ""
    low, high = value.ci95
    return f" (95% interval {low:.2f} to {high:.2f})"


def _causes(artifact: ArtifactVerdict) -> Iterator[str]:
    if not artifact.suspicions and not artifact.evidence and not artifact.layers:
        return
    yield ""
    yield f"**{_safe(artifact.file)}**"
    yield ""
    for sentence in (*artifact.evidence, *artifact.suspicions):
        yield f"- {_safe(sentence)}"
    for layer in artifact.layers[:_BLAMED]:
        yield f"- layer {_layer(layer)}"


def _layer(layer: Mapping[str, Any]) -> str:
    parts = [f"**{_safe(str(layer.get('name')))}** ({_safe(str(layer.get('op')))})"]
    share, sqnr = layer.get("share"), layer.get("local_sqnr_db")
    if isinstance(share, int | float):
        parts.append(f"adds {share:.1f}% of the error")
    if isinstance(sqnr, int | float):
        parts.append(f"its own SQNR is {sqnr:.1f} dB")
    text = ", ".join(parts)
    return f"{text}: {_safe(str(layer['reason']))}" if layer.get("reason") else text


def _safe(text: str) -> str:
    """Text that stays text: on one line, no tag, no link, no mention, no column."""
    shown = "".join(
        f"&#{ord(c)};" if c in _SPECIAL and c not in ".-:()+" else c for c in printable(text)
    )
    # A bare address would become a link all the same.
    return shown.replace("://", "&#58;//").replace("www.", "www&#46;")
