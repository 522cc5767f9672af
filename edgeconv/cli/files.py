"""What a command writes beside its result: whole, or not at all."""

from __future__ import annotations

import contextlib
from pathlib import Path

from edgeconv.errors import HostFailure

__all__ = ["write_bytes", "write_text"]


def write_text(path: Path, text: str) -> None:
    """Write text in UTF-8 as ``write_bytes`` does."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Write beside the file, then put the whole in its place.

    Raises:
        HostFailure: It can't be written; what was there is left as it was.
    """
    aside = path.with_name(f".{path.name}.part")
    try:
        aside.write_bytes(content)
        aside.replace(path)
    except OSError as error:
        raise HostFailure(f"{path} can't be written: {error.strerror}.") from error
    finally:  # after Ctrl-C too
        with contextlib.suppress(OSError):
            aside.unlink()
