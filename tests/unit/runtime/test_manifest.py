"""manifest.json: what is written is what is read, and nothing odd gets through."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeconv.errors import EdgeconvError, RefusedInput, Unsupported
from edgeconv.package.manifest import build_manifest, json_bytes
from edgeconv.runtime.manifest import parse_manifest
from edgeconv.types import Artifact, Recipe, TensorSpec
from tests import bundles

QUANTIZED = TensorSpec("image", (1, 8, 8, 3), "int8", 0.0078125, -1)
ARTIFACT = Artifact(
    format="tflite",
    precision="int8",
    path=Path("unused"),
    sha256="0" * 64,
    size_bytes=3,
    inputs=(QUANTIZED,),
    outputs=(TensorSpec("logits", (1, 10), "int8", 0.1, 5),),
    recipe=Recipe(),
    operators={"CONV_2D": 2},
    float_operators={},
)


def document(**changes: Any) -> dict[str, Any]:
    built = build_manifest(
        bundles.source(), [ARTIFACT], Recipe(), {"model.tflite": 0.5}, {"a": "1"}
    )
    return {**json.loads(json_bytes(built)), **changes}


def test_what_package_writes_is_what_the_runtime_reads() -> None:
    manifest = parse_manifest(json_bytes(document()))
    assert manifest.name == "tiny"
    assert manifest.precision == "int8"
    assert manifest.preprocess == bundles.PREPROCESS
    assert manifest.inputs == (bundles.INPUT,)
    assert manifest.artifacts[0].inputs == ARTIFACT.inputs
    assert manifest.artifacts[0].operators == {"CONV_2D": 2}
    assert manifest.labels == "labels.txt"
    assert manifest.tolerance == {"model.tflite": 0.5}
    assert manifest.recipe["calibrator"] == "percentile"


def test_paths_of_the_machine_stay_at_home() -> None:
    origin = {"file": "/home/me/m.keras", "win": "C:\\a\\b.h5", "list": [Path("/x/y")], "n": 1}
    built = build_manifest(bundles.source(provenance=origin), [ARTIFACT], Recipe(), {}, {})
    expected = {"file": "m.keras", "win": "b.h5", "list": ["y"], "n": 1}
    assert built["provenance"] == expected


def test_unknown_keys_are_passed_over_and_a_newer_schema_is_not() -> None:
    assert parse_manifest(json_bytes(document(later="x"))).name == "tiny"
    with pytest.raises(Unsupported, match="schema_version 2") as caught:
        parse_manifest(json_bytes({"schema_version": 2}))
    assert "Update edgeconv" in caught.value.hint


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "a\x1b[2J"},
        {"name": ""},
        {"name": 3},
        {"task": "magic"},
        {"activation": None},
        {"labels": 1},
        {"preprocess": {"kind": "image", "surprise": 1}},
        {"preprocess": []},
        {"inputs": []},
        {"inputs": [3]},
        {"inputs": [{"name": "x", "shape": [], "dtype": "int8"}]},
        {"inputs": [{"name": "x", "shape": [0], "dtype": "int8"}]},
        {"inputs": [{"name": "x", "shape": [2**40], "dtype": "int8"}]},
        {"inputs": [{"name": "x", "shape": [1] * 99, "dtype": "int8"}]},
        {"inputs": [{"name": "x", "shape": [1.5], "dtype": "int8"}]},
        {"inputs": [{"name": "x", "shape": [True], "dtype": "int8"}]},
        {"inputs": [{"name": "x", "shape": [1], "dtype": "object"}]},
        {"inputs": [{"name": "x", "shape": [1], "dtype": "no such"}]},
        {"inputs": [{"name": "x", "shape": [1], "dtype": "int8", "scale": 0.1}]},
        {"inputs": [{"name": "x", "shape": [1], "dtype": "int8", "scale": 0, "zero_point": 0}]},
        {"inputs": [{"name": "x", "shape": [1], "dtype": "int8", "scale": -1, "zero_point": 0}]},
        {"artifacts": {}},
        {"artifacts": [{}]},
        {"golden": {"file": "golden.npz", "tolerance": {"model.tflite": True}}},
        {"golden": {"file": "golden.npz", "tolerance": {"model.tflite": 10**400}}},
        {"golden": []},
        {"schema_version": "1"},
        {"schema_version": True},
        {"schema_version": -1},
    ],
    ids=str,
)
def test_a_manifest_that_makes_no_sense_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(RefusedInput):
        parse_manifest(json.dumps(document(**changes)).encode())


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"\xff", b"{", b"[" * 100_000, b'{"schema_version": NaN}', b"null"]
)
def test_other_text_is_refused(data: bytes) -> None:
    with pytest.raises(RefusedInput):
        parse_manifest(data)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


@given(st.sampled_from(sorted(document())), JSON)
def test_no_value_anywhere_brings_a_traceback(key: str, value: Any) -> None:
    try:
        parse_manifest(json.dumps(document(**{key: value})).encode())
    except EdgeconvError as error:
        assert error.exit_code in (3, 4)
