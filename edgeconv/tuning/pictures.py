"""Folders of pictures: their classes and their splits."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from edgeconv.data import Items, read_folder, refuse_overlap
from edgeconv.data.files import PictureFiles, is_picture_name
from edgeconv.errors import RefusedInput, UsageError
from edgeconv.finetune import TEST, TRAIN, VALIDATION, divide, refuse_contradictions
from edgeconv.knowledge import Entry, Split
from edgeconv.pictures import printable
from edgeconv.preprocess import Preprocess
from edgeconv.progress import Progress

__all__ = ["Gathered", "gather", "list_names", "source_of"]

_NAMED: Final = 3


@dataclass(frozen=True)
class Member:
    """One picture of a split.

    Attributes:
        place: Among all pictures, as their pixels are stored.
        file: Path from its folder.
        sha256: Of its bytes.
        class_index: Of the labels.
    """

    place: int
    file: str
    sha256: str
    class_index: int


@dataclass(frozen=True)
class Gathered:
    """All pictures of a training.

    Attributes:
        labels: Class names by index.
        sets: The folders, in the order in which pixels are stored.
        splits: ``train``, ``validation``, ``test`` -> their pictures.
    """

    labels: tuple[str, ...]
    sets: tuple[Items, ...]
    splits: dict[str, tuple[Member, ...]]

    @property
    def classes(self) -> tuple[int, ...]:
        """Class index of each picture, as pixels are stored."""
        return tuple(int(y) for items in self.sets for y in _labels(items))

    @property
    def fingerprint(self) -> str:
        """SHA-256 over contents, classes and sides."""
        rows = [
            (name, member.sha256, member.class_index)
            for name, members in self.splits.items()
            for member in members
        ]
        return hashlib.sha256(json.dumps([self.labels, rows]).encode()).hexdigest()

    def places(self, split: str) -> list[int]:
        """Where the pictures of a split are stored."""
        return [member.place for member in self.splits[split]]

    def counts(self) -> dict[str, int]:
        """Split -> how many pictures."""
        return {name: len(members) for name, members in self.splits.items()}

    def recorded(self, split: str, root: str) -> Split:
        """A split as the model file is to know it, its folder being at ``root``."""
        members = self.splits[split]
        return Split(root, tuple(Entry(m.file, m.sha256, m.class_index) for m in members))


def gather(
    folder: Path, test: Path | None, preprocess: Preprocess, seed: int, progress: Progress
) -> Gathered:
    """Find the pictures, and divide them.

    Args:
        folder: One folder a class.
        test: The same for the test; None to keep a part of ``folder`` for it.
        preprocess: Of the base.
        seed: Of the division.
        progress: Told what is unusual about the pictures.

    Raises:
        UsageError: There is no such folder.
        RefusedInput: It can't be learnt from; the message says why.
    """
    labels = _class_names(folder)
    raw = replace(preprocess, color="rgb", scale=(1.0,), offset=(0.0,))
    items = read_folder(folder, raw, labels=labels, progress=progress)
    tested = None if test is None else _test_items(test, raw, labels, progress)
    progress.stage("compare the pictures")
    hashes, classes = items.item_hashes(), [int(y) for y in _labels(items)]
    refuse_contradictions(hashes, classes, items.ids, printable(folder))
    sides = divide(hashes, classes, seed, with_test=tested is None)
    members = list(map(Member, range(len(items)), _files(items), hashes, classes))
    splits = {
        name: tuple(m for m, side in zip(members, sides, strict=True) if side == name)
        for name in (TRAIN, VALIDATION, TEST)
    }
    if test is not None and tested is not None:
        _refuse_shared(items, tested)
        places = range(len(items), len(items) + len(tested))
        targets = [int(y) for y in _labels(tested)]
        rows = map(Member, places, _files(tested), tested.item_hashes(), targets)
        splits[TEST] = tuple(rows)
    _refuse_too_few(splits, folder)
    _tell(labels, classes, hashes, progress)
    return Gathered(labels, (items,) if tested is None else (items, tested), splits)


def _labels(items: Items) -> Sequence[int]:
    labels = items.labels
    assert labels is not None  # class folders always give them
    return list(labels)


def source_of(items: Items) -> PictureFiles:
    """The files of a folder's pictures."""
    source = items.source
    assert isinstance(source, PictureFiles)  # that is what folders are
    return source


def _files(items: Items) -> list[str]:
    """Their paths from their folder; ``Items.ids`` are those as they can be printed."""
    names = source_of(items).names
    return [names[index] for index in items.indices]


def _class_names(folder: Path) -> tuple[str, ...]:
    """The class folders, sorted by code points as Keras does."""
    if not folder.is_dir():
        what = "is no folder" if folder.exists() else "does not exist"
        raise UsageError(
            f"{printable(folder)} {what}.", "Give a folder with one folder of pictures a class."
        )
    names = sorted(child.name for child in folder.iterdir() if _is_class(child))
    empty = [name for name in names if not _has_picture(folder / name)]
    if len(empty) == len(names) > 0:
        _refuse_nested(folder, names)
    if empty:
        raise RefusedInput(
            f"{printable(folder / empty[0])} has no picture in it.",
            "Put pictures of that class there, or remove the folder.",
        )
    if len(names) > 1:
        return tuple(names)
    found = "no class folder" if not names else f"one class folder, {printable(names[0])}"
    raise RefusedInput(
        f"{printable(folder)} has {found}; a classifier needs two.",
        "Put the pictures of each class in a folder of its own: flowers/daisy, flowers/rose.",
    )


def _is_class(child: Path) -> bool:
    return child.is_dir() and not child.name.startswith(".") and child.name != "__MACOSX"


def _has_picture(folder: Path) -> bool:
    return any(is_picture_name(child.name) for child in folder.iterdir())


def _refuse_nested(folder: Path, names: Sequence[str]) -> None:
    """Most often the folder above the one that was meant was given."""
    for name in sorted(names, key=lambda name: not name.lower().startswith("train")):
        if any(_is_class(child) for child in (folder / name).iterdir()):
            inside = f"--data {printable(folder / name)}"
            raise RefusedInput(
                f"{printable(folder)} has no picture in its class folders {list_names(names)}, but"
                " folders.",
                f"Give the folder whose folders are the classes, such as {inside}.",
            )


def _test_items(
    folder: Path, preprocess: Preprocess, labels: tuple[str, ...], progress: Progress
) -> Items:
    unknown = sorted(set(_class_names(folder)) - set(labels))
    if unknown:
        raise RefusedInput(
            f"{printable(folder)} has a class folder {printable(unknown[0])!r}, which the"
            " training data have not.",
            "Name the class folders of both alike.",
        )
    return read_folder(folder, preprocess, labels=labels, progress=progress)


def _refuse_shared(items: Items, tested: Items) -> None:
    try:
        refuse_overlap(items, tested)
    except RefusedInput as error:
        raise RefusedInput(
            error.message, "Take them out of one: what trained a model can't test it."
        ) from None


def _refuse_too_few(splits: dict[str, tuple[Member, ...]], folder: Path) -> None:
    if not splits[VALIDATION]:
        raise RefusedInput(
            f"{printable(folder)} has one picture of each class at the most; none is left to"
            " tell when training is to end.",
            "Give at least two different pictures of a class; twenty or more are better.",
        )


def _tell(
    labels: Sequence[str], classes: Sequence[int], hashes: Sequence[str], progress: Progress
) -> None:
    """What a person should know of these pictures."""
    kinds = {index: set() for index in range(len(labels))}  # type: dict[int, set[str]]
    for content, index in zip(hashes, classes, strict=True):
        kinds[index].add(content)
    single = [printable(labels[index]) for index, own in kinds.items() if len(own) == 1]
    if single:
        progress.note(
            f"only one picture of {list_names(single)}: it is learnt from,"
            " and nothing tells how well"
        )
    few = [printable(labels[index]) for index, own in kinds.items() if len(own) == 2]
    if few:
        progress.note(f"only two pictures of {list_names(few)}: one is learnt from, one validates")
    copies = len(hashes) - len(set(hashes))
    if copies:
        what = "1 picture is a copy of another" if copies == 1 else f"{copies} pictures are copies"
        progress.note(f"{what}; copies stay in one split")
    counts = Counter(classes)
    if max(counts.values()) > 2 * min(counts.values()):
        progress.note(
            f"classes have {min(counts.values())} to {max(counts.values()):,} pictures:"
            " a rare class's count for more, up to ten times"
        )


def list_names(names: Sequence[str], what: str = "classes") -> str:
    """The first few of them."""
    more = f" and {len(names) - _NAMED} more {what}" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
