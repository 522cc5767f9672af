"""What the page is about: the documents of a bundle, artifact by artifact."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from edgeconv.report.text import real
from edgeconv.types import ArtifactVerdict, Interval, MetricValue, Verdict

__all__ = ["Facts", "Row", "by_file", "pointer"]

#: As in verdict.json, so that every figure here equals the one there.
_DIGITS = 6


@dataclass(frozen=True)
class Row:
    """One artifact with what each document says about it.

    Attributes:
        artifact: Its verdict.
        at: Where that stands, as ``verdict.json#/artifacts/0``.
        entry: Its row in manifest.json; empty where there is none.
        entry_at: Likewise, ``manifest.json#...``.
        times: Its row in bench.json; empty where there is none.
        times_at: Likewise, ``bench.json#...``.
    """

    artifact: ArtifactVerdict
    at: str
    entry: Mapping[str, Any] = field(default_factory=dict)
    entry_at: str = ""
    times: Mapping[str, Any] = field(default_factory=dict)
    times_at: str = ""

    def metric(self, name: str) -> tuple[MetricValue, str]:
        """A metric and where it stands."""
        return self.artifact.metrics.get(name), pointer(self.at, "metrics", name)


@dataclass(frozen=True)
class Facts:
    """Everything that the page may show; arguments of ``render``."""

    verdict: Verdict
    manifest: Mapping[str, Any]
    bench: Mapping[str, Any]
    recipe_text: str
    disagreements: Sequence[Mapping[str, Any]]
    thumbnails: Mapping[str, bytes]
    compared: tuple[str, str] = ("", "")
    device: Mapping[str, Any] | None = None
    recovery: Mapping[str, Any] | None = None

    @cached_property
    def rows(self) -> tuple[Row, ...]:
        """The artifacts in the verdict's order."""
        files = _placed(self.manifest.get("artifacts"), "manifest.json")
        times = _placed(self.bench.get("artifacts"), "bench.json")
        return tuple(
            Row(
                written(artifact),
                f"verdict.json#/artifacts/{index}",
                *files.get(artifact.file, ({}, "")),
                *times.get(artifact.file, ({}, "")),
            )
            for index, artifact in enumerate(self.verdict.artifacts)
        )


def pointer(at: str, *keys: object) -> str:
    """``at`` with further steps down."""
    steps = (str(key).replace("~", "~0").replace("/", "~1") for key in keys)
    return "/".join((at, *steps))


def by_file(entries: object) -> dict[str, Mapping[str, Any]]:
    """Rows that name a ``file``, by that name; nothing where it is no list."""
    return {name: entry for name, (entry, _) in _placed(entries, "").items()}


def _placed(entries: object, file: str) -> dict[str, tuple[Mapping[str, Any], str]]:
    listed = entries if isinstance(entries, list | tuple) else ()
    return {
        str(entry.get("file")): (entry, f"{file}#/artifacts/{index}")
        for index, entry in enumerate(listed)
        if isinstance(entry, Mapping)
    }


def written(artifact: ArtifactVerdict) -> ArtifactVerdict:
    """The verdict with its numbers as verdict.json has them."""
    return replace(
        artifact,
        metrics={name: _metric(value) for name, value in artifact.metrics.items()},
        layers=tuple(_rounded(layer) for layer in artifact.layers),
        checks=tuple(replace(c, limit=_rounded(float(c.limit))) for c in artifact.checks),
        limit=_rounded(artifact.limit),
    )


def _metric(value: MetricValue) -> MetricValue:
    if isinstance(value, Interval):
        low, high = value.ci95
        return Interval(*_rounded([value.estimate, (low, high), value.lower95, value.upper95]))
    return None if value is None else real(_rounded(value))


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.{_DIGITS}g}") + 0.0 if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _rounded(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_rounded(each) for each in value)
    return value
