"""docs/export.svg: the README's picture, drawn from a real run of the command.

    python benchmarks/picture.py [--output docs/export.svg]

Data is looked for in EDGECONV_DATA (default: ../shared/data).
"""

from __future__ import annotations

import argparse
import io
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).resolve().parent.parent
DATA = Path(os.environ.get("EDGECONV_DATA", ROOT.parent / "shared" / "data"))
COLUMNS = 120  # what edgeconv.cli.console gives a pipe

SHOWN = """\
$ edgeconv export mobilenetv2_imagenet.keras --preprocess mobilenetv2 --int8 \\
    --calibration manifest.csv:calibration --parity manifest.csv:evaluation
"""


def real_output(folder: Path) -> str:
    """What the command prints, colours included, on both streams as a terminal mixes them."""
    manifest = DATA / "imagenet-sample" / "manifest.csv"
    command = [
        *(sys.executable, "-m", "edgeconv", "export"),
        str(DATA / "models" / "mobilenetv2_imagenet.keras"),
        *("--preprocess", "mobilenetv2", "--int8"),
        *("--calibration", f"{manifest}:calibration", "--parity", f"{manifest}:evaluation"),
    ]
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "FORCE_COLOR": "1", "TERM": "xterm-256color"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode:
        sys.exit(f"the command ended with code {done.returncode}:\n{done.stdout}")
    return done.stdout


def draw(text: str) -> str:
    """An SVG of a terminal; no font or style is fetched from elsewhere."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), color_system="truecolor")
    console.print(Text(SHOWN, style="bold"))
    console.print(Text.from_ansi(text))
    svg = console.export_svg(title="edgeconv")
    return re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "export.svg")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        text = real_output(Path(folder))
    args.output.write_text(draw(text))
    print(f"wrote {args.output}")


if __name__ == "__main__":
    main()
