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
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Final

from edgeconv.errors import RefusedInput
from edgeconv.finetune.plan import best
from edgeconv.history import Epoch

__all__ = ["Checkpoint", "Store"]

_STATE: Final = "checkpoint.json"
_MOST_BYTES: Final = 16 << 20
_PIXELS, _FEATURES, _LOG = "pixels.npy", "features.npy", "workshop.log"
_MODEL: Final = ".model.keras"


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
                f"{path} is no checkpoint of edgeconv.", "Begin anew with --force."
            ) from None

    def write(self, checkpoint: Checkpoint) -> None:
        """Put it in the place of the one before, and drop what that alone needed."""
        document = {**asdict(checkpoint), "identity": dict(checkpoint.identity)}
        aside = self.place(f".{_STATE}.part")
        aside.write_text(json.dumps(document, indent=1, ensure_ascii=False), encoding="utf-8")
        aside.replace(self.place(_STATE))
        for file in self.folder.glob("epoch-*.npz"):
            if file.name not in (checkpoint.last, checkpoint.best):
                file.unlink()

    def clear(self) -> None:
        """Take away all checkpoints, the state first; the folder too where that was all."""
        names = (_STATE, f".{_STATE}.part", _PIXELS, _FEATURES, _LOG, _MODEL)
        parts = (*self.folder.glob("epoch-*.npz"), *self.folder.glob(".epoch-*.npz.part"))
        for path in (*map(self.place, names), *parts):
            with contextlib.suppress(FileNotFoundError):
                path.unlink()
        with contextlib.suppress(OSError):  # it has reports in it, or isn't there
            self.folder.rmdir()


def _epoch(row: Mapping[str, Any]) -> Epoch:
    epoch = Epoch(**{field.name: row[field.name] for field in fields(Epoch)})
    numbers = [getattr(epoch, field.name) for field in fields(Epoch) if field.name != "phase"]
    if not isinstance(epoch.phase, str) or not all(map(math.isfinite, numbers)):
        raise ValueError
    return epoch
