"""What a bundle tells of its recipe, and what is refused of an account by anyone."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from edgeconv.errors import RefusedInput, UsageError
from edgeconv.package import explain
from tests import bundles

ACCOUNT: dict[str, Any] = {
    "schema_version": 1,
    "effort": "balanced",
    "ended": "held",
    "calibrated_on": 192,
    "held_back": 48,
    "rungs": [{"name": "plain int8", "what": "", "kept": True, "failed": "", "artifacts": []}],
    "layers": [{"name": "a[1]", "formats": ["onnx"], "alone_db": 3.25, "without_db": 40.0}],
}


def sealed(folder: Path, account: object, scopes: object = ()) -> Path:
    """A real bundle with this account in it, and these scopes in its manifest."""
    bundle = bundles.make_bundle(folder)
    manifest = json.loads((bundle / "manifest.json").read_text())
    manifest["recipe"]["scopes"], manifest["precision"] = scopes, "int8"
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    text = account if isinstance(account, str) else json.dumps(account)
    (bundle / "recovery.json").write_text(text)
    names = sorted({p.name for p in bundle.iterdir()} - {"SHA256SUMS"})
    lines = [f"{hashlib.sha256((bundle / n).read_bytes()).hexdigest()}  {n}\n" for n in names]
    (bundle / "SHA256SUMS").write_text("".join(lines))
    return bundle


def test_a_layer_in_float_is_named_with_its_reason(tmp_path: Path) -> None:
    scopes = [
        {"layers": "a[[]1]", "precision": "fp32", "format": "onnx", "calibrator": None},
        {"layers": "b*", "precision": "fp32", "format": None, "calibrator": None},
        {"layers": "*", "precision": None, "format": "tflite", "calibrator": "mse"},
    ]
    found = explain(sealed(tmp_path, ACCOUNT, scopes))

    assert [(each["name"], each["format"]) for each in found["layers"]] == [
        ("a[1]", "onnx"),
        ("b*", None),
    ]
    first, second = (each["why"] for each in found["layers"])
    assert first == "where it alone is int8, the output has 3.2 dB; where all but it are, 40.0 dB"
    assert second == "the recipe asked for it before the search"
    assert found["recovery"] == ACCOUNT


def test_a_gate_in_float_is_told_by_its_rung(tmp_path: Path) -> None:
    kept = {"name": "gates in float", "what": "gates keep float", "kept": True, "layers": ["g"]}
    lost = {**kept, "what": "no", "kept": False, "layers": ["h", 1]}
    rungs = [{**rung, "failed": "", "artifacts": []} for rung in (kept, lost)]
    scopes = [{"layers": name, "precision": "fp32", "format": None} for name in ("g", "h")]
    found = explain(sealed(tmp_path, {**ACCOUNT, "rungs": rungs}, scopes))

    assert [each["why"] for each in found["layers"]] == [
        "gates keep float (gates in float)",
        "the recipe asked for it before the search",
    ]


def test_layers_that_were_asked_together_are_told_so(tmp_path: Path) -> None:
    row = {"name": "a", "formats": ["onnx"], "alone_db": 14.0, "without_db": None, "together": 17}
    scopes = [{"layers": "a", "precision": "fp32", "format": None}]
    found = explain(sealed(tmp_path, {**ACCOUNT, "layers": [row]}, scopes))

    why = "where 17 layers in a row alone are int8, the output has 14.0 dB"
    assert (found["layers"][0]["why"], found["layers"][0]["together"]) == (why, 17)


def test_a_bundle_without_a_search_has_no_account(tmp_path: Path) -> None:
    found = explain(bundles.make_bundle(tmp_path))

    assert found["recovery"] is None and found["layers"] == []


@pytest.mark.parametrize(
    "account",
    [
        "{",
        "[" * 100_000,
        {**ACCOUNT, "layers": [{"name": []}]},
        {**ACCOUNT, "layers": [{"name": "a", "alone_db": 10**400}]},
        {**ACCOUNT, "layers": [{"name": "a", "together": 10**40}]},
        json.dumps(ACCOUNT).replace("3.25", "NaN"),
        json.dumps(ACCOUNT).replace("3.25", "1e999"),
        [],
        {},
        {**ACCOUNT, "schema_version": 2},
        {**ACCOUNT, "rungs": {}},
        {**ACCOUNT, "rungs": [1]},
        {**ACCOUNT, "rungs": [{"artifacts": [[]]}]},
        {**ACCOUNT, "layers": None},
    ],
)
def test_what_is_no_account_is_refused(tmp_path: Path, account: object) -> None:
    with pytest.raises(RefusedInput, match=r"recovery\.json"):
        explain(sealed(tmp_path, account))


def test_a_changed_account_is_refused(tmp_path: Path) -> None:
    bundle = sealed(tmp_path, ACCOUNT)
    (bundle / "recovery.json").write_text(json.dumps({**ACCOUNT, "ended": "tried"}))

    with pytest.raises(RefusedInput, match="damaged or changed"):
        explain(bundle)


def test_no_bundle_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no bundle folder"):
        explain(tmp_path / "none")
