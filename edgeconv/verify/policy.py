"""Policy: what parity has to hold, as a user keeps it in ``parity.toml``.

schema_version = 1
on_inconclusive = "fail"

[artifacts."*"]
top1_drop = { max = 1.0 }

[artifacts.tflite]
mean_kl = { max = 0.05 }
"""

from __future__ import annotations

import fnmatch
import re
import tomllib
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NoReturn

from edgeconv.errors import HostFailure, UsageError
from edgeconv.metric_names import METRICS, describe_metric
from edgeconv.pictures import printable
from edgeconv.types import Artifact, Format, Precision
from edgeconv.verify.gate import Gate

__all__ = ["OnInconclusive", "Policy", "Threshold", "policy_from_text", "read_policy"]

OnInconclusive = Literal["estimate", "fail"]

_SCHEMA_VERSION = 1
_MAX_BYTES = 1 << 20
_KEYS = ("schema_version", "on_inconclusive", "artifacts")
_HINT = "docs/ci.md describes the file, with an example."


@dataclass(frozen=True)
class Threshold:
    """One metric's limit.

    Attributes:
        artifacts: Pattern over file names, formats and precisions; ``*`` and
            ``?`` match as in file names.
        metric: A key of ``METRICS``.
        limit: In the metric's own unit.
        at_most: The value may not exceed it; else it may not fall below.
    """

    artifacts: str
    metric: str
    limit: float
    at_most: bool

    def matches(self, artifact: Artifact) -> bool:
        """Whether it is meant for ``artifact``."""
        names = (artifact.path.name, artifact.format, artifact.precision)
        return any(fnmatch.fnmatchcase(name, self.artifacts) for name in names)

    @property
    def names_a_file(self) -> bool:
        """Whether it is meant for a file, neither for a format nor for a precision."""
        words = (*typing.get_args(Format), *typing.get_args(Precision))
        return not any(fnmatch.fnmatchcase(word, self.artifacts) for word in words)

    @property
    def words(self) -> str:
        """Such as ``top-1 drop at most 1 points``."""
        info = describe_metric(self.metric)
        assert info is not None
        side = "at most" if self.at_most else "at least"
        unit = info.unit if info.unit in ("", "%") else f" {info.unit}"
        return f"{info.title} {side} {self.limit:g}{unit}"


@dataclass(frozen=True)
class Policy:
    """What parity has to hold.

    Attributes:
        gate: The task's own metric and its margin, for artifacts that no
            threshold is meant for.
        thresholds: Where several are meant for an artifact and limit the same
            side of the same metric, the last one counts.
        on_inconclusive: Whether an undecided artifact counts by its estimate or
            as lost.
    """

    gate: Gate = field(default_factory=Gate)
    thresholds: tuple[Threshold, ...] = ()
    on_inconclusive: OnInconclusive = "fail"

    def thresholds_for(self, artifact: Artifact) -> tuple[Threshold, ...]:
        """Those that count for ``artifact``, in the order in which they were first written."""
        chosen = {(t.metric, t.at_most): t for t in self.thresholds if t.matches(artifact)}
        return tuple(chosen.values())

    def idle(self, artifacts: Sequence[Artifact]) -> tuple[str, ...]:
        """Patterns for files of which none is here: misspelt, or of another bundle."""
        found = (
            t.artifacts
            for t in self.thresholds
            if t.names_a_file and not any(t.matches(artifact) for artifact in artifacts)
        )
        return tuple(dict.fromkeys(found))

    def describe(self, default: str) -> str:
        """The policy in words; ``default`` where it has no threshold."""
        return "; ".join(dict.fromkeys(t.words for t in self.thresholds)) or default


def read_policy(path: Path) -> Policy:
    """Read ``parity.toml``.

    Raises:
        UsageError: There is no such file, or something in it makes no sense; the
            message has the line.
        HostFailure: It can't be read.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
    except FileNotFoundError:
        raise UsageError(f"There is no policy file {printable(path)}.", _HINT) from None
    except OSError as error:
        raise HostFailure(f"{printable(path)} can't be read: {error.strerror}.") from error
    if len(data) > _MAX_BYTES:
        raise UsageError(f"{printable(path)} is larger than any policy.", _HINT)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise UsageError(f"{printable(path)} is no UTF-8 text.", "Save it as UTF-8.") from None
    return policy_from_text(text, path.name)


def policy_from_text(text: str, name: str = "parity.toml") -> Policy:
    """Read the text of a policy file.

    Raises:
        UsageError: Something in it makes no sense; the message has the line.
    """
    try:
        document = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise UsageError(f"{printable(name)} is no TOML: {printable(error)}.", _HINT) from None
    return _Reader(text, printable(name)).policy(document)


class _Reader:
    """Reads a document, and finds the lines of what it refuses."""

    def __init__(self, text: str, name: str) -> None:
        self._lines, self._name = text.split("\n"), name
        self._from = 1

    def policy(self, document: Mapping[str, Any]) -> Policy:
        self._known(document, _KEYS, "setting")
        version = document.get("schema_version")
        if type(version) is not int or version != _SCHEMA_VERSION:
            self._refuse("schema_version", f"schema_version must be {_SCHEMA_VERSION}")
        word = document.get("on_inconclusive", "fail")
        if word not in typing.get_args(OnInconclusive):
            self._refuse("on_inconclusive", 'on_inconclusive must be "fail" or "estimate"')
        tables = document.get("artifacts", {})
        if not isinstance(tables, dict):
            self._refuse("artifacts", "artifacts must be tables such as [artifacts.tflite]")
        thresholds = [t for pattern, table in tables.items() for t in self._table(pattern, table)]
        return Policy(thresholds=tuple(thresholds), on_inconclusive=word)

    def _table(self, pattern: str, table: object) -> list[Threshold]:
        if not isinstance(table, dict):
            self._refuse(pattern, f"{_shown(pattern)} must be a table of metrics")
        # The same metric may stand in several tables: look for it below this one's heading.
        self._from = 1
        self._from = self._line(pattern) or 1
        return [t for metric, sides in table.items() for t in self._metric(pattern, metric, sides)]

    def _metric(self, pattern: str, metric: str, sides: object) -> list[Threshold]:
        info = describe_metric(metric)
        if info is None or info.at_most is None:
            known = ", ".join(name for name, each in METRICS.items() if each.at_most is not None)
            self._refuse(metric, f"there is no metric {_shown(metric)}", f"Known are {known}.")
        usual = "max" if info.at_most else "min"
        if not isinstance(sides, dict) or not sides:
            self._refuse(metric, f"{metric} must be a table such as {{ {usual} = 1.0 }}")
        self._known(sides, ("max", "min"), "side", metric)
        limits = {side: self._number(metric, side, limit) for side, limit in sides.items()}
        low, high = limits.get("min"), limits.get("max")
        if low is not None and high is not None and low > high:
            self._refuse(metric, f"{metric} can't be at least {low:g} and at most {high:g}")
        if low is not None and info.unit == "%" and not info.at_most:
            self._refuse_fraction(metric, low)
        return [Threshold(pattern, metric, limits[side], side == "max") for side in limits]

    def _refuse_fraction(self, metric: str, least: float) -> None:
        """A fraction would be a threshold that never fails."""
        if 0.0 < least <= 1.0:
            self._refuse(
                metric,
                f"{metric} at least {least:g}% is next to nothing",
                f"Percent are meant, never fractions: write {100 * least:g}.",
            )
        if least > 100.0:
            self._refuse(metric, f"{metric} can't be {least:g}%", "A share is at most 100.")

    def _number(self, metric: str, side: str, limit: object) -> float:
        number = isinstance(limit, int | float) and not isinstance(limit, bool)
        # False for NaN and infinity too; and no integer is too large to be compared.
        if not number or not -1e30 < typing.cast(float, limit) < 1e30:
            self._refuse(metric, f"{side} of {metric} is no number")
        return float(typing.cast(float, limit))

    def _known(
        self, table: Mapping[str, Any], known: tuple[str, ...], noun: str, near: str = ""
    ) -> None:
        for key in table:
            if key not in known:
                self._refuse(
                    key,
                    f"there is no {noun} {_shown(key)}" + (f" of {near}" if near else ""),
                    f"Known are {', '.join(known)}. {_HINT}",
                )

    def _refuse(self, key: str, cause: str, hint: str = _HINT) -> NoReturn:
        line = self._line(key)
        where = self._name if line is None else f"{self._name}, line {line}"
        raise UsageError(f"{where}: {cause}.", hint)

    def _line(self, key: str) -> int | None:
        """Where ``key`` first stands as a key; tomllib doesn't tell."""
        quoted = re.escape(key)
        stands = re.compile(rf"""(?:^|[\s\[{{.,"'])["']?{quoted}["']?\s*[=\].]""")
        for number, line in enumerate(self._lines, 1):
            if number < self._from:
                continue
            if stands.search(line.partition("#")[0] if "#" not in key else line):
                return number
        return None


def _shown(key: str) -> str:
    return repr(printable(key)[:60])
