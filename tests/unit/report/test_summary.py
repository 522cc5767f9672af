"""The step summary: Markdown in which no name becomes markup."""

import re

import pytest

from edgeconv.report.summary import step_summary
from edgeconv.types import ArtifactVerdict, Check, Interval, Verdict

DROP = Interval(3.2, (1.0, 5.5), 1.4, 5.1)
LAYERS = tuple(
    {"name": f"conv_{i}", "op": "CONV_2D", "share": 40.0 - i, "reason": "clipped tail"}
    for i in range(5)
)


def verdict(file: str = "model.tflite", **fields: object) -> Verdict:
    check = Check("top1_drop", 1.0, True, "fail", "top-1 drop 3.2 points: lost")
    artifact = ArtifactVerdict(
        file, "tflite", "int8", "fail", False, check.reason, {"top1_drop": DROP},
        checks=(check,), **fields,
    )  # fmt: skip
    return Verdict("fail", 250, "top-1 drop at most 1.0 points", (artifact,))


def test_the_table_has_a_row_a_check() -> None:
    text = step_summary(verdict(), "bundle", "original", "data.csv:test")

    (row,) = [line for line in text.splitlines() if line.startswith("| model")]
    assert "❌ fail" in row and "≤ 1" in row and "1.00 to 5.50" in row
    assert row.count("|") == 6


def test_what_the_scores_say_stands_beside_an_undecided_gate() -> None:
    assert "- KL divergence 0.02" in step_summary(verdict(evidence=("KL divergence 0.02",)), *"bod")


def test_the_first_three_layers_and_the_suspicion_are_named() -> None:
    text = step_summary(
        verdict(layers=LAYERS, suspicions=("Looks like BGR input.",)), "b", "o", "d"
    )

    assert "Looks like BGR input" in text
    assert re.findall(r"conv&#95;(\d)", text) == ["0", "1", "2"]
    assert "adds 40.0% of the error" in text


@pytest.mark.parametrize(
    "name",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "[click](javascript:alert(1))",
        "![x](http://example.com/x.png)",
        "a | b",
        "`code`",
        "**bold**",
        "line\nbreak\r\n# heading",
        "\x1b[31mred",
        "@someone",
        "http://example.com",
        "$x$",
        "&lt;b&gt;",
    ],
)
def test_hostile_names_stay_text(name: str) -> None:
    layer = {"name": name, "op": name, "reason": name}
    text = step_summary(verdict(name, layers=(layer,), suspicions=(name,)), name, name, name)

    shown = re.sub(r"&#\d+;", "", text)
    shown = re.sub(r"\*\*(?=[^*]*\*\*)|(?<=\S)\*\*", "", shown)
    assert not set("<>`[]@$&") & set(shown.replace("≤", ""))
    assert "://" not in shown and "\x1b" not in shown
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert {row.count("|") for row in rows} == {6}
    assert not any(line.startswith("#") for line in text.splitlines()[1:])
