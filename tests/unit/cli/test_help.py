import pytest

from edgeconv.cli import COMMANDS, main


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_an_example_or_says_more_than_the_options(command, capsys):
    assert main([command, "--help"]) == 0
    text = capsys.readouterr().out
    after_options = text.rpartition("tracebacks and third-party logs")[2]
    assert after_options.strip(), f"edgeconv {command} --help ends with the options"
    assert max(map(len, text.splitlines())) < 100


@pytest.mark.parametrize(
    ("arguments", "cause"),
    [
        (["export", "m", "--seed", "-1"], "'-1' is no whole number from 0 to 4294967295"),
        (["export", "m", "--seed", "x"], "'x' is no whole number"),
        (["export", "m", "--input-size", "0"], "'0' is no whole number from 1 to 8192"),
        (["export", "m", "--input-size", "2.5"], "'2.5' is no whole number"),
        (["demo", "--seed", "-1"], "'-1' is no whole number"),
        (["run", "b", "p", "--top", "0"], "'0' is no count of 1 or more"),
    ],
)
def test_a_wrong_number_is_named_with_what_would_be_right(arguments, cause, capsys):
    assert main(arguments) == 2
    line = capsys.readouterr().err.splitlines()[0]
    assert line.startswith("edgeconv: Argument --") and cause in line
