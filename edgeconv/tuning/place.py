"""Where a training goes: whether there is room for it beside what the user has there."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from edgeconv.errors import UsageError
from edgeconv.finetune.checkpoint import Store
from edgeconv.finetune.lock import LOCK
from edgeconv.pictures import printable
from edgeconv.report.training import FILES
from edgeconv.tuning.order import FinetuneRequest

__all__ = ["check_begun", "check_place"]

#: What systems leave in any folder that was looked at.
_JUNK: Final = (".DS_Store", "Thumbs.db", "desktop.ini")


def check_place(request: FinetuneRequest, store: Store) -> None:
    """See that the output may be written, and that its training's folder is nobody else's.

    Raises:
        UsageError: It may not, or the folder has files in it that no training wrote.
        RefusedInput: It holds a damaged checkpoint.
    """
    output = request.output
    if output.suffix != ".keras":
        raise UsageError(
            f"--output writes .keras, and {printable(output.name)} says otherwise.", "Use .keras."
        )
    if not output.parent.is_dir():
        raise UsageError(
            f"There is no folder {printable(output.parent)}.", "Make it, or write elsewhere."
        )
    if output.is_dir():
        raise UsageError(f"{printable(output)} is a folder.", "Give another name to --output.")
    for option, pictures in (("--data", request.data), ("--test", request.test)):
        if pictures is not None:
            _refuse_mixed(store.folder, option, pictures)
    _refuse_foreign(store)


def _refuse_mixed(folder: Path, option: str, pictures: Path) -> None:
    """Pictures and checkpoints in one folder would be taken for each other."""
    ours, theirs = folder.resolve(), pictures.resolve()
    if ours.is_relative_to(theirs) or theirs.is_relative_to(ours):
        raise UsageError(
            f"Training would write to {printable(folder)}, and the pictures of {option} lie in"
            f" {printable(pictures)}.",
            "Write the model to another --output, outside the pictures.",
        )


def _refuse_foreign(store: Store) -> None:
    folder = store.folder
    if store.exists():
        store.read()
        return
    if not folder.exists():
        return
    if not folder.is_dir():
        raise UsageError(
            f"{printable(folder)} is no folder, and training needs one of that name.",
            "Move it away, or write to another --output.",
        )
    known = {*FILES, *(f".{name}.part" for name in FILES), LOCK, store.half.name, *_JUNK}
    others = sorted(path.name for path in folder.iterdir() if path.name not in known)
    if others:
        raise UsageError(
            f"{printable(folder)} holds what no training left there, such as"
            f" {printable(others[0])}.",
            "Move that elsewhere, or write to another --output.",
        )


def check_begun(request: FinetuneRequest, store: Store) -> None:
    """See that nothing is replaced unasked, and that there is something to resume.

    Raises:
        UsageError: It is otherwise.
    """
    output = request.output
    if request.resume and not store.exists():
        done = output.exists()
        raise UsageError(
            f"{printable(output)} is finished; there is nothing to resume."
            if done
            else f"{printable(store.folder)} holds no training that could be resumed.",
            "Leave --resume out." if not done else "Train anew with --force, without --resume.",
        )
    if request.resume or request.force:
        return
    if store.exists():
        raise UsageError(
            f"{printable(store.folder)} holds a training that was not finished.",
            "Go on with --resume, or begin anew with --force.",
        )
    if output.exists():
        raise UsageError(f"{printable(output)} already exists.", "Add --force to replace it.")
