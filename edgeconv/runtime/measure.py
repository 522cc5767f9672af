"""Arrays in, raw arrays out, and what it cost: the ground of remote checks and of benchmarks.

    X.npz: x0, x1, ...  float32 [N, ...], preprocessed, one a model input
    Y.npz: y0, y1, ...  [N, ...], one a model output, in the file's own dtype

The arrays are quantized before the clock starts; one call is timed from setting
the inputs to having the outputs, without preprocessing.
"""

from __future__ import annotations

import contextlib
import functools
import os
import sys
import time
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, Optional

import numpy as np

from edgeconv.errors import HostFailure
from edgeconv.runtime.arrays import read_npz
from edgeconv.runtime.inputs import MAX_ARRAY_BYTES, read_bounded, ready_arrays
from edgeconv.runtime.operators import operator_times
from edgeconv.runtime.replay import golden_inputs
from edgeconv.runtime.session import Session
from edgeconv.types import Array

__all__ = ["Work", "measure", "peak_memory_kib", "write_npz"]


class Work(NamedTuple):
    """What is to be run.

    Attributes:
        inputs: An .npz file; None takes the bundle's golden inputs.
        outputs: Where the raw outputs go, or None.
        bench: Time ``repeat`` calls, after the inputs went through once where
            their outputs are wanted.
        batch: Items a call.
        repeat: Calls that are timed with ``bench``.
        warmup: Calls before the clock starts.
        bind: Inputs and outputs stay on the device while ``bench`` times it.
        profile: Tell the time of each operator too.
    """

    inputs: Optional[Path] = None
    outputs: Optional[Path] = None
    bench: bool = False
    batch: int = 1
    repeat: int = 50
    warmup: int = 0
    bind: bool = False
    profile: bool = False


def measure(session: Session, work: Work, load_ms: float, threads: int) -> dict[str, Any]:
    """Run arrays through an open bundle.

    Args:
        session: Opened with the number of threads that is to be measured.
        work: What is to be run.
        load_ms: What opening took.
        threads: Of one inference.

    Returns:
        A JSON object; times in milliseconds, memory in KiB, None where nobody can tell.

    Raises:
        UsageError: The arrays are not the model's.
        RefusedInput: The file is unsafe or damaged, or a value is NaN.
        HostFailure: A file can't be read or written.
    """
    x = session.model.quantized(*_arrays(session, work))
    samples = len(x[0])
    times: list[float] = []
    written = None
    if work.outputs is not None or not work.bench:
        written = _outputs(session, work, x, times)
    if work.outputs is not None and written is not None:
        write_npz(work.outputs, written)
    first_ms = None
    if work.bench:
        whole = np.arange(work.batch) % samples
        x = tuple([a[whole] for a in x])
        first_ms, times = _bench(session, work, x)
    costs = {
        **_machine(session),
        "threads": threads,
        "batch": work.batch,
        "samples": samples,
        "bound": work.bind,
        "outputs": [] if written is None else _described(session, written),
        "load_ms": round(load_ms, 3),
        "first_call_ms": first_ms,
        "latency_ms": _latency(times),
        "items_per_s": round(work.batch * 1e3 / float(np.median(times)), 3),
        "peak_memory_kib": peak_memory_kib(),
    }
    if work.profile and work.bench:  # last, since it takes memory of its own
        rows, note = operator_times(session, x, threads, work.repeat)
        costs.update(operators=rows, operators_note=note or None)
    return costs


def _outputs(session: Session, work: Work, x: tuple[Array, ...], times: list[float]) -> list[Array]:
    """All items through the model, ``batch`` at once; the calls' times go into ``times``."""
    batches = [tuple([a[i : i + work.batch] for a in x]) for i in range(0, len(x[0]), work.batch)]
    for _ in range(0 if work.bench else work.warmup):
        session.model.raw(*batches[0])
    rows = []
    for group in batches:
        start = time.perf_counter()
        rows.append(session.model.raw(*group))
        times.append((time.perf_counter() - start) * 1e3)
    return [np.concatenate(column) for column in zip(*rows)]


def _bench(session: Session, work: Work, x: tuple[Array, ...]) -> tuple[float, list[float]]:
    """Milliseconds of the first call, warm-up or not, and of those that count.

    The first one of a shape is where TensorRT builds its engine and CUDA chooses kernels.
    """
    call = session.model.bound(*x) if work.bind else functools.partial(session.model.raw, *x)
    times: list[float] = []
    for _ in range(work.warmup + work.repeat):
        start = time.perf_counter()
        call()
        times.append((time.perf_counter() - start) * 1e3)
    return round(times[0], 3), times[work.warmup :]


def _arrays(session: Session, work: Work) -> tuple[Array, ...]:
    if work.inputs is None:
        return golden_inputs(session.folder, session.manifest)
    arrays = read_npz(read_bounded(work.inputs), str(work.inputs), MAX_ARRAY_BYTES)
    return ready_arrays(arrays, session.manifest.inputs, work.inputs.name)


def _latency(times: Sequence[float]) -> dict[str, Any]:
    return {
        "median": round(float(np.median(times)), 4),
        "p95": round(float(np.percentile(times, 95)), 4),
        "calls": len(times),
    }


def _described(session: Session, arrays: Sequence[Array]) -> list[dict[str, Any]]:
    return [
        {
            "array": f"y{i}",
            "name": spec.name,
            "shape": list(y.shape),
            "dtype": y.dtype.name,
            "scale": spec.scale,
            "zero_point": spec.zero_point,
        }
        for i, (spec, y) in enumerate(zip(session.model.outputs, arrays))
    ]


def _machine(session: Session) -> dict[str, Any]:
    import platform  # 5 ms that an answer doesn't need

    return {
        "schema_version": 1,
        "model": session.manifest.name,
        "precision": session.manifest.precision,
        "file": session.artifact.file,
        "engine": {"name": session.model.engine, "version": session.model.version},
        "device": session.model.device,
        "fallback": session.model.note or None,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "machine": platform.machine(),
        "system": platform.system(),
    }


def peak_memory_kib() -> Optional[int]:
    """The most memory that this process ever held in RAM; None where nobody can tell."""
    try:
        # Linux's own word for it: getrusage also counts what a parent held before exec.
        for line in Path("/proc/self/status").read_text("ascii", "replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1])
    except (OSError, ValueError, IndexError):
        pass
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    return peak // 1024 if sys.platform == "darwin" else peak  # bytes there, KiB elsewhere


def write_npz(path: Path, outputs: Sequence[Array]) -> None:
    """Write ``y0``, ``y1``, ... beside the target, then put the whole file in its place.

    Raises:
        HostFailure: It can't be written.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("xb") as file, zipfile.ZipFile(file, "w") as archive:
            for i, y in enumerate(outputs):
                # A member's own date is fixed: equal arrays make equal bytes.
                with archive.open(zipfile.ZipInfo(f"y{i}.npy"), "w", force_zip64=True) as member:
                    np.lib.format.write_array(member, np.ascontiguousarray(y), allow_pickle=False)
        part.replace(path)
    except OSError as error:
        raise HostFailure(f"{path} can't be written: {error.strerror}.") from error
    finally:
        with contextlib.suppress(OSError):  # it was put in its place, or never made
            part.unlink()
