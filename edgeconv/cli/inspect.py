"""``edgeconv inspect``: what is in a bundle or a model file."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from edgeconv.cli.console import Console
from edgeconv.cli.table import size_text
from edgeconv.pictures import printable
from edgeconv.preprocess import Preprocess

__all__ = ["EPILOG", "HELP", "configure", "run"]

_SHOWN_LABELS = 12

HELP = "show what is in a bundle or a model file"

EPILOG = """\
examples:
  edgeconv inspect mobilenetv2-int8
      where it comes from, its inputs and outputs, operators, verdict and files
  edgeconv inspect model.tflite
      any .tflite or .onnx file: which operators it has, which of them compute in float
  edgeconv inspect flowers.keras
      a model of edgeconv finetune: what it knows of its preprocessing, labels and pictures
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument(
        "path",
        metavar="BUNDLE|FILE",
        help="a bundle, a .tflite or .onnx file, a .keras file of finetune",
    )


def run(args: argparse.Namespace, console: Console) -> int:
    """Print the description as text or JSON."""
    from edgeconv.package.describe import describe

    description = describe(Path(args.path))
    if args.json:
        console.result(description)
    else:
        for line in _lines(description):
            console.print(printable(line))
    return 0


def _lines(description: Mapping[str, Any]) -> Iterator[str]:
    if description["kind"] == "model":
        yield from _model_lines(description["name"], description["knowledge"])
        return
    if description["kind"] == "file":
        yield from _artifact_lines(description["artifacts"][0])
        return
    yield from _bundle_lines(description["manifest"], description["verdict"])
    for artifact in description["artifacts"]:
        yield ""
        yield from _artifact_lines(artifact)
        yield from _verdict_lines(description["verdict"], artifact["file"])
    yield ""
    yield "files"
    for entry in description["files"]:
        yield f"  {entry['bytes']:>12,}  {entry['file']}"


def _model_lines(name: str, known: Mapping[str, Any]) -> Iterator[str]:
    from edgeconv.package.card import preprocess_text

    labels = known["labels"]
    more = ", ..." if len(labels) > _SHOWN_LABELS else ""
    yield f"{name}  fine-tuned"
    yield f"  preprocess {preprocess_text(Preprocess.from_json(known['preprocess']))}"
    yield f"  labels     {len(labels)}: {', '.join(labels[:_SHOWN_LABELS])}{more}"
    for split, found in known["splits"].items():
        yield f"  {split:<10} {found['pictures']:,} pictures in {found['folder']}"
    origin = {key: value for key, value in known["provenance"].items() if value not in (None, "")}
    width = max(map(len, origin), default=0)
    for key, value in origin.items():
        yield f"  {key:<{width}} {_short(value)}"


def _bundle_lines(manifest: Mapping[str, Any], verdict: Mapping[str, Any]) -> Iterator[str]:
    from edgeconv.package.card import preprocess_text

    yield f"{manifest['name']}  {manifest['precision']}  {manifest['task']}"
    yield f"  preprocess {preprocess_text(Preprocess.from_json(manifest['preprocess']))}"
    if manifest["activation"] != "linear":
        yield f"  activation {manifest['activation']}, applied by the runtime"
    made_from = dict(manifest["provenance"])
    training = made_from.pop("training", None)
    yield f"  made from  {', '.join(f'{key} {_short(value)}' for key, value in made_from.items())}"
    if isinstance(training, dict):
        facts = (f"{key} {_short(value)}" for key, value in training.items())
        yield f"  trained    {', '.join(facts)}"
    yield f"  versions   {', '.join(f'{k} {_short(v)}' for k, v in manifest['versions'].items())}"
    yield f"  verdict    {verdict.get('status')} on {verdict.get('samples')} items"


def _artifact_lines(artifact: Mapping[str, Any]) -> Iterator[str]:
    size = size_text(artifact["bytes"])
    yield "  ".join(
        filter(None, [artifact["file"], artifact["format"], artifact["precision"], size])
    )
    for role in ("inputs", "outputs"):
        for tensor in artifact[role]:
            yield f"  {role[:-1]:<10} {_tensor(tensor)}"
    yield f"  operators  {_counts(artifact['operators'])}"
    if artifact["float_operators"] is not None:
        yield f"  in float   {_counts(artifact['float_operators'])}"


def _tensor(tensor: Mapping[str, Any]) -> str:
    shape = " x ".join("N" if n is None else str(n) for n in tensor["shape"])
    text = f"{tensor['name']}  {tensor['dtype']}  {shape}"
    if tensor["scale"] is not None:
        text += f"  scale {tensor['scale']:.9g}  zero point {tensor['zero_point']}"
    return text


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items()) or "none"


def _verdict_lines(verdict: Mapping[str, Any], file: str) -> Iterator[str]:
    rows = verdict.get("artifacts")
    for row in rows if isinstance(rows, list) else []:
        if not isinstance(row, dict) or row.get("file") != file:
            continue
        metrics = row.get("metrics")
        parts = [str(row.get("status"))]
        for key, value in (metrics if isinstance(metrics, dict) else {}).items():
            estimate = value.get("estimate") if isinstance(value, dict) else value
            if isinstance(estimate, int | float):
                parts.append(f"{key} {estimate:.4g}")
        yield f"  verdict    {', '.join(parts)}"


def _short(value: object) -> str:
    if isinstance(value, list):
        return "(" + ", ".join(_short(entry) for entry in value) + ")"
    if isinstance(value, dict):
        return "(" + ", ".join(f"{key} {_short(entry)}" for key, entry in value.items()) + ")"
    return f"{value:.6g}" if isinstance(value, float) else str(value)[:64]
