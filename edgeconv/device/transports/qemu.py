"""qemu:aarch64: Python for 64-bit Arm, run here by QEMU's user-mode emulation.

qemu-aarch64-static -cpu cortex-a72 -L ROOT -E PYTHONHOME=ROOT/usr ROOT/usr/bin/python3.11 ...

Only the processor is another: files and the clock are this machine's, so parity is
a device's own and latency is not.
"""

from __future__ import annotations

from edgeconv.device.emulated import EMULATED_ENGINES, emulator, find_environment, setup_hint
from edgeconv.device.transports.local import Local
from edgeconv.errors import MissingDependency, Unsupported, UsageError

__all__ = ["Qemu"]

#: Of a Raspberry Pi 4: Armv8.0, without the dot products of later processors.
_PROCESSOR = "cortex-a72"
#: Of this machine's loader and user; what they name is for another processor.
_UNSET = ("LD_LIBRARY_PATH", "LD_PRELOAD", "PYTHONSTARTUP", "PYTHONUSERBASE")


class Qemu(Local):
    """A ``Transport`` to an emulated machine, prepared by ``emulated.prepare``.

    Args:
        target: As the user wrote it.
        python: Not taken: it has its own.

    Raises:
        UsageError: An interpreter was named.
        MissingDependency: QEMU is not installed, or the machine was not prepared.
    """

    def __init__(self, target: str = "qemu:aarch64", python: str | None = None) -> None:
        if python is not None:
            raise UsageError(f"{target} has its own Python.", "Leave --python away.")
        super().__init__(target)
        self._emulator = emulator()
        found = find_environment()
        if found is None:
            raise MissingDependency(f"{target} is not set up on this machine.", setup_hint())
        self._environment = found

    def python(self, engine: str | None = None) -> tuple[str, ...]:
        """See ``Transport``."""
        name = engine or next(iter(EMULATED_ENGINES))
        if name not in EMULATED_ENGINES:
            raise Unsupported(
                f"{self.target} has no {name}, which crashes under this emulator.",
                f"It has {' and '.join(EMULATED_ENGINES)}: --engine NAME",
            )
        root = self._environment / "root"
        variables = {
            "PYTHONHOME": str(root / "usr"),
            "PYTHONPATH": str(self._environment / name),
            "PYTHONNOUSERSITE": "1",
        }
        settings = [word for pair in variables.items() for word in ("-E", "=".join(pair))]
        settings += [word for name in _UNSET for word in ("-U", name)]
        interpreter = str(root / "usr" / "bin" / "python3.11")
        return (self._emulator, "-cpu", _PROCESSOR, "-L", str(root), *settings, interpreter)
