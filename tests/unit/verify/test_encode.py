"""verdict.json: the contract, its rounding, and a reader that trusts nobody."""

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeconv.errors import RefusedInput
from edgeconv.types import ArtifactVerdict, Check, Interval, Verdict
from edgeconv.verify.encode import (
    verdict_from_json,
    verdict_from_text,
    verdict_to_json,
    verdict_to_text,
)
from edgeconv.verify.paired import paired_drop


def verdict(metrics=None, **rest):
    values = {
        "file": "model.tflite",
        "format": "tflite",
        "precision": "int8",
        "status": "inconclusive",
        "equivalent": False,
        "reason": "top-1 drop 0.8 points …",
        "metrics": metrics
        or {
            "top1": 82.4,
            "top1_drop": paired_drop(8, 6, 250),
            "mean_kl": 0.0123456789,
            "sqnr_db": None,
        },
        "needed": 1873,
        "layers": ({"name": "block_1", "sqnr_db": 12.345678901},),
        "gated": "top1_drop",
        "limit": 1.0,
    }
    return Verdict("inconclusive", 250, "top-1 …", (ArtifactVerdict(**{**values, **rest}),))


def test_the_file_has_the_contract_s_fields():
    document = json.loads(verdict_to_text(verdict()))
    assert document["schema_version"] == 1
    assert document["status"] == "inconclusive" and document["samples"] == 250
    (artifact,) = document["artifacts"]
    assert {"file", "format", "precision", "status", "equivalent", "metrics", "layers"} <= set(
        artifact
    )
    assert artifact["metrics"]["top1"] == 82.4
    assert set(artifact["metrics"]["top1_drop"]) == {"estimate", "ci95", "upper95", "lower95"}
    assert artifact["metrics"]["top1_drop"]["estimate"] == 0.8
    assert artifact["metrics"]["sqnr_db"] is None


def test_numbers_keep_six_digits():
    document = verdict_to_json(verdict())
    (artifact,) = document["artifacts"]
    assert artifact["metrics"]["mean_kl"] == 0.0123457
    assert artifact["layers"] == [{"name": "block_1", "sqnr_db": 12.3457}]


def test_the_last_bits_of_a_sum_do_not_change_the_file():
    assert verdict_to_text(verdict({"mean_kl": 0.1 + 0.2})) == verdict_to_text(
        verdict({"mean_kl": 0.3})
    )
    assert verdict_to_text(verdict({"top1": -0.0})) == verdict_to_text(verdict({"top1": 0.0}))


def test_writing_what_was_read_gives_the_same_bytes():
    text = verdict_to_text(verdict())
    assert verdict_to_text(verdict_from_text(text)) == text
    assert verdict_from_text(text) == verdict_from_text(text.encode())


CHECKS = (
    Check("top1_drop", 1.0, True, "inconclusive", "undecided", 1873),
    Check("agreement_interval", 90.0, False, "pass", "kept"),
)
LAYER = {
    "name": "block_1",
    "sqnr_db": None,
    "jump": True,
    "activation": {"low": -1.23456789, "representable": [-1.0, 1.0]},
    "histograms": {"weights": {"low": 0.0, "high": 1.0, "counts": [1, 2]}},
}


def test_checks_suspicions_and_nested_layers_come_back():
    said = {"suspicions": ("Looks …",), "evidence": ("KL …",)}
    text = verdict_to_text(verdict(checks=CHECKS, layers=(LAYER,), **said))

    (artifact,) = verdict_from_text(text).artifacts
    assert artifact.checks == CHECKS
    assert (artifact.suspicions, artifact.evidence) == (("Looks …",), ("KL …",))
    (layer,) = artifact.layers
    assert layer["activation"] == {"low": -1.23457, "representable": [-1.0, 1.0]}
    assert layer["histograms"] == LAYER["histograms"]


def test_numbers_deep_inside_a_layer_that_are_not_finite_are_null():
    layer = {"name": "a", "weights": {"ratio": math.inf, "low": [math.nan]}}
    (written,) = verdict_to_json(verdict(layers=(layer,)))["artifacts"][0]["layers"]
    assert written["weights"] == {"ratio": None, "low": [None]}


def test_a_verdict_from_before_there_were_checks_is_read():
    document = json.loads(verdict_to_text(verdict()))
    for name in ("checks", "suspicions", "evidence"):
        del document["artifacts"][0][name]
    (artifact,) = verdict_from_json(document).artifacts
    assert (artifact.checks, artifact.suspicions, artifact.evidence) == ((), (), ())


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("suspicions", [1]),
        ("suspicions", "text"),
        ("evidence", [1]),
        ("checks", [{}]),
        ("checks", [{"metric": "a", "limit": 1, "at_most": 1, "status": "pass"}]),
        (
            "checks",
            [
                {
                    "metric": "a",
                    "limit": 1e999,
                    "at_most": True,
                    "status": "pass",
                    "reason": "",
                    "needed": None,
                }
            ],
        ),
    ],
)
def test_damaged_checks_and_suspicions_are_refused(field, value):
    document = json.loads(verdict_to_text(verdict()))
    document["artifacts"][0][field] = value
    with pytest.raises(RefusedInput):
        verdict_from_json(document)


@given(
    st.dictionaries(
        st.text(max_size=8),
        st.one_of(
            st.none(),
            st.floats(allow_nan=False, min_value=-1e200, max_value=1e200),
            st.builds(
                Interval,
                st.floats(-100, 100),
                st.tuples(st.floats(-100, 100), st.floats(-100, 100)),
                st.floats(-100, 100),
                st.floats(-100, 100),
            ),
        ),
        min_size=1,
        max_size=4,
    )
)
@settings(max_examples=100, deadline=None)
def test_a_second_round_trip_changes_nothing(metrics):
    once = verdict_from_text(verdict_to_text(verdict(metrics)))
    assert verdict_from_text(verdict_to_text(once)) == once


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_null(value):
    assert verdict_to_json(verdict({"top1": value}))["artifacts"][0]["metrics"]["top1"] is None


def edited(path, value):
    document = json.loads(verdict_to_text(verdict()))
    *parents, last = path
    place = document
    for key in parents:
        place = place[key]
    place[last] = value
    return document


A = ("artifacts", 0)
DROP = (*A, "metrics", "top1_drop")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("schema_version",), 2),
        (("schema_version",), True),
        (("status",), "great"),
        (("status",), None),
        (("samples",), "250"),
        (("samples",), 1.5),
        (("gate",), 3),
        (("artifacts",), {}),
        (A, []),
        (A, None),
        (("extra",), 1),
        ((*A, "extra"), 1),
        ((*A, "format"), "pickle"),
        ((*A, "precision"), "int4"),
        ((*A, "status"), "PASS"),
        ((*A, "equivalent"), 1),
        ((*A, "file"), None),
        ((*A, "needed"), 1.5),
        ((*A, "needed"), True),
        ((*A, "limit"), "1"),
        ((*A, "limit"), 10**400),
        ((*A, "metrics"), []),
        ((*A, "metrics", "top1"), "83"),
        ((*A, "metrics", "top1"), True),
        ((*A, "metrics", "top1"), [1]),
        ((*A, "metrics", "top1"), 10**400),
        (DROP, {}),
        ((*DROP, "ci95"), [1]),
        ((*DROP, "ci95"), [1, "2"]),
        ((*DROP, "ci95"), 3),
        ((*DROP, "estimate"), None),
        ((*DROP, "more"), 1),
        ((*A, "layers"), {}),
        ((*A, "layers"), [3]),
    ],
)
def test_a_document_that_is_no_verdict_is_refused(path, value):
    with pytest.raises(RefusedInput) as refusal:
        verdict_from_json(edited(path, value))
    assert "\n" not in refusal.value.message and len(refusal.value.message) < 200


@pytest.mark.parametrize("field", ["schema_version", "status", "samples", "gate", "artifacts"])
def test_a_missing_field_is_refused_by_name(field):
    document = json.loads(verdict_to_text(verdict()))
    del document[field]
    with pytest.raises(RefusedInput, match=field):
        verdict_from_json(document)


@pytest.mark.parametrize(
    "text",
    ["", "[]", "3", "null", "{", "[" * 100_000, b"\xff\xfe", '{"a": NaN}', "x" * (17 * 2**20)],
)
def test_text_that_is_no_verdict_is_refused(text):
    with pytest.raises(RefusedInput):
        verdict_from_text(text)


def test_infinity_spelled_as_a_number_is_refused():
    text = verdict_to_text(verdict()).replace("82.4", "1e999")
    with pytest.raises(RefusedInput, match="top1"):
        verdict_from_text(text)
