"""Remote: a bundle on a device, run there by its infer.py.

    with open_transport("ssh://pi@board") as device:
        remote.install(device, SealedFolder(bundle), build_infer_script())
        remote.check(device, manifest, engine=None)
        device.put(inputs, "x.npz")
        reply = remote.ask(device, Ask(inputs="x.npz", outputs=True))

What a device sends is a stranger's: its size is bounded, its types are checked, and
its texts are made printable.
"""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeconv.device.replies import costs_of, failure_of
from edgeconv.device.transports import Completed, Transport
from edgeconv.device.transports.process import last_line
from edgeconv.errors import RefusedInput, Unsupported
from edgeconv.pictures import printable
from edgeconv.runtime.arrays import read_npz
from edgeconv.runtime.checksums import SUMS_FILE, SealedFolder
from edgeconv.runtime.engines import ENGINES
from edgeconv.runtime.inputs import MAX_ARRAY_BYTES
from edgeconv.runtime.manifest import MANIFEST_FILE, Manifest
from edgeconv.runtime.session import read_manifest
from edgeconv.types import Array

__all__ = ["Ask", "Reply", "ask", "check", "install"]

#: What a bundle may bring: a file of another kind could be a module that Python finds first.
_SUFFIXES = (".json", ".tflite", ".onnx", ".txt", ".npz")
_SCRIPT = "infer.py"
_FOLDER = "bundle"
_OUTPUTS = "y.npz"
_CHECK_S = 300.0
_OLDEST = (3, 9)
#: Old Pythons too have to understand it, to be named.
_PROBE = """\
import sys
found = []
if sys.version_info >= (3, 4):
    from importlib.util import find_spec
    found = [name for name in sys.argv[1:] if find_spec(name) is not None]
print("edgeconv %d %d %s" % (sys.version_info[0], sys.version_info[1], " ".join(found)))
"""
_ANSWER = re.compile(rb"edgeconv (\d{1,2}) (\d{1,3}) ?([a-zA-Z_ ]*)\Z")
_NO_PROGRAM = (126, 127)


@dataclass(frozen=True)
class Ask:
    """What infer.py is asked for.

    Attributes:
        inputs: Name of an .npz file that was put beside the bundle; None for the
            golden inputs.
        outputs: Bring the raw outputs back.
        bench: Time ``repeat`` calls.
        engine: A key of ``ENGINES``; None takes the first that is there.
        device: ``cpu``, ``cuda``, ``tensorrt`` or ``gpu``.
        allow_fallback: Take the CPU where that can't.
        threads: Of one inference.
        batch: Items a call.
        repeat: Calls that are timed with ``bench``.
        warmup: Calls before the clock starts; None for infer.py's own choice.
        timeout_s: For all of it.
        limit_bytes: Of the outputs.
    """

    inputs: str | None = None
    outputs: bool = False
    bench: bool = False
    engine: str | None = None
    device: str = "cpu"
    allow_fallback: bool = False
    threads: int = 1
    batch: int = 1
    repeat: int = 50
    warmup: int | None = None
    timeout_s: float = 1800.0
    limit_bytes: int = MAX_ARRAY_BYTES


@dataclass(frozen=True)
class Reply:
    """What came back.

    Attributes:
        costs: As docs/runtime.md has it: engine, versions, latency, memory.
        outputs: One array [N, ...] an output, in the model file's own dtype; none
            where none were asked for.
    """

    costs: Mapping[str, Any]
    outputs: tuple[Array, ...] = ()


def install(transport: Transport, bundle: SealedFolder, script: str) -> None:
    """Copy what infer.py needs of a bundle to a device.

    Args:
        transport: Entered.
        bundle: Its checksums were compared.
        script: The text of infer.py; a bundle's own is code of whoever made it.

    Raises:
        RefusedInput: The bundle names a file of a kind that doesn't belong there.
        HostFailure: The device can't be reached, or is full.
    """
    manifest = read_manifest(bundle)
    names = [MANIFEST_FILE, *(entry.file for entry in manifest.artifacts)]
    names += [name for name in (manifest.labels, manifest.golden) if name is not None]
    with tempfile.TemporaryDirectory(prefix="edgeconv-") as scratch:
        folder = Path(scratch) / _FOLDER
        folder.mkdir()
        sums = []
        for name in dict.fromkeys(names):
            if not name.endswith(_SUFFIXES):
                raise RefusedInput(f"{MANIFEST_FILE} names {name[:60]!r}, which is no model file.")
            sums.append(_write(folder / name, bundle.read(name)))
        sums.append(_write(folder / _SCRIPT, script.encode()))
        (folder / SUMS_FILE).write_text("".join(sums), encoding="ascii")
        transport.put(folder, _FOLDER)


def _write(path: Path, data: bytes) -> str:
    path.write_bytes(data)
    return f"{hashlib.sha256(data).hexdigest()}  {path.name}\n"


def check(transport: Transport, manifest: Manifest, engine: str | None = None) -> None:
    """See that the device has Python, NumPy, Pillow and an engine for the bundle.

    Args:
        transport: Entered.
        manifest: Of the bundle.
        engine: The one that is wanted; None for any.

    Raises:
        Unsupported: It lacks one of them; the hint says what to install there.
        HostFailure: It can't be reached.
    """
    formats = {entry.format for entry in manifest.artifacts}
    fitting = [engine] if engine else [e for e in ENGINES if ENGINES[e].format in formats]
    modules = {name: ENGINES[name].module.partition(".")[0] for name in fitting}
    python = transport.python(engine)
    done = transport.run([*python, "-c", _PROBE, "numpy", "PIL", *modules.values()], _CHECK_S)
    found = _ANSWER.search(done.stdout.strip())
    if found is None:
        raise _no_python(transport, python[-1], done)
    version = (int(found[1]), int(found[2]))
    if version < _OLDEST:
        raise Unsupported(
            f"{transport.target} has Python {version[0]}.{version[1]}; infer.py needs 3.9.",
            "Name a later one with --python PATH.",
        )
    there = found[3].decode("ascii").split()
    absent = [n for n, module in (("numpy", "numpy"), ("pillow", "PIL")) if module not in there]
    if not any(module in there for module in modules.values()):
        absent.append(ENGINES[fitting[0]].package)
    if absent:
        raise Unsupported(
            f"{transport.target} lacks {' and '.join(absent)}.",
            f"Install there: {python[-1]} -m pip install {' '.join(absent)}",
        )


def _no_python(transport: Transport, name: str, done: Completed) -> Exception:
    if done.code in _NO_PROGRAM:
        return Unsupported(
            f"{transport.target} has no {printable(name)}.",
            "Install Python 3.9 or later there, with numpy, pillow and ai-edge-litert, "
            "or name it with --python PATH.",
        )
    cause = printable(last_line(done.stderr)) or f"it ended with {done.code}"
    return Unsupported(
        f"{printable(name)} does not run on {transport.target}: {cause.rstrip('.')}.",
        "Name another with --python PATH.",
    )


def ask(transport: Transport, asked: Ask) -> Reply:
    """Run the bundle that was installed.

    Args:
        transport: Entered; ``install`` came before.
        asked: What for.

    Raises:
        Unsupported: The device has no engine that opens the bundle, or that crashed.
        RefusedInput: What came back is no answer of infer.py.
        HostFailure: The device can't be reached, is full, or took too long.
    """
    command = [*transport.python(asked.engine), f"{_FOLDER}/{_SCRIPT}", *_options(asked)]
    done = transport.run(command, asked.timeout_s)
    if done.code:
        raise failure_of(transport.target, done)
    costs = costs_of(transport.target, done.stdout)
    if not asked.outputs:
        return Reply(costs)
    arrays = read_npz(
        transport.get(_OUTPUTS, asked.limit_bytes), f"The outputs of {transport.target}",
        asked.limit_bytes,
    )  # fmt: skip
    names = [f"y{i}" for i in range(len(arrays))]
    if not names or set(arrays) != set(names):
        raise RefusedInput(f"The outputs of {transport.target} are not y0, y1, ...")
    return Reply(costs, tuple(arrays[name] for name in names))


def _options(asked: Ask) -> list[str]:
    options = ["--json", "--threads", str(asked.threads), "--batch", str(asked.batch)]
    options += ["--device", asked.device]
    options += ["--engine", asked.engine] if asked.engine else []
    options += ["--allow-fallback"] if asked.allow_fallback else []
    options += ["--inputs-npz", asked.inputs] if asked.inputs else []
    options += ["--outputs-npz", _OUTPUTS] if asked.outputs else []
    options += ["--bench", "--repeat", str(asked.repeat)] if asked.bench else []
    return options + ([] if asked.warmup is None else ["--warmup", str(asked.warmup)])
