"""One row of the matrix: a model exported by the command line, its files run side by side.

    edgeconv export NAME --weights none --int8     measured: seconds, peak memory
    edgeconv export NAME --weights none --fp32     the float files, from the cache
    zoo_probe.py                                   what both bundles answer, and how fast

Where the two formats can't be made together, each is tried alone, so that one format's
failure doesn't hide the other's.
"""

from __future__ import annotations

import json
import shutil
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from supervise import Supervised, supervise

from edgeconv.data.builtin import builtin_folder
from edgeconv.load.zoo import ZooModel

__all__ = ["FORMATS", "Bounds", "make_row", "memory_bound"]

HERE = Path(__file__).resolve().parent
FORMATS = ("tflite", "onnx")
# Float files are to be the same function as Keras's: max |difference| / max |reference|.
RELATIVE_BOUND = 1e-4
# Int8 of random weights: far beyond what a lost layer leaves, below what rounding costs.
COSINE_BOUND = 0.8
# Peak memory of a verified export: 2.0 GB and 8 times the float32 weights.
FIXED_BYTES, TIMES_THE_WEIGHTS = 2.0e9, 8
# Int8 is to be no slower than float for these.
LIGHT_PARAMETERS = 30_000_000
TRANSPOSES = 2
#: Fewer pictures where an inference takes long: about ten GFLOPs and more.
HEAVY_PARAMETERS, HEAVY_SIZE = 30_000_000, 380
CACHE_MIB = "16384"


@dataclass(frozen=True)
class Bounds:
    """Of one row.

    Attributes:
        pictures: To calibrate on, and as many to judge on; None by the model's size.
        timeout_s: Of the whole row.
        limit_bytes: Of a process tree.
        latency_s: Spent on each format's latency, float and int8.
        input_size: Another than the model's own.
    """

    pictures: int | None = None
    timeout_s: float = 1800.0
    limit_bytes: int = 20_000_000_000
    latency_s: float = 10.0
    input_size: int | None = None


def memory_bound(model: ZooModel) -> float:
    return FIXED_BYTES + TIMES_THE_WEIGHTS * 4 * model.parameters


def make_row(model: ZooModel, bounds: Bounds, folder: Path) -> dict[str, Any]:
    """Everything that the table says of one model; ``folder`` is scratch."""
    count = bounds.pictures or (8 if _heavy(model) else 16)
    pictures = copy_pictures(folder / "pictures", count)
    row: dict[str, Any] = {
        "parameters": model.parameters,
        "input_size": bounds.input_size or model.input_size,
        "pictures": count,
        "memory_bound_bytes": memory_bound(model),
        "transposes_bound": TRANSPOSES,
    }
    maker = _Maker(model, bounds, pictures, folder)
    found = maker.make(FORMATS)
    row |= found.pop("export")
    if any(found[f"{f}-{p}"]["status"] == "error" for f in FORMATS for p in ("fp32", "int8")):
        for format in FORMATS:
            alone = maker.make((format,))
            row.setdefault("alone", {})[format] = alone.pop("export")
            found |= alone
    return row | {cell: found[cell] for cell in sorted(found)}


def copy_pictures(folder: Path, count: int) -> dict[str, Path]:
    """Every so many-th of the built-in pictures: ``count`` a side, in two flat folders."""
    source = builtin_folder()
    entries = tomllib.loads((source / "manifest.toml").read_text(encoding="utf-8"))["picture"]
    sides = {}
    for side in ("calibration", "parity"):
        files = [source / entry["file"] for entry in entries if entry["split"] == side]
        sides[side] = folder / side
        sides[side].mkdir(parents=True)
        for file in files[:: max(1, len(files) // count)][:count]:
            shutil.copy(file, sides[side])
    return sides


def _heavy(model: ZooModel) -> bool:
    return model.parameters > HEAVY_PARAMETERS or model.input_size >= HEAVY_SIZE


@dataclass(frozen=True)
class _Maker:
    model: ZooModel
    bounds: Bounds
    pictures: Mapping[str, Path]
    folder: Path

    def make(self, formats: tuple[str, ...]) -> dict[str, Any]:
        """The cells of these formats, and what the int8 export took."""
        int8, export = self._export("int8", formats)
        fp32, _ = self._export("fp32", formats)
        took = {
            "seconds": round(export.wall_s, 1),
            "peak_memory_bytes": export.peak_bytes,
            "peak_memory_parts_bytes": [part for part in export.peak_parts if part > 10_000_000],
            "peak_memory_after": export.peak_after[:100],
            "exit_code": export.code,
        }
        cells = {
            f"{format}-{precision}": {"status": "error", "reason": text}
            for format in formats
            for precision, text in (("int8", int8.get("error")), ("fp32", fp32.get("error")))
            if text
        }
        if "error" not in int8 and "error" not in fp32:
            cells = self._cells(formats, int8, fp32)
        for format in formats:
            for precision, other in (("int8", "fp32"), ("fp32", "int8")):
                reason = f"not measured: {other} failed"
                cells.setdefault(f"{format}-{precision}", {"status": "error", "reason": reason})
        return {"export": took, **cells}

    def _export(self, precision: str, formats: tuple[str, ...]) -> tuple[dict[str, Any], Any]:
        size = self.bounds.input_size
        run = self._run(
            *("-m", "edgeconv", "export", self.model.name, "--weights", "none"),
            *(f"--{precision}", "--format", ",".join(formats), "--effort", "fast", "--json"),
            *("--calibration", str(self.pictures["calibration"])),
            *("--parity", str(self.pictures["parity"])),
            *("--output", str(self._bundle(precision)), "--force"),
            *(("--input-size", str(size)) if size else ()),
        )
        # 1 is a verdict: written, and what was lost stands in the table.
        if run.code in (0, 1) and not run.stopped:
            return json.loads(run.stdout), run
        return {"error": failure(run)}, run

    def _cells(
        self, formats: tuple[str, ...], int8: dict[str, Any], fp32: dict[str, Any]
    ) -> dict[str, Any]:
        run = self._run(
            str(HERE / "zoo_probe.py"),
            *(str(self._bundle(precision)) for precision in ("int8", "fp32")),
            str(self.pictures["parity"]),
            str(self.bounds.latency_s),
        )
        if run.code or run.stopped:
            error = {"status": "error", "reason": f"the files don't run: {failure(run)}"}
            return {f"{format}-{p}": error for format in formats for p in ("fp32", "int8")}
        probed = json.loads(run.stdout)
        cells = {}
        for format in formats:
            measured = probed[format]
            cells[f"{format}-fp32"] = self._float_cell(format, fp32, measured)
            cells[f"{format}-int8"] = self._int8_cell(format, int8, measured)
        return cells

    def _float_cell(
        self, format: str, export: dict[str, Any], probed: dict[str, Any]
    ) -> dict[str, Any]:
        percent = judged(export, format)["metrics"]["max_relative_difference"]
        relative = None if percent is None else percent / 100
        cell = {
            "relative_difference": relative,
            "max_difference": None if relative is None else relative * probed["largest"],
            "latency_ms": probed["fp32_ms"],
            **self._shape(format, "fp32", probed),
        }
        if relative is None or relative > RELATIVE_BOUND:
            cell["reason"] = f"differs from Keras by {relative:.1e}" if relative else "no number"
        return _settled(cell)

    def _int8_cell(
        self, format: str, export: dict[str, Any], probed: dict[str, Any]
    ) -> dict[str, Any]:
        cell = {
            "cosine": probed["cosine"],
            "latency_ms": probed["int8_ms"],
            "latency_ratio": probed["ratio"],
            "pairs": probed["pairs"],
            **self._shape(format, "int8", probed),
        }
        bench = next(row for row in export["bench"]["artifacts"] if _format(row) == format)
        if bench.get("operators_to_blame"):
            cell["to_blame"] = bench["operators_to_blame"]
        if not probed["cosine"] >= COSINE_BOUND:
            cell["reason"] = f"the cosine with float is {probed['cosine']:.2f}"
        return _settled(cell)

    def _shape(self, format: str, precision: str, probed: dict[str, Any]) -> dict[str, Any]:
        manifest = json.loads((self._bundle(precision) / "manifest.json").read_text())
        artifact = next(a for a in manifest["artifacts"] if a["format"] == format)
        inputs = {spec["name"] for spec in manifest["inputs"]}
        cell = {"size_bytes": artifact["bytes"], "operators": sum(artifact["operators"].values())}
        if precision == "int8":
            cell["float_operators"] = artifact["float_operators"]
        graph = probed["graphs"][precision]
        if graph:
            cell["transposes"] = graph["transposes"]
            cell["extra_inputs"] = sorted(set(graph["inputs"]) - inputs)
        return cell

    def _run(self, *arguments: str) -> Supervised:
        return supervise(
            [sys.executable, *arguments],
            timeout_s=self.bounds.timeout_s,
            limit_bytes=self.bounds.limit_bytes,
            environment={
                "EDGECONV_CACHE": str(self.folder / "cache"),
                "EDGECONV_CACHE_MIB": CACHE_MIB,
            },
        )

    def _bundle(self, precision: str) -> Path:
        return self.folder / precision


def judged(export: dict[str, Any], format: str) -> dict[str, Any]:
    """One artifact's verdict."""
    return next(a for a in export["verdict"]["artifacts"] if a["format"] == format)


def _format(row: Mapping[str, Any]) -> str:
    return "tflite" if row["file"].endswith(".tflite") else "onnx"


def _settled(cell: dict[str, Any]) -> dict[str, Any]:
    return {"status": "fail" if "reason" in cell else "pass", **cell}


def failure(run: Supervised) -> str:
    """Why a command ended badly, in one line."""
    if run.stopped:
        return run.stopped
    try:
        return str(json.loads(run.stdout)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        lines = run.stderr.strip().splitlines()
        how = f"signal {-run.code}" if run.code < 0 else f"exit code {run.code}"
        return f"{how}: {lines[-1][:200]}" if lines else how
