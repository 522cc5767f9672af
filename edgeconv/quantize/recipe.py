"""Recipe <-> the text of recipe.toml.

The file is printed, diffed and committed by users, so it carries its own
explanation, and a misspelt key is an error, never ignored.
"""

from __future__ import annotations

import difflib
import itertools
import re
import tomllib
import typing
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import tomli_w

from edgeconv.errors import HostFailure, RefusedInput, UsageError
from edgeconv.types import Calibrator, Format, Precision, Qat, Recipe, Scope

__all__ = ["read_recipe", "recipe_from_text", "recipe_to_text"]

_SCHEMA_VERSION = 1
_MAX_BYTES = 1 << 20
_MOST_EPOCHS = 1000
_PRECISIONS = typing.get_args(Precision)
_CALIBRATORS = typing.get_args(Calibrator)

_HEADER = """\
# How this model was quantized. To use it again, as it is or edited:
#     edgeconv export MODEL --recipe recipe.toml
"""

#: What stands above each key in the file; the order here is the order there.
_COMMENTS = {
    "schema_version": "",
    "precision": (
        f"Numbers of every layer that no [[scopes]] below names: {', '.join(_PRECISIONS)}."
    ),
    "calibrator": (
        "How an activation's range is chosen from what calibration saw: minmax takes all\n"
        "# of it, percentile cuts rare outliers off, mse looks for the least squared error\n"
        "# of cutting and rounding, entropy for the least loss of information (KL)."
    ),
    "percentile": "Share of the values that the percentile calibrator keeps, in percent.",
    "passes": "What is done to the float weights before, in this order.",
    "onnx_activations": (
        "Integers of ONNX activations: unsigned is fast on CPUs, signed suits TensorRT."
    ),
    "keep_softmax": (
        "true leaves the final softmax inside the model. In int8 its steps are 1/256,\n"
        "# too coarse to tell 1,000 classes apart; left out, the runtime applies it in float."
    ),
    "scopes": (
        "Layers with other numbers than the rest, by Keras layer name or a list of names; *\n"
        "# and ? match as in file names, and the last entry that matches wins. An entry may\n"
        "# also name a calibrator, and a format (tflite or onnx) that it is for."
    ),
    "qat": (
        "Quantization-aware training after the passes, on the calibration data: passes over\n"
        "# it, the first step (1 is a channel's whole range), and the seed of the order."
    ),
}


def recipe_to_text(recipe: Recipe) -> str:
    """The recipe as commented TOML; the same recipe gives the same bytes."""
    values: dict[str, Any] = {
        "schema_version": _SCHEMA_VERSION,
        "precision": recipe.precision,
        "calibrator": recipe.calibrator,
        "percentile": recipe.percentile,
        "passes": list(recipe.passes),
        "onnx_activations": recipe.onnx_activations,
        "keep_softmax": recipe.keep_softmax,
        "scopes": _tables(recipe.scopes),
        "qat": None if recipe.qat is None else vars(recipe.qat),
    }
    parts = [_HEADER]
    for key, comment in _COMMENTS.items():
        if key == "scopes" and not values[key]:
            example = '# [[scopes]]\n# layers = "block_13_*"\n# precision = "fp32"'
            parts.append(f"\n# {comment}\n{example}\n")
            continue
        if values[key] is None:
            continue
        parts.append((f"\n# {comment}\n" if comment else "\n") + _dump(key, values[key]))
    return "".join(parts)


def _tables(scopes: Sequence[Scope]) -> list[dict[str, Any]]:
    """One a scope; neighbours that differ in their layers alone have one together."""
    tables = []
    for said, group in itertools.groupby(scopes, lambda scope: replace(scope, layers="")):
        layers = [scope.layers for scope in group]
        rest = {key: value for key, value in vars(said).items() if value}
        tables.append({"layers": layers if len(layers) > 1 else layers[0], **rest})
    return tables


def _dump(key: str, value: Any) -> str:
    if key == "scopes":
        return "\n".join(f"[[scopes]]\n{tomli_w.dumps(scope)}" for scope in value)
    return tomli_w.dumps({key: value})


def read_recipe(path: Path) -> Recipe:
    """Read a recipe file.

    Raises:
        UsageError: It is absent, or says something that no recipe can.
        RefusedInput: It is no TOML, or far too large for a recipe.
        HostFailure: It can't be read.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
    except FileNotFoundError:
        raise UsageError(
            f"There is no recipe file {path}.", "Give the recipe.toml of a bundle, or leave it out."
        ) from None
    except OSError as error:
        raise HostFailure(f"The recipe {path} can't be read: {error.strerror}.") from error
    if len(data) > _MAX_BYTES:
        raise RefusedInput(f"{path} has more than {_MAX_BYTES} bytes, too many for a recipe.")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise RefusedInput(f"{path} is no UTF-8 text.") from None
    return recipe_from_text(text, str(path))


def recipe_from_text(text: str, where: str = "recipe.toml") -> Recipe:
    """Parse the text of a recipe.

    Args:
        text: TOML.
        where: The file's name, for messages.

    Raises:
        UsageError: An unknown key, a wrong type or a value that can't be.
        RefusedInput: It is no TOML.
    """
    try:
        table = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise RefusedInput(f"{where} is no valid TOML: {str(error)[:200]}") from error
    _refuse_unknown_keys(table, list(_COMMENTS), where)
    version = table.pop("schema_version", _SCHEMA_VERSION)
    if version != _SCHEMA_VERSION:
        raise UsageError(
            f"{where} has schema_version {version!r}; this edgeconv reads {_SCHEMA_VERSION}.",
            "Use the edgeconv version that wrote it, or a newer one.",
        )
    return Recipe(**{key: _CHECKS[key](key, value, where) for key, value in table.items()})


def _refuse_unknown_keys(table: Mapping[str, Any], known: Sequence[str], where: str) -> None:
    for key in table:
        if key not in known:
            near = difflib.get_close_matches(key, known, 1)
            raise UsageError(
                f"{where} has a key {key!r} that no recipe has.",
                f"Did you mean {near[0]!r}?" if near else f"Known keys: {', '.join(known)}.",
            )


def _choice(*known: str) -> Any:
    def check(key: str, value: object, where: str) -> str:
        if not isinstance(value, str) or value not in known:
            raise UsageError(f"{where}: {key} is {value!r}.", f"Use one of: {', '.join(known)}.")
        return value

    return check


def _percentile(key: str, value: object, where: str) -> float:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    # Below 50 the median itself would be clipped.
    if not number or not 50.0 < float(typing.cast(float, value)) <= 100.0:
        raise UsageError(f"{where}: {key} is {value!r}.", "Use a number above 50, up to 100.")
    return float(typing.cast(float, value))


def _names(key: str, value: object, where: str) -> tuple[str, ...]:
    fine = isinstance(value, list) and all(
        isinstance(name, str) and re.fullmatch(r"[a-z][a-z0-9_]*", name) for name in value
    )
    if not fine:
        raise UsageError(f"{where}: {key} is {value!r}.", 'Use a list, such as ["lift_channels"].')
    return tuple(typing.cast(list[str], value))


def _flag(key: str, value: object, where: str) -> bool:
    if not isinstance(value, bool):
        raise UsageError(f"{where}: {key} is {value!r}.", "Use true or false.")
    return value


def _scopes(key: str, value: object, where: str) -> tuple[Scope, ...]:
    example = 'Write [[scopes]], then layers = "block_13_*" and precision = "fp32".'
    if not isinstance(value, list) or not all(isinstance(scope, dict) for scope in value):
        raise UsageError(f"{where}: {key} is {value!r}.", example)
    scopes = []
    for scope in value:
        _refuse_unknown_keys(scope, ["layers", *_SCOPE_CHECKS], f"{where}: [[{key}]]")
        layers = scope.get("layers")
        names = layers if isinstance(layers, list) else [layers]
        if not names or not all(isinstance(name, str) and name for name in names):
            raise UsageError(f"{where}: a [[{key}]] entry names no layers.", example)
        said = {
            name: check(name, scope[name], where)
            for name, check in _SCOPE_CHECKS.items()
            if name in scope
        }
        if said.keys() <= {"format"}:
            raise UsageError(f"{where}: the [[{key}]] entry {layers!r} changes nothing.", example)
        scopes += [Scope(name, **said) for name in names]
    return tuple(scopes)


def _qat(key: str, value: object, where: str) -> Qat:
    if not isinstance(value, dict):
        raise UsageError(f"{where}: {key} is {value!r}.", "Write [qat], then epochs = 16.")
    _refuse_unknown_keys(value, list(_QAT_CHECKS), f"{where}: [{key}]")
    said = {name: check(value[name]) for name, check in _QAT_CHECKS.items() if name in value}
    for name, number in said.items():
        if number is None:
            raise UsageError(
                f"{where}: {name} in [{key}] is {value[name]!r}.",
                f"epochs is a whole number from 1 to {_MOST_EPOCHS}, learning_rate above 0 and at"
                " most 1, seed a whole number from 0.",
            )
    return Qat(**said)


def _whole(least: int, most: int) -> Any:
    def check(value: object) -> int | None:
        fine = isinstance(value, int) and not isinstance(value, bool) and least <= value <= most
        return value if fine and isinstance(value, int) else None

    return check


def _rate(value: object) -> float | None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if number and 0 < float(value) <= 1 else None  # type: ignore[arg-type]


_QAT_CHECKS = {
    "epochs": _whole(1, _MOST_EPOCHS),
    "learning_rate": _rate,
    "seed": _whole(0, 2**32 - 1),
}
_SCOPE_CHECKS = {
    "precision": _choice(*_PRECISIONS),
    "calibrator": _choice(*_CALIBRATORS),
    "format": _choice(*typing.get_args(Format)),
}
_CHECKS = {
    "precision": _choice(*_PRECISIONS),
    "calibrator": _choice(*_CALIBRATORS),
    "percentile": _percentile,
    "passes": _names,
    "onnx_activations": _choice("unsigned", "signed"),
    "keep_softmax": _flag,
    "scopes": _scopes,
    "qat": _qat,
}
