"""The text of a device profile -> Device, checked key by key.

A misspelt key is an error, never ignored; what no file of edgeconv could satisfy
(unsigned TFLite, say) is refused here rather than after an export.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Collection, Mapping
from typing import Any, Final, get_args

from edgeconv.device.profiles import Device, Int8, Operators, Runtime
from edgeconv.errors import RefusedInput, UsageError
from edgeconv.runtime.text import UNSAFE_TEXT
from edgeconv.types import Format, Precision

__all__ = ["ENGINES", "parse_profile"]

_SCHEMA_VERSION: Final = 1
#: Engine -> the format that it opens.
ENGINES: Final[Mapping[str, Format]] = {
    "litert": "tflite",
    "tflite-runtime": "tflite",
    "tflite-micro": "tflite",
    "onnxruntime": "onnx",
    "onnxruntime-web": "onnx",
}
_TOP: Final = frozenset({
    "schema_version", "title", "processor", "formats", "precisions", "default_precision",
    "default_reason", "next_step", "runtime", "memory", "int8", "operators", "sources",
})  # fmt: skip
_SOURCES: Final = frozenset({
    "processor", "runtime", "precisions", "default_precision", "memory", "int8", "operators",
})  # fmt: skip
_LONGEST_TEXT: Final = 400
_LONGEST_KEY: Final = 60
_MOST_NAMES: Final = 1000
_MOST_MIB: Final = 2.0**24
_MOST_THREADS: Final = 1024
_OPERATOR = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")


def parse_profile(text: str, name: str, where: str) -> Device:
    """Read a profile.

    Args:
        text: TOML, as docs/devices.md describes it.
        name: Of the device.
        where: The file's name, for messages.

    Raises:
        UsageError: A key is unknown or missing, or a value is none that can be.
        RefusedInput: It is no TOML.
    """
    try:
        table = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # ValueError: a number of 5,000 digits too
        raise RefusedInput(f"{where} is no valid TOML: {str(error)[:200]}") from error
    top = _Table(table, where, "", _TOP)
    top.whole("schema_version", _SCHEMA_VERSION, _SCHEMA_VERSION)
    formats = top.choices("formats", get_args(Format))
    precisions = top.choices("precisions", get_args(Precision))
    runtime = _runtime(
        top.table("runtime", {"engine", "package", "version", "providers", "threads"})
    )
    memory = top.table("memory", {"ram_mib", "flash_mib", "on_chip_mib"})
    device = Device(
        name=name,
        title=top.text("title"),
        processor=top.text("processor"),
        formats=formats,
        precisions=precisions,
        default_precision=top.choice("default_precision", precisions),
        default_reason=top.text("default_reason").removesuffix("."),
        runtime=runtime,
        int8=_int8(top) if "int8" in precisions or "int8" in table else None,
        operators=_operators(top, formats),
        ram_mib=memory.mib("ram_mib"),
        flash_mib=memory.mib("flash_mib") if memory.has("flash_mib") else None,
        on_chip_mib=memory.mib("on_chip_mib") if memory.has("on_chip_mib") else None,
        next_step=top.text("next_step") if top.has("next_step") else "",
        sources=_sources(top, int8="int8" in precisions),
    )
    _refuse_impossible(device, where)
    return device


def _runtime(table: _Table) -> Runtime:
    return Runtime(
        engine=table.choice("engine", tuple(ENGINES)),
        package=table.text("package"),
        version=table.text("version"),
        providers=table.texts("providers"),
        threads=table.whole("threads", 1, _MOST_THREADS),
    )


def _int8(top: _Table) -> Int8:
    table = top.table("int8", {"activations", "symmetric", "io_dtype", "integer_only"})
    return Int8(
        activations=table.choice("activations", ("signed", "unsigned")),
        symmetric=table.flag("symmetric"),
        io_dtype=table.choice("io_dtype", ("int8", "float32")),
        integer_only=table.flag("integer_only"),
    )


def _operators(top: _Table, formats: tuple[Format, ...]) -> dict[Format, Operators]:
    parent = top.table("operators", set(formats))
    found: dict[Format, Operators] = {}
    for format in formats:
        table = parent.table(format, {"only", "except", "fallback", "limits"})
        if table.has("only") == table.has("except"):
            raise table.error("needs either 'only' or 'except'", "List what runs, or what doesn't.")
        only = frozenset(table.operators("only")) if table.has("only") else None
        found[format] = Operators(
            only=only,
            exceptions=frozenset(table.operators("except")) if only is None else frozenset(),
            fallback=table.text("fallback") if table.has("fallback") else "",
            limits=table.table("limits", None).every_text() if table.has("limits") else {},
        )
    return found


def _sources(top: _Table, *, int8: bool) -> dict[str, str]:
    wanted = _SOURCES if int8 else _SOURCES - {"int8"}
    table = top.table("sources", wanted)
    return {fact: table.text(fact) for fact in sorted(wanted)}


def _refuse_impossible(device: Device, where: str) -> None:
    """What contradicts itself, or what edgeconv writes."""
    opens = ENGINES[device.runtime.engine]
    for format in device.formats:
        if format != opens:
            raise UsageError(
                f"{where}: formats names {format}, which {device.runtime.engine} doesn't open.",
                f'Write formats = ["{opens}"], or another engine.',
            )
    if device.int8 is None:
        return
    signs = {("signed", True), ("unsigned", False)} if opens == "onnx" else {("signed", False)}
    if (device.int8.activations, device.int8.symmetric) not in signs:
        raise UsageError(
            f"{where}: int8.activations and int8.symmetric are no pair that edgeconv writes.",
            "ONNX: signed and symmetric, or unsigned and not; TFLite: signed and not symmetric.",
        )
    border = "int8" if opens == "tflite" else "float32"
    if device.int8.io_dtype != border:
        raise UsageError(
            f"{where}: int8.io_dtype is {device.int8.io_dtype}; edgeconv's {opens} has {border}.",
            f'Write io_dtype = "{border}".',
        )


class _Table:
    """One TOML table whose values are asked for by type.

    Args:
        values: The table.
        where: The file's name.
        path: The table's own key, "" at the top.
        known: Keys that it may have; None for any.
    """

    def __init__(
        self, values: Mapping[str, Any], where: str, path: str, known: Collection[str] | None
    ) -> None:
        self._values, self._where, self._path = values, where, path
        for key in values:
            if known is not None and key not in known:
                shown = key[:_LONGEST_KEY]
                near = difflib.get_close_matches(shown, known, 1)
                raise UsageError(
                    f"{where}: there is no key {self._full(shown)!r} in a device profile.",
                    f"Did you mean {near[0]!r}?" if near else f"Known: {', '.join(sorted(known))}.",
                )

    def has(self, key: str) -> bool:
        return key in self._values

    def error(self, problem: str, hint: str) -> UsageError:
        return UsageError(f"{self._where}: {self._path or 'it'} {problem}.", hint)

    def text(self, key: str) -> str:
        return self._checked_text(key, self._get(key))

    def texts(self, key: str) -> tuple[str, ...]:
        return tuple(self._checked_text(key, value) for value in self._list(key))

    def every_text(self) -> dict[str, str]:
        return {key: self.text(key) for key in self.operators_in(self._values)}

    def choice(self, key: str, known: Collection[Any]) -> Any:
        value = self._get(key)
        if value not in list(known):
            raise self._wrong(key, value, f"Choose from {', '.join(known)}.")
        return value

    def choices(self, key: str, known: Collection[Any]) -> tuple[Any, ...]:
        values = self._list(key)
        if not values or any(value not in list(known) for value in values):
            raise self._wrong(key, values, f"A list of {', '.join(known)}.")
        return tuple(dict.fromkeys(values))

    def flag(self, key: str) -> bool:
        value = self._get(key)
        if not isinstance(value, bool):
            raise self._wrong(key, value, "Write true or false.")
        return value

    def whole(self, key: str, low: int, high: int) -> int:
        value = self._get(key)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            right = f"{low}" if low == high else f"a whole number from {low} to {high}"
            raise self._wrong(key, value, f"Write {right}.")
        return value

    def mib(self, key: str) -> float:
        value = self._get(key)
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not 0 < value <= _MOST_MIB:  # NaN is neither
            raise self._wrong(key, value, "Write mebibytes, such as 512 or 0.25.")
        return float(value)

    def operators(self, key: str) -> list[str]:
        return self.operators_in(self._list(key))

    def operators_in(self, names: Collection[Any]) -> list[str]:
        for name in names:
            if not isinstance(name, str) or not _OPERATOR.fullmatch(name):
                raise self._wrong("operator", name, "Write CONV_2D (TFLite) or Conv (ONNX).")
        return list(names)

    def table(self, key: str, known: Collection[str] | None) -> _Table:
        value = self._get(key)
        if not isinstance(value, dict):
            raise self._wrong(key, value, f"Write a table, [{self._full(key)}].")
        return _Table(value, self._where, self._full(key), known)

    def _get(self, key: str) -> Any:
        if key not in self._values:
            raise UsageError(
                f"{self._where}: the key {self._full(key)!r} is missing.",
                "See docs/devices.md, or begin with: edgeconv devices raspberrypi4 --toml",
            )
        return self._values[key]

    def _list(self, key: str) -> list[Any]:
        value = self._get(key)
        if not isinstance(value, list) or len(value) > _MOST_NAMES:
            raise self._wrong(key, value, f"Write a list of up to {_MOST_NAMES} texts.")
        return value

    def _checked_text(self, key: str, value: Any) -> str:
        fine = isinstance(value, str) and 0 < len(value.strip()) <= _LONGEST_TEXT
        if not fine or UNSAFE_TEXT.search(value):
            raise self._wrong(key, value, f"Write one line of text, up to {_LONGEST_TEXT} letters.")
        return str(value.strip())

    def _wrong(self, key: str, value: Any, hint: str) -> UsageError:
        try:
            shown = repr(value)[:80]
        except (ValueError, RecursionError):  # hexadecimal, with more digits than Python prints
            shown = "out of all bounds"
        return UsageError(f"{self._where}: {self._full(key)} is {shown}.", hint)

    def _full(self, key: str) -> str:
        return f"{self._path}.{key}" if self._path else key
