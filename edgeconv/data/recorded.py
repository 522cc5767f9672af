"""The pictures that a model file names: what trained it calibrates, what it never saw judges.

    edgeconv.json ──root and files──► there? inside? a picture? ──SHA-256──► Items

The file names folders of this machine and comes from anybody, so a picture is opened
only where its content is what is written there; links don't lead out of the root.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from edgeconv.data.files import is_picture_name, picture_items
from edgeconv.data.items import Items
from edgeconv.errors import EdgeconvError, RefusedInput, UsageError
from edgeconv.knowledge import SPLITS, Entry, Knowledge
from edgeconv.pictures import MAX_FILE_BYTES, printable
from edgeconv.preprocess import Preprocess

__all__ = ["Recorded", "recorded_split"]

#: Ranges hardly change with more, and a folder may hold a hundred thousand.
_MOST_CALIBRATING = 1000


@dataclass(frozen=True, eq=False)
class Recorded:
    """What a model file says of its pictures.

    Attributes:
        model: The file.
        knowledge: What it says; nobody vouches for it.
        moved: Where the user says that the pictures lie now; None for where they were.
        where: What to do where they lie elsewhere now.
        instead: What to do without them.
    """

    model: Path
    knowledge: Knowledge
    moved: Path | None
    where: str
    instead: str
    _opened: dict[tuple[str, Path | None], Items] = field(default_factory=dict, repr=False)

    @property
    def name(self) -> str:
        """Of the model file, safe to print."""
        return printable(self.model.name)

    @property
    def judging(self) -> str:
        """The split to judge on: the test split, else what only stopped the training."""
        for name in ("test", "validation"):
            if self._entries(name):
                return name
        raise UsageError(
            f"{self.name} names no pictures that training left out.",
            "Give some with --parity DATA.",
        )

    def trained(self) -> frozenset[str]:
        """SHA-256 of every picture that trained the model."""
        return frozenset(entry.sha256 for entry in self._entries("train"))

    def items(self, split: str, preprocess: Preprocess, folder: Path | None = None) -> Items:
        """The pictures of a split, each seen to be the one that is named.

        Args:
            split: Of ``knowledge.SPLITS``; of ``train`` an even part where there are many.
            preprocess: Of the model.
            folder: Where they lie; None for where the user or the file says.

        Raises:
            UsageError: The file names none, or some are not there any more.
            RefusedInput: Some have changed, or are named like no picture.
        """
        if (split, folder) not in self._opened:
            self._opened[split, folder] = self._open(split, folder)
        return self._opened[split, folder].with_preprocess(preprocess)

    def _entries(self, split: str) -> tuple[Entry, ...]:
        known = self.knowledge.splits.get(split)
        return known.entries if known else ()

    def _open(self, split: str, folder: Path | None) -> Items:
        entries = self._entries(split)
        if not entries:
            raise UsageError(
                f"{self.name} names no pictures of its {split} split.",
                f"{self.instead[0].upper()}{self.instead[1:]}.",
            )
        if split == "train":
            entries = _evenly(entries, _MOST_CALIBRATING)
        self._refuse_others(entries)
        root = _fullest(self._roots(split, folder), entries)
        paths = [_inside(root, entry) for entry in entries]
        told = self.moved is not None or folder is not None
        advice = "Restore them, or" if told else f"{self.where}; else"
        missing = [path is None for path in paths]
        self._refuse(UsageError, split, f"missing from {_shown(root)}", entries, missing, advice)
        items = picture_items(
            f"{split} split of {self.name}",
            [path for path in paths if path is not None],
            [entry.file for entry in entries],
            [entry.class_index for entry in entries],
            self.knowledge.preprocess,
        )
        pairs = zip(entries, items.item_hashes(), strict=True)
        changed = [entry.sha256 != content for entry, content in pairs]
        what, advice = f"no longer what they were in {_shown(root)}", "Restore them, or"
        self._refuse(RefusedInput, split, what, entries, changed, advice)
        return items

    def _refuse_others(self, entries: Sequence[Entry]) -> None:
        """Not even the SHA-256 of what is called unlike a picture is of interest."""
        for entry in entries:
            if not is_picture_name(entry.file):
                shown = printable(entry.file)[:80]
                raise RefusedInput(
                    f"{self.name} names {shown!r}, which is no picture.",
                    "Don't trust this file; train it again, or get it again.",
                )

    def _roots(self, split: str, folder: Path | None) -> list[Path]:
        recorded = Path(self.model.resolve().parent, self.knowledge.splits[split].root)
        if folder is not None:
            return [folder]
        if self.moved is None:
            return [recorded]
        # A test set of its own may have moved along, or may not have.
        return [self.moved, self.moved / recorded.resolve().name, recorded]

    def _refuse(
        self,
        kind: type[EdgeconvError],
        split: str,
        what: str,
        entries: Sequence[Entry],
        bad: Sequence[bool],
        advice: str,
    ) -> None:
        names = [entry.file for entry, is_bad in zip(entries, bad, strict=True) if is_bad]
        if not names:
            return
        verb = "is" if len(names) == 1 else "are"
        first = printable(names[0])[:80]
        raise kind(
            f"{len(names)} of the {len(entries)} pictures that {self.name} names as its {split}"
            f" split {verb} {what}, such as {first}.",
            f"{advice} {self.instead}.",
        )


def _shown(folder: Path) -> str:
    return printable(folder.resolve())


def recorded_split(recorded: Recorded | None, spec: str | None) -> tuple[Path, str] | None:
    """Folder and name of the split that ``FOLDER:test`` means; None where it means something else.

    A folder of that name in FOLDER comes first.
    """
    folder, _, name = (spec or "").rpartition(":")
    if recorded is None or name not in SPLITS or Path(spec or "").exists():
        return None
    if not Path(folder).is_dir() or Path(folder, name).exists():
        return None
    return Path(folder), name


def _evenly(entries: tuple[Entry, ...], most: int) -> tuple[Entry, ...]:
    count = min(len(entries), most)
    return tuple(entries[place * len(entries) // count] for place in range(count))


def _fullest(roots: Sequence[Path], entries: Sequence[Entry]) -> Path:
    """The folder that has the most of them; the first of equals."""
    if len(roots) == 1:
        return roots[0]
    return max(roots, key=lambda root: sum(_inside(root, entry) is not None for entry in entries))


def _inside(root: Path, entry: Entry) -> Path | None:
    """The file that is meant, links followed, if it is one and in ``root``."""
    try:
        real = (root / entry.file).resolve(strict=True)
        good = real.is_relative_to(root.resolve()) and is_picture_name(real.name)
        return real if good and real.is_file() and real.stat().st_size <= MAX_FILE_BYTES else None
    except (OSError, ValueError, RuntimeError):  # absent, not to be looked at, a loop of links
        return None
