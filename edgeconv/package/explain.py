"""Why a bundle is as it is: its recipe, and the search that found it."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from edgeconv.errors import RefusedInput
from edgeconv.runtime.checksums import SealedFolder
from edgeconv.runtime.manifest import MANIFEST_FILE, MAX_MANIFEST_BYTES, parse_manifest

__all__ = ["explain"]

_MOST_BYTES: Final = 16 << 20
#: Of a whole number; sizes in bytes have fewer.
_MOST_DIGITS: Final = 18
RECOVERY_FILE: Final = "recovery.json"
_HINT = "Export again, or use the version that wrote it."


def explain(path: Path) -> dict[str, Any]:
    """The account of a bundle's recipe.

    Args:
        path: The bundle's folder.

    Returns:
        ``name``, ``precision``, ``status``, ``recipe`` as in manifest.json, ``recovery``
        (the content of recovery.json, None where nothing was searched for), ``bench``
        (the times of its rungs) and ``layers``: those in another precision than the
        bundle's, each with ``name``, ``precision``, ``format`` (None for every), ``why`` and
        ``together``: the layers that ``why`` tells of.

    Raises:
        UsageError: There is no such folder.
        RefusedInput: It is no bundle, or damaged.
    """
    folder = SealedFolder(path)
    manifest = parse_manifest(folder.read(MANIFEST_FILE, MAX_MANIFEST_BYTES))
    verdict, bench = _object(folder, "verdict.json"), _object(folder, "bench.json")
    found = _object(folder, RECOVERY_FILE) if RECOVERY_FILE in folder.sums else None
    if found is not None:
        _check(found)
    return {
        "schema_version": 1,
        "name": manifest.name,
        "precision": manifest.precision,
        "status": verdict.get("status"),
        "recipe": dict(manifest.recipe),
        "recovery": found,
        "bench": {"search": bench.get("search")} if isinstance(bench.get("search"), list) else {},
        "layers": list(_layers(manifest.recipe, manifest.precision, found or {})),
    }


def _object(folder: SealedFolder, name: str) -> dict[str, Any]:
    try:
        found = json.loads(
            folder.read(name, _MOST_BYTES),
            parse_int=_whole,
            parse_float=_real,
            parse_constant=_real,
        )
    except (ValueError, RecursionError) as error:
        raise RefusedInput(f"{name} is no valid JSON: {str(error)[:100]}", _HINT) from error
    if not isinstance(found, dict):
        raise RefusedInput(f"{name} holds no object.", _HINT)
    return found


def _whole(text: str) -> int:
    if len(text) > _MOST_DIGITS:
        raise ValueError(f"a whole number of {len(text)} digits")
    return int(text)


def _real(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"the number {text[:20]} is not finite")
    return value


def _check(found: Mapping[str, Any]) -> None:
    """Refuse what is no account, whoever wrote it."""
    if found.get("schema_version") != 1:
        raise RefusedInput(f"{RECOVERY_FILE} has another schema_version than 1.", _HINT)
    rungs, layers = found.get("rungs"), found.get("layers")
    lists = [rungs, layers]
    if isinstance(rungs, list) and all(isinstance(rung, dict) for rung in rungs):
        lists += [rung.get("artifacts") for rung in rungs]
    for rows in lists:
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise RefusedInput(f"{RECOVERY_FILE} lacks a list of objects where one stands.", _HINT)
    if not all(isinstance(layer.get("name"), str) for layer in found["layers"]):
        raise RefusedInput(f"{RECOVERY_FILE} has a layer without a name.", _HINT)


def _layers(
    recipe: Mapping[str, Any], precision: str, found: Mapping[str, Any]
) -> Iterator[dict[str, Any]]:
    asked = {layer.get("name"): layer for layer in found.get("layers", [])}
    rungs = {name: rung for rung in found.get("rungs", []) for name in _kept(rung)}
    scopes = recipe.get("scopes")
    for scope in scopes if isinstance(scopes, list) else []:
        if not isinstance(scope, dict) or scope.get("precision") in (None, precision):
            continue
        pattern = str(scope.get("layers"))
        name = _unescaped(pattern)
        layer = asked.get(name)
        yield {
            "name": name,
            "precision": str(scope["precision"]),
            "format": scope.get("format"),
            "together": 1 if layer is None else _together(layer),
            "why": _why(layer, rungs.get(name)),
        }


def _together(layer: Mapping[str, Any]) -> int:
    """How many layers were asked at once what they lose."""
    count = layer.get("together")
    return count if isinstance(count, int) else 1


def _kept(rung: Mapping[str, Any]) -> list[str]:
    """The layers that a rung kept in float as one."""
    layers = rung.get("layers")
    kept = layers if rung.get("kept") is True and isinstance(layers, list) else []
    return [name for name in kept if isinstance(name, str)]


def _unescaped(pattern: str) -> str:
    """A layer's name, of a pattern that matches it alone."""
    for character in "*?[":
        pattern = pattern.replace(f"[{character}]", character)
    return pattern


def _why(layer: Mapping[str, Any] | None, rung: Mapping[str, Any] | None) -> str:
    if layer is None and rung is not None:
        return f"{rung.get('what')} ({rung.get('name')})"
    if layer is None:
        return "the recipe asked for it before the search"
    count = _together(layer)
    which = f"{count} layers in a row alone are" if count > 1 else "it alone is"
    parts = []
    for key, words in (
        ("alone_db", f"where {which} int8, the output has {{:.1f}} dB"),
        ("without_db", "where all but it are, {:.1f} dB"),
    ):
        value = layer.get(key)
        if isinstance(value, int | float):
            parts.append(words.format(value))
    return "; ".join(parts) or "it is among the most sensitive"
