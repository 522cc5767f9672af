"""``edgeconv devices``: the profiles, as a table, one in full, or as JSON."""

from __future__ import annotations

import argparse
import textwrap
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from edgeconv.cli.console import Console
from edgeconv.device import Device, device_names, find_device
from edgeconv.device.profiles import Operators, profile_text
from edgeconv.errors import UsageError
from edgeconv.pictures import printable
from edgeconv.runtime.text import UNSAFE_TEXT

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["EPILOG", "HELP", "configure", "run"]

HELP = "list the device profiles, or show one with its sources"

EPILOG = """\
examples:
  edgeconv devices
  edgeconv devices coral-edgetpu
      what it runs, its operators and their limits, and where each fact is from
  edgeconv devices raspberrypi4 --toml > myboard.toml
      a profile of your own to begin with: edgeconv export MODEL --device myboard.toml
  edgeconv devices --setup qemu:aarch64
      an emulated 64-bit Arm machine for edgeconv verify --on; 300 MB, made once, needs no root
"""


#: Columns: where the facts begin, and the least that a line takes.
_INDENT, _NARROWEST = 18, 60


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("name", nargs="?", metavar="NAME|FILE.toml", help="the one to show")
    parser.add_argument("--toml", action="store_true", help="print the file of the profile")
    parser.add_argument(
        "--setup", choices=["qemu:aarch64"], help="fetch what an emulated device is made of"
    )


def run(args: argparse.Namespace, console: Console) -> int:
    """Print the profiles, or one of them; or make an emulated device."""
    if args.setup is not None:
        return _set_up(args, console)
    if args.name is None:
        if args.toml:
            raise UsageError("--toml prints one profile.", "Name it: edgeconv devices NAME --toml")
        return _list(console)
    device = find_device(args.name)
    if console.as_json:
        console.result({"schema_version": 1, "device": _as_json(device)})
    elif args.toml:
        console.print(_harmless(profile_text(args.name)))
    else:
        console.print(_page(device, console.width))
    return 0


def _set_up(args: argparse.Namespace, console: Console) -> int:
    from edgeconv.device.emulated import prepare

    if args.name is not None or args.toml:
        raise UsageError("--setup shows no profile.", f"edgeconv devices --setup {args.setup}")
    folder = prepare(console)
    console.done()
    if console.as_json:
        console.result({"schema_version": 1, "target": args.setup, "folder": str(folder)})
    else:
        console.print(f"{args.setup} is set up in {printable(folder)}")
        console.print(f"edgeconv verify BUNDLE --on {args.setup} runs a bundle there.")
    return 0


def _list(console: Console) -> int:
    devices = [find_device(name) for name in device_names()]
    if console.as_json:
        console.result({"schema_version": 1, "devices": [_as_json(device) for device in devices]})
        return 0
    console.print(_table(devices))
    console.print(
        "edgeconv devices NAME shows one with its sources; a file of your own goes by its path."
    )
    return 0


def _table(devices: list[Device]) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for title in ("device", "engine", "format", "default", "runs also"):
        table.add_column(title, no_wrap=title != "runs also")
    for title in ("MiB", "threads"):
        table.add_column(title, justify="right", no_wrap=True)
    for device in devices:
        others = [p for p in device.precisions if p != device.default_precision]
        table.add_row(
            device.name,
            device.runtime.engine,
            ", ".join(device.formats),
            device.default_precision,
            " ".join(others) or "-",
            f"{device.ram_mib:g}",
            f"{device.runtime.threads}",
        )
    return table


def _page(device: Device, width: int) -> str:
    """All facts as plain text: what a file says is never taken for markup."""
    runtime = device.runtime
    facts = [
        ("processor", device.processor),
        ("runtime", f"{runtime.engine} {runtime.version} ({runtime.package})"),
        ("providers", ", ".join(runtime.providers) or "its own CPU kernels"),
        ("threads", f"{runtime.threads}"),
        ("formats", ", ".join(device.formats)),
        ("precisions", ", ".join(device.precisions)),
        ("default", f"{device.default_precision}: {device.default_reason}"),
        ("int8", _int8(device)),
        ("memory", _memory(device)),
    ]
    for format, rules in device.operators.items():
        facts.append((format, _operators(rules)))
        facts += [("", f"{op}: {limit}") for op, limit in rules.limits.items()]
    facts += [("next", device.next_step)] if device.next_step else []
    lines = [f"{device.name}: {device.title}", "", *(_line(*fact, width) for fact in facts)]
    lines += ["", "sources"]
    lines += [_line(fact, source, width) for fact, source in device.sources.items()]
    return "\n".join(lines)


def _line(title: str, text: str, width: int) -> str:
    return textwrap.fill(
        f"{title:<{_INDENT}}{text}",
        max(width, _NARROWEST),
        subsequent_indent=" " * _INDENT,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _operators(rules: Operators) -> str:
    rest = f"; others run on {rules.fallback}" if rules.fallback else ""
    if rules.only is not None:
        return " ".join(sorted(rules.only)) + rest
    but = f" but {' '.join(sorted(rules.exceptions))}" if rules.exceptions else ""
    return f"all operators{but}{rest}"


def _harmless(text: str) -> str:
    """The lines of a file, with nothing in its comments that steers the terminal."""
    return "\n".join(UNSAFE_TEXT.sub(" ", line) for line in text.splitlines())


def _int8(device: Device) -> str:
    if device.int8 is None:
        return "-"
    zero = "symmetric" if device.int8.symmetric else "any zero point"
    whole = "; the whole model integer" if device.int8.integer_only else ""
    io = f"{device.int8.io_dtype} inputs and outputs"
    return f"{device.int8.activations} activations, {zero}, {io}{whole}"


def _memory(device: Device) -> str:
    parts = [f"{device.ram_mib:g} MiB of RAM"]
    if device.flash_mib:
        parts.append(f"{device.flash_mib:g} MiB of flash for the weights")
    if device.on_chip_mib:
        parts.append(f"{device.on_chip_mib:g} MiB on the chip")
    return ", ".join(parts)


def _as_json(device: Device) -> dict[str, Any]:
    value = asdict(device)
    for rules in value["operators"].values():
        rules["only"] = None if rules["only"] is None else sorted(rules["only"])
        rules["exceptions"] = sorted(rules["exceptions"])
    return value
