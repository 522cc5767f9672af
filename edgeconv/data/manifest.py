"""A CSV manifest: one picture a row.

    file,split,class_index        class_index is an integer; or instead
    images/1.jpg,train,0          label, one of the model's; or neither

Files stand relative to the manifest and stay inside its folder.
"""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath

from edgeconv.data.files import picture_items, resolved_inside
from edgeconv.data.items import Items
from edgeconv.errors import HostFailure, RefusedInput, UsageError
from edgeconv.pictures import printable
from edgeconv.preprocess import Preprocess

__all__ = ["read_manifest"]

#: ImageNet's 1.3 million training pictures take about 60 MB.
MAX_BYTES = 128 * 1024 * 1024


@dataclass(frozen=True)
class _Row:
    """A row and where it stands, the heading being row 1 as in spreadsheets."""

    manifest: Path
    number: int
    values: dict[str, str]

    def refused(self, cause: str, hint: str) -> RefusedInput:
        return RefusedInput(f"{printable(self.manifest)}, row {self.number}: {cause}.", hint)


def read_manifest(
    path: Path,
    preprocess: Preprocess,
    *,
    split: str = "",
    labels: Sequence[str] = (),
    classes: int | None = None,
) -> Items:
    """Read the rows of a split; no picture is opened yet.

    Args:
        path: The CSV file, UTF-8.
        preprocess: Of kind ``image``.
        split: Only rows whose ``split`` is this; "" for all.
        labels: The model's class names by index.
        classes: How many the model has; None where it is no classifier.

    Raises:
        UsageError: No such split, or labels as text for a model without labels.
        RefusedInput: Too large, no CSV, a column missing, or a row whose file or
            class is wrong; the message has its number.
    """
    columns, rows = _read(path)
    if split:
        rows = _of_split(path, columns, rows, split)
    if not rows:
        raise RefusedInput(f"{printable(path)} has no rows.", "Give at least one picture.")
    files = [_file(row) for row in rows]
    y = _labels(columns, rows, labels, classes)
    name = f"{path}:{split}" if split else str(path)
    return picture_items(name, files, [row.values["file"] for row in rows], y, preprocess)


def _read(path: Path) -> tuple[list[str], list[_Row]]:
    text = _text(path)
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        lines = [line for line in reader if line]
    except csv.Error as error:
        raise RefusedInput(
            f"{printable(path)}, line {reader.line_num} is no CSV ({error}).", "Save it again."
        ) from None
    columns = [column.strip() for column in lines[0]] if lines else []
    if "file" not in columns:
        raise RefusedInput(
            f"{printable(path)} has no column 'file'.",
            "Its first line must be a heading such as file,split,class_index.",
        )
    rows = []
    for number, line in enumerate(lines[1:], start=2):
        if len(line) != len(columns):
            raise RefusedInput(
                f"{printable(path)}, row {number} has {len(line)} fields, "
                f"the heading {len(columns)}.",
                "Quote fields that hold a comma.",
            )
        rows.append(_Row(path, number, dict(zip(columns, line, strict=True))))
    return columns, rows


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise HostFailure(f"{printable(path)} can't be read ({error.strerror}).") from None
    if len(data) > MAX_BYTES:
        raise RefusedInput(
            f"{printable(path)} is over {MAX_BYTES // 2**20} MiB.", "Split the manifest."
        )
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise RefusedInput(f"{printable(path)} is not UTF-8.", "Save it as UTF-8.") from None


def _of_split(path: Path, columns: list[str], rows: list[_Row], split: str) -> list[_Row]:
    if "split" not in columns:
        raise UsageError(
            f"{printable(path)} has no column 'split', so no split {printable(split)!r}.",
            "Leave the split away, or add the column.",
        )
    chosen = [row for row in rows if row.values["split"].strip() == split]
    if not chosen:
        known = sorted({row.values["split"].strip() for row in rows})[:10]
        raise UsageError(
            f"{printable(path)} has no split {printable(split)!r}.",
            "It has " + ", ".join(printable(name) for name in known) + ".",
        )
    return chosen


def _file(row: _Row) -> Path:
    name = row.values["file"]
    shown = printable(name)[:200]
    parts = {*PurePosixPath(name).parts, *PureWindowsPath(name).parts}
    anchored = PurePosixPath(name).anchor or PureWindowsPath(name).anchor
    if not name or "\0" in name or anchored or ".." in parts:
        raise row.refused(
            f"{shown!r} is no file inside the manifest's folder",
            "Give a relative path without .. .",
        )
    path = row.manifest.parent / name
    try:
        real = resolved_inside(row.manifest.parent, path, shown)
        exists = real.is_file()
    except RefusedInput as error:
        raise row.refused(error.message.rstrip("."), error.hint) from None
    except (OSError, RuntimeError):  # too long a name, or links in a circle
        exists = False
    if not exists:
        raise row.refused(f"there is no file {shown}", "Paths are relative to the manifest.")
    return real


def _labels(
    columns: list[str], rows: list[_Row], labels: Sequence[str], classes: int | None
) -> list[int] | None:
    if "class_index" in columns:
        return [_index(row, classes) for row in rows]
    if "label" not in columns:
        return None
    if not labels:
        raise UsageError(
            f"{printable(rows[0].manifest)} names its labels, but the model's are not known.",
            "Give them with --labels, or a column class_index.",
        )
    known: dict[str, list[int]] = {}
    for index, label in enumerate(labels):
        known.setdefault(_normal(label), []).append(index)
    return [_known(row, known) for row in rows]


def _index(row: _Row, classes: int | None) -> int:
    text = row.values["class_index"].strip()
    # Not int() alone, which takes 1_000 and digits of other scripts.
    if not re.fullmatch(r"[+-]?[0-9]{1,9}", text):
        raise row.refused(
            f"class_index {printable(text)[:40]!r} is not an integer",
            "Give the class's position, from 0.",
        )
    index = int(text)
    if index < 0 or (classes is not None and index >= classes):
        limit = f"0 to {classes - 1}" if classes is not None else "0 on"
        raise row.refused(f"class_index is {index}", f"The model's classes go from {limit}.")
    return index


def _normal(label: str) -> str:
    return unicodedata.normalize("NFC", label.strip())


def _known(row: _Row, known: dict[str, list[int]]) -> int:
    text = row.values["label"]
    indices = known.get(_normal(text), [])
    if len(indices) == 1:
        return indices[0]
    cause = "is the name of two classes" if indices else "is none of the model's labels"
    raise row.refused(
        f"label {printable(text)[:60]!r} {cause}", "Check --labels, or give a column class_index."
    )
