"""Who is to blame: SQNR and share of the error by layer, the worst ones in detail.

For each artifact a sentence, a chart in the order of the graph, the worst
layers with what their tensors held, and a table of all layers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from edgeconv.report.facts import Facts, Row, pointer
from edgeconv.report.figures import LayerBar, layer_figure
from edgeconv.report.sections.ranges import histograms, range_cell
from edgeconv.report.text import MISSING, escape, number, plain, real

__all__ = ["layer_section"]

_Layer = Mapping[str, Any]
#: Layers in the sentence above the chart.
_NAMED = 3

_Cell = Callable[[_Layer, str], str]


def layer_section(facts: Facts) -> str:
    """Everything about layers; empty where no artifact was asked for its blame."""
    parts = [_artifact(row, i) for i, row in enumerate(facts.rows) if row.artifact.layers]
    if not parts:
        return ""
    body = "\n".join(parts)
    kept = facts.verdict.status == "pass"
    heading = "Where the error comes from" if kept else "Who is to blame"
    return (
        f'<h2 id="layers">{heading}</h2>\n<p class="note">Bars upwards: SQNR at the '
        "layer's output, with everything before it converted too; the taller the better. Bars "
        "downwards: the share of the final error that the layer itself adds. In red the first "
        "layer where the error jumps. Both models got the same inputs here, so a mistake before "
        f"the model doesn't show.</p>\n{body}"
    )


def _artifact(row: Row, index: int) -> str:
    layers = row.artifact.layers
    bars = [_bar(layer, f"l{index}-{i}") for i, layer in enumerate(layers)]
    ordered = [bars[i] for i in sorted(range(len(layers)), key=lambda i: _order(layers[i], i))]
    chart = layer_figure(ordered, f"{row.artifact.file}: SQNR of {len(layers)} layers")
    figure = f'<figure class="chart">\n{chart}\n</figure>' if chart else ""
    return (
        f'<section class="blame" data-table="t{index}">\n<h3>{escape(row.artifact.file)}</h3>\n'
        f"{_summary(row)}{figure}\n{_worst(row)}\n{_table(row, index)}\n</section>"
    )


def _bar(layer: _Layer, row: str) -> LayerBar:
    return LayerBar(
        row,
        str(layer.get("name", "")),
        real(layer.get("sqnr_db")),
        real(layer.get("share")),
        layer.get("jump") is True,
    )


def _order(layer: _Layer, fallback: int) -> float:
    order = real(layer.get("order"))
    return float(fallback) if order is None else order


def _summary(row: Row) -> str:
    """Where the error jumps; which layers add most of it."""
    layers = row.artifact.layers
    said = [_jump(layer) for layer in layers if layer.get("jump") is True][:1]
    adding = [
        f"<code>{escape(layer.get('name', ''))}</code> {share}"
        for i, layer in enumerate(layers[:_NAMED])
        if (share := _percent(layer, pointer(row.at, "layers", i))) != MISSING
    ]
    if adding:
        said.append(f"Largest shares of the final error: {', '.join(adding)}.")
    return f"<p>{' '.join(said)}</p>\n" if said else ""


def _jump(layer: _Layer) -> str:
    reason = escape(str(layer.get("reason") or "").rstrip("."))
    return (
        f"The error jumps at <code>{escape(layer.get('name', ''))}</code>"
        f"{f': {reason}' if reason else ''}."
    )


def _percent(layer: _Layer, at: str) -> str:
    return number(layer.get("share"), "%", 1, pointer(at, "share"))


def _worst(row: Row) -> str:
    """A card a layer for those whose tensors were looked at."""
    cards = [
        _card(layer, pointer(row.at, "layers", i), i + 1)
        for i, layer in enumerate(row.artifact.layers)
        if isinstance(layer.get("histograms"), Mapping)
    ]
    if not cards:
        return ""
    body = "\n".join(cards)
    return (
        f'<div class="worst">\n{body}\n</div>\n<p class="note">Filled: in the float model; '
        "outlined: in the converted one; both as the logarithm of the count. Dashed: where the "
        "converted range ends.</p>"
    )


def _card(layer: _Layer, at: str, rank: int) -> str:
    share = _percent(layer, at)
    facts = "" if share == MISSING else f"{share} of the final error"
    reason = f"<p>{escape(layer['reason'])}</p>" if layer.get("reason") else ""
    return (
        f'<article>\n<h4><span class="rank">{rank}</span><code>{escape(layer.get("name", ""))}'
        f'</code></h4>\n<p class="note">{escape(layer.get("op", ""))} {facts}</p>\n{reason}'
        f"{histograms(layer)}\n</article>"
    )


def _table(row: Row, index: int) -> str:
    layers = row.artifact.layers
    places = [pointer(row.at, "layers", i) for i in range(len(layers))]
    filled = [
        (title, kind, [write(layer, at) for layer, at in zip(layers, places, strict=True)])
        for title, kind, write, _ in _COLUMNS
    ]
    columns = [column for column in filled if set(column[2]) - {MISSING, ""}]
    meanings = {title: meaning for title, _, _, meaning in _COLUMNS}
    head = "".join(
        f'<th data-sort="{kind}" scope="col" title="{meanings[title]}">{title}</th>'
        for title, kind, _ in columns
    )
    body = "\n".join(
        f'<tr id="l{index}-{i}" data-order="{_order(layers[i], i):g}">'
        + "".join(f'<td data-label="{title}">{cells[i]}</td>' for title, _, cells in columns)
        + "</tr>"
        for i in range(len(layers))
    )
    return (
        f'<div class="scroll tall" tabindex="0"><table id="t{index}" class="layers">\n'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table></div>"
    )


def _name(layer: _Layer, at: str) -> str:
    flag = '<span class="chip fail">jump</span> ' if layer.get("jump") is True else ""
    op = f"<small>{escape(layer['op'])}</small>" if layer.get("op") else ""
    reason = f'<span class="reason">{escape(layer["reason"])}</span>' if layer.get("reason") else ""
    return f"<code>{escape(layer.get('name', ''))}</code> {flag}{op}{reason}"


def _plain(key: str, unit: str) -> _Cell:
    return lambda layer, at: number(layer.get(key), unit, 1, pointer(at, key))


def _share(layer: _Layer, at: str) -> str:
    shown = _percent(layer, at)
    width = min(100.0, max(0.0, real(layer.get("share")) or 0.0))
    if not width:
        return shown
    return (
        f'{shown}<svg class="meter" width="100%" height="3" aria-hidden="true">'
        f'<rect x="{100.0 - width:.1f}%" width="{width:.1f}%" height="3" rx="1.5"/></svg>'
    )


def _clipped(layer: _Layer, at: str) -> str:
    activation = layer.get("activation")
    if not isinstance(activation, Mapping):
        return MISSING
    return number(activation.get("clipped"), "%", 2, pointer(at, "activation", "clipped"))


def _outlier(layer: _Layer, at: str) -> str:
    weights = layer.get("weights")
    if not isinstance(weights, Mapping):
        return MISSING
    ratio = number(weights.get("ratio"), "×", 1, pointer(at, "weights", "ratio"))
    channel = real(weights.get("outlier_channel"))
    if ratio == MISSING or channel is None:
        return ratio
    return f"{ratio} <small>ch. {plain(channel, 0)}</small>"


#: Title, how to sort, what to write, what it means.
_COLUMNS: tuple[tuple[str, str, _Cell, str], ...] = (
    ("Layer", "text", _name, "Its name in the Keras model"),
    ("SQNR", "number", _plain("sqnr_db", " dB"), "At its output, all layers before it converted"),
    ("SQNR alone", "number", _plain("local_sqnr_db", " dB"), "Of what this layer alone adds"),
    ("Share", "number", _share, "Of the final error"),
    ("Weights", "number", range_cell("weights"), "Smallest and largest"),
    ("Widest channel", "number", _outlier, "Its range over that of the median channel"),
    ("Activation", "number", range_cell("activation"), "Smallest and largest, in the float model"),
    ("Clipped", "number", _clipped, "Activations that the converted range can't hold"),
)
