"""JUnit: every check a test case, in a file that other programs read."""

from xml.etree import ElementTree

import pytest

from edgeconv.report.junit import junit
from edgeconv.types import ArtifactVerdict, Check, Interval, Verdict
from edgeconv.verify import holds

HOSTILE = '<script>alert("1")</script>\'&\x1b[31m]]>,\nline'

#: What junit-10.xsd of Jenkins' xUnit plugin allows, as far as it is used here:
#: element -> (attributes that must be there, that may be, children).
SCHEMA = {
    "testsuites": (
        set(),
        {"name", "tests", "failures", "errors", "skipped", "time"},
        {"testsuite"},
    ),
    "testsuite": (
        {"name", "tests"},
        {"failures", "errors", "skipped", "time", "timestamp"},
        {"testcase"},
    ),
    "testcase": ({"name", "classname"}, {"time"}, {"failure", "skipped", "system-out"}),
    "failure": (set(), {"message", "type"}, set()),
    "skipped": (set(), {"message"}, set()),
}


def check(status: str, metric: str = "top1_drop", limit: float = 1.0) -> Check:
    return Check(metric, limit, at_most=True, status=status, reason=f"{metric} is {status}")


def artifact(*checks: Check, file: str = "model.tflite", **fields: object) -> ArtifactVerdict:
    worst = max((c.status for c in checks), key=["pass", "inconclusive", "fail"].index)
    inside = Interval(0.5, (-1.0, 2.0), -0.8, 1.8)
    return ArtifactVerdict(
        file=file,
        format="tflite",
        precision="int8",
        status=worst,
        equivalent=False,
        reason=checks[0].reason,
        metrics={"top1_drop": inside},
        checks=checks,
        **fields,
    )


def written(*artifacts: ArtifactVerdict, how: str = "fail", name: str = "b") -> ElementTree.Element:
    verdict = Verdict("fail", 250, "gate", artifacts)
    text = junit(verdict, name, lambda a, c: holds(a, c, how))
    assert_valid(root := ElementTree.fromstring(text.encode()))
    return root


def assert_valid(element: ElementTree.Element) -> None:
    must, may, children = SCHEMA[element.tag]
    assert must <= set(element.attrib) <= must | may, element.attrib
    for count in {"tests", "failures", "errors", "skipped"} & set(element.attrib):
        assert element.get(count, "").isdecimal()
    for child in element:
        assert child.tag in children
        assert_valid(child)


def test_every_check_is_a_test_case() -> None:
    root = written(
        artifact(check("pass"), check("fail", "mean_kl", 0.1)),
        artifact(check("pass"), file="model.onnx"),
    )

    assert [case.get("name") for case in root.iter("testcase")] == [
        "model.tflite top1_drop at most 1",
        "model.tflite mean_kl at most 0.1",
        "model.onnx top1_drop at most 1",
    ]
    (suite,) = root
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("3", "1", "0")


def test_a_failure_says_why_and_what_it_looks_like() -> None:
    layer = {"name": "conv_1", "op": "CONV_2D", "reason": "its bias differs"}
    root = written(artifact(check("fail"), suspicions=("Looks like BGR input.",), layers=(layer,)))

    (failure,) = root.iter("failure")
    assert failure.get("message") == "top1_drop is fail"
    assert "Looks like BGR input." in failure.text
    assert "conv_1: its bias differs" in failure.text


@pytest.mark.parametrize(("how", "tag"), [("fail", "failure"), ("estimate", "skipped")])
def test_an_undecided_check_fails_or_is_skipped_as_asked_for(how: str, tag: str) -> None:
    (case,) = written(artifact(check("inconclusive")), how=how).iter("testcase")

    assert [child.tag for child in case] == [tag]


def test_an_estimate_outside_its_threshold_fails_either_way() -> None:
    (case,) = written(artifact(check("inconclusive", limit=0.2)), how="estimate").iter("testcase")

    assert [child.tag for child in case] == ["failure"]


def test_hostile_names_stay_text() -> None:
    found = artifact(
        Check("top1_drop", 1.0, True, "fail", HOSTILE),
        file=HOSTILE,
        suspicions=(HOSTILE,),
        layers=({"name": HOSTILE, "op": "CONV_2D", "reason": HOSTILE},),
    )

    root = written(found, name=HOSTILE)

    assert {element.tag for element in root.iter()} == {
        "testsuites",
        "testsuite",
        "testcase",
        "failure",
    }
    everything = ElementTree.tostring(root, encoding="unicode")
    assert "\x1b" not in everything and "<script" not in everything


def test_outputs_that_cannot_be_compared_are_a_failure_too() -> None:
    lost = ArtifactVerdict("m.onnx", "onnx", "fp32", "fail", False, "answers 1,001 numbers", {})

    (failure,) = written(lost).iter("failure")

    assert failure.get("message") == "answers 1,001 numbers"
