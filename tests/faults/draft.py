"""A bundle in memory: a fault changes it, and what is written is sealed again.

Only parity can catch a fault then: every checksum fits.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeconv.types import Format

FILES: dict[Format, str] = {"tflite": "model.tflite", "onnx": "model.onnx"}


@dataclass
class Draft:
    """What of a bundle can be broken; one model file a format.

    Attributes:
        manifest: As JSON has it.
        labels: Class names by index.
        models: The bytes of each model file.
    """

    manifest: dict[str, Any]
    labels: list[str]
    models: dict[Format, bytes]

    @classmethod
    def read(cls, bundle: Path) -> "Draft":
        manifest = json.loads((bundle / "manifest.json").read_text())
        labels = (bundle / "labels.txt").read_text().splitlines()
        formats = [entry["format"] for entry in manifest["artifacts"]]
        return cls(manifest, labels, {f: (bundle / FILES[f]).read_bytes() for f in formats})

    def entry(self, format: Format) -> dict[str, Any]:
        """What the manifest says of one model file."""
        (found,) = [e for e in self.manifest["artifacts"] if e["format"] == format]
        return found  # type: ignore[no-any-return]

    def change(self, format: Format, edit: Callable[[bytes], bytes]) -> None:
        self.models[format] = edit(self.models[format])

    def write(self, bundle: Path) -> Path:
        """Write it with checksums that fit; golden answers would tell a fault, and stay out."""
        manifest = {**self.manifest, "golden": None}
        for format, content in self.models.items():
            entry = self.entry(format)
            entry["sha256"] = hashlib.sha256(content).hexdigest()
            entry["bytes"] = len(content)
        files = {
            "manifest.json": json.dumps(manifest, indent=2, sort_keys=True).encode(),
            "labels.txt": "".join(f"{label}\n" for label in self.labels).encode(),
            **{FILES[format]: content for format, content in self.models.items()},
        }
        sums = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
        bundle.mkdir(parents=True)
        for name, content in files.items():
            (bundle / name).write_bytes(content)
        lines = [f"{sums[name]}  {name}\n" for name in sorted(sums)]
        (bundle / "SHA256SUMS").write_text("".join(lines))
        return bundle
