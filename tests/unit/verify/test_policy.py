"""parity.toml: what it may say, and that a mistake in it is never silent."""

import re
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from edgeconv.errors import UsageError
from edgeconv.types import Artifact, Recipe
from edgeconv.verify import Policy, Threshold, read_policy
from edgeconv.verify.policy import policy_from_text

ARTIFACT = Artifact(
    format="tflite",
    precision="int8",
    path=Path("out/model.tflite"),
    sha256="",
    size_bytes=0,
    inputs=(),
    outputs=(),
    recipe=Recipe(),
    operators={},
    float_operators={},
)
ROOT = Path(__file__).resolve().parents[3]

EXAMPLE = """\
schema_version = 1
on_inconclusive = "estimate"

[artifacts."*"]
top1_drop = { max = 1.0 }
agreement = { min = 90 }

[artifacts.tflite]
mean_kl = { max = 0.05 }

[artifacts."model.onnx"]
top1_drop = { max = 2.0 }
"""


def test_a_policy_is_read() -> None:
    policy = policy_from_text(EXAMPLE)

    assert policy.on_inconclusive == "estimate"
    assert policy.thresholds == (
        Threshold("*", "top1_drop", 1.0, at_most=True),
        Threshold("*", "agreement", 90.0, at_most=False),
        Threshold("tflite", "mean_kl", 0.05, at_most=True),
        Threshold("model.onnx", "top1_drop", 2.0, at_most=True),
    )


def test_an_artifact_is_meant_by_name_format_or_precision() -> None:
    policy = policy_from_text(EXAMPLE)
    onnx = replace(ARTIFACT, format="onnx", path=Path("model.onnx"))

    assert [t.metric for t in policy.thresholds_for(ARTIFACT)] == [
        "top1_drop",
        "agreement",
        "mean_kl",
    ]
    assert [(t.metric, t.limit) for t in policy.thresholds_for(onnx)] == [
        ("top1_drop", 2.0),
        ("agreement", 90.0),
    ]


@pytest.mark.parametrize(
    ("pattern", "meant"),
    [("*.tflite", True), ("int8", True), ("int*", True), ("fp32", False), ("TFLITE", False)],
)
def test_patterns_match_as_file_names_do(pattern: str, meant: bool) -> None:
    policy = Policy(thresholds=(Threshold(pattern, "agreement", 90.0, at_most=False),))

    assert bool(policy.thresholds_for(ARTIFACT)) == meant


@pytest.mark.parametrize(
    ("pattern", "idle"),
    [
        ("modle.tflite", True),
        ("*.tflite", False),
        ("model.*", False),
        ("fp32", False),
        ("*", False),
    ],
)
def test_thresholds_for_a_file_that_is_not_there_are_known(pattern: str, idle: bool) -> None:
    policy = Policy(thresholds=(Threshold(pattern, "agreement", 90.0, at_most=False),))

    assert bool(policy.idle([ARTIFACT])) == idle


def test_both_sides_of_a_metric_may_be_limited() -> None:
    policy = policy_from_text(
        'schema_version = 1\n[artifacts."*"]\nsqnr_db = { min = 10, max = 90 }\n'
    )

    assert [(t.limit, t.at_most) for t in policy.thresholds_for(ARTIFACT)] == [
        (10.0, False),
        (90.0, True),
    ]


def test_a_policy_describes_itself() -> None:
    words = policy_from_text(EXAMPLE).describe("the default")

    assert "top-1 drop at most 1 points" in words
    assert "agreement at least 90%" in words
    assert Policy().describe("the default") == "the default"


HEAD = "schema_version = 1\n\n"


@pytest.mark.parametrize(
    ("text", "line", "word"),
    [
        ("on_inconclusive = 'fail'", None, "schema_version"),
        ("schema_version = 2", 1, "schema_version"),
        ("schema_version = true", 1, "schema_version"),
        (HEAD + "on_inconclusive = 'pass'", 3, "on_inconclusive"),
        (HEAD + "artefacts = 1", 3, "artefacts"),
        (HEAD + "artifacts = 1", 3, "artifacts"),
        (HEAD + "[artifacts]\ntflite = 1", 4, "tflite"),
        (HEAD + "[artifacts.tflite]\ntop1drop = { max = 1 }", 4, "top1drop"),
        (HEAD + "[artifacts.tflite]\nworst_class = { max = 1 }", 4, "worst_class"),
        (HEAD + "[artifacts.tflite]\ntop1_drop = 1", 4, "top1_drop"),
        (HEAD + "[artifacts.tflite]\ntop1_drop = {}", 4, "top1_drop"),
        (HEAD + "[artifacts.tflite]\ntop1_drop = { maximum = 1 }", 4, "maximum"),
        (HEAD + "[artifacts.tflite]\ntop1_drop = { max = '1' }", 4, "max"),
        (HEAD + "[artifacts.tflite]\ntop1_drop = { max = true }", 4, "max"),
        (HEAD + "[artifacts.tflite]\ntop1_drop = { max = nan }", 4, "max"),
        (HEAD + "[artifacts.tflite]\ntop1_drop = { max = inf }", 4, "max"),
        (HEAD + "[artifacts.tflite]\nagreement = { min = 0.9 }", 4, "next to nothing"),
        (HEAD + "[artifacts.tflite]\nagreement = { min = 900 }", 4, "can't be 900%"),
        (HEAD + "[artifacts.tflite]\ntop1 = { min = 90, max = 80 }", 4, "can't be at least 90"),
        (HEAD + "[artifacts.tflite]\n[artifacts.tflite]", 4, "TOML"),
        (HEAD + "x = \n", 3, "TOML"),
        (
            HEAD + "[artifacts.int8]\nagreement = { min = 90 }\n"
            "[artifacts.tflite]\nagreement = { mim = 1 }",
            6,
            "mim",
        ),
    ],
)
def test_a_mistake_is_refused_with_its_line(text: str, line: int | None, word: str) -> None:
    with pytest.raises(UsageError) as caught:
        policy_from_text(text)

    assert word in caught.value.message
    if line is not None:
        assert f"line {line}" in caught.value.message


def test_a_hostile_key_is_shown_harmlessly() -> None:
    with pytest.raises(UsageError) as caught:
        policy_from_text(HEAD + '"\\u001b[31m<script>" = 1')

    assert "\x1b" not in caught.value.message


@pytest.mark.parametrize("content", [None, b"\xff\xfe", b"#" * (2 << 20)])
def test_what_is_no_policy_file_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "parity.toml"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(UsageError, match=r"parity\.toml"):
        read_policy(path)


def test_the_example_of_the_documentation_is_a_policy() -> None:
    text = (ROOT / "docs" / "ci.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)

    policy = policy_from_text(example)

    assert len(policy.thresholds) == len(
        [side for table in tomllib.loads(example)["artifacts"].values() for side in table.values()]
    )
