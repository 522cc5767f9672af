"""Profiles: what a device runs, from ``devices/*.toml`` or a file of the user's own.

raspberrypi4            devices/raspberrypi4.toml  ─┐
boards/mine.toml        that file                  ─┴► text ──profile_text──► Device
"""

from __future__ import annotations

import difflib
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from edgeconv.errors import HostFailure, RefusedInput, UsageError
from edgeconv.types import Format, Precision

__all__ = [
    "Device",
    "Int8",
    "Operators",
    "Runtime",
    "device_names",
    "find_device",
    "profile_text",
]

_PACKAGE = Path(__file__).resolve().parents[1]
_MAX_BYTES = 1 << 18
#: A profile's name stands in manifests and on terminals.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True)
class Runtime:
    """What opens the model file on the device.

    Attributes:
        engine: ``litert``, ``tflite-runtime``, ``tflite-micro``, ``onnxruntime`` or
            ``onnxruntime-web``.
        package: What is installed there.
        version: The lowest that the profile speaks of.
        providers: Execution providers of ONNX Runtime, delegates of LiteRT, in wish
            order; none for the engine's own CPU kernels.
        threads: Of one inference.
    """

    engine: str
    package: str
    version: str
    providers: tuple[str, ...]
    threads: int


@dataclass(frozen=True)
class Int8:
    """The device's conventions for 8-bit integers.

    Attributes:
        activations: ``signed`` (int8) or ``unsigned`` (uint8).
        symmetric: The zero point of activations has to be 0.
        io_dtype: Of the model's inputs and outputs.
        integer_only: No operator of the model may compute in float.
    """

    activations: Literal["signed", "unsigned"]
    symmetric: bool
    io_dtype: Literal["int8", "float32"]
    integer_only: bool


@dataclass(frozen=True)
class Operators:
    """Which operators of one format the device runs.

    Attributes:
        only: Nothing but these; None where ``exceptions`` are fewer.
        exceptions: All but these.
        fallback: What runs the others, such as ``the CPU``; "" where nothing does.
        limits: Operator -> what holds for it, in a sentence.
    """

    only: frozenset[str] | None
    exceptions: frozenset[str]
    fallback: str
    limits: Mapping[str, str]

    def runs(self, op: str) -> bool:
        """Whether the device itself runs ``op``, in the format's own words."""
        return op not in self.exceptions if self.only is None else op in self.only


@dataclass(frozen=True)
class Device:
    """A profile; see docs/devices.md for the file.

    Attributes:
        name: The file's, without ``.toml``.
        title: For people.
        processor: For people.
        formats: Model files that its runtime opens.
        precisions: What it runs.
        default_precision: What it runs best.
        default_reason: Why, in a sentence without its full stop.
        runtime: The engine there.
        int8: Its conventions; None where it runs no int8.
        operators: Format -> which it runs.
        ram_mib: Memory for weights and activations (for these alone where
            ``flash_mib`` is given).
        flash_mib: Where the weights stay, on microcontrollers.
        on_chip_mib: Beyond it weights are fetched again in each inference.
        next_step: What is left to do after the export; may be empty.
        sources: Fact -> the document that says so.
    """

    name: str
    title: str
    processor: str
    formats: tuple[Format, ...]
    precisions: tuple[Precision, ...]
    default_precision: Precision
    default_reason: str
    runtime: Runtime
    int8: Int8 | None
    operators: Mapping[Format, Operators]
    ram_mib: float
    flash_mib: float | None
    on_chip_mib: float | None
    next_step: str
    sources: Mapping[str, str]


def device_names() -> list[str]:
    """The built-in profiles, sorted.

    Raises:
        HostFailure: This installation has none.
    """
    return sorted(path.stem for path in _folder().glob("*.toml"))


def find_device(name: str) -> Device:
    """A built-in profile by name, or a file by its path.

    Raises:
        UsageError: There is none, or its file says what no profile can.
        RefusedInput: The file is no TOML, or too large for a profile.
        HostFailure: It can't be read.
    """
    from edgeconv.device.profile_text import parse_profile

    path = _path(name)
    text = _read(path)
    if not _NAME.fullmatch(path.stem):
        raise UsageError(
            f"{path.name!r} can't be the name of a device.",
            "Rename the file to letters, digits, '.', '-' and '_', such as myboard.toml.",
        )
    return parse_profile(text, path.stem, path.name)


def profile_text(name: str) -> str:
    """The file that ``find_device`` reads, as it is.

    Raises:
        EdgeconvError: As ``find_device``.
    """
    return _read(_path(name))


def _path(name: str) -> Path:
    if name.endswith(".toml") or "/" in name or "\\" in name:
        if not Path(name).exists():
            raise UsageError(
                f"There is no device profile {name!r}.", "Run 'edgeconv devices' for the names."
            )
        return Path(name)
    known = device_names()
    if name not in known:
        near = [other for other in known if name and name.lower() in other]
        near = near or difflib.get_close_matches(name.lower(), known, 3)
        hint = f"Did you mean {' or '.join(near)}?" if near else f"Known: {', '.join(known)}."
        raise UsageError(
            f"There is no device {name!r}.", f"{hint} A profile of your own: its path."
        )
    return _folder() / f"{name}.toml"


def _folder() -> Path:
    for folder in (_PACKAGE / "_devices", _PACKAGE.parent / "devices"):
        if any(folder.glob("*.toml")):
            return folder
    raise HostFailure(
        "The device profiles are missing from this installation.",
        "Install edgeconv again, or give a profile of your own by its path.",
    )


def _read(path: Path) -> str:
    try:
        # A pipe or a device would be waited for.
        if not stat.S_ISREG(path.stat().st_mode):
            raise UsageError(f"{path} is no file.", "Give a .toml file.")
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise HostFailure(f"The profile {path} can't be read: {error.strerror}.") from error
    if len(data) > _MAX_BYTES:
        raise RefusedInput(f"{path} has more than {_MAX_BYTES} bytes, too many for a profile.")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise RefusedInput(f"{path} is no UTF-8 text.") from None
