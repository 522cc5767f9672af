"""What a user writes after ``--on`` -> a transport."""

from __future__ import annotations

import re

from edgeconv.device.transports.base import Transport
from edgeconv.device.transports.local import Local
from edgeconv.errors import UsageError
from edgeconv.pictures import printable

__all__ = ["TARGETS", "check_target", "open_transport"]

#: How a target is written -> what it is.
TARGETS = {
    "local": "this machine, in a process of its own",
    "ssh://[USER@]HOST[:PORT]": "a machine that the system's ssh reaches without a password",
    "adb:SERIAL": "an Android device; 'adb devices' lists them",
    "qemu:aarch64": "an emulated 64-bit Arm machine; 'edgeconv devices --setup' makes it once",
}

#: A name can't be taken for an option (a leading dash), nor for anything by a shell.
_NAME = r"[A-Za-z0-9_][A-Za-z0-9_.\-]{0,252}"
_SSH = re.compile(
    rf"ssh://(?P<user>{_NAME}@)?(?:(?P<name>{_NAME})|\[(?P<address>[0-9A-Fa-f:.]{{2,45}})\])"
    r"(?::(?P<port>[0-9]{1,5}))?/?"
)
_SERIAL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:\-]{0,127}")


def check_target(target: str) -> None:
    """Refuse a target before any long work is done for it.

    Raises:
        UsageError: There is no such transport, or a name in it is none.
    """
    if target == "local":
        return
    kind, _, rest = target.partition(":")
    if kind == "ssh":
        _ssh_parts(target)
    elif kind == "adb":
        if not _SERIAL.fullmatch(rest):
            raise _wrong(target, "'adb devices' lists the serials, such as adb:emulator-5554.")
    elif target != "qemu:aarch64":
        raise _wrong(target, f"Write one of: {', '.join(TARGETS)}.")


def open_transport(target: str, python: str | None = None) -> Transport:
    """A transport, to be entered with ``with``.

    Args:
        target: As ``TARGETS`` has them.
        python: The interpreter there; None for the transport's own choice.

    Raises:
        UsageError: There is no such transport.
    """
    check_target(target)
    kind, _, rest = target.partition(":")
    if kind == "ssh":
        from edgeconv.device.transports.ssh import Ssh

        return Ssh(target, *_ssh_parts(target), python)
    if kind == "adb":
        from edgeconv.device.transports.adb import Adb

        return Adb(target, rest, python)
    if kind == "qemu":
        from edgeconv.device.transports.qemu import Qemu

        return Qemu(target, python)
    return Local(target, python)


def _ssh_parts(target: str) -> tuple[str, int | None]:
    """``user@host`` or ``host``, and the port where one is given."""
    found = _SSH.fullmatch(target)
    port = int(found["port"]) if found and found["port"] else None
    if found is None or (port is not None and not 0 < port < 1 << 16):
        raise _wrong(
            target,
            "Write ssh://user@host or ssh://user@host:2222; a name of ~/.ssh/config is a host too.",
        )
    return f"{found['user'] or ''}{found['name'] or found['address']}", port


def _wrong(target: str, hint: str) -> UsageError:
    return UsageError(f"{printable(target)[:120]!r} is no device to verify on.", hint)
