"""What an integer artifact computes in float stands in the report with its reason."""

from edgeconv.report.sections.details import _exceptions


def found(operator: str, layer: str, why: str) -> dict[str, str]:
    return {"operator": operator, "layer": layer, "why": why}


def test_layers_of_one_operator_and_reason_share_a_line_and_many_are_counted() -> None:
    entry = {"exceptions": [found("ROUND", f"round_{n}", "No kernel.") for n in range(6)]}

    text = _exceptions(entry)

    assert text.count("<li>") == 1
    assert "ROUND in round_0, round_1, round_2, round_3 and 2 more: No kernel." in text


def test_an_older_or_damaged_manifest_has_none() -> None:
    for entry in ({}, {"exceptions": None}, {"exceptions": "x"}, {"exceptions": [1]}):
        assert _exceptions(entry) == ""


def test_names_from_a_manifest_are_text_not_markup() -> None:
    assert "<b>" not in _exceptions({"exceptions": [found("<b>", "<b>", "<b>")]})
