"""A TFLite file as C source: a header with its constants, and the bytes.

    NAME.h    length, arena, quantization of inputs and outputs, the operators to register
    NAME.cc   alignas(16) const bytes, for flash

The .cc is plain C++11 without an include but its header.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from edgeconv.errors import Unsupported
from edgeconv.package.micro.arena import Arena, plan_arena
from edgeconv.package.micro.operators import resolver_methods
from edgeconv.runtime.manifest import ArtifactEntry, Manifest
from edgeconv.types import TensorSpec

__all__ = ["c_array_files"]

_BYTES_A_LINE = 16
#: It has no hybrid kernels, and none for float16. Source: tensorflow/lite/micro/kernels.
_PRECISIONS = ("int8", "int16x8", "fp32")
#: It becomes a file name, too.
_LONGEST_STEM = 100


def c_array_files(manifest: Manifest, artifact: ArtifactEntry, content: bytes) -> dict[str, bytes]:
    """The ``.h`` and ``.cc`` of a bundle's TFLite file.

    Args:
        manifest: Of the bundle.
        artifact: The TFLite file's entry.
        content: The file.

    Returns:
        File name -> content.

    Raises:
        Unsupported: TensorFlow Lite Micro can't run it.
    """
    if artifact.precision not in _PRECISIONS:
        raise Unsupported(
            f"TensorFlow Lite Micro runs no {artifact.precision} models.",
            "Export the model in int8: edgeconv export MODEL --device cortex-m",
        )
    stem = _identifier(manifest.name)
    header = _header(stem, manifest, artifact, content, plan_arena(content))
    return {f"{stem}.h": header.encode(), f"{stem}.cc": _body(stem, content).encode()}


def _identifier(name: str) -> str:
    """``name`` as a C identifier in lower case."""
    text = re.sub(r"[^0-9a-z]+", "_", name.lower())[:_LONGEST_STEM].strip("_") or "model"
    return f"model_{text}" if text[0].isdigit() else text


def _header(
    stem: str, manifest: Manifest, artifact: ArtifactEntry, content: bytes, arena: Arena
) -> str:
    methods = resolver_methods(artifact.operators)
    guard = f"{stem.upper()}_H_"
    calls = "".join(f" \\\n  resolver.{method}();" for method in methods)
    plan = (
        f"// {arena.head_bytes} bytes of activations, packed as GreedyMemoryPlanner does;\n"
        f"// at most {arena.tail_bytes} of interpreter data (sizes of a 64-bit machine);\n"
        f"// at most {arena.cmsis_nn_bytes} of scratch for CMSIS-NN kernels.\n"
        "// An estimate: RecordingMicroInterpreter::PrintAllocations() tells what is used."
    )
    lines = [
        f"// {_comment(manifest.name)}, {artifact.precision}, for TensorFlow Lite Micro.",
        f"// SHA-256 of the model: {artifact.sha256}",
        f"#ifndef {guard}",
        f"#define {guard}",
        "",
        "#include <stddef.h>",
        "#include <stdint.h>",
        "",
        f"extern const unsigned char {stem}_model[];",
        f"const size_t {stem}_model_len = {len(content)};",
        "",
        plan,
        f"const size_t {stem}_arena_bytes = {arena.bytes};",
        "",
        *_tensors(stem, "input", artifact.inputs),
        *_tensors(stem, "output", artifact.outputs),
        f"// tflite::MicroMutableOpResolver<{stem.upper()}_OPERATORS> resolver;",
        f"// {stem.upper()}_REGISTER(resolver)",
        f"#define {stem.upper()}_OPERATORS {len(methods)}",
        f"#define {stem.upper()}_REGISTER(resolver){calls}",
        "",
        f"#endif  // {guard}",
        "",
    ]
    return "\n".join(lines)


def _tensors(stem: str, role: str, specs: Sequence[TensorSpec]) -> Iterator[str]:
    """Quantization constants: real = scale * (integer - zero point)."""
    for index, spec in enumerate(specs):
        name = f"{stem}_{role}" + (str(index) if len(specs) > 1 else "")
        shape = " x ".join("N" if length is None else str(length) for length in spec.shape)
        yield f"// {role}: {spec.dtype} [{shape}]"
        for key, value in _constants(spec).items():
            yield f"const {key[0]} {name}_{key[1]} = {value};"
        yield ""


def _constants(spec: TensorSpec) -> Mapping[tuple[str, str], str]:
    count = 1
    for length in spec.shape:
        count *= length or 1
    found = {("size_t", "elements"): str(count)}
    if spec.scale is not None:
        # Nine significant digits name a float exactly.
        found["float", "scale"] = (
            f"{spec.scale:.9g}f" if "." in f"{spec.scale:.9g}" else _whole(spec.scale)
        )
        found["int32_t", "zero_point"] = str(spec.zero_point or 0)
    return found


def _whole(value: float) -> str:
    text = f"{value:.9g}"
    return f"{text}f" if "e" in text else f"{text}.0f"


def _body(stem: str, content: bytes) -> str:
    rows = (
        ",".join(f"0x{byte:02x}" for byte in content[start : start + _BYTES_A_LINE])
        for start in range(0, len(content), _BYTES_A_LINE)
    )
    return (
        f'#include "{stem}.h"\n\n'
        "// A flatbuffer is read in place: its tensors want 16-byte addresses.\n"
        f"alignas(16) const unsigned char {stem}_model[] = {{\n" + ",\n".join(rows) + "\n};\n"
    )


def _comment(name: str) -> str:
    """A backslash at the end of a line comment would take the next line in."""
    return name.replace("\\", "/")
