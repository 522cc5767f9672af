"""One training at a time in a folder."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from edgeconv.errors import HostFailure, UsageError
from edgeconv.pictures import printable

__all__ = ["LOCK", "locked"]

#: Name of the file that is locked.
LOCK: Final = ".lock"


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Have ``folder`` for oneself; it is made where it isn't there, and goes if it stays empty.

    The system lets go of the lock when the process dies, however it dies. Where there are no
    such locks (Windows, some network drives) nothing is locked.

    Args:
        folder: Of a training.

    Raises:
        UsageError: Another process has it.
        HostFailure: It can't be written.
    """
    try:
        folder.mkdir(exist_ok=True)
        held = _hold(folder)
    except BlockingIOError:
        raise UsageError(
            f"Another finetune is training in {printable(folder)}.",
            "Wait until it is done, or write to another --output.",
        ) from None
    except OSError as error:
        raise HostFailure(
            f"{printable(folder)} can't be written: {error.strerror}.", "Write elsewhere."
        ) from error
    try:
        yield
    finally:
        if held is not None:
            # While it is still held: whoever opened it in between sees that it is gone.
            (folder / LOCK).unlink(missing_ok=True)
            os.close(held)
        with contextlib.suppress(OSError):  # it has something in it
            folder.rmdir()


def _hold(folder: Path) -> int | None:
    """Descriptor of the locked file, None where the system locks none."""
    try:
        import fcntl
    except ImportError:
        return None
    while True:
        folder.mkdir(exist_ok=True)  # another one, ending, may have taken it away
        try:
            file = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
        except FileNotFoundError:
            continue
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            raise
        except OSError:  # a drive without locks
            return file
        if _is_there(folder / LOCK, file):
            return file
        os.close(file)


def _is_there(path: Path, file: int) -> bool:
    """Whether ``path`` is still the open ``file``: the one before us takes it away."""
    with contextlib.suppress(FileNotFoundError):
        return os.path.samestat(path.lstat(), os.fstat(file))
    return False
