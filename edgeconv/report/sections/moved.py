"""Confusion that moved: the items whose answer changed, with both answers.

disagreements (a row a file and item) ──► changes (an item, the answers of all files)
"""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edgeconv.report.facts import Facts, Row
from edgeconv.report.text import MISSING, escape, number
from edgeconv.types import Interval

__all__ = ["moved_section", "pictured"]

#: Pictures on the page: enough to see a pattern, few enough to stay under 200 kB.
_MOST_PICTURES = 36
#: Rows of the table; beyond them the page says how many more.
_MOST_ROWS = 200
#: Larger than any thumbnail that we make.
_MOST_BYTES = 32_768
#: A move that happened once is in the table already.
_MOST_MOVES = 10
_JPEG = b"\xff\xd8\xff"

_KINDS = {"lost": "lost", "gained": "gained", "moved": "wrong in both", "": "changed"}


@dataclass(frozen=True)
class _Change:
    """An item and what was answered.

    Attributes:
        item: Its id.
        reference: The original's answer.
        expected: The label; None where there is none.
        answers: (file, answer) of each artifact that differs.
    """

    item: str
    reference: str
    expected: str | None
    answers: tuple[tuple[str, str], ...]

    @property
    def kind(self) -> str:
        """A key of ``_KINDS``: the worst of what the artifacts made of it."""
        if self.expected is None:
            return ""
        if self.reference == self.expected:
            return "lost"
        return "gained" if any(a == self.expected for _, a in self.answers) else "moved"


def pictured(disagreements: Sequence[Mapping[str, Any]]) -> list[str]:
    """Ids of the items whose pictures the page has room for, worst first.

    Args:
        disagreements: As for ``render``.
    """
    return [change.item for change in _changes(disagreements)[:_MOST_PICTURES]]


def moved_section(facts: Facts) -> str:
    """Counts, pictures, the moves that occur most, all rows; empty where nothing changed."""
    changes = _changes(facts.disagreements)
    if not changes:
        return ""
    pictures = [
        _card(change, facts.thumbnails[change.item])
        for change in changes[:_MOST_PICTURES]
        if _is_sound(facts.thumbnails.get(change.item))
    ]
    grid = '<div class="pictures">\n' + "\n".join(pictures) + "\n</div>" if pictures else ""
    return (
        '<h2 id="moved">Answers that changed</h2>\n'
        f"{_counts(facts)}\n{grid}\n{_rest(len(changes), len(pictures))}"
        f"{_moves(facts.disagreements)}\n{_table(facts.disagreements)}"
    )


def _changes(disagreements: Sequence[Mapping[str, Any]]) -> list[_Change]:
    """By item; what was lost comes first, then what only changed, then what was gained."""
    rows: dict[str, list[Mapping[str, Any]]] = {}
    for found in disagreements:
        rows.setdefault(str(found.get("item", "")), []).append(found)
    changes = [
        _Change(
            item,
            str(group[0].get("reference")),
            None if (label := group[0].get("expected")) is None else str(label),
            tuple((str(found.get("file")), str(found.get("candidate"))) for found in group),
        )
        for item, group in rows.items()
    ]
    order = ("lost", "", "moved", "gained")
    return sorted(changes, key=lambda c: (order.index(c.kind), -len(c.answers)))


def _is_sound(picture: bytes | None) -> bool:
    return picture is not None and picture.startswith(_JPEG) and len(picture) <= _MOST_BYTES


def _counts(facts: Facts) -> str:
    """``model.tflite: 18 of 250 (lost 6, gained 7)`` for each artifact."""
    said = [words for row in facts.rows if (words := _counted(row, facts))]
    return "<p>" + "; ".join(said) + ".</p>" if said else ""


def _counted(row: Row, facts: Facts) -> str:
    file, samples = row.artifact.file, facts.verdict.samples
    given = [found for found in facts.disagreements if str(found.get("file")) == file]
    agreement, _ = row.metric("agreement")
    if isinstance(agreement, Interval) or agreement is None or not samples:
        return ""
    differing = round(samples * (1.0 - agreement / 100.0))
    words = (
        f'<span class="file">{escape(file)}</span> answers {differing:,} of '
        f"{number(samples, '', 0, 'verdict.json#/samples')} items differently"
    )
    # The rows may have been cut; what they add up to is said only where all are here.
    if len(given) != differing or any(found.get("expected") is None for found in given):
        return words
    lost = sum(found.get("reference") == found.get("expected") for found in given)
    gained = sum(found.get("candidate") == found.get("expected") for found in given)
    return f"{words}: {lost:,} lost, {gained:,} gained, {differing - lost - gained:,} wrong in both"


def _card(change: _Change, picture: bytes) -> str:
    encoded = base64.b64encode(picture).decode()
    label = "" if change.expected is None else _answer("Label", change.expected, None)
    kind = change.kind
    return (
        f'<figure class="{kind or "moved"}">\n<img alt="{escape(change.item)}" '
        f'src="data:image/jpeg;base64,{encoded}">\n'
        f'<figcaption><span class="tag">{_KINDS[kind]}</span>\n<dl>'
        f"{label}{_answer('Original', change.reference, change.expected)}"
        f"{''.join(_answer(files, a, change.expected) for files, a in _shared(change))}"
        "</dl></figcaption>\n</figure>"
    )


def _shared(change: _Change) -> list[tuple[str, str]]:
    """(files, answer): artifacts of the same answer share a line."""
    files: dict[str, list[str]] = {}
    for file, answer in change.answers:
        files.setdefault(answer, []).append(file)
    return [(", ".join(names), answer) for answer, names in files.items()]


def _answer(who: str, answer: str, expected: str | None) -> str:
    right = "" if expected is None else ("right" if answer == expected else "wrong")
    return f'<dt>{escape(who)}</dt><dd class="{right}">{escape(answer)}</dd>'


def _rest(changes: int, pictures: int) -> str:
    if not 0 < pictures < changes:
        return ""
    return f'<p class="note">Pictures of {pictures} items of {changes:,}; all are below.</p>\n'


def _moves(disagreements: Sequence[Mapping[str, Any]]) -> str:
    """The pairs of answers that occur most; empty where each occurs once."""
    pairs = Counter(
        (str(found.get("file")), str(found.get("reference")), str(found.get("candidate")))
        for found in disagreements
    )
    often = [(pair, count) for pair, count in pairs.most_common(_MOST_MOVES) if count > 1]
    if not often:
        return ""
    items = "\n".join(
        f"<li>{escape(was)} <span>→</span> {escape(now)} <strong>{count:,}</strong>"
        f"<small>{escape(file)}</small></li>"
        for (file, was, now), count in often
    )
    return f'<h3>Moves that occur most</h3>\n<ol class="moves">\n{items}\n</ol>'


_FIELDS = {
    "File": "file",
    "Item": "item",
    "Original says": "reference",
    "Converted says": "candidate",
    "Label": "expected",
}


def _table(disagreements: Sequence[Mapping[str, Any]]) -> str:
    head = "".join(f"<th>{title}</th>" for title in _FIELDS)
    body = "\n".join(_row(found) for found in disagreements[:_MOST_ROWS])
    rest = len(disagreements) - _MOST_ROWS
    more = f'\n<p class="note">And {rest:,} more.</p>' if rest > 0 else ""
    return (
        f"<details>\n<summary>{len(disagreements):,} answers that differ from the original's"
        f'</summary>\n<div class="scroll tall" tabindex="0"><table class="cards words">\n'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table></div>{more}</details>"
    )


def _row(found: Mapping[str, Any]) -> str:
    cells = (
        f'<td data-label="{title}">{_known(found.get(key))}</td>' for title, key in _FIELDS.items()
    )
    return f"<tr>{''.join(cells)}</tr>"


def _known(value: object) -> str:
    return MISSING if value is None else f"<span>{escape(value)}</span>"
