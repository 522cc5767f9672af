"""The shell commands of docs/gpu.md."""

import re
import shlex
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "gpu.md"
#: What needs the network or a GPU.
SET_UP = ("python3 -m venv", "docker run")


def commands() -> list[str]:
    """Every line of the page's sh blocks."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line.strip()]


def runnable() -> list[str]:
    """Those that run without a GPU where ON is cpu."""
    return [line for line in commands() if not line.startswith(SET_UP)]


def expanded(command: str) -> list[str]:
    """The words of a command, with ON=cpu and the other variables unset."""
    text = command.removesuffix(" || true").replace('${DATA:+--data "$DATA"}', "")
    text = re.sub(r"\$\{ON:-\w+\}", "cpu", text)
    text = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text)
    return shlex.split(text)
