"""A folder appears whole or not at all, and nobody else's is ever deleted."""

import errno
from pathlib import Path
from typing import Any

import pytest

from edgeconv.errors import HostFailure, UsageError
from edgeconv.package.folder import check_destination, write_folder

OLD = {"manifest.json": b"old", "SHA256SUMS": b"old", "model.tflite": b"old"}
NEW = {"manifest.json": b"new", "SHA256SUMS": b"new"}


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_missing_parents_are_made(tmp_path: Path) -> None:
    target = tmp_path / "a" / "b" / "c"
    check_destination(target, force=False)
    assert not (tmp_path / "a").exists()
    assert content(write_folder(target, NEW, force=False)) == NEW


def test_what_exists_is_refused_without_force(tmp_path: Path) -> None:
    write_folder(tmp_path / "b", OLD, force=False)
    for attempt in (
        lambda: check_destination(tmp_path / "b", force=False),
        lambda: write_folder(tmp_path / "b", NEW, force=False),
    ):
        with pytest.raises(UsageError, match="exists already") as caught:
            attempt()
        assert "--force" in caught.value.hint
    assert content(tmp_path / "b") == OLD


def test_force_replaces_a_bundle_and_an_empty_folder_whole(tmp_path: Path) -> None:
    write_folder(tmp_path / "b", OLD, force=False)
    check_destination(tmp_path / "b", force=True)
    write_folder(tmp_path / "b", NEW, force=True)
    assert content(tmp_path / "b") == NEW
    (tmp_path / "empty").mkdir()
    write_folder(tmp_path / "empty", NEW, force=True)
    assert names(tmp_path) == ["b", "empty"]


@pytest.mark.parametrize("name", ["notes.txt", ".git"])
def test_force_never_deletes_what_is_not_ours(tmp_path: Path, name: str) -> None:
    stranger = tmp_path / "stranger"
    stranger.mkdir()
    (stranger / name).write_bytes(b"precious")
    with pytest.raises(UsageError, match="no edgeconv bundle"):
        write_folder(stranger, NEW, force=True)
    mixed = write_folder(tmp_path / "mixed", {**OLD, name: b"precious"}, force=False)
    with pytest.raises(UsageError, match="not edgeconv's to delete"):
        write_folder(mixed, NEW, force=True)
    assert (mixed / name).read_bytes() == (stranger / name).read_bytes() == b"precious"


def test_a_file_or_a_link_in_the_way_is_refused_even_with_force(tmp_path: Path) -> None:
    write_folder(tmp_path / "b", OLD, force=False)
    (tmp_path / "link").symlink_to(tmp_path / "b")
    (tmp_path / "file").write_bytes(b"precious")
    for name in ("link", "file"):
        with pytest.raises(UsageError, match="no folder"):
            check_destination(tmp_path / name, force=True)
    with pytest.raises(UsageError, match="no folder"):
        check_destination(tmp_path / "file" / "below", force=False)
    assert content(tmp_path / "b") == OLD


@pytest.mark.parametrize(
    "failure", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()]
)
def test_a_failure_half_way_leaves_nothing_new_and_the_old_intact(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: BaseException
) -> None:
    write_folder(tmp_path / "b", OLD, force=False)
    real = Path.write_bytes

    def failing(path: Path, data: Any) -> int:
        if path.name == "SHA256SUMS":
            raise failure
        return real(path, data)

    monkeypatch.setattr(Path, "write_bytes", failing)
    expected = HostFailure if isinstance(failure, OSError) else KeyboardInterrupt
    for target in (tmp_path / "b", tmp_path / "c"):
        with pytest.raises(expected) as caught:
            write_folder(target, NEW, force=True)
    if isinstance(failure, OSError):
        assert "No space left on device" in str(caught.value)
    assert names(tmp_path) == ["b"]
    assert content(tmp_path / "b") == OLD


def test_a_failure_while_swapping_puts_the_old_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_folder(tmp_path / "b", OLD, force=False)
    real = Path.rename

    def failing(path: Path, target: Path) -> Path:
        if ".partial-" in path.name:
            raise KeyboardInterrupt
        return real(path, target)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(KeyboardInterrupt):
        write_folder(tmp_path / "b", NEW, force=True)
    assert names(tmp_path) == ["b"]
    assert content(tmp_path / "b") == OLD


def test_a_place_that_can_not_be_written_is_found_before_the_work() -> None:
    # Not even root may write there.
    with pytest.raises(HostFailure, match="can't be written") as raised:
        check_destination(Path("/proc/nowhere/bundle"), force=False)
    assert "MiB" not in raised.value.hint, "room is not what is missing there"


def test_the_current_folder_may_be_the_destination(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    check_destination(Path(), force=True)
    write_folder(Path(), NEW, force=True)
    assert content(tmp_path / "here") == NEW
    with pytest.raises(UsageError):
        check_destination(Path("/"), force=True)
