"""What a fine-tuned model knows of itself: ``edgeconv.json`` inside its ``.keras`` file.

    {"schema_version": 1, "preprocess": {...}, "labels": ["daisy", ...],
     "splits": {"train": {"root": "../flowers", "files": [["daisy/1.jpg", SHA-256, 0], ...]},
                "validation": ..., "test": ...},
     "provenance": {"base": "mobilenetv2", ...}}

A model file comes from anybody, and this names files of whoever opens it. So a picture
counts only where its content has the SHA-256 that is written here: whoever wrote it
knew the picture already. Keras passes over the member; a file with one is unpacked into
a temporary folder while it is loaded, where one without is read in place.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any, Final

from edgeconv.errors import EdgeconvError, RefusedInput, Unsupported, UsageError
from edgeconv.keras_archive import read_member, rewrite
from edgeconv.pictures import printable
from edgeconv.preprocess import Preprocess
from edgeconv.runtime.text import UNSAFE_TEXT

__all__ = ["SPLITS", "Entry", "Knowledge", "Split", "read", "root_of", "write"]

SPLITS: Final = ("train", "validation", "test")
MEMBER: Final = "edgeconv.json"

#: 250,000 pictures with paths of 50 characters.
_MAX_BYTES: Final = 32 << 20
_MAX_PROVENANCE_BYTES: Final = 1 << 18
_MAX_DEPTH: Final = 8
_MAX_LABELS: Final = 100_000
_MAX_LABEL, _MAX_PATH = 500, 4096
_SCHEMA_VERSION: Final = 1
_SHA256: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Entry:
    """One picture of a split.

    Attributes:
        file: Path from the split's root, with ``/``; inside it.
        sha256: Of the file's bytes, in lower-case hexadecimal.
        class_index: An index of ``Knowledge.labels``.
    """

    file: str
    sha256: str
    class_index: int


@dataclass(frozen=True)
class Split:
    """The pictures that served for one purpose.

    Attributes:
        root: Their folder, from the folder of the model file, with ``/``; may begin
            with ``..``.
        entries: In the order of training.
    """

    root: str
    entries: tuple[Entry, ...]


@dataclass(frozen=True)
class Knowledge:
    """What a fine-tuned model knows of itself.

    Attributes:
        preprocess: From picture to input.
        labels: Class names by index.
        splits: Of ``SPLITS``: what trained it, what stopped the training, what
            training never saw.
        provenance: Base, weights, seed and whatever else; JSON.
    """

    preprocess: Preprocess
    labels: tuple[str, ...]
    splits: Mapping[str, Split] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_labels(self.labels)
        for name, split in self.splits.items():
            _demand(name in SPLITS, f"there is no split {printable(name)[:40]!r}")
            _check_root(split.root)
            for entry in split.entries:
                _check_entry(entry, len(self.labels))
            files = {entry.file for entry in split.entries}
            _demand(len(files) == len(split.entries), f"a file stands in {name} twice")
        _check_json(self.provenance, _MAX_DEPTH)
        _demand(
            len(json.dumps(self.provenance)) <= _MAX_PROVENANCE_BYTES, "the provenance is too long"
        )


def root_of(model: Path, folder: Path) -> str:
    """``Split.root`` of a folder of pictures, for a model file that is to lie at ``model``.

    Raises:
        UsageError: They are on different drives.
    """
    try:
        found = os.path.relpath(folder.resolve(), model.resolve().parent)
    except ValueError:
        raise UsageError(
            f"{printable(folder)} and {printable(model)} are on different drives.",
            "Write the model to the drive of its pictures.",
        ) from None
    return PurePath(found).as_posix()


def write(model: Path, knowledge: Knowledge) -> None:
    """Put what is known into a ``.keras`` file; the same content gives the same bytes.

    Args:
        model: As Keras saved it.
        knowledge: Replaces what the file knew.

    Raises:
        RefusedInput: It is no ``.keras`` archive, or ``knowledge`` is too much for one.
        HostFailure: It can't be written; the file is as it was.
    """
    content = json.dumps(_to_json(knowledge), separators=(",", ":")).encode()
    if len(content) > _MAX_BYTES:
        raise RefusedInput(
            f"{printable(model.name)} can't hold the names of so many pictures.",
            f"They may take {_MAX_BYTES >> 20} MiB; train on fewer.",
        )
    rewrite(model, {MEMBER: content})


def read(model: Path) -> Knowledge | None:
    """What a model file knows of itself; None where it says nothing.

    Args:
        model: Any path; nobody vouches for it.

    Raises:
        RefusedInput: What it says is broken or reaches where it may not.
        Unsupported: A later edgeconv wrote it.
    """
    if model.suffix != ".keras" or not model.is_file():
        return None
    content = read_member(model, MEMBER, _MAX_BYTES)
    if content is None:
        return None
    try:
        return _from_json(json.loads(content, parse_constant=_no_constant))
    except Unsupported:
        raise
    except EdgeconvError as error:
        cause = error.message
    except RecursionError:
        cause = "it is nested too deep"
    except ValueError as error:
        cause = f"it is no JSON ({str(error)[:80]})"
    raise RefusedInput(
        f"{printable(model.name)}: its {MEMBER} is broken: {cause.rstrip('.')}.",
        "Don't trust this file; train it again, or get it again.",
    )


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no number")


def _to_json(knowledge: Knowledge) -> dict[str, Any]:
    return {
        "schema_version": _SCHEMA_VERSION,
        "preprocess": knowledge.preprocess.to_json(),
        "labels": list(knowledge.labels),
        "splits": {
            name: {
                "root": split.root,
                "files": [[each.file, each.sha256, each.class_index] for each in split.entries],
            }
            for name, split in sorted(knowledge.splits.items())
        },
        "provenance": dict(knowledge.provenance),
    }


def _from_json(document: Any) -> Knowledge:
    table = _table(document, "it")
    version: Any = table.get("schema_version")
    _demand(type(version) is int and version > 0, "schema_version is no version")
    if version > _SCHEMA_VERSION:
        raise Unsupported(
            f"The model's {MEMBER} has schema_version {version}, newer than {_SCHEMA_VERSION}.",
            "Update edgeconv.",
        )
    labels: Any = table.get("labels")
    splits = _table(table.get("splits"), "splits")
    _demand(isinstance(labels, list), "labels is no list")
    return Knowledge(
        preprocess=Preprocess.from_json(_table(table.get("preprocess"), "preprocess")),
        labels=tuple(labels),
        splits={name: _split(_table(split, "a split")) for name, split in splits.items()},
        provenance=_table(table.get("provenance", {}), "provenance"),
    )


def _split(table: Mapping[str, Any]) -> Split:
    files: Any = table.get("files")
    _demand(isinstance(files, list), "the files of a split are no list")
    for row in files:
        _demand(isinstance(row, list) and len(row) == 3, "a file of a split is no list of three")
    root: Any = table.get("root")  # of whatever type: Knowledge looks at it
    return Split(root, tuple(Entry(*row) for row in files))


def _table(value: Any, what: str) -> Mapping[str, Any]:
    _demand(isinstance(value, dict), f"{what} is no table")
    table: Mapping[str, Any] = value
    return table


def _check_labels(labels: tuple[str, ...]) -> None:
    _demand(len(labels) <= _MAX_LABELS, f"there are more than {_MAX_LABELS:,} labels")
    for label in labels:
        good = isinstance(label, str) and 0 < len(label) <= _MAX_LABEL
        good = good and UNSAFE_TEXT.search(label) is None
        _demand(good, f"{_shown(label)} is no class name")


def _check_root(root: Any) -> None:
    good = isinstance(root, str) and 0 < len(root) <= _MAX_PATH and _is_file_name(root)
    _demand(good, f"{_shown(root)} is no folder")
    pure = PurePath(root)
    _demand(
        not pure.is_absolute() and not pure.drive and not root.startswith("/"),
        f"the folder {_shown(root)} is absolute",
    )


def _check_entry(entry: Entry, classes: int) -> None:
    # A hundred thousand times, so a sentence is only made where one is needed.
    file, content, index = entry.file, entry.sha256, entry.class_index
    if not (isinstance(file, str) and 0 < len(file) <= _MAX_PATH and _is_file_name(file)):
        _demand(False, f"{_shown(file)} is no file")
    if not _stays_inside(file):
        _demand(False, f"the file {_shown(file)} leads out of its folder, or is oddly written")
    if not (isinstance(content, str) and _SHA256.fullmatch(content)):
        _demand(False, f"the SHA-256 of {_shown(file)} is none")
    if not (type(index) is int and 0 <= index < classes):
        _demand(False, f"{_shown(file)} is of class {_shown(index)}, and there is none")


def _stays_inside(file: str) -> bool:
    if any(part in ("", ".", "..") for part in file.split("/")):
        return False
    # Only there a backslash or a colon leads elsewhere.
    return os.name != "nt" or not (set(file) & {"\\", ":"})


def _is_file_name(text: str) -> bool:
    try:
        os.fsencode(text)
    except UnicodeEncodeError:
        return False
    return "\0" not in text


def _check_json(value: Any, depth: int) -> None:
    _demand(depth > 0, "the provenance is nested too deep")
    if isinstance(value, Mapping):
        for key, inner in value.items():
            good = isinstance(key, str) and UNSAFE_TEXT.search(key) is None
            _demand(good, "a name in the provenance is no text")
            _check_json(inner, depth - 1)
    elif isinstance(value, list | tuple):
        for inner in value:
            _check_json(inner, depth - 1)
    elif isinstance(value, str):
        _demand(UNSAFE_TEXT.search(value) is None, "the provenance holds control characters")
    elif isinstance(value, float):
        _demand(math.isfinite(value), "the provenance holds a number that is not finite")
    else:
        good = value is None or isinstance(value, bool | int)
        _demand(good, f"the provenance holds a {type(value).__name__}")


def _shown(value: object) -> str:
    return printable(repr(value))[:80]


def _demand(good: bool, what_else: str) -> None:
    if not good:
        raise RefusedInput(f"{what_else[0].upper()}{what_else[1:]}.")
