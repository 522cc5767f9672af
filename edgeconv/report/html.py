"""report.html: one file, offline.

The page holds nothing that wasn't handed in: no clock, no environment. Its
Content-Security-Policy allows its own style sheet and its own script (by hash)
and pictures that stand in the page itself, nothing else; so even a hole in the
escaping could load and run nothing. Without the script everything is still
there: it only sorts the table of layers and shows a bar's row under the pointer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from edgeconv.report.assets import SCRIPT, SCRIPT_HASH, STYLE, STYLE_HASH
from edgeconv.report.facts import Facts
from edgeconv.report.sections import (
    artifact_section,
    check_section,
    detail_sections,
    device_section,
    header,
    latency_section,
    layer_section,
    margin_section,
    moved_section,
    recovery_section,
    verdict_section,
)
from edgeconv.report.text import escape
from edgeconv.types import Verdict

__all__ = ["render"]

_POLICY = (
    f"default-src 'none'; style-src '{STYLE_HASH}'; script-src '{SCRIPT_HASH}'; "
    "img-src data:; base-uri 'none'; form-action 'none'"
)

#: In the order of the page: what decides, what explains, what documents.
_SECTIONS = (
    artifact_section,
    margin_section,
    check_section,
    recovery_section,
    layer_section,
    moved_section,
    latency_section,
    device_section,
    detail_sections,
)

_LINKS = {
    "artifacts": "Artifacts",
    "margin": "Margin",
    "checks": "Checks",
    "recovery": "Search",
    "layers": "Layers",
    "moved": "Answers",
    "latency": "Latency",
    "device": "Device",
    "details": "Details",
}


def render(
    verdict: Verdict,
    manifest: Mapping[str, Any] | None = None,
    bench: Mapping[str, Any] | None = None,
    recipe_text: str = "",
    disagreements: Sequence[Mapping[str, Any]] = (),
    thumbnails: Mapping[str, bytes] | None = None,
    compared: tuple[str, str] = ("", ""),
    device: Mapping[str, Any] | None = None,
    recovery: Mapping[str, Any] | None = None,
) -> str:
    """The page as text; the same arguments give the same bytes.

    Args:
        verdict: What the page is about; all else may be missing.
        manifest: Content of manifest.json.
        bench: Content of bench.json: ``artifacts`` with ``file`` and
            ``latency_ms_median`` each, whatever else it says, and ``date``.
        recipe_text: Content of recipe.toml.
        disagreements: Items answered differently: ``file``, ``item``,
            ``reference``, ``candidate`` and, where known, ``expected``.
        thumbnails: Item -> a small JPEG of it, for those that ``pictured`` names.
        compared: What it was held against, and on what, in words; empty where the
            page is a bundle's own.
        device: What a device was, took and gave, where one ran too; see
            ``on_device.Answers.facts``.
        recovery: Content of recovery.json.
    """
    facts = Facts(
        verdict,
        manifest or {},
        bench or {},
        recipe_text,
        disagreements,
        thumbnails or {},
        compared,
        device,
        recovery,
    )
    body = [section for write in _SECTIONS if (section := write(facts))]
    title = f"{facts.manifest.get('name', 'model')} · {verdict.status}"
    return "\n".join(
        [
            "<!DOCTYPE html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="referrer" content="no-referrer">',
            '<link rel="icon" href="data:,">',
            f"<title>{escape(title)}</title>",
            f"<style>{STYLE}</style>",
            "</head>",
            "<body>",
            header(facts),
            verdict_section(facts),
            _navigation(body),
            *body,
            f"<script>{SCRIPT}</script>",
            "</body>",
            "</html>",
            "",
        ]
    )


def _navigation(sections: Sequence[str]) -> str:
    links = "".join(
        f'<a href="#{anchor}">{name}</a>'
        for anchor, name in _LINKS.items()
        if any(f'<h2 id="{anchor}">' in section for section in sections)
    )
    return f"<nav>{links}</nav>"
