"""The making of the emulated device, as far as it goes without a network."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from edgeconv.device import emulated
from edgeconv.device.emulated import EMULATED_ENGINES, find_environment, prepare
from edgeconv.device.transports.qemu import Qemu
from edgeconv.errors import HostFailure, MissingDependency, RefusedInput, Unsupported
from edgeconv.progress import Silent


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Puts a program of a given script into an otherwise empty search path."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("EDGECONV_DEVICE_CACHE", str(tmp_path / "cache"))

    def make(name: str, script: str = "exit 0") -> None:
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)

    return make


def test_without_an_emulator_nothing_is_fetched(
    program: Callable[[str, str], None], tmp_path: Path
) -> None:
    with pytest.raises(MissingDependency) as caught:
        prepare(Silent())
    assert "qemu-user-static" in caught.value.hint
    assert not (tmp_path / "cache").exists()


def test_a_system_without_apt_is_told_what_it_lacks(program: Callable[..., None]) -> None:
    program("qemu-aarch64-static")
    with pytest.raises(MissingDependency, match="apt-get"):
        prepare(Silent())


def test_a_package_that_apt_can_t_find_is_named_and_nothing_is_left(
    program: Callable[..., None], tmp_path: Path
) -> None:
    program("qemu-aarch64-static")
    program(
        "apt-get",
        'case "$*" in *update) exit 0;; esac; echo "E: Unable to locate package x" >&2; exit 100',
    )
    with pytest.raises(HostFailure, match="Unable to locate package x") as caught:
        prepare(Silent())
    assert "bookworm" in caught.value.hint
    assert list((tmp_path / "cache").iterdir()) == []


def test_apt_works_on_lists_and_a_cache_of_its_own(
    program: Callable[..., None], tmp_path: Path
) -> None:
    """No setting may lead to the machine's own state, which needs root."""
    program("qemu-aarch64-static")
    program("apt-get", f'printf "%s\\n" "$@" >{tmp_path}/words; exit 1')
    with pytest.raises(HostFailure):
        prepare(Silent())
    words = (tmp_path / "words").read_text().splitlines()
    assert "-oAPT::Architecture=arm64" in words
    for setting in ("Dir::State", "Dir::State::Lists", "Dir::State::status", "Dir::Cache"):
        (word,) = [word for word in words if word.startswith(f"-o{setting}=")]
        assert word.startswith(f"-o{setting}={tmp_path / 'cache'}/")


@pytest.fixture
def made(program: Callable[..., None]) -> Path:
    """The folder that ``prepare`` would have filled."""
    program("qemu-aarch64-static")
    folder = emulated._folder()
    folder.mkdir(parents=True, mode=0o700)
    return folder


def test_each_engine_has_libraries_of_its_own(made: Path) -> None:
    device = Qemu()
    for engine in EMULATED_ENGINES:
        words = device.python(engine)
        assert f"PYTHONPATH={made / engine}" in words
        assert words[-1] == str(made / "root/usr/bin/python3.11")
    assert device.python() == device.python("litert")
    with pytest.raises(Unsupported):
        device.python("onnxruntime")


def test_what_others_may_change_is_not_run(made: Path) -> None:
    assert find_environment() == made
    for mode in (0o770, 0o707):
        made.chmod(mode)
        with pytest.raises(RefusedInput, match="Others may write"):
            find_environment()
