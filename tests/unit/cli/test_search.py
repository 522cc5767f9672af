"""How hard to keep the accuracy, as the command line takes it."""

from pathlib import Path

import pytest

from edgeconv.cli import main
from edgeconv.cli.arguments import duration
from edgeconv.quantize import recipe_to_text
from edgeconv.types import Recipe


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
    ],
)
def test_an_order_that_makes_no_sense_is_refused_in_one_line(
    options: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "recipe.toml").write_text(recipe_to_text(Recipe()))

    assert main(["export", "mobilenetv2", *options]) == 2
    error = capsys.readouterr().err.splitlines()
    assert message in error[0]
    assert len(error) <= 2, "one line for the cause, one for the remedy"
    assert [path.name for path in tmp_path.iterdir()] == ["recipe.toml"]
