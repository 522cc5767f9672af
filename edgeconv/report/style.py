"""How the page looks: one style sheet for light, dark, phone and paper."""

from __future__ import annotations

import base64
import hashlib

__all__ = ["STYLE", "STYLE_HASH"]

STYLE = """
:root {
  color-scheme: light dark;
  --paper: #fcfbf9; --panel: #f3f1ec; --ink: #211f1c; --muted: #625d55; --line: #dcd7cd;
  --pass: #1c6b3a; --inconclusive: #835400; --fail: #b3261e;
  --pass-tint: #e4f0e7; --inconclusive-tint: #f8ecd3; --fail-tint: #f9e4e1;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #171614; --panel: #211f1c; --ink: #ebe7e0; --muted: #a8a196; --line: #3a3732;
    --pass: #7cc796; --inconclusive: #e3b35b; --fail: #f2938a;
    --pass-tint: #1b2a20; --inconclusive-tint: #2f2613; --fail-tint: #351d1a;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body {
  margin: 0 auto; max-width: 70rem; padding: 3rem 1.5rem 4rem;
  background: var(--paper); color: var(--ink);
  font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif;
  overflow-wrap: anywhere;
}
h1 { margin: 0; font-size: 1.9rem; line-height: 1.2; font-weight: 650; letter-spacing: -0.015em; }
h2 { margin: 3rem 0 0.9rem; font-size: 1.12rem; line-height: 1.3; font-weight: 650; }
h3 { margin: 0 0 0.6rem; font-size: 0.9rem; font-weight: 600; color: var(--muted); }
p { margin: 0.5rem 0; max-width: 44rem; }
.eyebrow, .note, figcaption, footer { color: var(--muted); font-size: 0.86rem; }
.eyebrow { margin: 0 0 0.4rem; }
.lead { margin: 0.4rem 0 0; color: var(--muted); }
code, pre, .file {
  font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace;
  font-size: 0.92em;
}
.verdict {
  margin: 1.8rem 0 0; padding: 1.2rem 1.4rem 1.3rem; border-radius: 0.6rem;
  border-left: 0.35rem solid var(--tone); background: var(--tint);
}
.verdict > strong { display: block; font-size: 1.3rem; line-height: 1.3; color: var(--tone); }
.verdict ul { margin: 0.7rem 0 0; padding: 0; list-style: none; }
.verdict li { margin: 0.35rem 0 0; }
.verdict .note { margin: 0.8rem 0 0; }
.pass { --tone: var(--pass); --tint: var(--pass-tint); }
.inconclusive { --tone: var(--inconclusive); --tint: var(--inconclusive-tint); }
.fail { --tone: var(--fail); --tint: var(--fail-tint); }
.chip {
  display: inline-block; padding: 0.08rem 0.6rem; border-radius: 1rem; white-space: nowrap;
  background: var(--tint); color: var(--tone); font-size: 0.86rem; font-weight: 600;
}
table { width: 100%; border-collapse: collapse; font-size: 0.94rem; }
th, td {
  padding: 0.6rem 0.6rem; border-bottom: 1px solid var(--line);
  text-align: right; vertical-align: baseline; font-variant-numeric: tabular-nums;
}
th {
  color: var(--muted); font-size: 0.84rem; font-weight: 500;
  vertical-align: bottom; white-space: nowrap;
}
th:first-child, td:first-child { padding-left: 0; text-align: left; }
th:last-child, td:last-child { padding-right: 0; }
.words th, .words td { text-align: left; }
td small { display: block; color: var(--muted); font-size: 0.84rem; }
data, small { white-space: nowrap; }
td .file { display: inline-block; min-width: 12ch; font-weight: 600; }
figure { margin: 0; }
figure + dl { margin-top: 0.9rem; }
figcaption { margin-top: 0.6rem; max-width: 44rem; }
svg { display: block; width: 100%; overflow: visible; }
svg text {
  font: 0.82rem system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; fill: var(--muted);
}
svg .name { fill: var(--ink); font-weight: 600; }
svg .lost { fill: var(--fail-tint); }
svg .limit { stroke: var(--fail); stroke-width: 1.5; stroke-dasharray: 5 4; }
svg .limit-name { fill: var(--fail); font-weight: 600; }
svg .grid { stroke: var(--line); }
svg .zero { stroke: var(--muted); }
svg .thin { stroke: var(--tone); stroke-width: 2; }
svg .thick { stroke: var(--tone); stroke-width: 7; stroke-linecap: round; opacity: 0.45; }
svg .dot { fill: var(--tone); stroke: var(--paper); stroke-width: 2; }
svg .bar { fill: var(--ink); opacity: 0.78; }
svg .bar.float { opacity: 0.28; }
.columns {
  display: grid; grid-template-columns: repeat(auto-fit, minmax(17rem, 1fr));
  gap: 1.6rem 2.4rem;
}
dl {
  margin: 0; display: grid; grid-template-columns: minmax(6rem, max-content) 1fr;
  gap: 0.3rem 1.2rem; font-size: 0.92rem;
}
dt { color: var(--muted); }
dd { margin: 0; }
pre {
  margin: 0; padding: 1rem 1.2rem; border-radius: 0.6rem; background: var(--panel);
  overflow-x: auto; overflow-wrap: normal; line-height: 1.5;
}
details { border-bottom: 1px solid var(--line); }
h2 + details { border-top: 1px solid var(--line); }
details > summary { padding: 0.75rem 0; cursor: pointer; font-weight: 600; }
details > :not(summary) { margin-bottom: 1.2rem; }
footer { margin-top: 3rem; }
@media (max-width: 64rem) {
  body { padding: 1.6rem 1.1rem 3rem; }
  h1 { font-size: 1.5rem; }
  .verdict { padding: 1rem 1.1rem; }
  .cards thead {
    position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%);
  }
  .cards, .cards tbody { display: block; }
  .cards tr { display: block; padding: 0.7rem 0; border-bottom: 1px solid var(--line); }
  .cards td {
    display: flex; justify-content: space-between; align-items: baseline; gap: 1.2rem;
    padding: 0.2rem 0; border: 0; text-align: right;
  }
  .cards td::before {
    content: attr(data-label); color: var(--muted); font-size: 0.86rem; text-align: left;
    white-space: nowrap;
  }
  .cards td:first-child { justify-content: flex-start; text-align: left; }
  .cards td:first-child::before { content: none; }
}
@media print {
  :root { --paper: #fff; }
  body { padding: 0; max-width: none; font-size: 0.9rem; }
  .verdict, figure, tr { break-inside: avoid; }
}
"""

#: For the Content-Security-Policy: this style sheet and no other.
STYLE_HASH = "sha256-" + base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
