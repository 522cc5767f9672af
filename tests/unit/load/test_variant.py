"""What may be wished of a zoo model, and what contradicts."""

from typing import Any

import pytest

from edgeconv.errors import UsageError
from edgeconv.load import LoadRequest, wishes
from edgeconv.load.source import check
from edgeconv.load.variant import published, variant
from edgeconv.load.zoo import ZOO, find


@pytest.mark.parametrize("model", [model.name for model in ZOO])
def test_every_model_is_wished_as_it_is_published(model: str) -> None:
    wanted = variant(model, weights="none")

    assert wanted.name == model
    assert wanted.size == find(model).input_size
    assert wanted.provenance == {"zoo": model}


def test_a_variant_says_what_differs_and_can_be_wished_again() -> None:
    wanted = variant("MobileNetV2", weights="none", alpha=0.35, size=96, classes=5)

    assert wanted.name == "mobilenetv2-0.35"
    again = LoadRequest("mobilenetv2", weights="none", **wishes(wanted.provenance))
    assert (again.alpha, again.classes, again.top) == (0.35, 5, True)
    assert wishes(variant("resnet50", top=False).provenance) == {"top": False}


@pytest.mark.parametrize(
    "forged",
    [{"classes": "5"}, {"classes": -1}, {"classes": True}, {"classes": 10**9},
     {"alpha": "wide"}, {"alpha": float("nan")}, {"top": 0}, {"alpha": [1]}],
)  # fmt: skip
def test_a_forged_provenance_wishes_nothing(forged: dict[str, Any]) -> None:
    assert wishes(forged) == {}


def test_narrow_mobilenets_have_weights_of_their_own() -> None:
    """Names as Keras asks for them: keras/src/applications/mobilenet*.py."""
    files = {
        ("mobilenet", 0.25): "mobilenet_2_5_224_tf.h5",
        ("mobilenetv2", 1.4): "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.4_224.h5",
        ("mobilenetv3small", 0.75): "weights_mobilenet_v3_small_224_0.75_float.h5",
    }
    for (name, alpha), file in files.items():
        model = published(variant(name, alpha=alpha))
        assert model.weights_file == file
        assert model.weights_url == find(name).weights_url.rpartition("/")[0] + "/" + file
    assert published(variant("mobilenetv2")) is find("mobilenetv2")


@pytest.mark.parametrize(
    ("name", "wish", "words"),
    [
        ("resnet50", {"alpha": 0.5}, "resnet50 has none"),
        ("mobilenetv2", {"alpha": 0.4}, "only with 0.35"),
        ("mobilenetv2", {"classes": 5}, "1,000 classes"),
        ("mobilenetv2", {"classes": 5, "top": False}, "--classes"),
        ("mobilenetv2", {"labels": True, "top": False}, "--labels"),
        ("vgg16", {"size": 96}, "224 pixels"),
        ("inceptionv3", {"size": 74}, "75 pixels or more"),
        ("alexnet", {"size": 300, "weights": "none"}, "8 rows"),
        ("squeezenet11", {}, "no ImageNet weights"),
        ("squeezenet12", {}, "no model named"),
    ],
)
def test_wishes_that_contradict_are_refused(name: str, wish: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words) as refused:
        variant(name, **wish)
    assert refused.value.hint


@pytest.mark.parametrize("size", [223, 254, 416])
def test_alexnet_takes_the_sizes_that_end_in_sixes(size: int) -> None:
    assert variant("alexnet", weights="none", size=size).size == size


def test_an_embedding_is_no_classifier() -> None:
    with pytest.raises(UsageError, match="--task says classification"):
        check(LoadRequest("mobilenetv2", weights="none", top=False, task="classification"))
