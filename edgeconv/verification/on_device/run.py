"""A candidate on a device, from reaching it to removing everything again."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from edgeconv.data import Items
from edgeconv.device import remote
from edgeconv.device.remote import Ask
from edgeconv.device.transports import Transport, open_transport
from edgeconv.errors import MissingDependency, RefusedInput
from edgeconv.package.infer import build_infer_script
from edgeconv.progress import Progress
from edgeconv.runtime.checksums import SealedFolder
from edgeconv.runtime.engines import Model, installed_engines
from edgeconv.runtime.session import open_artifact, read_manifest
from edgeconv.types import Array, Artifact
from edgeconv.verification.candidate import Candidate
from edgeconv.verification.on_device.answers import Answers, compared
from edgeconv.verification.on_device.inputs import gathered, most_bytes, write_inputs
from edgeconv.verification.on_device.order import DeviceOrder

__all__ = ["DeviceRun"]

_INPUTS = "x.npz"


class DeviceRun:
    """A candidate that was copied to a device, from ``with`` to its end.

    Args:
        order: Where.
        candidate: What.
        path: The candidate's bundle.
        watch: Told what is being done.
    """

    def __init__(
        self, order: DeviceOrder, candidate: Candidate, path: Path, watch: Progress
    ) -> None:
        self._order, self._candidate, self._path, self._watch = order, candidate, path, watch
        self._stack = ExitStack()
        self._transport: Transport | None = None

    def __enter__(self) -> DeviceRun:
        """Reach the device, see what it has, and copy the bundle.

        Raises:
            EdgeconvError: As ``Transport`` and ``remote.install``.
        """
        order, bundle = self._order, SealedFolder(self._path)
        self._watch.stage(f"reach {order.target}")
        self._transport = transport = open_transport(order.target, order.python)
        with ExitStack() as stack:
            stack.callback(self._tell_leftover)
            stack.enter_context(transport)
            remote.check(transport, read_manifest(bundle), order.engine)
            self._watch.stage(f"copy the bundle to {order.target}")
            script = build_infer_script()
            if "infer.py" in bundle.sums and bundle.read("infer.py") != script.encode():
                self._watch.note(
                    "The bundle's infer.py is another than this edgeconv's, which runs in its place"
                )
            remote.install(transport, bundle, script)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error: Any) -> None:
        """Remove everything from the device."""
        self._stack.__exit__(*error)

    def _tell_leftover(self) -> None:
        if self._transport is not None and self._transport.leftover:
            self._watch.note(self._transport.leftover)

    def answers(self, items: Items, folder: Path) -> Answers:
        """Have the device and this machine answer a sample.

        Args:
            items: As the candidate takes them.
            folder: Scratch.

        Raises:
            EdgeconvError: As ``remote.ask``; or the items are too large to travel.
        """
        count = min(self._order.samples, len(items))
        positions = tuple(place * len(items) // count for place in range(count))
        x = gathered(items.select(positions))
        self._watch.stage(f"ask {self._order.target}", count)
        reply = self._asked(x, folder / _INPUTS)
        self._watch.advance(count)
        artifact, model = self._ran(str(reply.costs["file"]))
        twin = self._twin(artifact, model, str(reply.costs["engine"]["name"]))
        found = compared(artifact, twin, self._order.target, positions, x, reply)
        return replace(found, as_judged=twin is model)

    def _asked(self, x: tuple[Array, ...], path: Path) -> remote.Reply:
        order, transport = self._order, self._transport
        assert transport is not None
        write_inputs(path, x)
        transport.put(path, _INPUTS)
        asked = Ask(
            inputs=_INPUTS,
            outputs=True,
            engine=order.engine,
            threads=order.threads,
            timeout_s=order.timeout_s,
            limit_bytes=most_bytes(self._candidate, len(x[0])),
        )
        return remote.ask(transport, asked)

    def _ran(self, file: str) -> tuple[Artifact, Model]:
        for artifact, model in self._candidate.entries:
            if artifact.path.name == file:
                return artifact, model
        raise RefusedInput(
            f"{self._order.target} says that it ran a file that the bundle doesn't have."
        )

    def _twin(self, artifact: Artifact, model: Model, engine: str) -> Model:
        """The file in the device's own engine where that is installed here: like with like."""
        if engine == model.engine or engine not in installed_engines(artifact.format):
            return model
        bundle = SealedFolder(self._path)
        entries = {entry.file: entry for entry in read_manifest(bundle).artifacts}
        try:
            return open_artifact(bundle, entries[artifact.path.name], engine)
        except MissingDependency:  # it is there, but not for this NumPy
            return model
