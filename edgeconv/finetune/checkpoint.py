"""The state of a training on disk: whole after every epoch, whenever it is killed.

    NAME-training/
    ├── checkpoint.json    which settings, which pictures, the epochs so far, which files
    ├── epoch-0007.npz     the last epoch: weights and optimizer
    └── epoch-0004.npz     the best one

An epoch's file is written first; then checkpoint.json takes its place in one rename; only
then do files that nobody names any more go.
"""

from __future__ import annotations

import contextlib
import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Final

from edgeconv.errors import RefusedInput
from edgeconv.finetune.plan import best
from edgeconv.history import Epoch
from edgeconv.pictures import printable

__all__ = ["Checkpoint", "Store"]

_STATE: Final = "checkpoint.json"
_MOST_BYTES: Final = 16 << 20
_PART: Final = f".{_STATE}.part"
_PIXELS, _FEATURES, _LOG = "pixels.npy", "features.npy", "workshop.log"
_MODEL: Final = ".model.keras"
#: Files of epochs, and those that a kill left half-written.
_EPOCH: Final = re.compile(r"epoch-\d{4,}(-start)?\.npz")
_EPOCH_PART: Final = re.compile(r"\.epoch-\d{4,}(-start)?\.npz\.part")


@dataclass(frozen=True)
class Checkpoint:
    """How far a training is.

    Attributes:
        identity: All that must be the same for it to go on: settings, base, pictures.
        epochs: Those that are done.
        last: File of the last of them; "" before the first.
        best: File of the best of them, in the variables of the phase it is used in.
    """

    identity: Mapping[str, Any]
    epochs: tuple[Epoch, ...] = ()
    last: str = ""
    best: str = ""

    def after(self, epoch: Epoch, file: str) -> Checkpoint:
        """With one more epoch, whose state lies in ``file``."""
        epochs = (*self.epochs, epoch)
        leading = file if best(epochs) is epoch else self.best
        return replace(self, epochs=epochs, last=file, best=leading)


class Store:
    """The folder of a training's checkpoints.

    Args:
        folder: Made when the first thing is written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def pixels(self) -> Path:
        """Where the pictures lie, at the model's size, while training goes on."""
        return self.folder / _PIXELS

    @property
    def features(self) -> Path:
        """Where the workshop keeps what the frozen base computed of them."""
        return self.folder / _FEATURES

    @property
    def half(self) -> Path:
        """What a kill before the first checkpoint may leave."""
        return self.folder / _PART

    @property
    def model(self) -> Path:
        """Where the trained model lies until all is known that belongs into it."""
        return self.folder / _MODEL

    def place(self, name: str) -> Path:
        """The file called ``name``."""
        return self.folder / name

    def exists(self) -> bool:
        """Whether a training was begun here and not finished."""
        return self.place(_STATE).is_file()

    def read(self) -> Checkpoint:
        """The checkpoint that is there.

        Raises:
            RefusedInput: It is damaged.
        """
        path = self.place(_STATE)
        try:
            if path.stat().st_size > _MOST_BYTES:
                raise ValueError
            document = json.loads(path.read_text(encoding="utf-8"))
            epochs = tuple(_epoch(row) for row in document["epochs"])
            names = [document["last"], document["best"]]
            if any(not isinstance(name, str) or Path(name).name != name for name in names):
                raise ValueError
            return Checkpoint(document["identity"], epochs, *names)
        except (ValueError, KeyError, TypeError, OSError):
            raise RefusedInput(
                f"{printable(path)} is no checkpoint of edgeconv.",
                "Remove it, or write to another --output.",
            ) from None

    def write(self, checkpoint: Checkpoint) -> None:
        """Put it in the place of the one before, and drop what that alone needed."""
        document = {**asdict(checkpoint), "identity": dict(checkpoint.identity)}
        aside = self.half
        aside.write_text(json.dumps(document, indent=1, ensure_ascii=False), encoding="utf-8")
        aside.replace(self.place(_STATE))
        for file in self._like(_EPOCH):
            if file.name not in (checkpoint.last, checkpoint.best):
                file.unlink()

    def epochs_bytes(self) -> int:
        """What the epochs' files take on the disk."""
        return sum(file.stat().st_size for file in self._like(_EPOCH))

    def clear(self) -> None:
        """Take away all of a training, the state last; the folder too where that was all.

        Where there is no state of ours, files may be anybody's and stay.
        """
        if self._ours():
            names = (f".{_PIXELS}.part", _PIXELS, _FEATURES, _LOG, _MODEL, _PART, _STATE)
            epochs = (*self._like(_EPOCH), *self._like(_EPOCH_PART))
            for path in (*epochs, *map(self.place, names)):
                with contextlib.suppress(FileNotFoundError):
                    path.unlink()
        with contextlib.suppress(OSError):  # it has reports in it, or isn't there
            self.folder.rmdir()

    def _ours(self) -> bool:
        """Whether the state is there; it then says that nothing was trained yet.

        So a kill between two files leaves what can be begun anew.
        """
        try:
            known = self.read()
        except RefusedInput:
            return False
        if known.epochs:
            with contextlib.suppress(OSError):  # the disk may be full
                self.write(Checkpoint(known.identity))
        return True

    def _like(self, name: re.Pattern[str]) -> Iterator[Path]:
        """Files of the folder of that name, all of it."""
        files = list(self.folder.iterdir()) if self.folder.is_dir() else []
        return (file for file in files if name.fullmatch(file.name))


def _epoch(row: Mapping[str, Any]) -> Epoch:
    epoch = Epoch(**{field.name: row[field.name] for field in fields(Epoch)})
    numbers = [getattr(epoch, field.name) for field in fields(Epoch) if field.name != "phase"]
    if not isinstance(epoch.phase, str) or not all(map(math.isfinite, numbers)):
        raise ValueError
    return epoch
