"""One training at a time in a folder, and none that is in the way for ever."""

import subprocess
import sys
from pathlib import Path

import pytest

from edgeconv.errors import HostFailure, UsageError
from edgeconv.finetune.lock import LOCK, locked

pytest.importorskip("fcntl")

HOLD = """
import sys, time
from pathlib import Path
from edgeconv.finetune.lock import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_second_training_is_refused_and_the_first_keeps_its_lock(tmp_path: Path) -> None:
    folder = tmp_path / "m-training"
    with locked(folder):
        for _ in range(2):
            with pytest.raises(UsageError, match="Another finetune is training"), locked(folder):
                pytest.fail("two had the folder")
        assert (folder / LOCK).is_file()
    assert not folder.exists()


def test_the_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    folder = tmp_path / "m-training"
    child = subprocess.Popen([sys.executable, "-c", HOLD, folder], stdout=subprocess.PIPE)
    try:
        assert child.stdout is not None and child.stdout.readline() == b"held\n"
        with pytest.raises(UsageError, match="Another finetune is training in"), locked(folder):
            pass
    finally:
        child.kill()
        child.communicate()
    assert (folder / LOCK).is_file()
    with locked(folder):
        pass
    assert not folder.exists()


def test_what_was_written_meanwhile_stays(tmp_path: Path) -> None:
    with locked(tmp_path / "m"):
        (tmp_path / "m" / "curves.png").write_bytes(b"")
    assert [path.name for path in (tmp_path / "m").iterdir()] == ["curves.png"]


def test_a_lock_that_leads_elsewhere_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / LOCK).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(HostFailure, match="can't be written"), locked(tmp_path / "m"):
        pass
    assert not (tmp_path / "elsewhere").exists()
