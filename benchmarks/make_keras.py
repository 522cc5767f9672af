"""A model of the zoo with seeded random weights that are alive, as a .keras file.

    python benchmarks/make_keras.py NAME FILE.keras

`benchmarks/convert.py` gives it to edgeconv and to the stock tools alike.
"""

from __future__ import annotations

import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from edgeconv.load.build import build
from edgeconv.load.zoo import find


def main(name: str, path: str) -> None:
    entry = find(name)
    model = build(
        entry.constructor,
        size=entry.input_size,
        classes=1000,
        alpha=1.0,
        top=True,
        weights=None,
        seed=0,
    )
    model.save(path)


if __name__ == "__main__":
    main(*sys.argv[1:])
