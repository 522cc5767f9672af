"""Run a bundle's own infer.py many times and from many threads; print what that cost as JSON.

python -I soak.py BUNDLE ENGINE INVOKES
"""

import importlib.util
import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

THREADS = 8
#: Calls before memory is looked at: pools and caches have their size by then.
SETTLING = 1000


def load(path: Path) -> ModuleType:
    """infer.py as a module, without running it."""
    spec = importlib.util.spec_from_file_location("infer", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["infer"] = module  # dataclasses look their module up there
    spec.loader.exec_module(module)
    return module


def status() -> dict[str, int]:
    """Resident KiB and threads of this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    table = dict(line.split(":", 1) for line in lines if ":" in line)
    return {"rss_kib": int(table["VmRSS"].split()[0]), "threads": int(table["Threads"])}


def shared(session: Any, x: np.ndarray) -> bool:
    """Whether threads that share the session get the answers of one."""
    wanted = [a.outputs[0] for a in session.run([x])]

    def work(first: int) -> bool:
        order = [(first + i) % len(x) for i in range(len(x))]
        return all(np.array_equal(session.run([x[i]])[0].outputs[0], wanted[i]) for i in order)

    with ThreadPoolExecutor(THREADS) as pool:
        return all(pool.map(work, range(THREADS)))


def main() -> None:
    bundle, engine, invokes = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    infer = load(bundle / "infer.py")
    session = infer.Session.open(bundle, engine=engine, threads=2)
    shape = [n or 1 for n in session.manifest.inputs[0].shape]
    x = np.random.default_rng(0).uniform(-1, 1, (THREADS, *shape[1:])).astype(np.float32)
    equal = shared(session, x)
    one = x[:1]
    for _ in range(SETTLING):
        session.model(one)
    before = status()
    for _ in range(invokes):
        session.model(one)
    print(json.dumps({"equal": equal, "before": before, "after": status()}))


main()
