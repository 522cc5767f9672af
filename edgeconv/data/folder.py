"""An image folder: one folder a class, or pictures side by side without labels.

pets/cat/1.jpg  pets/dog/1.jpg     labelled, by the folders' names or their order
photos/1.jpg    photos/2.jpg       unlabelled
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Sequence
from pathlib import Path

from edgeconv.data.files import is_picture_name, picture_items, resolved_inside
from edgeconv.data.items import Items
from edgeconv.errors import HostFailure, RefusedInput, UsageError
from edgeconv.pictures import printable
from edgeconv.preprocess import Preprocess
from edgeconv.progress import Progress, Silent

__all__ = ["read_folder"]


def read_folder(
    folder: Path,
    preprocess: Preprocess,
    *,
    split: str = "",
    labels: Sequence[str] = (),
    classes: int | None = None,
    progress: Progress | None = None,
) -> Items:
    """List the pictures of a folder; none is opened yet.

    Args:
        folder: One folder a class, or a flat one.
        preprocess: Of kind ``image``.
        split: A folder inside, such as ``train``, that is meant instead.
        labels: The model's class names by index.
        classes: How many the model has; None where it is no classifier.
        progress: Told which files are no pictures.

    Raises:
        UsageError: No such split.
        RefusedInput: No picture, pictures beside class folders, or folders that
            can't be matched to the model's classes.
    """
    root = _split_folder(folder, split) if split else folder
    note = (progress or Silent()).note
    flat, ignored = _pictures_in(root, root)
    found: dict[str, list[Path]] = {}
    for child in _children(root):
        if child.is_dir():
            found[child.name], others = _pictures_in(child, root)
            ignored += others
    if ignored:
        note(_ignored(root, ignored))
    name = f"{folder}:{split}" if split else str(folder)
    if not any(found.values()):
        if not flat:
            raise RefusedInput(f"{printable(root)} has no picture in it.", _hint_for_empty(root))
        return _items(name, root, flat, None, preprocess)
    if flat:
        raise RefusedInput(
            f"{printable(root)} has pictures beside its class folders, such as "
            f"{printable(flat[0].name)}.",
            "Move them into a class folder or out of it.",
        )
    order = _class_indices(root, sorted(found), labels, classes)
    paths = [path for name in sorted(found) for path in found[name]]
    y = [order[name] for name in sorted(found) for _ in found[name]]
    return _items(name, root, paths, y, preprocess)


def _items(
    name: str, root: Path, paths: list[Path], y: list[int] | None, preprocess: Preprocess
) -> Items:
    ids = [path.relative_to(root).as_posix() for path in paths]
    real = [resolved_inside(root, path, printable(path)) for path in paths]
    return picture_items(name, real, ids, y, preprocess)


def _split_folder(folder: Path, split: str) -> Path:
    inside = folder / split
    if split == ".." or Path(split).name != split or not inside.is_dir():
        raise UsageError(
            f"{printable(folder)} has no folder {printable(split)!r} in it.", "Check the split."
        )
    return resolved_inside(folder, inside, printable(inside))


def _children(folder: Path) -> list[Path]:
    """Sorted by code points; what systems and archivers leave behind is passed over."""
    try:
        names = sorted(os.listdir(folder))  # noqa: PTH208 - sorts names, not paths
    except OSError as error:
        raise HostFailure(f"{printable(folder)} can't be read ({error.strerror}).") from None
    junk = ("__MACOSX", "Thumbs.db", "desktop.ini")
    return [folder / name for name in names if not name.startswith(".") and name not in junk]


def _pictures_in(folder: Path, root: Path) -> tuple[list[Path], list[Path]]:
    """The pictures in ``folder`` itself, and the files in it that are none."""
    if folder != root:
        resolved_inside(root, folder, printable(folder))
    files = [path for path in _children(folder) if not path.is_dir()]
    pictures = [path for path in files if is_picture_name(path.name)]
    return pictures, [path for path in files if not is_picture_name(path.name)]


def _ignored(root: Path, ignored: list[Path]) -> str:
    first = printable(ignored[0].relative_to(root).as_posix())
    if len(ignored) == 1:
        return f"{printable(root)}: {first} is no picture and was ignored."
    return (
        f"{printable(root)}: {len(ignored)} files are no pictures and were ignored ({first}, ...)."
    )


def _hint_for_empty(root: Path) -> str:
    """Most often the folder above the one that was meant was given."""
    for child in _children(root):
        if child.is_dir() and any(grandchild.is_dir() for grandchild in _children(child)):
            return f"Choose a folder inside it, such as {printable(root)}:{printable(child.name)}."
    return "Give a folder with pictures, or with one folder of pictures a class."


def _class_indices(
    root: Path, names: list[str], labels: Sequence[str], classes: int | None
) -> dict[str, int]:
    """Folder name -> class index: by the model's labels, else by sorted order.

    Sorted order is that of ``keras.utils.image_dataset_from_directory``, so it
    is the order that the model was trained in.
    """
    by_label = {_normal(label): index for index, label in enumerate(labels)}
    unknown = [name for name in names if _normal(name) not in by_label]
    if not unknown:
        _refuse_ambiguous(root, names, labels)
        return {name: by_label[_normal(name)] for name in names}
    if classes is None or len(names) == classes:
        _refuse_numbers_out_of_order(root, names)
        return {name: index for index, name in enumerate(names)}
    detail = f"; no label is called {printable(unknown[0])!r}" if labels else ""
    raise RefusedInput(
        f"{printable(root)} has {len(names)} class folders, the model {classes} classes{detail}.",
        "Name the folders like the model's labels, or give a CSV with file and class_index.",
    )


def _normal(name: str) -> str:
    # macOS stores file names decomposed, label files are mostly composed.
    return unicodedata.normalize("NFC", name.strip())


def _refuse_ambiguous(root: Path, names: list[str], labels: Sequence[str]) -> None:
    known = [_normal(label) for label in labels]
    for name in names:
        if known.count(_normal(name)) > 1:
            raise RefusedInput(
                f"{printable(root / name)}: the model has two classes of that name.",
                "Give a CSV with file and class_index.",
            )


def _refuse_numbers_out_of_order(root: Path, names: list[str]) -> None:
    if all(name.isdecimal() for name in names) and names != sorted(names, key=int):
        raise RefusedInput(
            f"{printable(root)}: as names its class folders sort as {', '.join(names[:3])}, ..., "
            "as numbers otherwise.",
            "Pad the numbers with zeros, or give a CSV with file and class_index.",
        )
