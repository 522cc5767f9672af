"""What Keras itself says of its applications; run by test_zoo.py in a process of its own.

    python keras_answers.py WORK CONSTRUCTOR...

WORK/pictures.npy goes in; WORK/MODULE.npy (that module's preprocess_input of the
pictures) and one JSON object on stdout come out. Nothing is downloaded: get_file
answers with what it was asked for.
"""

import importlib
import json
import sys
from pathlib import Path

import keras
import numpy as np
from keras.src.backend import config
from keras.src.models import Functional
from keras.src.utils import file_utils

from edgeconv.load.own import BUILDERS


def modules(names):
    return {name: getattr(keras.applications, name).__module__.split(".")[-1] for name in names}


def preprocessed(work, names):
    pictures = np.load(work / "pictures.npy")
    for name in names:
        module = importlib.import_module(f"keras.applications.{name}")
        # It scales float arrays in place.
        answer = np.asarray(module.preprocess_input(pictures.astype(np.float32)))
        np.save(work / f"{name}.npy", answer)


def built(constructor):
    asked = {}

    def get_file(fname, origin, cache_subdir=None, file_hash=None):
        asked.update(file=fname, url=origin, hash=file_hash or "", folder=cache_subdir)
        return fname

    file_utils.get_file = get_file
    Functional.load_weights = lambda self, path: None
    model = getattr(keras.applications, constructor)()
    answer = {"shape": model.input_shape, "parameters": model.count_params(), **asked}
    answer["layers"] = [type(layer).__name__ for layer in model.layers]
    answer["classes"] = model.output_shape[-1]
    keras.backend.clear_session()
    return answer


def main(work, wanted):
    everything = [n for n in dir(keras.applications) if n[0].isupper()]
    found = modules(everything)
    preprocessed(work, sorted(set(found.values())))
    answers = {name: built(name) for name in wanted}
    own = {name: build(224, 1000).count_params() for name, build in BUILDERS.items()}
    said = {"modules": found, "models": answers, "own": own, "home": config.keras_home()}
    print(json.dumps(said))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
