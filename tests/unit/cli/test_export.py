import argparse

import pytest

from edgeconv.cli import export
from edgeconv.errors import UsageError
from edgeconv.quantize import recipe_to_text
from edgeconv.types import Recipe


def recipe_of(*arguments):
    parser = argparse.ArgumentParser()
    export.configure(parser)
    return export._request(parser.parse_args(["squeezenet11", *arguments])).recipe


@pytest.mark.parametrize("name", ["minmax", "percentile", "mse", "entropy", "trimmed"])
def test_calibrator_is_what_the_recipe_says_then(name):
    assert recipe_of("--calibrator", name) == Recipe(calibrator=name)
    assert recipe_of("--calibrator", name, "--device", "raspberrypi4").calibrator == name


def test_without_calibrator_the_recipe_is_the_default():
    assert recipe_of() == Recipe()


def test_a_calibrator_that_the_recipe_file_contradicts_is_refused(tmp_path):
    file = tmp_path / "recipe.toml"
    file.write_text(recipe_to_text(Recipe(calibrator="mse")))
    assert recipe_of("--recipe", str(file), "--calibrator", "mse").calibrator == "mse"
    with pytest.raises(UsageError, match=r"--calibrator contradicts recipe.toml, which says mse"):
        recipe_of("--recipe", str(file), "--calibrator", "entropy")
    with pytest.raises(UsageError, match=r"--fp16 contradicts recipe.toml, which says int8"):
        recipe_of("--recipe", str(file), "--fp16")
