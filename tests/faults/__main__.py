"""Run the catalogue and write its table: ``python -m tests.faults --json faults.json``."""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.faults import good
from tests.faults.catalogue import faults
from tests.faults.draft import Draft
from tests.faults.run import Bench, Row, rows
from tests.faults.table import by_fault, summary, to_json, to_markdown

_ROOT = Path(__file__).resolve().parents[2]
_DATA = Path(os.environ.get("EDGECONV_DATA", _ROOT.parent / "shared" / "data"))


def catalogue(
    subject: good.Subject, shared_data: Path, folder: Path, layers: Sequence[str] | None = None
) -> list[Row]:
    """Every fault of one model, judged; those of a layer in ``layers``."""
    prepared = good.prepare(subject, shared_data, folder)
    bundle = good.export(prepared, "int8", folder)
    chosen = list(faults(Draft.read(bundle), layers or subject.layers, chief=subject.slow))
    return list(_told(rows(Bench(prepared, folder), bundle, chosen)))


def _told(found: Iterator[Row]) -> Iterator[Row]:
    """Each row as it comes, for whoever waits."""
    for row in found:
        print(to_markdown([row]).splitlines()[-1], file=sys.stderr, flush=True)
        yield row


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--data", type=Path, default=_DATA, help="folder of real models")
    parser.add_argument("--model", choices=list(good.SUBJECTS), action="append")
    parser.add_argument("--folder", type=Path, help="where good bundles are kept; default: none")
    parser.add_argument("--json", type=Path, help="write every row there")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="faults-") as name:
        folder = arguments.folder or Path(name)
        names = arguments.model or list(good.SUBJECTS)
        found = [
            row
            for each in names
            for row in catalogue(good.SUBJECTS[each], arguments.data.resolve(), folder)
        ]
    if arguments.json:
        arguments.json.write_text(json.dumps(to_json(found), indent=1) + "\n")
    print(by_fault(found))
    print(summary(found))


if __name__ == "__main__":
    main()
