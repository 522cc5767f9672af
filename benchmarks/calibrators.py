"""What each calibrator does to int8 models: SQNR, agreement, top-1, both formats.

The default of edgeconv's recipe is chosen by this table (docs/quantization.md).

    python benchmarks/calibrators.py [--models NAME ...] [--calibrators NAME ...] [--passes ...]

Data is looked for in EDGECONV_DATA (default: ../shared/data).
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from edgeconv import data, load, making
from edgeconv.calibrate import CALIBRATORS
from edgeconv.prepare import Memo
from edgeconv.progress import Silent
from edgeconv.targets import TARGETS
from edgeconv.types import Array, Recipe
from edgeconv.workshop import Workshop

HERE = Path(__file__).resolve().parent
DATA = Path(os.environ.get("EDGECONV_DATA", HERE.parent.parent / "shared" / "data"))
PICTURES = "imagenet-sample/manifest.csv"
CIFAR = "cifar10/cifar10_sample.npz"


@dataclass(frozen=True)
class Case:
    """A model with its data."""

    model: str
    preprocess: str
    calibration: str
    parity: str | None


CASES = {
    "mobilenetv2": Case(
        "models/mobilenetv2_imagenet.keras",
        "mobilenetv2",
        f"{PICTURES}:calibration",
        f"{PICTURES}:evaluation",
    ),
    "squeezenet11": Case(
        "models/squeezenet11_imagenet.keras",
        "torch",
        f"{PICTURES}:calibration",
        f"{PICTURES}:evaluation",
    ),
    "mobilenetv3small": Case(
        "models/mobilenetv3small_cifar10.keras", "none", f"{CIFAR}:train", f"{CIFAR}:test"
    ),
    "resnet8": Case(
        "mlperf-tiny/image_classification/pretrainedResnet.h5",
        "none",
        f"{CIFAR}:train",
        f"{CIFAR}:test",
    ),
    "ds-cnn": Case(
        "mlperf-tiny/keyword_spotting/kws_ref_model", "array", "mlperf-tiny/kws01.npz", None
    ),
}
RECIPES = [
    Recipe(calibrator="minmax"),
    *(Recipe(calibrator="percentile", percentile=p) for p in (99.999, 99.99, 99.9)),
    Recipe(calibrator="mse"),
    Recipe(calibrator="entropy"),
    Recipe(calibrator="trimmed"),
]


def rows(name: str, case: Case, recipes: list[Recipe], folder: Path) -> Iterator[str]:
    """One line a format and recipe; observed once a format."""
    request = data.DataRequest(
        str(DATA / case.calibration), str(DATA / case.parity) if case.parity else None
    )
    with Workshop(folder) as workshop:
        model = load.LoadRequest(str(DATA / case.model), preprocess=case.preprocess)
        source = load.load(model, workshop, folder, Silent())
        source = data.with_input_scale(request, source, Silent())
        calibration, parity = data.choose(request, source, True, Silent())
        assert calibration is not None
        graphs = [target.lower(source, workshop, folder) for target in TARGETS.values()]
        reference = np.array(load.answers(source, parity, workshop, folder)[0])
    memo: Memo = {}
    for graph in graphs:
        target = TARGETS[graph.format]
        piece = making.observe(graph, calibration, recipes[0], Silent(), memo)
        for recipe in recipes:
            _, runner = making.make(piece, recipe, folder)
            answers = [(runner(*batch.x)[0], batch.y) for batch in parity.batches(50)]
            candidate = np.concatenate([scores for scores, _ in answers])
            y = np.concatenate([y for _, y in answers if y is not None])
            label = recipe.calibrator
            if label == "percentile":
                label += f" {recipe.percentile}"
            yield f"| {name} | {target.title} | {label} | {figures(reference, candidate, y)} |"


def figures(reference: Array, candidate: Array, y: Array) -> str:
    """SQNR in dB, agreement and top-1 in percent, the original's top-1."""
    error = np.square(reference - candidate).sum()
    sqnr_db = 10 * np.log10(np.square(reference).sum() / error)
    ours, theirs = reference.argmax(1), candidate.argmax(1)
    agreement, top1 = 100 * np.mean(ours == theirs), 100 * np.mean(theirs == y)
    return f"{sqnr_db:.1f} | {agreement:.1f} | {top1:.1f} | {100 * np.mean(ours == y):.1f}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--calibrators", nargs="+", choices=CALIBRATORS, default=[*CALIBRATORS])
    parser.add_argument("--passes", nargs="+", default=list(Recipe().passes))
    args = parser.parse_args()
    recipes = [
        replace(recipe, passes=tuple(args.passes))
        for recipe in RECIPES
        if recipe.calibrator in args.calibrators
    ]
    print("| model | format | calibrator | SQNR, dB | agreement, % | top-1, % | original, % |")
    print("| --- | --- | --- | ---: | ---: | ---: | ---: |")
    for name in args.models:
        with tempfile.TemporaryDirectory(prefix="edgeconv-") as folder:
            for row in rows(name, CASES[name], recipes, Path(folder)):
                print(row, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
