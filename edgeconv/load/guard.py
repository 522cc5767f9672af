"""Model files are strangers: what is checked before Keras sees one.

A ``.keras`` file is a zip whose ``config.json`` names Python classes and
functions to import; a legacy ``.h5`` holds the same in an attribute. Lambda
layers are marshalled bytecode. Nothing of that runs here: the configuration is
read as plain JSON and refused where it reaches outside Keras, unless the user
says ``--trust``.
"""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from edgeconv.errors import RefusedInput, UsageError

__all__ = ["Kind", "check_config", "check_source"]

Kind = Literal["keras", "h5", "saved_model"]

_MAX_CONFIG_BYTES = 64 << 20  # NASNetLarge's is 1 MB
_MAX_UNPACKED_BYTES = 8 << 30  # ConvNeXtXLarge's weights are 1.4 GB
_MAX_MEMBERS = 10_000
_HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
#: What zipfile and json raise over damaged bytes: RuntimeError for a forged password
#: flag, NotImplementedError for a method or version that there is not.
_UNREADABLE = (zipfile.BadZipFile, zlib.error, OSError, EOFError, ValueError, RuntimeError)

#: Layers that run code, unpickle, or read another file while they load.
_CODE_LAYERS = {
    "Lambda": "Python bytecode",
    "TorchModuleWrapper": "a pickled module",
    "TFSMLayer": "a path to another SavedModel",
    "JaxLayer": "Python code",
    "FlaxLayer": "Python code",
}
#: Keras looks a plain function up in these; any other module may hold get_file and its like.
_FUNCTION_MODULES = ("builtins", "keras.activations", "keras.initializers", "keras.losses",
                     "keras.metrics", "keras.regularizers", "keras.constraints",
                     "keras.src.activations", "keras.src.ops.nn", "keras.ops")  # fmt: skip


def check_source(path: Path, *, trust: bool = False) -> Kind:
    """Tell what kind of model ``path`` is, and refuse what is unsafe or corrupt.

    Args:
        path: ``.keras``, ``.h5``/``.hdf5`` or a SavedModel folder.
        trust: The user vouches for the code that the file brings along.

    Returns:
        Which loader takes it.

    Raises:
        UsageError: There is no such path, or it is no model.
        RefusedInput: It is corrupt or reaches outside Keras.
    """
    if path.is_dir():
        if (path / "saved_model.pb").is_file():
            return "saved_model"
        raise UsageError(
            f"{path} is a folder but no SavedModel: it has no saved_model.pb.",
            "Give a .keras file, a legacy .h5 file or a SavedModel folder.",
        )
    if not path.is_file():
        raise UsageError(
            f"There is no model {str(path)!r}.",
            "Give a zoo name ('edgeconv models' lists them) or a file that exists.",
        )
    with path.open("rb") as file:
        magic = file.read(8)
    if magic.startswith(b"PK"):
        config = _keras_config(path)
        _demand_suffix(path, (".keras",))
        if isinstance(config, dict):
            # Losses and metrics of its training, often the user's own, are not loaded.
            config = {key: value for key, value in config.items() if key != "compile_config"}
        check_config(config, path.name, trust=trust)
        return "keras"
    if magic == _HDF5_MAGIC:
        _demand_suffix(path, (".h5", ".hdf5"))
        return "h5"
    raise RefusedInput(
        f"{path.name} is neither a .keras file, an HDF5 file nor a SavedModel folder.",
        "It may be truncated; copy it again or save the model again.",
    )


def _demand_suffix(path: Path, suffixes: tuple[str, ...]) -> None:
    """Keras chooses its loader by the name; a wrong one would fail obscurely."""
    if path.suffix not in suffixes:
        raise UsageError(
            f"{path.name} is what Keras calls a {suffixes[0]} file, under another name.",
            f"Rename it to {path.stem}{suffixes[0]}.",
        )


def _keras_config(path: Path) -> Any:
    broken = RefusedInput(
        f"{path.name} is truncated or corrupt: it is not a readable .keras archive.",
        "Copy it again or save the model again with model.save('name.keras').",
    )
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            _check_members(path.name, members)
            names = {m.filename for m in members}
            if not {"config.json", "model.weights.h5"} <= names:
                raise broken
            if archive.getinfo("config.json").file_size > _MAX_CONFIG_BYTES:
                raise RefusedInput(f"{path.name}: config.json is larger than 64 MB.", "")
            return json.loads(archive.read("config.json"))
    except _UNREADABLE as error:
        raise broken from error


def _check_members(name: str, members: list[zipfile.ZipInfo]) -> None:
    if len(members) > _MAX_MEMBERS or sum(m.file_size for m in members) > _MAX_UNPACKED_BYTES:
        raise RefusedInput(
            f"{name} unpacks to more than {_MAX_MEMBERS:,} files or 8 GB.",
            "Save the model again; no Keras model needs that.",
        )
    for member in members:
        parts = PurePosixPath(member.filename.replace("\\", "/"))
        if parts.is_absolute() or ".." in parts.parts:
            raise RefusedInput(
                f"{name} holds a member outside its folder: {member.filename!r}.",
                "Don't open this file; it was made to write elsewhere.",
            )


def check_config(config: Any, name: str, *, trust: bool = False) -> None:
    """Refuse a model configuration that would import or run foreign code.

    Args:
        config: Parsed JSON of the model's configuration.
        name: The file's name, for messages.
        trust: The user vouches for the code.

    Raises:
        RefusedInput: Names the layer and what it would run.
    """
    if trust:
        return
    for item in _objects(config):
        class_name, module, layer = item["class_name"], item.get("module"), _name_of(item)
        # Keras looks "layers.Lambda" up in the module "keras" and finds it there.
        if not (isinstance(class_name, str) and class_name.isidentifier()):
            raise RefusedInput(
                f"{name}: {str(class_name)[:60]!r} is not the name of a class.",
                "Don't open this file; Keras writes no such name.",
            )
        if class_name in _CODE_LAYERS:
            raise RefusedInput(
                f"{name}: the layer {layer!r} is a {class_name}, which brings"
                f" {_CODE_LAYERS[class_name]}.",
                "Replace it by a registered layer, or pass --trust if you wrote this file.",
            )
        if class_name == "__lambda__":
            raise RefusedInput(
                f"{name}: a lambda function is stored as Python bytecode.",
                "Use a named function, or pass --trust if you wrote this file.",
            )
        if isinstance(module, str) and not _inside_keras(class_name, module):
            raise RefusedInput(
                f"{name}: {class_name} {layer!r} comes from the module {module!r}, outside Keras.",
                "Pass its module with --custom MODULE --trust if you wrote this file.",
            )
        inner = item.get("config")
        if isinstance(inner, dict) and isinstance(inner.get("vocabulary"), str):
            raise RefusedInput(
                f"{name}: the layer {layer!r} reads its vocabulary from another file.",
                "Save the model with the vocabulary inside.",
            )


def _inside_keras(class_name: object, module: str) -> bool:
    if class_name == "function":
        return module in _FUNCTION_MODULES
    return module in ("keras", "builtins") or module.startswith("keras.")


def _name_of(item: dict[str, Any]) -> str:
    inner = item.get("config")
    name = inner.get("name") if isinstance(inner, dict) else inner
    return str(name or item.get("registered_name") or "?")[:100]


def _objects(config: Any) -> Iterator[dict[str, Any]]:
    """Every JSON object inside, without recursion: depth is the file's to choose."""
    stack = [config]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            if "class_name" in item:
                yield item
            stack.extend(item.values())
        elif isinstance(item, list):
            stack.extend(item)
