"""A model that was opened before is described from the cache, and opened when it is needed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edgeconv.progress import Progress
from edgeconv.workshop import Workshop

__all__ = ["opened_once"]

#: Arguments that say where things lie, not what they are; hashes stand for those.
_PLACES = ("path", "out", "weights")


def opened_once(
    workshop: Workshop,
    function: str,
    origin: Mapping[str, Any],
    progress: Progress,
    **arguments: Any,
) -> dict[str, Any]:
    """What ``function`` of ``load.child`` says of a model.

    Where the cache knows it, the call is put off until another function of the
    workshop is called, which then finds the model open and the frozen graph written.

    Args:
        workshop: Its cache is used, where it has one.
        function: Such as ``edgeconv.load.child:open_zoo``.
        origin: Identifies the model, with the SHA-256 of its file or its seed.
        progress: Receives the notes, kept ones too.
        arguments: Of the function.
    """
    # Code of the user's own may answer otherwise tomorrow.
    own_code = arguments.get("trust") or arguments.get("custom")
    if workshop.cache is None or own_code:
        found: dict[str, Any] = workshop.call(function, progress, **arguments)
        return found
    plain = {name: value for name, value in arguments.items() if name not in _PLACES}
    key = {"kind": "source", "function": function, "origin": dict(origin), "arguments": plain}
    kept = workshop.cache.fetch(key)
    if kept is not None:
        for text in kept["notes"]:
            progress.note(text)
        workshop.defer(function, **arguments)
        return dict(kept["info"])
    listener = _Listener(progress)
    info: dict[str, Any] = workshop.call(function, listener, **arguments)
    workshop.cache.keep(key, {"info": info, "notes": listener.notes})
    return info


class _Listener:
    """Passes everything on and remembers the notes."""

    def __init__(self, progress: Progress) -> None:
        self._progress, self.notes = progress, list[str]()

    def stage(self, title: str, total: int | None = None) -> None:
        """See ``Progress.stage``."""
        self._progress.stage(title, total)

    def advance(self, steps: int = 1) -> None:
        """See ``Progress.advance``."""
        self._progress.advance(steps)

    def note(self, text: str) -> None:
        """See ``Progress.note``."""
        self.notes.append(text)
        self._progress.note(text)
