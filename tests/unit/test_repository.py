"""What must hold for the repository itself: set-up files, pins, and what stays out of it."""

import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import edgeconv

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PIN = re.compile(r"([a-z0-9][a-z0-9.-]*)==([0-9][0-9a-z.]*)")

TOP_LEVEL = {
    *(".ci", ".github", ".gitignore", "Makefile", "pyproject.toml", "constraints.txt"),
    *("README.md", "action.yml", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "docs"),
    *("edgeconv", "tests", "benchmarks", "calibration", "devices"),
}


@pytest.fixture(scope="module")
def tracked() -> list[str]:
    """Paths that git knows, relative to the root."""
    command = ["git", "-C", str(ROOT), "ls-files", "-z"]
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("git is not installed")
    if done.returncode:
        pytest.skip("this copy of the sources is no git checkout")
    return [path for path in done.stdout.split("\0") if path and (ROOT / path).is_file()]


def _pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    matches = [PIN.fullmatch(line) for line in pins]
    assert all(matches), f"not NAME==VERSION: {pins[matches.index(None)]!r}"
    return {match[1]: match[2] for match in matches if match}


def _requirements(*extras: str) -> list[Requirement]:
    optional = PROJECT["project"]["optional-dependencies"]
    texts = [*PROJECT["project"]["dependencies"], *(t for extra in extras for t in optional[extra])]
    return [Requirement(text) for text in texts]


def test_the_top_level_is_what_the_design_draws(tracked: list[str]) -> None:
    assert {path.partition("/")[0] for path in tracked} <= TOP_LEVEL


def test_a_fresh_clone_has_what_the_wheel_takes(tracked: list[str]) -> None:
    for place in PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]:
        held = any(path == place or path.startswith(f"{place}/") for path in tracked)
        assert held, f"{place} is no file, and no folder with one"


def test_constraints_are_sorted_and_unique() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    names = [line.partition("==")[0] for line in lines if not line.startswith("#")]
    assert names == sorted(set(names))


def test_every_direct_dependency_is_pinned_inside_its_range() -> None:
    pins = _pins()
    for requirement in _requirements("convert", "dev"):
        name = canonicalize_name(requirement.name)
        if name == "edgeconv":
            continue
        assert name in pins, f"{name} is not in constraints.txt"
        assert requirement.specifier.contains(pins[name]), f"{name}=={pins[name]} is out of range"


def test_every_dependency_says_why_it_is_there() -> None:
    text = (ROOT / "pyproject.toml").read_text()
    section = text[text.index("\ndependencies = [") : text.index("\n[project.scripts]")]
    lines = [
        line for line in section.splitlines() if re.search(r'"[\w.-]+(\[[\w,]+\])?[<>=!~;]', line)
    ]
    assert len(lines) >= len(_requirements("convert"))
    assert [line for line in lines if "# " not in line] == []


def test_the_changelog_begins_with_this_version() -> None:
    first = re.search(r"^## \[(\d[^\]]*)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert first and first[1] == edgeconv.__version__


def test_the_readme_and_ci_give_the_same_commands() -> None:
    readme, ci = ((ROOT / name).read_text() for name in ("README.md", ".ci/run"))
    makefile = (ROOT / "Makefile").read_text()
    for target in ("demo", "test", "test-long"):
        assert re.search(rf"^\s*make {target}\b(?!-)", readme, re.MULTILINE), target
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
    for target in ("test", "test-long"):
        assert re.search(rf"^make {target}$", ci, re.MULTILINE), target
    assert ".ci/run" in (ROOT / ".github/workflows/ci.yml").read_text()
    assert os.access(ROOT / ".ci/run", os.X_OK)


def _offences(tracked: list[str], needles: list[str]) -> list[str]:
    found = []
    for path in tracked:
        content = (ROOT / path).read_bytes()
        found += [f"{path}: {needle}" for needle in needles if needle.encode() in content]
    return found


def test_no_tracked_file_names_a_package_registry(tracked: list[str]) -> None:
    # In two parts, so that this file may be among those that are searched.
    needles = [
        "pypi" + ".org",
        "python" + "hosted.org",
        "--index" + "-url",
        "--extra-index" + "-url",
    ]
    assert _offences(tracked, needles) == []


def test_no_tracked_file_names_a_path_of_one_machine(tracked: list[str]) -> None:
    homes = {f"{ROOT.parent}/", f"{Path.home()}/", "/" + "root/"}
    assert _offences(tracked, [home for home in homes if len(home) > len("/a/")]) == []
