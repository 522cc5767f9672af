"""How a room reports what it is doing, without knowing who watches.

The command line shows a bar, a child process forwards the calls over its
pipe, a library user passes nothing.
"""

from __future__ import annotations

from typing import Protocol

__all__ = ["Progress", "Silent"]


class Progress(Protocol):
    """The observer that every slow room is given."""

    def stage(self, title: str, total: int | None = None) -> None:
        """Begin a stage of ``total`` steps (None where the count is unknown)."""

    def advance(self, steps: int = 1) -> None:
        """``steps`` more steps of the current stage are done."""

    def note(self, text: str) -> None:
        """One line that a person should read, such as a warning."""


class Silent:
    """A Progress that says nothing."""

    def stage(self, title: str, total: int | None = None) -> None:
        """Nothing."""

    def advance(self, steps: int = 1) -> None:
        """Nothing."""

    def note(self, text: str) -> None:
        """Nothing."""
