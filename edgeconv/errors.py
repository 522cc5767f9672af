"""The exceptions of edgeconv, each with its exit code.

    EdgeconvError
    ├── UsageError          2   the command line or an argument is wrong
    ├── RefusedInput        3   a file is unsafe, corrupt or not what it says
    ├── Unsupported         4   the model, an operator or the device can't do this
    ├── MissingDependency   5   an optional package or a requested accelerator is absent
    ├── HostFailure         6   disk or network
    └── InternalError      70   our bug

Every message is one sentence for the cause; ``hint`` is one for the remedy.
Parity that was lost is a result, not an exception: exit code 1.
"""

from __future__ import annotations

__all__ = [
    "EdgeconvError",
    "HostFailure",
    "InternalError",
    "MissingDependency",
    "RefusedInput",
    "Unsupported",
    "UsageError",
]


class EdgeconvError(Exception):
    """Base of all errors that a user may see.

    Args:
        message: What is wrong and where, in one line.
        hint: What to do about it, in one line; may be empty.
    """

    exit_code = 70
    code = "internal"

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(EdgeconvError):
    """The command line or an argument is wrong."""

    exit_code = 2
    code = "usage"


class RefusedInput(EdgeconvError):
    """A file is unsafe, corrupt or not what it claims to be."""

    exit_code = 3
    code = "refused-input"


class Unsupported(EdgeconvError):
    """The model, an operator, a format or the device can't do what was asked."""

    exit_code = 4
    code = "unsupported"


class MissingDependency(EdgeconvError):
    """An optional package or a requested accelerator is absent."""

    exit_code = 5
    code = "missing-dependency"


class HostFailure(EdgeconvError):
    """The disk or the network failed."""

    exit_code = 6
    code = "host"


class InternalError(EdgeconvError):
    """A bug of edgeconv's own."""

    exit_code = 70
    code = "internal"
