"""The first screen: which model, the verdict, and what a bad one looks like."""

from __future__ import annotations

from edgeconv.report.facts import Facts, pointer
from edgeconv.report.text import escape, number
from edgeconv.types import Status

__all__ = ["header", "verdict_section"]

_HEADLINES: dict[Status, str] = {
    "pass": "Passed: the accuracy of the original is kept",
    "inconclusive": "Undecided: proof would take more data",
    "fail": "Failed: accuracy was lost",
}
#: Drawn beside the headline, since colour alone tells some people nothing.
_MARKS: dict[Status, str] = {
    "pass": "M5 12.5l4.5 4.5L19 7.5",
    "inconclusive": "M9 9.2a3 3 0 1 1 4.2 2.8c-.8.4-1.2 1-1.2 2M12 17.4v.1",
    "fail": "M7 7l10 10M17 7L7 17",
}


def header(facts: Facts) -> str:
    """Name, precision, task, how many items, when."""
    manifest = facts.manifest
    said = [escape(fact) for fact in (manifest.get("precision"), manifest.get("task")) if fact]
    if facts.verdict.samples:
        count = number(facts.verdict.samples, "", 0, "verdict.json#/samples")
        against, on = (
            f" {word} {escape(name)}" if name else ""
            for word, name in zip(("against", "of"), facts.compared, strict=True)
        )
        said.append(f"verified{against} on {count} items{on}")
    if date := facts.bench.get("date"):
        said.append(escape(date))
    return (
        '<header>\n<p class="eyebrow">edgeconv report</p>\n'
        f"<h1>{escape(manifest.get('name', 'model'))}</h1>\n"
        f'<p class="lead">{" · ".join(said)}</p>\n</header>'
    )


def verdict_section(facts: Facts) -> str:
    """The headline, a sentence an artifact, the gate; then the suspicions."""
    verdict = facts.verdict
    reasons = "\n".join(
        f'<li class="{row.artifact.status}"><span class="file">{escape(row.artifact.file)}</span> '
        f"{_sentence(row.artifact.reason)}</li>"
        for row in facts.rows
    )
    return (
        f'<section id="verdict" class="verdict {verdict.status}">\n'
        f"<strong>{_mark(verdict.status)}{_HEADLINES[verdict.status]}</strong>\n"
        f"<ul>\n{reasons}\n</ul>\n"
        f'<p class="note">The gate: {escape(verdict.gate)}.</p>\n</section>{_suspicions(facts)}'
    )


def _mark(status: Status) -> str:
    return (
        '<svg class="mark" viewBox="0 0 24 24" width="24" height="24" aria-hidden="true">'
        f'<circle cx="12" cy="12" r="11"/><path d="{_MARKS[status]}"/></svg>'
    )


def _sentence(text: str) -> str:
    shown = escape(text[:1].upper() + text[1:])
    return shown if shown.endswith(".") else f"{shown}."


def _suspicions(facts: Facts) -> str:
    """Each sentence once, with the files that it was said of."""
    said: dict[str, list[tuple[str, str]]] = {}
    for row in facts.rows:
        for index, sentence in enumerate(row.artifact.suspicions):
            at = pointer(row.at, "suspicions", index)
            said.setdefault(sentence, []).append((row.artifact.file, at))
    if not said:
        return ""
    items = "\n".join(
        f'<li><strong data-from="{escape(found[0][1])}">{escape(sentence)}</strong>'
        f"<small>{', '.join(escape(file) for file, _ in found)}</small></li>"
        for sentence, found in said.items()
    )
    return (
        '\n<section class="suspicion">\n<h2>What it looks like</h2>\n'
        f"<ul>\n{items}\n</ul>\n</section>"
    )
