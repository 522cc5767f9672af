"""The child process: results and errors cross, memory and noise do not."""

import os
import signal
import time
from pathlib import Path

import psutil
import pytest

from edgeconv.errors import HostFailure, InternalError, RefusedInput
from edgeconv.workshop import Workshop
from tests.unit import workshop_calls

CALLS = workshop_calls.__name__


class Watcher:
    def __init__(self) -> None:
        self.seen: list[tuple[object, ...]] = []

    def stage(self, title: str, total: int | None = None) -> None:
        self.seen.append(("stage", title, total))

    def advance(self, steps: int = 1) -> None:
        self.seen.append(("advance", steps))

    def note(self, text: str) -> None:
        self.seen.append(("note", text))


@pytest.fixture
def workshop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    with Workshop(tmp_path) as child:
        yield child


def test_a_result_and_the_progress_cross(workshop: Workshop) -> None:
    watcher = Watcher()

    value = workshop.call(f"{CALLS}:count", watcher, upto=3)

    assert value == {"sum": 3}
    assert watcher.seen == [("stage", "count", 3), *[("advance", 1)] * 3, ("note", "done")]


def test_state_lives_between_two_calls(workshop: Workshop) -> None:
    workshop.call(f"{CALLS}:remember", value=[1, 2])

    assert workshop.call(f"{CALLS}:recall") == [1, 2]


@pytest.mark.parametrize(
    ("kind", "word"), [("disk", "can't write weights.npz: No space left"), ("memory", "ran out")]
)
def test_a_full_disk_or_memory_is_no_bug_of_ours(workshop: Workshop, kind: str, word: str) -> None:
    with pytest.raises(HostFailure, match=word) as caught:
        workshop.call(f"{CALLS}:fill_the_disk", kind=kind)

    assert caught.value.hint


def test_our_errors_cross_with_their_class_and_hint(workshop: Workshop) -> None:
    with pytest.raises(RefusedInput) as caught:
        workshop.call(f"{CALLS}:refuse")

    assert (caught.value.message, caught.value.hint) == ("cause", "remedy")


def test_another_error_is_a_bug_and_the_child_lives_on(workshop: Workshop) -> None:
    with pytest.raises(InternalError, match="ZeroDivisionError"):
        workshop.call(f"{CALLS}:divide")

    assert workshop.alive
    assert workshop.call(f"{CALLS}:recall") is None


def test_noise_on_both_descriptors_does_not_break_the_pipe(
    workshop: Workshop, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert workshop.call(f"{CALLS}:shout") == "still here"
    assert capfd.readouterr() == ("", "")
    assert "from C" in (tmp_path / "workshop.log").read_text()


def test_a_crash_is_told_from_a_hang(workshop: Workshop) -> None:
    with pytest.raises(InternalError, match="ended with code"):
        workshop.call(f"{CALLS}:crash")

    assert not workshop.alive


def test_the_child_is_started_by_the_first_call_alone(tmp_path: Path) -> None:
    with Workshop(tmp_path):
        assert not (tmp_path / "workshop.log").exists()


def test_a_deferred_call_runs_before_the_next_one_and_once(workshop: Workshop) -> None:
    workshop.defer(f"{CALLS}:remember", value="kept")

    assert workshop.call(f"{CALLS}:recall") == "kept"
    workshop.call(f"{CALLS}:remember", value="newer")
    assert workshop.call(f"{CALLS}:recall") == "newer"


def test_the_error_of_a_deferred_call_is_raised_by_the_next(workshop: Workshop) -> None:
    workshop.defer(f"{CALLS}:refuse")

    for _ in range(2):
        with pytest.raises(RefusedInput):
            workshop.call(f"{CALLS}:recall")


def test_nothing_runs_after_it_is_closed(tmp_path: Path) -> None:
    child = Workshop(tmp_path)
    pid = child.start()

    child.close()

    assert not psutil.pid_exists(pid)


def test_the_child_dies_with_a_killed_parent(tmp_path: Path) -> None:
    import subprocess
    import sys

    script = (
        "import sys, time; from pathlib import Path; from edgeconv.workshop import Workshop\n"
        "w = Workshop(Path(sys.argv[1])); print(w.start(), flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", script, tmp_path], stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    # The child asks to die with its parent as soon as it runs; give it time to start.
    deadline = time.monotonic() + 20
    while "workshop" not in " ".join(psutil.Process(pid).cmdline()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    time.sleep(1.0)

    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()

    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline, "the child outlived its parent"
        time.sleep(0.05)


def test_gpus_are_hidden_unless_they_are_asked_for(
    workshop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert workshop.call(f"{CALLS}:visible_gpus") == "-1"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    with Workshop(tmp_path, gpu=True) as other:
        assert other.call(f"{CALLS}:visible_gpus") == "1"
