"""How hard to keep the accuracy, as the command line takes it."""

import argparse
from pathlib import Path

import pytest

from edgeconv.cli import export, main, search
from edgeconv.cli.arguments import duration
from edgeconv.quantize import recipe_to_text
from edgeconv.types import Qat, Recipe


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90.0), ("90s", 90.0), ("5m", 300.0), ("1.5h", 5400.0), ("2min", 120.0)],
)
def test_a_time_is_read_as_people_write_it(text: str, seconds: float) -> None:
    assert duration(text) == seconds


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--effort", "thorough"], "invalid choice: 'thorough'"),
        (["--budget", "soon"], "'soon' is no time such as 90s or 5m"),
        (["--budget", "0s"], "'0s' is no time"),
        (["--budget", "-5"], "'-5' is no time"),
        (["--budget", "1e9"], "'1e9' is no time"),
        (["--budget", "9" * 5000], "is no time"),
        (["--max-size-mb", "0"], "'0' is no number above 0"),
        (["--max-latency-ms", "nan"], "'nan' is no number above 0"),
        (["--max-latency-ms", "inf"], "'inf' is no number above 0"),
        (["--fp32", "--effort", "best"], "searches among int8 models, and fp32 is asked for"),
        (["--int16x8", "--effort", "balanced"], "and int16x8 is asked for"),
        (["--effort", "fast", "--budget", "90s"], "--budget is the time of a search"),
        (["--fp16", "--budget", "90s"], "--budget is the time of a search"),
        (["--recipe", "recipe.toml", "--effort", "best"], "and recipe.toml is one."),
        (["--recipe", "recipe.toml", "--budget", "90s"], "and here the recipe is given"),
        (["--fp32", "--qat"], "--qat trains int8 weights, and fp32 is asked for"),
        (["--dynamic", "--qat"], "and dynamic is asked for"),
        (["--qat-epochs", "3"], "nothing is trained"),
        (["--qat", "--qat-epochs", "0"], "'0' is no whole number from 1 to 1000"),
        (["--qat", "--qat-epochs", "two"], "'two' is no whole number"),
        (["--qat", "--calibration", "none"], "can't be trained on a few dozen synthesised inputs"),
    ],
)
def test_an_order_that_makes_no_sense_is_refused_in_one_line(
    options: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "recipe.toml").write_text(recipe_to_text(Recipe()))

    assert main(["export", "mobilenetv2", *options]) == 2
    error = capfd.readouterr().err.splitlines()
    assert message in error[0]
    assert len(error) <= 2, "one line for the cause, one for the remedy"
    assert [path.name for path in tmp_path.iterdir()] == ["recipe.toml"]


@pytest.mark.parametrize(
    ("recipe", "options", "message"),
    [
        (Recipe(qat=Qat(epochs=4)), ["--qat", "--qat-epochs", "5"], "contradicts trained.toml"),
        (Recipe(qat=Qat()), ["--calibration", "none"], "can't be trained"),
        (Recipe("fp32", qat=Qat()), [], "The recipe trains int8 weights ([qat])"),
    ],
)
def test_a_recipe_that_trains_nothing_is_refused_in_one_line(
    recipe: Recipe,
    options: list[str],
    message: str,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    file = tmp_path / "trained.toml"
    file.write_text(recipe_to_text(recipe))

    assert main(["export", "mobilenetv2", "--recipe", str(file), *options]) == 2
    error = capfd.readouterr().err.splitlines()
    assert message in error[0]
    assert len(error) <= 2, "one line for the cause, one for the remedy"


def test_a_pass_that_does_not_exist_is_refused_before_the_model_is_looked_for(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "recipe.toml"
    file.write_text(recipe_to_text(Recipe(passes=("sharpen",))))

    assert main(["export", str(tmp_path / "absent.keras"), "--recipe", str(file)]) == 2
    error = capfd.readouterr().err.splitlines()
    assert "There is no pass 'sharpen'." in error[0] and "equalize" in error[1]


@pytest.mark.parametrize(
    ("options", "recipe", "rung"),
    [
        (["--qat"], None, Qat()),
        (["--qat", "--qat-epochs", "3", "--seed", "7"], None, Qat(epochs=3, seed=7)),
        (["--qat", "--effort", "fast"], Qat(), None),
        ([], None, None),
    ],
)
def test_training_is_a_rung_unless_nothing_is_searched_for(
    options: list[str], recipe: Qat | None, rung: Qat | None
) -> None:
    parser = argparse.ArgumentParser()
    export.configure(parser)
    args = parser.parse_args(["mobilenetv2", *options])
    order = search.order(args, Recipe())

    assert (order["recipe"].qat, order["qat"]) == (recipe, rung)
