"""Arrays in files that have all their room on the disk."""

import errno
import os
from pathlib import Path

import numpy as np
import pytest

from edgeconv.errors import HostFailure
from edgeconv.finetune.arrays import mapped


def test_what_is_written_to_a_mapped_array_is_in_the_file(tmp_path: Path) -> None:
    values = mapped(tmp_path / "a.npy", np.float32, (3, 5))
    values[:] = np.arange(15, dtype=np.float32).reshape(3, 5)
    del values
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy").ravel(), np.arange(15))


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="the system reserves no room")
def test_the_room_of_a_mapped_array_is_taken(tmp_path: Path) -> None:
    mapped(tmp_path / "a.npy", np.uint8, (1 << 20,))
    assert (tmp_path / "a.npy").stat().st_blocks * 512 >= 1 << 20


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="the system reserves no room")
def test_a_full_disk_is_told_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(HostFailure, match="less room"):
        mapped(tmp_path / "a.npy", np.uint8, (100,))
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="the system reserves no room")
def test_a_drive_that_reserves_no_room_is_used_nevertheless(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(*_: object) -> None:
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    monkeypatch.setattr(os, "posix_fallocate", unknown)
    assert mapped(tmp_path / "a.npy", np.uint8, (100,)).shape == (100,)
