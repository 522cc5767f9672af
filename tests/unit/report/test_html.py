"""The report: its numbers, its escaping, its promise to load nothing."""

import base64
import hashlib
import re

import pytest

from edgeconv.report import render
from edgeconv.report.assets import SCRIPT, STYLE
from edgeconv.types import Interval
from edgeconv.verify import verdict_to_json
from tests.unit.report.pages import (
    BENCH,
    HOSTILE,
    KNOWN,
    MANIFEST,
    RECIPE,
    Page,
    artifact,
    assert_equals_its_source,
    full_verdict,
    hostile,
    layer,
    page,
    verdict,
)


def test_every_figure_on_the_page_equals_the_document_it_names():
    judged = full_verdict()
    documents = {
        "verdict.json": verdict_to_json(judged),
        "manifest.json": MANIFEST,
        "bench.json": BENCH,
    }
    found = page(judged, MANIFEST, BENCH, RECIPE)
    assert len(found.figures) > 100
    assert_equals_its_source(found.figures, documents)


def test_more_digits_than_the_verdict_file_has_are_not_on_the_page():
    metrics = {"top1": 100.0 / 3.0, "top1_drop": Interval(2 / 3, (-1 / 3, 4 / 3), -1 / 7, 1 / 7)}
    judged = verdict(artifact(metrics=metrics, layers=(layer(share=100.0 / 3.0),)))
    assert_equals_its_source(page(judged).figures, {"verdict.json": verdict_to_json(judged)})


def test_the_numbers_on_the_page_are_the_verdict_s():
    found = page(verdict(), MANIFEST, BENCH, RECIPE)
    assert found.datas["Top-1"] == [82.4, 83.2] * 2
    assert found.datas["Drop"] == [0.8, -2.39, 4.13] * 2
    assert found.datas["Top-5"] == [97.2, 97.6] * 2
    assert found.datas["Agreement"] == [92.4] * 2
    assert found.datas["KL"] == [0.0612] * 2
    assert found.datas["SQNR"] == [13.44] * 2
    assert found.datas["Size"] == [4_012_345, 812_345]
    assert found.datas["Time a run"] == [7.512, 16.1, 6.49]


def test_numbers_are_shown_rounded_with_their_unit():
    shown = {
        name: "".join(cells)
        for name, cells in page(verdict(artifact()), MANIFEST, BENCH, RECIPE).cells.items()
    }
    assert shown["Size"] == "4.01 MB"
    assert shown["Top-1"] == "82.4%was 83.2%"
    assert shown["Drop"] == "+0.8 points−2.4 to +4.1"
    assert shown["KL"] == "0.061 nats"
    assert shown["Time a run"] == "7.5 msfloat 16.1 ms"
    assert shown["Verdict"] == "inconclusive"


def test_the_verdict_comes_first_with_every_reason():
    text = render(verdict(), MANIFEST, BENCH, RECIPE)
    assert text.index("Undecided") < text.index("<table")
    assert text.count("Top-1 drop 0.8 points, undecided.") == 2
    assert "The gate: top-1 drop at most 1.0 points." in text


@pytest.mark.parametrize(
    ("status", "headline"),
    [("pass", "Passed"), ("inconclusive", "Undecided"), ("fail", "Failed")],
)
def test_each_status_has_its_headline_and_colour(status, headline):
    text = render(verdict(artifact(status=status), status=status), MANIFEST, BENCH, RECIPE)
    assert f'<section id="verdict" class="verdict {status}">' in text
    assert f"</svg>{headline}" in text
    assert f'<span class="chip {status}">{status}</span>' in text


def test_columns_that_nobody_measured_are_left_out():
    metrics = {"relative_error": 3.5, "cosine_mean": 0.99, "cosine_min": 0.9, "sqnr_db": None}
    raw = artifact(metrics=metrics, gated="relative_error", limit=25.0, status="pass")
    found = page(verdict(raw), {}, {}, "")
    assert set(found.cells) == {"File", "Relative error", "Mean cosine", "Least cosine", "Verdict"}
    assert "figure" not in found.tags


def svg_numbers(text, pattern):
    return [float(number) for number in re.findall(pattern, text)]


def test_the_figure_puts_estimate_bounds_and_margin_in_proportion():
    text = render(verdict(artifact()), MANIFEST, {}, RECIPE)
    (dot,) = svg_numbers(text, r'class="dot" cx="([\d.]+)%')
    (margin,) = set(svg_numbers(text, r'class="limit" x1="([\d.]+)%'))
    (zero,) = set(svg_numbers(text, r'class="zero" x1="([\d.]+)%'))
    low = svg_numbers(text, r'class="thin" x1="([\d.]+)%')[0]
    high = svg_numbers(text, r'class="thin" x1="[\d.]+%" x2="([\d.]+)%')[0]
    point = margin - zero
    assert dot - zero == pytest.approx(0.8 * point, abs=0.02)
    assert low - zero == pytest.approx(-2.39 * point, abs=0.05)
    assert high - zero == pytest.approx(4.13 * point, abs=0.05)
    assert 0 < low < zero < dot < margin < high < 100


def test_agreement_is_drawn_with_the_lost_side_on_the_left():
    interval = Interval(92.4, (88.4, 95.1), 89.2, 94.7)
    found = artifact(
        metrics={"agreement": 92.4, "agreement_interval": interval},
        gated="agreement_interval",
        limit=90.0,
    )
    text = render(verdict(found), {}, {}, "")
    assert re.search(r'class="lost" x="0.00%"', text)
    assert "Agreement against the margin" in text and "margin 90.0%" in text


@pytest.mark.parametrize("limit", [0.0, 0.8, 100.0])
def test_an_interval_of_any_margin_can_be_drawn(limit):
    point = artifact(metrics={"top1_drop": Interval(0.8, (0.8, 0.8), 0.8, 0.8)}, limit=limit)
    assert "nan" not in render(verdict(point), {}, {}, "")


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_names_stay_text_wherever_they_come_from(text):
    raw = render(*hostile(text))
    found = Page(raw)
    assert found.tags <= KNOWN, found.tags - KNOWN
    for tag, attributes in found.attributes:
        assert not any(name.startswith("on") for name in attributes), (tag, attributes)
        assert not {"style", "srcdoc", "action"} & set(attributes), (tag, attributes)
        assert re.fullmatch(r"#[a-z]+|data:,|", attributes.get("href", "")), attributes
        assert re.fullmatch(r"(data:image/jpeg;base64,[\w+/=]+)?", attributes.get("src", ""))
    assert [tag for tag, _ in found.attributes].count("script") == 1
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f\u2028-\u202e\u2066-\u2069]", raw)
    # Still readable: what could be shown is shown, as text.
    shown = "".join(c if c.isprintable() else "\ufffd" for c in text)
    assert shown in found.text


def digest(text):
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def test_the_policy_allows_this_style_sheet_this_script_and_nothing_else():
    text = render(verdict(), MANIFEST, BENCH, RECIPE)
    policy = next(a["content"] for t, a in Page(text).attributes if a.get("http-equiv"))
    style = re.search(r"<style>(.*?)</style>", text, re.DOTALL).group(1)
    script = re.search(r"<script>(.*?)</script>", text, re.DOTALL).group(1)
    assert policy.split("; ") == [
        "default-src 'none'",
        f"style-src '{digest(style)}'",
        f"script-src '{digest(script)}'",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
    ]
    # It must be read before anything that it should stop.
    assert text.index("Content-Security-Policy") < text.index("<style>")


def test_the_script_makes_no_markup_out_of_text():
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacent|document\.write|eval|Function", SCRIPT
    )
    assert not re.search(r"fetch|XMLHttp|WebSocket|import|sendBeacon|</", SCRIPT)


def test_nothing_on_the_page_points_outside():
    text = render(*hostile("name"))
    assert not re.search(r"https?://|//[a-z]|@import|url\(", text.replace(SCRIPT, ""))
    assert not re.search(r"https?:", SCRIPT)


def test_the_same_input_gives_the_same_page_but_for_the_date():
    one = render(verdict(), MANIFEST, BENCH, RECIPE)
    assert render(verdict(), MANIFEST, BENCH, RECIPE) == one
    other = render(verdict(), MANIFEST, BENCH | {"date": "2031-01-01"}, RECIPE)
    assert other.replace("2031-01-01", "2026-11-27") == one


@pytest.mark.parametrize(
    ("manifest", "bench"),
    [
        ({}, {}),
        ({"artifacts": None, "preprocess": []}, {"artifacts": 3}),
        ({"artifacts": [None, {"file": 3, "bytes": "many", "operators": []}]}, {"artifacts": [1]}),
        ({}, {"artifacts": [{"file": "model.tflite", "latency_ms_median": float("nan")}]}),
        ({}, {"artifacts": [{"file": "model.tflite", "latency_ms_median": 0}]}),
        ({"provenance": {"a": {"b": {"c": [1, None, True, 0.25]}}}}, {"artifacts": []}),
    ],
)
def test_incomplete_facts_leave_gaps_not_errors(manifest, bench):
    found = page(verdict(), manifest, bench, "")
    assert not re.search(r"\b(nan|none|inf)\b", found.text, re.IGNORECASE)


def test_float_operators_of_an_int8_file_are_named():
    text = page(verdict(), MANIFEST, BENCH, RECIPE).text
    assert "Computing in float: 1 SOFTMAX." in text
    assert "Every operator computes in integers." in text


def test_the_latency_says_what_it_was_measured_with():
    row = {"file": "model.tflite", "latency_ms_median": 1.848, "latency_ms_p95": 2.143}
    bench = {"machine": "a board", "artifacts": [row | {"engine": "litert 2.3.0", "runs": 100}]}
    text = page(verdict(), MANIFEST, bench, RECIPE).text
    assert "a board" in text and "litert 2.3.0, 100 runs, 95% within 2.1 ms" in text


def test_a_flood_of_disagreements_is_cut_and_counted():
    many = [{"file": "m", "item": str(i), "reference": "a", "candidate": "b"} for i in range(500)]
    found = page(verdict(), MANIFEST, BENCH, RECIPE, many)
    assert "500 answers that differ" in found.text and "And 300 more." in found.text


def test_an_endless_name_is_cut():
    assert len(render(verdict(artifact("x" * 10**6)), {}, {}, "")) < 50_000


def colours(block):
    return dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", block))


def luminance(colour):
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_the_contrast_of_wcag_aa(scheme):
    light, dark = STYLE.split("@media (prefers-color-scheme: dark)")
    palette = colours(light) if scheme == "light" else colours(dark.split("* {")[0])
    assert len(palette) == 13
    for ink in ("ink", "muted", "pass", "inconclusive", "fail"):
        assert contrast(palette[ink], palette["paper"]) >= 4.5, ink
    for tone in ("pass", "inconclusive", "fail"):
        tint = palette[f"{tone}-tint"]
        assert min(contrast(palette[tone], tint), contrast(palette["muted"], tint)) >= 4.5, tone
