"""Many command lines in one process: ``one_child.py JOBS.json OUTCOMES.json``.

The real command line, but TensorFlow is imported once for all of them: what takes
six seconds a command takes one. JOBS is a list of lists of arguments; OUTCOMES gets
a list of [exit code, stdout, stderr].
"""

import json
import os
import sys
import tempfile
from pathlib import Path

from edgeconv import pipeline
from edgeconv.cache import Cache
from edgeconv.cli import main
from edgeconv.workshop import Workshop


class Shared:
    """A workshop that stays open when a command is done; a dead one is replaced."""

    child: Workshop | None = None

    def __init__(self, folder: Path, cache: Cache | None = None) -> None:
        if Shared.child is None or not Shared.child.alive:
            Shared.child = Workshop(Path(tempfile.mkdtemp(dir=os.environ.get("TMPDIR"))))

    def __enter__(self) -> Workshop:
        return Shared.child

    def __exit__(self, *error: object) -> None: ...


def run(arguments: list[str]) -> tuple[int, str, str]:
    """``edgeconv ARGUMENTS`` with what it wrote; its console works on descriptors."""
    kept = os.dup(1), os.dup(2)
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        os.dup2(out.fileno(), 1)
        os.dup2(err.fileno(), 2)
        try:
            code = main(arguments)
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            for number, descriptor in enumerate(kept, 1):
                os.dup2(descriptor, number)
                os.close(descriptor)
        out.seek(0)
        err.seek(0)
        return code, out.read(), err.read()


if __name__ == "__main__":
    pipeline.Workshop = Shared
    jobs = json.loads(Path(sys.argv[1]).read_text())
    outcomes = [run(job) for job in jobs]
    if Shared.child is not None:
        Shared.child.close()
    Path(sys.argv[2]).write_text(json.dumps(outcomes))
