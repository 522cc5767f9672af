"""adb: Android's own client, whose server knows the devices on USB and on the network."""

from __future__ import annotations

from edgeconv.device.transports.process import Completed, last_line
from edgeconv.device.transports.shell import Shell
from edgeconv.errors import EdgeconvError, HostFailure, MissingDependency

__all__ = ["Adb"]

#: Where adb's user may write, and programs may be run.
_BASE = "/data/local/tmp"
#: What adb says -> what to do.
_REMEDIES = {
    "unauthorized": "Accept this computer's key on the device's screen.",
    "offline": "Plug it in again, or: adb reconnect",
    "not found": "'adb devices' lists those that are there; adb connect HOST:PORT adds one.",
    "no permissions": "Add yourself to the group plugdev, then plug it in again.",
    "cannot connect to daemon": "Start adb's server: adb start-server",
}


class Adb(Shell):
    """A ``Transport`` over adb.

    Args:
        target: As the user wrote it.
        serial: Of the device, checked to be no option.
        python: The interpreter there.
    """

    def __init__(self, target: str, serial: str, python: str | None = None) -> None:
        super().__init__(target, _BASE, python or "python3")
        self._serial = serial

    def argv(self, command: str) -> list[str]:
        """See ``Shell``."""
        # -T: no terminal, so that output stays bytes; -e none: no escape character.
        return ["adb", "-s", self._serial, "shell", "-e", "none", "-T", command]

    def failure(self, done: Completed) -> EdgeconvError:
        """See ``Shell``."""
        said = done.stderr.decode("utf-8", "replace")
        hint = next((todo for words, todo in _REMEDIES.items() if words in said), "")
        cause = last_line(done.stderr) or "the connection was lost"
        return HostFailure(
            f"{self.target} can't be reached: {cause.removeprefix('error: ').rstrip('.')}.",
            hint or f"Try it: adb -s {self._serial} shell true",
        )

    def missing(self) -> MissingDependency:
        """See ``Shell``."""
        return MissingDependency("adb is not installed here.", "Install Android's platform tools.")
