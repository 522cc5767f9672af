"""Class names from a text file, one a line in the order of the model's outputs."""

from __future__ import annotations

from pathlib import Path

from edgeconv.errors import UsageError

__all__ = ["read_labels"]

_MAX_BYTES = 16 << 20


def read_labels(path: Path) -> tuple[str, ...]:
    """Read class names.

    Args:
        path: UTF-8 text; empty lines at the end are ignored.

    Returns:
        The names by class index.

    Raises:
        UsageError: The file is missing, empty, too large or no text, or a line is empty.
    """
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise UsageError(f"{path.name} is larger than 16 MB; that is no list of labels.")
        lines = path.read_text(encoding="utf-8-sig").rstrip().splitlines()
    except FileNotFoundError:
        raise UsageError(
            f"There is no labels file {str(path)!r}.", "Give a text file, one label a line."
        ) from None
    except (UnicodeDecodeError, IsADirectoryError):
        raise UsageError(
            f"{path.name} is no UTF-8 text.", "Give a text file, one label a line."
        ) from None
    labels = tuple(line.strip() for line in lines)
    if not labels:
        raise UsageError(f"{path.name} is empty.", "Write one label a line.")
    if "" in labels:
        raise UsageError(
            f"{path.name} has an empty line {labels.index('') + 1}.", "Write one label a line."
        )
    return labels
