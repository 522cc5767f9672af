"""The report: its numbers, its escaping, its promise to load nothing."""

import base64
import hashlib
import re
import shutil
import subprocess
from html.parser import HTMLParser

import pytest

from edgeconv.report import render
from edgeconv.report.style import STYLE
from edgeconv.types import ArtifactVerdict, Interval, Verdict

VOID = {"meta", "br", "img", "rect", "line", "circle", "link", "input"}
#: Everything the page is made of; an element that isn't here came from outside.
ELEMENTS = """
    html head meta title style body header footer section p h1 h2 h3 strong ul li span small table
    thead tbody tr th td data figure figcaption svg g line rect circle text tspan div dl dt dd
    details summary pre
"""
KNOWN = set(ELEMENTS.split())


class Page(HTMLParser):
    """What a browser would see: elements, attributes, cells, text."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open, self.tags, self.attributes, self.texts = [], set(), [], []
        self.cells, self.datas, self.cell = {}, {}, None
        self.feed(text)
        self.close()
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.tags.add(tag)
        self.attributes.append((tag, found))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "tr":
            self.row = None
        if tag == "td":
            self.cell = found["data-label"]
        if tag == "data":
            self.datas.setdefault(self.cell, []).append(float(found["value"]))

    handle_startendtag = handle_starttag

    def handle_endtag(self, tag):
        assert self.open and self.open[-1] == tag, f"</{tag}> closes {self.open[-1:]}"
        self.open.pop()
        if tag == "td":
            self.cell = None

    def handle_data(self, data):
        if self.open[-1:] == ["style"]:
            return
        self.texts.append(data)
        if self.cell:
            self.cells.setdefault(self.cell, []).append(data)

    @property
    def text(self):
        return " ".join(self.texts)


def artifact(file="model.tflite", **rest):
    values = {
        "file": file,
        "format": "tflite",
        "precision": "int8",
        "status": "inconclusive",
        "equivalent": False,
        "reason": "top-1 drop 0.8 points, undecided",
        "metrics": {
            "top1": 82.4,
            "top1_reference": 83.2,
            "top1_drop": Interval(0.8, (-2.39, 4.13), -1.83, 3.54),
            "top5": 97.2,
            "top5_reference": 97.6,
            "agreement": 92.4,
            "mean_kl": 0.0612,
            "sqnr_db": 13.44,
        },
        "gated": "top1_drop",
        "limit": 1.0,
    }
    return ArtifactVerdict(**{**values, **rest})


def verdict(*artifacts, status="inconclusive", gate="top-1 drop at most 1.0 points"):
    return Verdict(status, 250, gate, artifacts or (artifact(), artifact("model.onnx")))


MANIFEST = {
    "name": "mobilenetv2",
    "precision": "int8",
    "task": "classification",
    "artifacts": [
        {
            "file": "model.tflite",
            "precision": "int8",
            "bytes": 4_012_345,
            "sha256": "ab" * 32,
            "operators": {"CONV_2D": 35, "SOFTMAX": 1},
            "float_operators": {"SOFTMAX": 1},
        },
        {"file": "model.onnx", "precision": "int8", "bytes": 812_345, "operators": {"Conv": 2}},
    ],
    "preprocess": {"kind": "image", "scale": [0.5], "resize": "crop"},
    "provenance": {"source": "mobilenetv2.keras", "calibration": {"count": 250}},
    "versions": {"edgeconv": "0.1.0"},
}
BENCH = {
    "date": "2026-11-27",
    "threads": 1,
    "artifacts": [
        {"file": "model.tflite", "latency_ms_median": 7.512, "float_latency_ms_median": 16.1},
        {"file": "model.onnx", "latency_ms_median": 6.49},
    ],
}
RECIPE = '# a comment\nprecision = "int8"\n'


def page(*args, **rest):
    return Page(render(*args, **rest))


def test_the_numbers_on_the_page_are_the_verdict_s():
    found = page(verdict(), MANIFEST, BENCH, RECIPE)
    assert found.datas["Top-1"] == [82.4, 83.2] * 2
    assert found.datas["Drop, points"] == [0.8, -2.39, 4.13] * 2
    assert found.datas["Top-5"] == [97.2, 97.6] * 2
    assert found.datas["Agreement"] == [92.4] * 2
    assert found.datas["KL, nats"] == [0.0612] * 2
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
    assert shown["Drop, points"] == "+0.8−2.4 to +4.1"
    assert shown["KL, nats"] == "0.061"
    assert shown["Time a run"] == "7.5 msfloat 16.1 ms"
    assert shown["Verdict"] == "inconclusive"


def test_the_verdict_comes_first_with_every_reason():
    text = render(verdict(), MANIFEST, BENCH, RECIPE)
    assert text.index("Undecided") < text.index("<table")
    assert text.count("top-1 drop 0.8 points, undecided.") == 2
    assert "The gate: top-1 drop at most 1.0 points." in text


@pytest.mark.parametrize(
    ("status", "headline"),
    [("pass", "Passed"), ("inconclusive", "Undecided"), ("fail", "Failed")],
)
def test_each_status_has_its_headline_and_colour(status, headline):
    text = render(verdict(artifact(status=status), status=status), MANIFEST, BENCH, RECIPE)
    assert f'<section class="verdict {status}">\n<strong>{headline}' in text
    assert f'<span class="chip {status}">{status}</span>' in text


def test_columns_that_nobody_measured_are_left_out():
    metrics = {"relative_error": 3.5, "cosine_mean": 0.99, "cosine_min": 0.9, "sqnr_db": None}
    raw = artifact(metrics=metrics, gated="relative_error", limit=25.0, status="pass")
    found = page(verdict(raw), {}, {}, "")
    assert set(found.cells) == {"File", "Relative error", "Mean cosine", "Least cosine", "Verdict"}
    assert "svg" not in found.tags


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


TIMES = {"latency_ms_median": 1.0, "threads": 1}

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "]]></style><script>alert(1)</script>",
    "\x1b[31mred\x1b[0m\x07",
    "\u202egpj.exe",
    "&lt;b&gt; &amp;",
    "</pre></details><iframe src=//evil>",
    "javascript:alert(1)",
    "a\nb\r\nc\x00",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_names_stay_text_wherever_they_come_from(text):
    manifest = {
        "name": text,
        "precision": text,
        "task": text,
        "artifacts": [
            {"file": text, "precision": "int8", "sha256": text, "bytes": 3}
            | {"operators": {text: 1}, "float_operators": {text: 1}}
        ],
        "preprocess": {text: text},
        "provenance": {text: {text: [text]}},
        "versions": {text: text},
    }
    bench = {"date": text, text: text, "artifacts": [{"file": text, "engine": text} | TIMES]}
    found_differently = [
        {"file": text, "item": text, "reference": text, "candidate": text, "expected": text}
    ]
    judged = artifact(text, reason=text, precision=text)
    raw = render(verdict(judged, gate=text), manifest, bench, text, found_differently)
    found = Page(raw)
    assert found.tags <= KNOWN, found.tags - KNOWN
    for tag, attributes in found.attributes:
        assert not any(name.startswith("on") for name in attributes), (tag, attributes)
        assert not {"src", "href", "style", "srcdoc", "action"} & set(attributes), (tag, attributes)
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069]", raw)
    # Still readable: what could be shown is shown, as text.
    shown = "".join(c if c.isprintable() else "\ufffd" for c in text)
    assert shown in found.text


def test_the_policy_allows_this_style_sheet_and_nothing_else():
    text = render(verdict(), MANIFEST, BENCH, RECIPE)
    policy = next(a["content"] for t, a in Page(text).attributes if a.get("http-equiv"))
    style = re.search(r"<style>(.*?)</style>", text, re.DOTALL).group(1)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert policy.startswith("default-src 'none'; ")
    assert f"style-src 'sha256-{digest}'" in policy
    assert "unsafe" not in policy and "http" not in policy and "data:" not in policy
    # It must be read before anything that it should stop.
    assert text.index("Content-Security-Policy") < text.index("<style>")


def test_nothing_on_the_page_points_outside():
    text = render(verdict(), MANIFEST, BENCH, RECIPE)
    assert not re.search(r"https?://|//[a-z]|@import|url\(|<script|<link|<img", text)


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
    assert "500 answers that differ" in found.text and "And 440 more." in found.text
    assert len(found.cells["Item"]) == 60


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
    assert len(palette) == 11
    for ink in ("ink", "muted", "pass", "inconclusive", "fail"):
        assert contrast(palette[ink], palette["paper"]) >= 4.5, ink
    for tone in ("pass", "inconclusive", "fail"):
        tint = palette[f"{tone}-tint"]
        assert min(contrast(palette[tone], tint), contrast(palette["muted"], tint)) >= 4.5, tone


@pytest.mark.long
@pytest.mark.parametrize(("scheme", "paper"), [("1", (252, 251, 249)), ("0", (23, 22, 20))])
def test_a_browser_applies_the_style_in_both_schemes(tmp_path, scheme, paper):
    """A wrong hash in the policy would leave the page bare: white, whatever the scheme."""
    browser = shutil.which("chromium")
    if browser is None:
        pytest.skip("needs chromium")
    from PIL import Image

    (tmp_path / "report.html").write_text(render(verdict(), MANIFEST, BENCH, RECIPE))
    flags = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run"
    flags += " --disable-background-networking --disable-component-update --disable-sync"
    subprocess.run(
        [
            *(browser, *flags.split(), f"--user-data-dir={tmp_path / 'profile'}"),
            *(f"--screenshot={tmp_path / 'page.png'}", "--window-size=500,900"),
            *(f"--blink-settings=preferredColorScheme={scheme}",),
            (tmp_path / "report.html").as_uri(),
        ],
        check=True,
        capture_output=True,
        timeout=120,
    )
    with Image.open(tmp_path / "page.png") as picture:
        assert picture.convert("RGB").getpixel((2, 2)) == paper
