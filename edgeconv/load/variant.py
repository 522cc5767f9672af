"""A zoo model as the user wants it: wider or narrower, larger pictures, other classes, no head.

What contradicts is refused here, before TensorFlow is started.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from edgeconv.errors import UsageError
from edgeconv.load.zoo import CLASSES, ZooModel, find

__all__ = ["Variant", "published", "variant", "wishes"]

#: Widths whose ImageNet weights Keras publishes, with the file's name for each; at 224 pixels.
#: Source: keras/src/applications/mobilenet.py, mobilenet_v2.py, mobilenet_v3.py (3.15).
_MOBILENET: Final = "mobilenet_{}_224_tf.h5"
_V2: Final = "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_{}_224.h5"
_V3: Final = "weights_mobilenet_v3_{}_224_0.75_float.h5"
_WIDTHS: Final[Mapping[str, Mapping[float, tuple[str, str]]]] = {
    "mobilenet": {
        0.25: (_MOBILENET.format("2_5"), ""),
        0.5: (_MOBILENET.format("5_0"), ""),
        0.75: (_MOBILENET.format("7_5"), ""),
    },
    "mobilenetv2": {a: (_V2.format(a), "") for a in (0.35, 0.5, 0.75, 1.3, 1.4)},
    "mobilenetv3small": {0.75: (_V3.format("small"), "cb65d4e5be93758266aa0a7f2c6708b7")},
    "mobilenetv3large": {0.75: (_V3.format("large"), "765b44a33ad4005b3ac83185abf1d0eb")},
}
#: Below, a picture is gone before the last layer. Source: obtain_input_shape(min_size=...)
#: of each module; for ours, the sizes of their pools.
_LEAST: Final = {"inception_v3": 75, "inception_resnet_v2": 75, "xception": 71, "own": 63}
_LEAST_OF_ALL: Final = 32
#: Dense layers behind a Flatten: another picture size needs other weights.
_FLATTENS: Final = ("vgg16", "vgg19")
_ALEXNET_SIDE: Final = 6
#: The limits of the command line.
_MOST: Final = 1_000_000
_WIDEST: Final = 8.0


@dataclass(frozen=True)
class Variant:
    """What is to be built of a zoo model.

    Attributes:
        model: Its entry in the catalogue.
        size: Rows and columns of the input.
        classes: Units of the classifier.
        alpha: Width of a MobileNet; 1.0 as published.
        top: With the classifier; else averaged features, an embedding.
    """

    model: ZooModel
    size: int
    classes: int = CLASSES
    alpha: float = 1.0
    top: bool = True

    @property
    def name(self) -> str:
        """What the bundle is called."""
        width = "" if self.alpha == 1.0 else f"-{self.alpha:g}"
        return f"{self.model.name}{width}{'' if self.top else '-embedding'}"

    @property
    def provenance(self) -> dict[str, Any]:
        """What of it differs from the catalogue's entry, as a manifest has it."""
        usual = Variant(self.model, self.model.input_size)
        names = ("size", "classes", "alpha", "top")
        changed = {n: getattr(self, n) for n in names if getattr(self, n) != getattr(usual, n)}
        return {"zoo": self.model.name, **changed}


def variant(
    name: str,
    *,
    weights: str | None = None,
    size: int | None = None,
    classes: int | None = None,
    alpha: float | None = None,
    top: bool = True,
    labels: bool = False,
) -> Variant:
    """What the command line asks for.

    Args:
        name: Of the catalogue.
        weights: ``imagenet``, ``none`` or a file; None for ``imagenet``.
        size: None for the published one.
        classes: None for ImageNet's.
        alpha: None for 1.
        top: With the classifier.
        labels: Whether labels are given.

    Raises:
        UsageError: No such model, or the wishes contradict each other.
    """
    model = find(name)
    wanted = Variant(model, size or model.input_size, classes or CLASSES, alpha or 1.0, top)
    if not top:
        _refuse_head(classes is not None, labels)
    if alpha is not None and model.name not in _WIDTHS:
        raise UsageError(
            f"--alpha sets the width of a MobileNet; {model.name} has none.",
            f"It goes with {', '.join(_WIDTHS)}.",
        )
    _refuse_size(wanted)
    if (weights or "imagenet") == "imagenet":
        _refuse_imagenet(wanted)
    return wanted


def published(wanted: Variant) -> ZooModel:
    """The catalogue's entry with the ImageNet weights file of that width."""
    if wanted.alpha == 1.0:
        return wanted.model
    file, pinned = _WIDTHS[wanted.model.name][wanted.alpha]
    folder = wanted.model.weights_url.rpartition("/")[0]
    # A limit to downloads follows from the parameters, which grow as the width's square.
    most = int(wanted.model.parameters * max(1.0, wanted.alpha) ** 2)
    return replace(
        wanted.model,
        weights_file=file,
        weights_url=f"{folder}/{file}",
        weights_hash=pinned,
        parameters=most,
    )


def wishes(provenance: Mapping[str, Any]) -> dict[str, Any]:
    """What a manifest's provenance says of a variant, as arguments of a LoadRequest.

    Not its size, which the manifest's inputs tell. A manifest is a stranger's: what is
    no such value is left out.
    """
    found: dict[str, Any] = {}
    classes = provenance.get("classes")
    if isinstance(classes, int) and not isinstance(classes, bool) and 0 < classes <= _MOST:
        found["classes"] = classes
    alpha = provenance.get("alpha")
    if isinstance(alpha, float) and 0 < alpha <= _WIDEST:
        found["alpha"] = alpha
    if provenance.get("top") is False:
        found["top"] = False
    return found


def _refuse_head(classes: bool, labels: bool) -> None:
    for given, option in ((classes, "--classes"), (labels, "--labels")):
        if given:
            raise UsageError(
                f"--no-top leaves no classes that {option} could tell of.",
                f"Leave {option} or --no-top out.",
            )


def _refuse_size(wanted: Variant) -> None:
    model, size = wanted.model, wanted.size
    least = _LEAST.get(model.module, _LEAST_OF_ALL)
    if size < least:
        raise UsageError(
            f"{model.name} takes pictures of {least} pixels or more, not {size}.",
            "Give a larger size (--input-size; finetune: --size).",
        )
    if model.constructor == "AlexNet" and wanted.top and _alexnet_side(size) % _ALEXNET_SIDE:
        raise UsageError(
            f"At {size} pixels alexnet's last pool has {_alexnet_side(size)} rows, which its"
            f" dense layers can't take: they need {_ALEXNET_SIDE} or a multiple.",
            "Sizes from 223 to 254 give 6; --no-top takes any.",
        )


def _alexnet_side(size: int) -> int:
    side = (size + 4 - 11) // 4 + 1
    for _ in range(3):
        side = (side - 3) // 2 + 1
    return side


def _refuse_imagenet(wanted: Variant) -> None:
    """Wishes that the published weights can't fulfil."""
    model = wanted.model
    hint = "Give --weights FILE or --weights none."
    if not model.weights_file:
        raise UsageError(f"Keras publishes no ImageNet weights of {model.name}.", hint)
    if wanted.classes != CLASSES:
        raise UsageError(
            f"ImageNet's weights answer {CLASSES:,} classes, --classes says {wanted.classes:,}.",
            hint,
        )
    widths = (1.0, *_WIDTHS.get(model.name, ()))
    if wanted.alpha not in widths:
        known = ", ".join(f"{width:g}" for width in sorted(widths))
        raise UsageError(
            f"There are no ImageNet weights of {model.name} with --alpha {wanted.alpha:g},"
            f" only with {known}.",
            hint,
        )
    if model.name in _FLATTENS and wanted.top and wanted.size != model.input_size:
        raise UsageError(
            f"ImageNet's weights of {model.name} answer pictures of {model.input_size} pixels"
            f" alone, --input-size says {wanted.size}.",
            f"{hint[:-1]}, or --no-top.",
        )
