"""The page's style sheet and script, and their hashes for its Content-Security-Policy."""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files

__all__ = ["SCRIPT", "SCRIPT_HASH", "STYLE", "STYLE_HASH"]


def _read(name: str) -> str:
    return (files("edgeconv.report") / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    """As the policy has it: this text and no other."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


STYLE = _read("page.css")
STYLE_HASH = _hash(STYLE)
SCRIPT = _read("page.js")
SCRIPT_HASH = _hash(SCRIPT)
