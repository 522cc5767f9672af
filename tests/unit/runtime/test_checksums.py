"""The seal of a bundle's folder."""

import hashlib
import os
from pathlib import Path

import pytest

from edgeconv.errors import RefusedInput, UsageError
from edgeconv.runtime.checksums import SealedFolder


def seal(folder: Path, **files: bytes) -> Path:
    folder.mkdir(exist_ok=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    lines = [f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in files.items()]
    (folder / "SHA256SUMS").write_text("".join(lines))
    return folder


def test_a_sound_folder_gives_its_files(tmp_path: Path) -> None:
    sealed = SealedFolder(seal(tmp_path / "b", one=b"1", two=b"22"))
    assert sealed.read("two") == b"22"
    with pytest.raises(RefusedInput, match="not listed"):
        sealed.read("three")
    with pytest.raises(RefusedInput, match="larger than 1 bytes"):
        sealed.read("two", 1)


def test_a_folder_without_a_seal_is_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(RefusedInput, match="no bundle"):
        SealedFolder(tmp_path)
    with pytest.raises(UsageError, match="no bundle folder"):
        SealedFolder(tmp_path / "absent")


def test_a_changed_or_missing_file_is_named(tmp_path: Path) -> None:
    folder = seal(tmp_path / "b", one=b"1")
    (folder / "one").write_bytes(b"2")
    with pytest.raises(RefusedInput, match="one is not the file"):
        SealedFolder(folder)
    (folder / "one").unlink()
    with pytest.raises(RefusedInput, match="one is missing"):
        SealedFolder(folder)


def test_a_file_changed_after_the_check_is_refused_when_read(tmp_path: Path) -> None:
    sealed = SealedFolder(seal(tmp_path / "b", one=b"1"))
    (tmp_path / "b" / "one").write_bytes(b"2")
    with pytest.raises(RefusedInput, match="one is not the file"):
        sealed.read("one")


@pytest.mark.parametrize(
    "line",
    [
        "{h}  ../secret\n",
        "{h}  /etc/passwd\n",
        "{h}  sub/file\n",
        "{h}  ..\n",
        "{h}  .hidden\n",
        "{h} *one\n",
        "{h}  one",
        "{h}  one\n{h}  one\n",
        "{h}  SHA256SUMS\n",
        "{h}  one\r\n",
        "{H}  one\n",
        "abc  one\n",
        "\n",
        "",
    ],
)
def test_a_listing_that_is_not_plain_names_is_refused(tmp_path: Path, line: str) -> None:
    folder = seal(tmp_path / "b", one=b"1")
    digest = hashlib.sha256(b"1").hexdigest()
    (folder / "SHA256SUMS").write_bytes(line.format(h=digest, H=digest.upper()).encode())
    with pytest.raises(RefusedInput, match="SHA256SUMS is"):
        SealedFolder(folder)


def test_a_link_is_refused_even_to_the_right_content(tmp_path: Path) -> None:
    folder = seal(tmp_path / "b", one=b"1")
    (tmp_path / "elsewhere").write_bytes(b"1")
    (folder / "one").unlink()
    (folder / "one").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RefusedInput, match="is a link"):
        SealedFolder(folder)


def test_a_named_pipe_or_a_folder_is_refused_without_waiting(tmp_path: Path) -> None:
    folder = seal(tmp_path / "b", one=b"1")
    (folder / "one").unlink()
    os.mkfifo(folder / "one")
    with pytest.raises(RefusedInput, match="no plain file"):
        SealedFolder(folder)
    (folder / "one").unlink()
    (folder / "one").mkdir()
    with pytest.raises(RefusedInput, match="no plain file"):
        SealedFolder(folder)


def test_too_long_a_listing_is_refused(tmp_path: Path) -> None:
    folder = seal(tmp_path / "b", one=b"1")
    (folder / "SHA256SUMS").write_bytes(b"0" * 100_000)
    with pytest.raises(RefusedInput, match="larger than"):
        SealedFolder(folder)
