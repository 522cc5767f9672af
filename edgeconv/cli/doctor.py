"""``edgeconv doctor``: is this machine fit for the job?"""

from __future__ import annotations

import argparse
import sys

from edgeconv import __version__
from edgeconv.cli.console import Console

HELP = "check this machine's packages and engines"

EPILOG = """\
exit codes:
  0  this machine converts, and runs both formats
  5  something is missing or clashes; what, and how to mend it, is printed
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """No arguments of its own."""


def run(args: argparse.Namespace, console: Console) -> int:
    """Print versions and problems."""
    from edgeconv import device

    versions = device.installed()
    problems = device.find_problems(versions)
    places = device.devices_here()
    if console.as_json:
        packages = {"edgeconv": __version__, "packages": versions, "problems": problems}
        devices = {name: {"ready": not lack, "lack": lack or None} for name, lack in places.items()}
        console.result({"schema_version": 1, **packages, "onnxruntime_devices": devices})
    else:
        console.print(f"edgeconv {__version__}, Python {sys.version.split()[0]}")
        for name, version in versions.items():
            console.print(f"  {name:<18} {version or '-'}")
        for name, lack in places.items():
            console.print(f"  --device {name:<9} {lack or 'ready'}")
        for problem in problems:
            console.print(f"! {problem}")
        if not problems:
            console.print("All is well: this machine converts, and runs both formats.")
    return 5 if problems else 0
