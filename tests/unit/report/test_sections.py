"""The parts of the page below the verdict: what each says, leaves out and refuses."""

import re

import pytest

from edgeconv.report import pictured, render
from edgeconv.report.text import milliseconds
from edgeconv.types import Interval
from edgeconv.verify import METRICS
from tests.unit.report.pages import (
    BENCH,
    HISTOGRAM,
    JPEG,
    MANIFEST,
    RECIPE,
    RECOVERY,
    SUSPICION,
    Page,
    artifact,
    checks,
    full_verdict,
    layer,
    layers,
    page,
    verdict,
)


def changed(item, reference="cat", candidate="dog", expected="cat", file="model.tflite"):
    return {
        "file": file,
        "item": item,
        "reference": reference,
        "candidate": candidate,
        "expected": expected,
    }


def test_a_suspicion_of_two_artifacts_stands_once_above_everything_else():
    text = render(full_verdict())
    assert text.count(SUSPICION) == 1
    assert text.index("Failed") < text.index(SUSPICION) < text.index("<table")
    assert "model.tflite, model.onnx</small>" in text


def test_every_check_of_every_artifact_has_its_row():
    text = render(verdict(artifact(checks=checks()), artifact("model.onnx", checks=checks("pass"))))
    table = text[text.index('id="checks"') : text.index('id="details"')]
    assert table.count("<tr>") == 1 + 6
    assert "3 of 6 passed" in table
    assert re.findall(r"[≤≥] <data value=\"([\d.]+)\"", table) == ["1.0", "0.05", "90.0"] * 2
    assert re.findall(r'class="chip (\w+)"', table) == [
        *("inconclusive", "fail", "pass"),
        *("pass", "fail", "pass"),
    ]


def test_a_check_of_something_unmeasured_says_so():
    text = render(verdict(artifact(checks=checks(), metrics={})))
    assert text.count("not measured") == 3


def test_the_table_of_layers_keeps_the_order_of_blame_and_the_chart_that_of_the_graph():
    text = render(verdict(artifact(layers=layers())))
    rows = re.findall(r'<tr id="l0-\d+" data-order="\d+"><td[^>]*><code>([^<]+)', text)
    bars = re.findall(r'class="layer[ a-z]*" x="[\d.]+%" width="[\d.]+%" data-row="l0-(\d+)"', text)
    assert rows == [each["name"] for each in layers()]
    orders = [layers()[int(row)]["order"] for row in bars]
    assert orders == sorted(orders) and len(orders) == len(layers())


def test_the_layer_where_the_error_jumps_is_named_with_the_reason():
    text = render(verdict(artifact(layers=layers())))
    assert "The error jumps at <code>block_1_expand</code>: channel 7 is 41 times" in text
    assert text.count('class="layer jump"') == 1


def test_bars_are_as_long_as_their_numbers():
    found = (layer("a", sqnr_db=40.0, share=50.0), layer("b", sqnr_db=10.0, share=25.0, order=1))
    text = render(verdict(artifact(layers=found)))
    sqnr = [float(h) for h in re.findall(r'class="sqnr"[^>]* height="([\d.]+)"', text)]
    share = [float(h) for h in re.findall(r'class="share"[^>]* height="([\d.]+)"', text)]
    assert sqnr[0] == pytest.approx(4 * sqnr[1], abs=0.5)
    assert share[0] == pytest.approx(2 * share[1], abs=0.5)


def test_a_layer_worse_than_its_own_noise_hangs_below_zero():
    found = (layer("a", sqnr_db=20.0), layer("b", sqnr_db=-20.0, order=1))
    text = render(verdict(artifact(layers=found)))
    tops = [float(y) for y in re.findall(r'class="sqnr"[^>]* y="([\d.]+)"', text)]
    heights = [float(h) for h in re.findall(r'class="sqnr"[^>]* height="([\d.]+)"', text)]
    assert heights[0] == pytest.approx(heights[1], abs=0.2)
    assert tops[1] == pytest.approx(tops[0] + heights[0], abs=0.2)


def test_histograms_are_drawn_for_the_layers_that_have_them():
    text = render(verdict(artifact(layers=layers())))
    assert text.count('class="histogram"') == 2
    (outline,) = set(re.findall(r'class="was" d="([^"]+)"', text))
    # Four bins of a hundred units; the fullest reaches the top but for four pixels.
    ends = [float(x) for x in re.findall(r"H([\d.]+)", outline)]
    assert ends == [25, 50, 75, 100]
    heights = [float(y) for y in re.findall(r"V([\d.]+)H", outline)]
    assert min(heights) == heights[1] == pytest.approx(4.5, abs=0.6)


def test_the_end_of_the_converted_range_is_marked_where_it_cuts():
    cut = {"low": 0.0, "high": 3.0, "representable": [-1.0, 2.0], "clipped": 1.0}
    found = layer(activation=cut, histograms={"activation": HISTOGRAM})
    text = render(verdict(artifact(layers=(found,), gated="", limit=None)))
    # -1 to 3: 2 stands at three quarters; -1 is the edge itself.
    assert re.findall(r'class="limit" x1="([\d.]+)%"', text) == ["75.00"]


@pytest.mark.parametrize(
    "broken",
    [
        {"histograms": 3},
        {"histograms": {"weights": None, "activation": []}},
        {"histograms": {"weights": {"low": 1, "high": 1, "counts": [1]}}},
        {"histograms": {"weights": {"low": 0, "high": float("nan"), "counts": [1]}}},
        {"histograms": {"weights": {"low": 0, "high": 1, "counts": [1] * 10_000}}},
        {"histograms": {"weights": {"low": 0, "high": 1, "counts": "many"}}},
        {"histograms": {"weights": {"low": -1e308, "high": 1e308, "counts": [None, -1]}}},
        {"sqnr_db": None, "share": None, "local_sqnr_db": None},
        {"sqnr_db": float("inf"), "share": float("nan"), "order": "first"},
        {"weights": 3, "activation": "wide", "reason": None, "op": None, "jump": "yes"},
        {"activation": {"representable": [1, 2, 3], "low": None}},
    ],
)
def test_layers_that_lack_something_leave_gaps_not_errors(broken):
    found = Page(render(verdict(artifact(layers=(layer(**broken),)))))
    assert not re.search(r"\b(nan|none|inf)\b", found.text, re.IGNORECASE)


def test_a_layer_of_nothing_is_still_listed():
    found = Page(render(verdict(artifact(layers=({}, {"name": "only"})))))
    assert "only" in found.text


def test_pictures_that_were_lost_come_before_those_that_were_gained():
    rows = [
        changed("gained", reference="dog", candidate="cat"),
        changed("both wrong", reference="dog", candidate="fox"),
        changed("lost"),
        changed("lost", file="model.onnx", candidate="fox"),
    ]
    assert pictured(rows) == ["lost", "both wrong", "gained"]


def test_more_items_than_there_is_room_for_have_no_pictures():
    rows = [changed(str(number)) for number in range(100)]
    few = pictured(rows)
    assert few == [str(number) for number in range(36)]
    text = render(verdict(), disagreements=rows, thumbnails=dict.fromkeys(few, JPEG))
    assert text.count("<img ") == 36
    assert "Pictures of 36 items of 100; all are below." in text


def test_a_picture_stands_with_the_label_and_every_answer():
    rows = [
        changed("1.jpg", candidate="dog"),
        changed("1.jpg", candidate="fox", file="model.onnx"),
        changed("2.jpg", reference="dog", candidate="cat"),
        changed("2.jpg", reference="dog", candidate="cat", file="model.onnx"),
    ]
    text = render(verdict(), disagreements=rows, thumbnails={"1.jpg": JPEG, "2.jpg": JPEG})
    first, second = re.findall(r"<figcaption><span.*?</figcaption>", text, re.DOTALL)
    answers = r'<dt>([^<]+)</dt><dd class="(\w*)">([^<]+)</dd>'
    assert ">lost<" in first and re.findall(answers, first) == [
        ("Label", "", "cat"),
        ("Original", "right", "cat"),
        ("model.tflite", "wrong", "dog"),
        ("model.onnx", "wrong", "fox"),
    ]
    assert ">gained<" in second and re.findall(answers, second) == [
        ("Label", "", "cat"),
        ("Original", "wrong", "dog"),
        ("model.tflite, model.onnx", "right", "cat"),
    ]


@pytest.mark.parametrize("picture", [b"", b"<svg onload=alert(1)>", JPEG + b"0" * 40_000])
def test_only_small_jpegs_are_drawn(picture):
    found = Page(render(verdict(), disagreements=[changed("a")], thumbnails={"a": picture}))
    assert "img" not in found.tags
    assert "1 answers that differ" in found.text


def test_lost_and_gained_are_counted_where_all_rows_are_here():
    metrics = {"agreement": 98.8}
    rows = [changed("1"), changed("2", "dog", "cat"), changed("3", "dog", "fox")]
    text = page(verdict(artifact(metrics=metrics)), disagreements=rows).text
    assert re.search(
        r"answers 3 of\s+250\s+items differently: 1 lost, 1 gained, 1 wrong in both", text
    )
    cut = page(verdict(artifact(metrics=metrics)), disagreements=rows[:2]).text
    assert re.search(r"answers 3 of\s+250\s+items differently\s*\.", cut), cut


def test_answers_without_labels_are_called_changed():
    rows = [changed("1.jpg", expected=None)]
    text = render(verdict(), disagreements=rows, thumbnails={"1.jpg": JPEG})
    assert ">changed<" in text and ">lost<" not in text and ">Label</dt>" not in text


def test_moves_that_occur_more_than_once_are_counted():
    rows = [changed(str(i)) for i in range(3)] + [changed("x", "fox", "hen")]
    text = render(verdict(), disagreements=rows)
    assert "cat <span>→</span> dog <strong>3</strong>" in text
    assert "fox <span>→" not in text


def test_figures_say_the_numbers_that_they_draw():
    text = render(verdict(), MANIFEST, BENCH, RECIPE)
    said = [" ".join(re.findall(r">([^<]+)<", row)) for row in re.findall(r"<text.*?</text>", text)]
    assert "model.tflite   0.8 points (−2.4 to 4.1)" in said
    assert {"model.tflite   7.5 ms", "model.tflite, float   16.1 ms"} <= set(said)
    assert "margin 1.0 points" in said and "95% within 7.1 ms" in Page(text).text


def test_bars_of_latency_are_in_proportion_and_the_slow_runs_beyond():
    text = render(verdict(), MANIFEST, BENCH, RECIPE)
    onnx, tflite, floating = re.findall(r'class="bar[^"]*"[^>]* width="([\d.]+)%"', text)
    assert float(floating) == 100
    assert float(tflite) == pytest.approx(100 * 7.512 / 16.1, abs=0.01)
    assert float(onnx) == pytest.approx(100 * 6.49 / 16.1, abs=0.01)
    slow = float(re.search(r'class="slow" x1="[\d.]+%" x2="([\d.]+)%"', text).group(1))
    assert slow == pytest.approx(100 * 7.1 / 16.1, abs=0.01)


def test_a_page_of_a_verdict_alone_is_whole():
    text = render(full_verdict())
    found = Page(text)
    anchors = re.findall(r'<a href="#(\w+)"', text)
    assert anchors == ["artifacts", "margin", "checks", "layers", "details"]
    assert all(f'<h2 id="{anchor}">' in text for anchor in anchors)
    assert "Latency" not in found.text and "Recipe" not in found.text


def test_every_metric_of_a_verdict_has_a_name_and_its_unit():
    for name, info in METRICS.items():
        text = render(verdict(artifact(metrics={name: 1.0}, gated="", limit=None)))
        shown = next(f[2] for f in Page(text).figures if f[0].endswith(f"/metrics/{name}"))
        assert shown.strip("+0.1 ") == info.unit, (name, shown)
        (title,) = re.findall(r'data-label="Metric">([^<]+)<small><code>', text)
        assert title != name.replace("_", " "), f"{name} has no name"


def test_statistics_of_all_items_stand_beside_the_margin_with_what_they_mean():
    extra = {
        "mean_kl_interval": Interval(0.04, (0.03, 0.05), 0.031, 0.049),
        "margin_change": Interval(-0.2, (-0.3, -0.1), -0.28, -0.12),
    }
    judged = artifact(metrics={**artifact().metrics, **extra})
    text = render(verdict(judged))
    section = text[text.index('id="margin"') : text.index('id="details"')]
    assert "How far the scores moved on average" in section and "−0.20 logits" in section


@pytest.mark.parametrize(
    ("time", "shown"), [(12.34, "12.3 ms"), (0.28, "0.28 ms"), (0.0271, "0.027 ms")]
)
def test_a_time_below_a_tenth_of_a_millisecond_is_not_nothing(time: float, shown: str) -> None:
    assert f">{shown}<" in milliseconds(time)


def test_layers_in_float_that_were_asked_together_stand_together():
    text = render(verdict(), MANIFEST, BENCH, recovery=RECOVERY)
    one, other, nine = re.findall("<li>(.*) int8</li>", text)

    assert other.startswith("stem_conv2 (tflite, onnx)")
    assert one.startswith("stem_conv1 (tflite, onnx): the output has ")
    assert 'value="15.25"' in one and one.endswith("where this layer alone is")
    assert nine.count("separable_conv_1_normal_left1_") == 9
    assert nine.endswith("where 9 layers in a row alone are")
    assert "predictions" not in text


def test_a_name_in_an_account_stays_text():
    layers = [{"name": "<img src=x>", "formats": ["tflite"], "alone_db": None, "together": "<b>"}]
    rungs = [{**RECOVERY["rungs"][0], "name": "<u>", "what": "<i>"}]
    text = render(verdict(), MANIFEST, BENCH, recovery={"rungs": rungs, "layers": layers})

    assert "&lt;img src=x&gt;" in text and "&lt;u&gt;" in text
    assert not [each for each in ("<img src=x", "<u>", "<b>", "<i>") if each in text]
