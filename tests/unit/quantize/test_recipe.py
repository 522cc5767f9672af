"""recipe.toml: what users commit, diff and misspell."""

from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeconv.errors import EdgeconvError, RefusedInput, UsageError
from edgeconv.quantize.recipe import read_recipe, recipe_from_text, recipe_to_text
from edgeconv.types import Calibrator, Qat, Recipe, Scope

CALIBRATORS = st.sampled_from(get_args(Calibrator))
PRECISIONS = st.sampled_from(["fp32", "fp16", "dynamic", "int8", "int16x8"])
FORMATS = st.sampled_from([None, "tflite", "onnx"])
LAYERS = st.text(st.characters(codec="utf-8"), min_size=1)
SCOPES = st.builds(Scope, LAYERS, PRECISIONS, st.none() | CALIBRATORS, FORMATS) | st.builds(
    Scope, LAYERS, st.none(), CALIBRATORS, FORMATS
)
QATS = st.builds(
    Qat,
    epochs=st.integers(1, 1000),
    learning_rate=st.floats(0.0, 1.0, exclude_min=True),
    seed=st.integers(0, 2**32 - 1),
)
RECIPES = st.builds(
    Recipe,
    precision=PRECISIONS,
    calibrator=CALIBRATORS,
    percentile=st.floats(50.0, 100.0, exclude_min=True),
    passes=st.lists(st.from_regex(r"[a-z][a-z0-9_]{0,20}", fullmatch=True)).map(tuple),
    scopes=st.lists(SCOPES, max_size=4).map(tuple),
    onnx_activations=st.sampled_from(["unsigned", "signed"]),
    keep_softmax=st.booleans(),
    qat=st.none() | QATS,
)


@given(RECIPES)
def test_every_recipe_survives_its_own_text(recipe: Recipe) -> None:
    assert recipe_from_text(recipe_to_text(recipe)) == recipe


def test_layers_with_the_same_numbers_stand_in_one_list() -> None:
    scopes = (Scope("a", "fp32"), Scope("b", "fp32"), Scope("c", "fp32", format="onnx"))
    text = recipe_to_text(Recipe(scopes=scopes))

    assert text.count("\n[[scopes]]") == 2
    assert (
        recipe_from_text('[[scopes]]\nlayers = ["a", "b"]\nprecision = "fp32"').scopes == scopes[:2]
    )


def test_missing_keys_have_the_defaults() -> None:
    assert recipe_from_text("") == Recipe()
    assert recipe_from_text('precision = "fp16"') == Recipe(precision="fp16")


def test_a_misspelt_key_is_refused_with_the_right_one_named() -> None:
    with pytest.raises(UsageError, match="calibratr") as caught:
        recipe_from_text('calibratr = "minmax"')
    assert "'calibrator'" in caught.value.hint


@pytest.mark.parametrize(
    "text",
    [
        'precision = "int4"',
        "precision = 8",
        "percentile = 101",
        "percentile = 50",
        "percentile = nan",
        "percentile = true",
        'passes = "lift_channels"',
        'passes = ["../evil"]',
        "keep_softmax = 1",
        "qat = true",
        "[qat]\nepochs = 0",
        "[qat]\nepochs = 2.5",
        "[qat]\nlearning_rate = 0",
        "[qat]\nlearning_rate = inf",
        "[qat]\nseed = -1",
        "[qat]\nepoch = 3",
        'scopes = "block"',
        '[[scopes]]\nprecision = "fp32"',
        '[[scopes]]\nlayers = []\nprecision = "fp32"',
        '[[scopes]]\nlayers = ["a", 1]\nprecision = "fp32"',
        '[[scopes]]\nlayers = "a"\nprecision = "int4"',
        '[[scopes]]\nlayers = "a"\nprecision = "fp32"\nbits = 4',
        '[[scopes]]\nlayers = "a"',
        '[[scopes]]\nlayers = "a"\nformat = "onnx"',
        '[[scopes]]\nlayers = "a"\nprecision = "fp32"\nformat = "coreml"',
        '[[scopes]]\nlayers = "a"\ncalibrator = "mean"',
        "schema_version = 2",
    ],
)
def test_a_value_that_can_not_be_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        recipe_from_text(text, "my.toml")
    assert "my.toml" in caught.value.message


@pytest.mark.parametrize("text", ["precision = ", "= 1", "[" * 10_000 + "]" * 10_000])
def test_text_that_is_no_toml_is_refused(text: str) -> None:
    with pytest.raises(EdgeconvError):
        recipe_from_text(text)


def test_a_file_is_read_within_bounds(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(recipe_to_text(Recipe(precision="fp16")))
    assert read_recipe(path) == Recipe(precision="fp16")
    path.write_bytes(b"#" * (1 << 21))
    with pytest.raises(RefusedInput, match="too many"):
        read_recipe(path)
    path.write_bytes(b"\xff")
    with pytest.raises(RefusedInput, match="UTF-8"):
        read_recipe(path)
    with pytest.raises(UsageError, match="no recipe file"):
        read_recipe(tmp_path / "absent.toml")
