"""What can go wrong around a model: the same file, fed or read in another way.

All edit what the bundle says of its preprocessing and its labels; the model
files stay as they are. Each function changes a Draft.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.faults.draft import Draft

#: ImageNet's channel means and deviations over 0..255, as PyTorch and Caffe use them.
_TORCH_MEAN = (123.675, 116.28, 103.53)
_TORCH_DEVIATION = (58.395, 57.12, 57.375)
_CAFFE_MEAN = (103.939, 116.779, 123.68)


@dataclass(frozen=True)
class Skew:
    """A fault of the surroundings.

    Attributes:
        name: What went wrong.
        kinds: The suspicions that name it; empty where none does.
        apply: Changes a Draft.
        moves_answers: Whether the best class can change; else only the scores do.
    """

    name: str
    kinds: frozenset[str]
    apply: Callable[[Draft], None]
    moves_answers: bool = True


def _described(**fields: Any) -> Callable[[Draft], None]:
    """The bundle describes its preprocessing with other ``fields``."""
    return lambda draft: draft.manifest["preprocess"].update(fields)


def _mean_forgotten(draft: Draft) -> None:
    """Without the offset where there is one; with one that does not belong where there is none."""
    preprocess = draft.manifest["preprocess"]
    if any(preprocess["offset"]):
        preprocess["offset"] = [0.0]
    else:
        preprocess["offset"] = [-mean for mean in _TORCH_MEAN]


def _scale_wrong(draft: Draft) -> None:
    """Divided by 255 where it should be by 127.5, or not at all."""
    preprocess = draft.manifest["preprocess"]
    preprocess["scale"] = [1 / 255]


def _other_resize(draft: Draft) -> None:
    """Stretched where the centre should be cropped, or the other way round."""
    preprocess = draft.manifest["preprocess"]
    preprocess["resize"] = "stretch" if preprocess["resize"] == "crop" else "crop"


def _labels_rotated(draft: Draft) -> None:
    draft.labels[:] = draft.labels[1:] + draft.labels[:1]


def _background_first(draft: Draft) -> None:
    """The labels of a model with 1 more class in front; the last falls off."""
    draft.labels[:] = ["background", *draft.labels[:-1]]


def _kinds(*names: str) -> frozenset[str]:
    return frozenset(names)


SKEWS = (
    Skew("BGR", _kinds("channel-order"), _described(color="bgr")),
    Skew("wrong mean", _kinds("mean"), _mean_forgotten),
    Skew("wrong scale", _kinds("scale"), _scale_wrong),
    Skew("pixels in 0..1", _kinds("scale", "mean"), _described(scale=[1 / 255], offset=[0.0])),
    Skew(
        "PyTorch's normalization",
        _kinds("scale", "mean"),
        _described(
            scale=[1 / d for d in _TORCH_DEVIATION],
            offset=[-m / d for m, d in zip(_TORCH_MEAN, _TORCH_DEVIATION, strict=True)],
        ),
    ),
    Skew(
        "Caffe's normalization",
        _kinds("scale", "mean", "channel-order"),
        _described(color="bgr", scale=[1.0], offset=[-m for m in _CAFFE_MEAN]),
    ),
    # A centre of the model's size out of the picture as it is: 224 of 384 pixels, 32 of 60.
    Skew("crop instead of resize", _kinds("crop"), _described(resize="crop", crop_fraction=0.55)),
    Skew("crop and stretch confused", _kinds("crop"), _other_resize),
    Skew(
        "nearest instead of a smooth filter", _kinds("resize-filter"), _described(filter="nearest")
    ),
    Skew("labels off by one", _kinds("labels-shifted"), _labels_rotated),
    Skew("background class in front", _kinds("labels-shifted"), _background_first),
)
