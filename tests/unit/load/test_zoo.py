"""The catalogue, held against Keras itself."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgeconv.errors import UsageError
from edgeconv.load.weights import is_cached, keras_cache
from edgeconv.load.zoo import CLASSES, PRESETS, ZOO, find, preprocess_for, preset
from edgeconv.preprocess import prepare_image

KERAS = [model for model in ZOO if model.module != "own"]
OWN = [model for model in ZOO if model.module == "own"]
MODULES = sorted({model.module for model in KERAS})
# One a module where that is cheap to build; the long test builds all 40.
CHEAP = (
    "MobileNet",
    "MobileNetV2",
    "MobileNetV3Small",
    "MobileNetV3Large",
    "ResNet50",
    "ResNet50V2",
    "DenseNet121",
    "EfficientNetB0",
    "EfficientNetV2B0",
    "ConvNeXtTiny",
    "Xception",
)


def ask_keras(folder: Path, constructors) -> dict:
    rng = np.random.default_rng(0)
    np.save(folder / "pictures.npy", rng.integers(0, 256, (2, 16, 16, 3), dtype=np.uint8))
    script = Path(__file__).with_name("keras_answers.py")
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1", "KERAS_HOME": str(folder)}
    done = subprocess.run(
        [sys.executable, str(script), str(folder), *constructors],
        env={**os.environ, **quiet},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def work(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("keras")


@pytest.fixture(scope="module")
def keras(work) -> dict:
    return ask_keras(work, CHEAP)


def check(model, answer):
    """MobileNetV3 takes any size by default; its weights were trained at the one in their name."""
    size = model.input_size
    shapes = [[None, size, size, 3]]
    if model.module == "mobilenet_v3":
        shapes.append([None, None, None, 3])
        assert f"_{size}_" in answer["file"]
    assert answer["shape"] in shapes, model.name
    assert answer["parameters"] == model.parameters, model.name
    assert answer["classes"] == CLASSES
    assert (answer["file"], answer["url"]) == (model.weights_file, model.weights_url)
    assert answer["hash"] == model.weights_hash
    assert answer["folder"] == "models"
    scales_itself = {"Rescaling", "Normalization"} & set(answer["layers"]) or model.name.startswith(
        "convnext"
    )
    assert (model.preprocess == "none") == bool(scales_itself), model.name


def test_the_table_has_every_application_of_keras_and_no_other(keras):
    assert {model.constructor: model.module for model in KERAS} == keras["modules"]
    assert len(KERAS) == 40


def test_two_architectures_are_our_own(keras):
    """Parameters as torchvision counts them; there are no weights in Keras's form."""
    assert [model.name for model in OWN] == ["squeezenet11", "alexnet"]
    for model in OWN:
        assert keras["own"][model.constructor] == model.parameters
        assert not model.weights_file and not is_cached(model)


@pytest.mark.parametrize("constructor", CHEAP)
def test_size_parameters_and_weights_are_what_keras_builds_and_asks_for(keras, constructor):
    check(find(constructor), keras["models"][constructor])


@pytest.mark.long
def test_all_40_models_are_what_keras_builds_and_asks_for(tmp_path):
    answers = ask_keras(tmp_path, [model.constructor for model in KERAS])["models"]
    assert len(answers) == 40
    for model in KERAS:
        check(model, answers[model.constructor])


@pytest.mark.parametrize("module", MODULES)
def test_preprocessing_equals_preprocess_input(keras, work, module):
    pictures = np.load(work / "pictures.npy")
    expected = np.load(work / f"{module}.npy")
    for model in (m for m in KERAS if m.module == module):
        how = replace(preprocess_for(model, *pictures.shape[1:3]), resize="none")
        ours = np.concatenate([prepare_image(how, Image.fromarray(p)) for p in pictures])
        assert ours.dtype == np.float32
        assert np.abs(ours - expected).max() <= 1e-5, model.name


def test_the_cache_is_where_keras_looks(keras, work, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(work))
    assert keras_cache() == Path(keras["home"]) / "models"


def test_a_model_is_found_whatever_its_case_and_hyphens():
    for name in ("mobilenetv2", "MobileNetV2", "mobilenet_v2", "MobileNet-V2"):
        assert find(name).constructor == "MobileNetV2"
    for model in ZOO:
        assert find(model.constructor) is model


def test_an_unknown_name_is_refused_with_the_nearest_ones():
    with pytest.raises(UsageError) as refused:
        find("mobilnetv2")
    assert "'mobilnetv2'" in refused.value.message
    assert "mobilenetv2" in refused.value.hint


def test_a_hostile_name_stays_on_one_short_line():
    with pytest.raises(UsageError) as refused:
        find("a\n\x1b[2J" + "b" * 10_000)
    assert len(refused.value.message) < 100
    assert refused.value.message.isprintable()


def test_a_preset_may_be_the_name_of_a_model_or_of_plain_values():
    assert preset("MobileNetV2", 96, 64) == preprocess_for(find("mobilenetv2"), 96, 64)
    assert preset("unit", 32, 48).scale == (1 / 255,)
    for name in PRESETS:
        assert (preset(name, 32, 48).height, preset(name, 32, 48).width) == (32, 48)


def test_an_unknown_preset_is_refused_with_all_plain_ones():
    with pytest.raises(UsageError, match="no preprocessing named 'torhc'") as refused:
        preset("torhc", 224, 224)
    for name in PRESETS:
        assert name in refused.value.hint


def test_unit_and_none_leave_a_picture_of_the_right_size_alone():
    pixels = np.random.default_rng(1).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    ready = prepare_image(preset("none", 32, 32), Image.fromarray(pixels))
    assert np.array_equal(ready[0], pixels.astype(np.float32))


def test_crops_are_those_of_the_published_evaluations():
    assert preprocess_for(find("efficientnetb7")).crop_fraction == 600 / 632
    assert preprocess_for(find("efficientnetv2b0")).filter == "bilinear"
    assert preprocess_for(find("efficientnetv2s")).resize == "stretch"
    assert preprocess_for(find("resnet50")).crop_fraction == 0.875
    assert preprocess_for(find("nasnetlarge")).shape == (1, 331, 331, 3)


def test_published_accuracies_are_percent_and_top5_is_above_top1():
    for model in ZOO:
        assert 50 < model.top1 < 100
        assert model.top5 is None or model.top1 < model.top5 < 100
        assert model.source.startswith("https://") and model.paper.startswith("https://arxiv.org/")
