"""README.md of a bundle: the model card, for whoever gets the folder alone."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from edgeconv.package.manifest import artifact_file
from edgeconv.preprocess import Preprocess
from edgeconv.types import Artifact, Recipe, SourceModel, TensorSpec

__all__ = ["build_card", "preprocess_text"]

_ENGINES = {
    "tflite": "`ai-edge-litert` (or `tflite-runtime` with `numpy<2`)",
    "onnx": "`onnxruntime`",
}
_METRICS = {  # key in verdict.json -> heading
    "top1": "top-1 %",
    "top1_reference": "original %",
    "top1_drop": "drop, points [95%]",
    "top5": "top-5 %",
    "agreement": "agreement %",
    "mean_kl": "mean KL, nats",
    "cosine": "cosine",
    "relative_error": "relative error",
    "sqnr_db": "SQNR, dB",
}
_ACTIVATIONS = {
    "linear": "The outputs are taken as they are.",
    "softmax": "The outputs are logits; the runtime applies softmax in float.",
    "sigmoid": "The outputs are logits; the runtime applies the sigmoid in float.",
}


def build_card(
    source: SourceModel,
    artifacts: Sequence[Artifact],
    recipe: Recipe,
    verdict: Mapping[str, Any],
    device: Mapping[str, Any] | None = None,
) -> str:
    """The model card as Markdown.

    Args:
        source: The float reference.
        artifacts: The model files.
        recipe: How they were asked for.
        verdict: The content of verdict.json.
        device: As manifest.json has it, or None.
    """
    parts = [
        f"# {source.name}, {recipe.precision}\n",
        f"A Keras model for {source.task}, converted by edgeconv"
        f" and compared with the original on {verdict.get('samples', 0)} items:"
        f" **{verdict.get('status', 'unknown')}**.\n",
        _made_for(device),
        _how_to_run(artifacts),
        "## How close it is to the original\n",
        _accuracy(verdict),
        "## What goes in and what comes out\n",
        preprocess_text(source.preprocess) + "\n",
        _tensors(artifacts),
        _ACTIVATIONS[source.activation] + "\n",
        _limits(artifacts),
        _training(source.provenance.get("training")),
        "## Licence\n",
        "`infer.py` is part of edgeconv, Apache-2.0. The model files are made from the weights of"
        f" {_origin(source)}; the licence of those weights applies to them.\n",
    ]
    return "\n".join(part for part in parts if part)


def _made_for(device: Mapping[str, Any] | None) -> str:
    if device is None:
        return ""
    return (
        f"Made for {device['name']} ({device['title']}): {device['engine']} {device['version']},"
        f" {device['threads']} thread(s).\n"
    )


def _how_to_run(artifacts: Sequence[Artifact]) -> str:
    needs = " or ".join(_ENGINES[artifact.format] for artifact in artifacts)
    return f"""\
## How to run it

Needs Python 3.9 or later with NumPy, Pillow and one engine: {needs}.

    python infer.py INPUT... [--top 5] [--json]
    python infer.py --self-test

`INPUT` is a picture or an `.npy` array (float32 is taken as preprocessed). `--self-test` replays
`golden.npz` and says whether this machine answers as the one that made the bundle.
`sha256sum -c SHA256SUMS` checks the files; `infer.py` does so by itself.
"""


def _accuracy(verdict: Mapping[str, Any]) -> str:
    rows = [row for row in verdict.get("artifacts", []) if isinstance(row, Mapping)]
    keys = [key for key in _METRICS if any(_metric(row, key) for row in rows)]
    if not keys:
        return "It was not measured.\n"
    lines = [
        "| file | verdict | " + " | ".join(_METRICS[key] for key in keys) + " |",
        "|---|---|" + "---|" * len(keys),
    ]
    for row in rows:
        cells = [_metric(row, key) or "-" for key in keys]
        lines.append(f"| {row.get('file')} | {row.get('status')} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _metric(row: Mapping[str, Any], key: str) -> str:
    value = row.get("metrics", {}).get(key)
    if isinstance(value, Mapping):
        low, high = value.get("ci95") or (float("nan"), float("nan"))
        return f"{value.get('estimate', float('nan')):.2f} [{low:.2f}, {high:.2f}]"
    return f"{value:.4g}" if isinstance(value, int | float) else ""


def preprocess_text(preprocess: Preprocess) -> str:
    """What is done to an input, in a sentence."""
    scale, offset = (_numbers(getattr(preprocess, name)) for name in ("scale", "offset"))
    affine = f"`x * {scale} + {offset}`".replace("+ -", "- ")
    if preprocess.kind == "array":
        return f"Input: an array; raw values become {affine}."
    size = f"{preprocess.width} x {preprocess.height}"
    steps = {
        "crop": f"resized ({preprocess.filter}) so that the centre crop of {size} keeps"
        f" {100 * preprocess.crop_fraction:.4g}% of the shorter side",
        "stretch": f"resized ({preprocess.filter}) to {size}, whatever its shape",
        "none": f"of exactly {size} pixels",
    }
    return (
        f"Input: a picture, {steps[preprocess.resize]}, channels {preprocess.color.upper()},"
        f" axes {preprocess.layout.upper()}; pixels 0..255 become {affine}."
    )


def _numbers(values: Sequence[float]) -> str:
    text = ", ".join(f"{value:.9g}" for value in values)
    return text if len(values) == 1 else f"({text})"


def _tensors(artifacts: Sequence[Artifact]) -> str:
    lines = ["| file | tensor | shape | type | scale | zero point |", "|---|---|---|---|---|---|"]
    for artifact in artifacts:
        for role, specs in (("input", artifact.inputs), ("output", artifact.outputs)):
            lines += [_tensor_row(artifact, role, spec) for spec in specs]
    return "\n".join(lines) + "\n\nreal value = (integer - zero point) * scale\n"


def _tensor_row(artifact: Artifact, role: str, spec: TensorSpec) -> str:
    shape = " x ".join("N" if n is None else str(n) for n in spec.shape)
    scale = "-" if spec.scale is None else f"{spec.scale:.9g}"
    zero = "-" if spec.zero_point is None else str(spec.zero_point)
    file = artifact_file(artifact.format)
    return f"| {file} | {role} `{spec.name}` | {shape} | {spec.dtype} | {scale} | {zero} |"


def _training(facts: object) -> str:
    """What a fine-tuned model says of its training; nobody vouches for that."""
    if not isinstance(facts, Mapping):
        return ""
    rows = [f"| {_cell(name)} | {_cell(value)} |" for name, value in _flat(facts)]
    head = ["## How it was trained, by its own word\n", "| | |", "|---|---|"]
    return "\n".join([*head, *rows]) + "\n"


def _flat(facts: Mapping[Any, Any], prefix: str = "") -> Iterator[tuple[str, object]]:
    for name, value in facts.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}, ")
        elif value not in (None, ""):
            yield f"{prefix}{name}".replace("_", " "), _with_unit(str(name), value)


def _with_unit(name: str, value: object) -> object:
    percent = name.endswith("accuracy") and isinstance(value, int | float)
    return f"{value:.2f} %" if percent else value


def _cell(value: object) -> str:
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    # Whatever would be markup, or end the cell.
    return re.sub(r"([\\`*_{}\[\]<>()#+!|~&-])", r"\\\1", " ".join(text.split()))[:300]


def _limits(artifacts: Sequence[Artifact]) -> str:
    lines = []
    for artifact in artifacts:
        file = artifact_file(artifact.format)
        size = f"`{file}`: {artifact.size_bytes / 1e6:.2f} MB"
        count = sum(artifact.float_operators.values())
        if artifact.precision in ("int8", "int16x8"):
            size += f", {count or 'no'} operators in float"
        lines.append(f"- {size}")
    return "\n".join(lines) + "\n"


def _origin(source: SourceModel) -> str:
    for key in ("zoo", "model", "file", "name"):
        value = source.provenance.get(key)
        if isinstance(value, str) and value:
            return f"`{value.replace(chr(92), '/').rsplit('/', 1)[-1]}`"
    return f"`{source.name}`"
