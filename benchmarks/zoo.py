"""The matrix: every model of the zoo through the real export, a row each.

Each model is a process of its own with bounds on time and memory. Rows are written to
docs/zoo.json and docs/zoo.md as they come, whole or not at all; a cell that failed holds
its reason.

    python benchmarks/zoo.py [--models NAME ...] [--resume] [--pictures N]
                             [--timeout 1800] [--memory-gb 20] [--render]

Without --models all are measured; --resume skips those that are in zoo.json already.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from zoo_page import page, reds
from zoo_row import Bounds, make_row

from edgeconv.device.machine import machine
from edgeconv.load.zoo import ZOO, ZooModel, find
from edgeconv.package.versions import tool_versions

DOCS = Path(__file__).resolve().parent.parent / "docs"
SCHEMA_VERSION = 1


def chosen(names: Sequence[str], finished: Mapping[str, Any], resume: bool) -> list[ZooModel]:
    """The models to measure, in the order asked for."""
    models = [find(name) for name in names] or list(ZOO)
    return [model for model in models if not (resume and model.name in finished)]


def read_rows(path: Path) -> dict[str, Any]:
    """The rows of an earlier run; none where there was none."""
    if not path.is_file():
        return {}
    document = json.loads(path.read_text(encoding="utf-8"))
    if document["schema_version"] != SCHEMA_VERSION:
        sys.exit(f"{path.name} is of another version; start anew without --resume")
    return dict(document["models"])


def write(rows: Mapping[str, Any], folder: Path) -> None:
    """zoo.json and zoo.md, in the catalogue's order."""
    document = {
        "schema_version": SCHEMA_VERSION,
        "command": "python benchmarks/zoo.py",
        "machine": machine(),
        "versions": tool_versions(),
        "models": {model.name: rows[model.name] for model in ZOO if model.name in rows},
    }
    text = json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False)
    _replace(folder / "zoo.json", text + "\n")
    _replace(folder / "zoo.md", page(document))


def _replace(path: Path, text: str) -> None:
    aside = path.with_name(f".{path.name}.{os.getpid()}.part")
    aside.write_text(text, encoding="utf-8")
    aside.replace(path)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=[], metavar="NAME")
    parser.add_argument("--resume", action="store_true", help="keep the rows of docs/zoo.json")
    parser.add_argument("--pictures", type=int, help="a side; by default 16, for large models 8")
    parser.add_argument("--timeout", type=float, default=1800, help="seconds a model (1800)")
    parser.add_argument("--memory-gb", type=float, default=20, help="of a process tree (20)")
    parser.add_argument("--render", action="store_true", help="only write zoo.md again")
    args = parser.parse_args()
    bounds = Bounds(args.pictures, args.timeout, int(args.memory_gb * 1e9))
    keep = args.resume or args.models or args.render
    rows = read_rows(DOCS / "zoo.json") if keep else {}
    for model in [] if args.render else chosen(args.models, rows, args.resume):
        start = time.perf_counter()
        with tempfile.TemporaryDirectory(prefix="edgeconv-zoo-") as folder:
            row = make_row(model, bounds, Path(folder))
        # Read anew: another run may have measured other rows meanwhile.
        rows = (read_rows(DOCS / "zoo.json") if keep else rows) | {model.name: row}
        keep = True
        write(rows, DOCS)
        marked = "; ".join(reds(row)) or "holds in all cells"
        print(f"{model.name}: {time.perf_counter() - start:.0f} s, {marked}", file=sys.stderr)
    if args.render:
        write(rows, DOCS)
    return 0


if __name__ == "__main__":
    sys.exit(main())
