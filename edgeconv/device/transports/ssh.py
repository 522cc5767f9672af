"""ssh: the system's own client, with the user's own keys and ~/.ssh/config."""

from __future__ import annotations

import os
import shlex

from edgeconv.device.transports.process import Completed, last_line
from edgeconv.device.transports.shell import Shell
from edgeconv.errors import EdgeconvError, HostFailure, MissingDependency, UsageError

__all__ = ["SSH_OPTIONS_VARIABLE", "Ssh"]

#: More options for ssh, such as ``-i key -F config``, as a shell would read them.
SSH_OPTIONS_VARIABLE = "EDGECONV_SSH_OPTIONS"

_OPTIONS = (
    "-T",  # no terminal: output is bytes
    "-o", "BatchMode=yes",  # a question would wait for ever
    "-o", "ConnectTimeout=15",
    "-o", "ServerAliveInterval=15",  # a device that is gone is noticed within a minute
    "-o", "ServerAliveCountMax=4",
)  # fmt: skip
#: What ssh says -> what to do.
_REMEDIES = {
    "Permission denied": "Put your key there: ssh-copy-id {place}",
    "Too many authentication failures": "Name the key: EDGECONV_SSH_OPTIONS='-i KEYFILE'",
    "Host key verification failed": "Look at the host's key and accept it once: ssh {place}",
    "REMOTE HOST IDENTIFICATION HAS CHANGED": "See why its key changed before you go on.",
    "Could not resolve hostname": "Check the name, or give the address.",
    "Connection refused": "See that an ssh server runs there, on that port.",
    "No route to host": "See that it is on and in the same network.",
    "timed out": "See that it is on and in the same network.",
    "No space left": "Free some space there (df -h).",
}


class Ssh(Shell):
    """A ``Transport`` over ssh.

    Args:
        target: As the user wrote it.
        place: ``user@host`` or ``host``, checked to be no option.
        port: None for ssh's own choice.
        python: The interpreter there.

    Raises:
        UsageError: The variable with options can't be read.
    """

    def __init__(
        self, target: str, place: str, port: int | None = None, python: str | None = None
    ) -> None:
        super().__init__(target, "${TMPDIR:-/tmp}", python or "python3")
        self._place = place
        self._port = [] if port is None else ["-p", str(port)]
        try:
            self._more = shlex.split(os.environ.get(SSH_OPTIONS_VARIABLE, ""))
        except ValueError as error:
            raise UsageError(
                f"{SSH_OPTIONS_VARIABLE} can't be read: {error}.",
                f"Write it as for a shell: {SSH_OPTIONS_VARIABLE}='-i KEYFILE'",
            ) from None

    def argv(self, command: str) -> list[str]:
        """See ``Shell``."""
        # The first of two equal options counts: the user's own.
        return ["ssh", *self._more, *_OPTIONS, *self._port, "--", self._place, command]

    def failure(self, done: Completed) -> EdgeconvError:
        """See ``Shell``."""
        said = done.stderr.decode("utf-8", "replace")
        hint = next((todo for words, todo in _REMEDIES.items() if words in said), "")
        port = " ".join([*self._port, ""])
        hint = hint.format(place=f"{port}{self._place}") or f"Try it: ssh {port}{self._place} true"
        cause = last_line(done.stderr) or "the connection was lost"
        return HostFailure(f"{self.target} can't be reached: {cause.rstrip('.')}.", hint)

    def missing(self) -> MissingDependency:
        """See ``Shell``."""
        return MissingDependency("ssh is not installed here.", "Install OpenSSH's client.")
