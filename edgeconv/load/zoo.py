"""The catalogue as one literal table: the 40 models of keras.applications in Keras 3.15, and two.

Figures: top-1 and top-5 are percent on ImageNet's validation set, one centre
crop, as https://keras.io/api/applications/ gives them (None where it gives none).
That page leaves MobileNetV3 out: its top-1 are from Keras's own docstring, its
top-5 from github.com/keras-team/keras-applications/pull/170.

SqueezeNet 1.1 and AlexNet are built here (``load.own``); theirs are torchvision's, whose
weights are not in Keras's form, so that ``weights_file`` is empty.

Resize and crop, as those figures were measured:

- VGG to NASNet and MobileNetV3: shorter side to ``size / 0.875``, bicubic, centre
  crop (github.com/keras-team/keras-applications/issues/88).
- EfficientNet: centre ``size / (size + 32)`` of the shorter side, bicubic
  (tensorflow/tpu, efficientnet/preprocessing.py).
- EfficientNetV2: the same, bilinear; S, M and L (from 320 pixels on) are
  stretched without a crop (google/automl, efficientnetv2/preprocessing.py).
- ConvNeXt: as VGG (facebookresearch/ConvNeXt, datasets.py). Keras's figures are
  0.3 to 0.8 points under the paper's; they were measured on stretched pictures.
- SqueezeNet and AlexNet: shorter side to 256, bilinear, centre crop (torchvision).
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass, replace
from typing import Literal

from edgeconv.errors import UsageError
from edgeconv.preprocess import Preprocess, printable

__all__ = ["CLASSES", "PRESETS", "ZOO", "ZooModel", "find", "preprocess_for", "preset"]

#: Every model of the table answers for ImageNet-1k.
CLASSES = 1000

Filter = Literal["bilinear", "bicubic"]
Resize = Literal["crop", "stretch"]


@dataclass(frozen=True)
class ZooModel:
    """One model with its published ImageNet weights.

    Attributes:
        name: The id that a user types, such as ``mobilenetv2``.
        constructor: Its name in ``keras.applications``, or in ``load.own``.
        module: The module that holds its ``preprocess_input``; ``own`` for ours.
        input_size: Side of its square input, in pixels.
        preprocess: Key of PRESETS; ``none`` where the model scales its own input.
        resize: As in ``Preprocess``.
        filter: Resampling filter of the published evaluation.
        crop_fraction: Share of the shorter side that the centre crop keeps.
        parameters: Of the whole model, classifier included.
        top1: Published accuracy, percent.
        top5: Published accuracy, percent; None where none was published.
        source: Where the figures stand.
        paper: Where the architecture stands.
        weights_file: Name of the weights in Keras's cache; "" where Keras has none.
        weights_url: Where Keras downloads them.
        weights_hash: MD5 or SHA-256 that Keras pins, or "" where it pins none.
    """

    name: str
    constructor: str
    module: str
    input_size: int
    preprocess: str
    resize: Resize
    filter: Filter
    crop_fraction: float
    parameters: int
    top1: float
    top5: float | None
    source: str
    paper: str
    weights_file: str
    weights_url: str
    weights_hash: str


@dataclass(frozen=True)
class _Family:
    """What the models of one module share; ``padding``: crop size / (size + padding)."""

    module: str
    preprocess: str
    paper: str
    folder: str
    filter: Filter = "bicubic"
    resize: Resize = "crop"
    padding: int | None = None
    source: str = "https://keras.io/api/applications/"


_BUCKET = "https://storage.googleapis.com/"
_TF = _BUCKET + "tensorflow/keras-applications/"
_ARXIV = "https://arxiv.org/abs/"
_V3_SOURCE = "https://github.com/keras-team/keras-applications/pull/170"

# fmt: off
_VGG16 = _Family("vgg16", "caffe", _ARXIV + "1409.1556", _TF + "vgg16/")
_VGG19 = _Family("vgg19", "caffe", _ARXIV + "1409.1556", _TF + "vgg19/")
_RESNET = _Family("resnet", "caffe", _ARXIV + "1512.03385", _TF + "resnet/")
_RESNET_V2 = _Family("resnet_v2", "tf", _ARXIV + "1603.05027", _TF + "resnet/")
_INCEPTION_V3 = _Family("inception_v3", "tf", _ARXIV + "1512.00567", _TF + "inception_v3/")
_INCEPTION_RESNET = _Family(
    "inception_resnet_v2", "tf", _ARXIV + "1602.07261", _TF + "inception_resnet_v2/")
_XCEPTION = _Family("xception", "tf", _ARXIV + "1610.02357", _TF + "xception/")
_MOBILENET = _Family("mobilenet", "tf", _ARXIV + "1704.04861", _TF + "mobilenet/")
_MOBILENET_V2 = _Family("mobilenet_v2", "tf", _ARXIV + "1801.04381", _TF + "mobilenet_v2/")
_MOBILENET_V3 = _Family(
    "mobilenet_v3", "none", _ARXIV + "1905.02244", _TF + "mobilenet_v3/", source=_V3_SOURCE)
_DENSENET = _Family("densenet", "torch", _ARXIV + "1608.06993", _TF + "densenet/")
_NASNET = _Family("nasnet", "tf", _ARXIV + "1707.07012", _TF + "nasnet/")
_EFFICIENTNET = _Family(
    "efficientnet", "none", _ARXIV + "1905.11946", _BUCKET + "keras-applications/", padding=32)
_EFFICIENTNET_V2_B = _Family(
    "efficientnet_v2", "none", _ARXIV + "2104.00298", _TF + "efficientnet_v2/", "bilinear",
    padding=32)
_EFFICIENTNET_V2 = _Family(
    "efficientnet_v2", "none", _ARXIV + "2104.00298", _TF + "efficientnet_v2/", "bilinear",
    "stretch", padding=0)
_CONVNEXT = _Family("convnext", "none", _ARXIV + "2201.03545", _TF + "convnext/")
_TORCHVISION = "https://docs.pytorch.org/vision/stable/models.html"
_SQUEEZENET = _Family(
    "own", "torch", _ARXIV + "1602.07360", "", "bilinear", source=_TORCHVISION)
_ALEXNET = _Family("own", "torch", _ARXIV + "1404.5997", "", "bilinear", source=_TORCHVISION)
# fmt: on


def _row(
    constructor: str,
    family: _Family,
    size: int,
    parameters: int,
    top1: float,
    top5: float | None,
    file: str,
    pinned: str = "",
    remote: str = "",
) -> ZooModel:
    return ZooModel(
        name=constructor.lower(),
        constructor=constructor,
        module=family.module,
        input_size=size,
        preprocess=family.preprocess,
        resize=family.resize,
        filter=family.filter,
        crop_fraction=0.875 if family.padding is None else size / (size + family.padding),
        parameters=parameters,
        top1=top1,
        top5=top5,
        source=family.source,
        paper=family.paper,
        weights_file=file,
        weights_url=family.folder + (remote or file),
        weights_hash=pinned,
    )


_KERNELS = "_weights_tf_dim_ordering_tf_kernels"

# One model, two lines: what it is (size, parameters, top-1, top-5), then its weights.
# fmt: off
ZOO: tuple[ZooModel, ...] = (
    _row("VGG16", _VGG16, 224, 138_357_544, 71.3, 90.1,
         "vgg16" + _KERNELS + ".h5", "64373286793e3c8b2b4e3219cbf3544b"),
    _row("VGG19", _VGG19, 224, 143_667_240, 71.3, 90.0,
         "vgg19" + _KERNELS + ".h5", "cbe5617147190e668d6c5d5026f83318"),
    _row("ResNet50", _RESNET, 224, 25_636_712, 74.9, 92.1,
         "resnet50" + _KERNELS + ".h5", "2cb95161c43110f7111970584f804107"),
    _row("ResNet101", _RESNET, 224, 44_707_176, 76.4, 92.8,
         "resnet101" + _KERNELS + ".h5", "f1aeb4b969a6efcfb50fad2f0c20cfc5"),
    _row("ResNet152", _RESNET, 224, 60_419_944, 76.6, 93.1,
         "resnet152" + _KERNELS + ".h5", "100835be76be38e30d865e96f2aaae62"),
    _row("ResNet50V2", _RESNET_V2, 224, 25_613_800, 76.0, 93.0,
         "resnet50v2" + _KERNELS + ".h5", "3ef43a0b657b3be2300d5770ece849e0"),
    _row("ResNet101V2", _RESNET_V2, 224, 44_675_560, 77.2, 93.8,
         "resnet101v2" + _KERNELS + ".h5", "6343647c601c52e1368623803854d971"),
    _row("ResNet152V2", _RESNET_V2, 224, 60_380_648, 78.0, 94.2,
         "resnet152v2" + _KERNELS + ".h5", "a49b44d1979771252814e80f8ec446f9"),
    _row("InceptionV3", _INCEPTION_V3, 299, 23_851_784, 77.9, 93.7,
         "inception_v3" + _KERNELS + ".h5", "9a0d58056eeedaa3f26cb7ebd46da564"),
    _row("InceptionResNetV2", _INCEPTION_RESNET, 299, 55_873_736, 80.3, 95.3,
         "inception_resnet_v2" + _KERNELS + ".h5", "e693bd0210a403b3192acc6073ad2e96"),
    _row("Xception", _XCEPTION, 299, 22_910_480, 79.0, 94.5,
         "xception" + _KERNELS + ".h5", "0a58e3b7378bc2990ea3b43d5981f1f6"),
    _row("MobileNet", _MOBILENET, 224, 4_253_864, 70.4, 89.5,
         "mobilenet_1_0_224_tf.h5"),
    _row("MobileNetV2", _MOBILENET_V2, 224, 3_538_984, 71.3, 90.1,
         "mobilenet_v2" + _KERNELS + "_1.0_224.h5"),
    _row("MobileNetV3Small", _MOBILENET_V3, 224, 2_554_968, 68.1, 87.8,
         "weights_mobilenet_v3_small_224_1.0_float.h5", "8768d4c2e7dee89b9d02b2d03d65d862"),
    _row("MobileNetV3Large", _MOBILENET_V3, 224, 5_507_432, 75.6, 92.7,
         "weights_mobilenet_v3_large_224_1.0_float.h5", "59e551e166be033d707958cf9e29a6a7"),
    _row("DenseNet121", _DENSENET, 224, 8_062_504, 75.0, 92.3,
         "densenet121" + _KERNELS + ".h5", "9d60b8095a5708f2dcce2bca79d332c7"),
    _row("DenseNet169", _DENSENET, 224, 14_307_880, 76.2, 93.2,
         "densenet169" + _KERNELS + ".h5", "d699b8f76981ab1b30698df4c175e90b"),
    _row("DenseNet201", _DENSENET, 224, 20_242_984, 77.3, 93.6,
         "densenet201" + _KERNELS + ".h5", "1ceb130c1ea1b78c3bf6114dbdfd8807"),
    _row("NASNetMobile", _NASNET, 224, 5_326_716, 74.4, 91.9,
         "nasnet_mobile.h5", "020fb642bf7360b370c678b08e0adf61", "NASNet-mobile.h5"),
    _row("NASNetLarge", _NASNET, 331, 88_949_818, 82.5, 96.0,
         "nasnet_large.h5", "11577c9a518f0070763c2b964a382f17", "NASNet-large.h5"),
    _row("EfficientNetB0", _EFFICIENTNET, 224, 5_330_571, 77.1, 93.3,
         "efficientnetb0.h5", "902e53a9f72be733fc0bcb005b3ebbac"),
    _row("EfficientNetB1", _EFFICIENTNET, 240, 7_856_239, 79.1, 94.4,
         "efficientnetb1.h5", "1d254153d4ab51201f1646940f018540"),
    _row("EfficientNetB2", _EFFICIENTNET, 260, 9_177_569, 80.1, 94.9,
         "efficientnetb2.h5", "b15cce36ff4dcbd00b6dd88e7857a6ad"),
    _row("EfficientNetB3", _EFFICIENTNET, 300, 12_320_535, 81.6, 95.7,
         "efficientnetb3.h5", "ffd1fdc53d0ce67064dc6a9c7960ede0"),
    _row("EfficientNetB4", _EFFICIENTNET, 380, 19_466_823, 82.9, 96.4,
         "efficientnetb4.h5", "18c95ad55216b8f92d7e70b3a046e2fc"),
    _row("EfficientNetB5", _EFFICIENTNET, 456, 30_562_527, 83.6, 96.7,
         "efficientnetb5.h5", "ace28f2a6363774853a83a0b21b9421a"),
    _row("EfficientNetB6", _EFFICIENTNET, 528, 43_265_143, 84.0, 96.8,
         "efficientnetb6.h5", "165f6e37dce68623721b423839de8be5"),
    _row("EfficientNetB7", _EFFICIENTNET, 600, 66_658_687, 84.3, 97.0,
         "efficientnetb7.h5", "8c03f828fec3ef71311cd463b6759d99"),
    _row("EfficientNetV2B0", _EFFICIENTNET_V2_B, 224, 7_200_312, 78.7, 94.3,
         "efficientnetv2-b0.h5", "21ecbf6da12460d5c40bb2f29ceb2188"),
    _row("EfficientNetV2B1", _EFFICIENTNET_V2_B, 240, 8_212_124, 79.8, 95.0,
         "efficientnetv2-b1.h5", "069f0534ff22adf035c89e2d9547a9dc"),
    _row("EfficientNetV2B2", _EFFICIENTNET_V2_B, 260, 10_178_374, 80.5, 95.1,
         "efficientnetv2-b2.h5", "424e49f28180edbde1e94797771950a7"),
    _row("EfficientNetV2B3", _EFFICIENTNET_V2_B, 300, 14_467_622, 82.0, 95.8,
         "efficientnetv2-b3.h5", "1f1fc43bd98a6e4fd8fdfd551e02c7a0"),
    _row("EfficientNetV2S", _EFFICIENTNET_V2, 384, 21_612_360, 83.9, 96.7,
         "efficientnetv2-s.h5", "e1d88a8495beba45748fedd0cecbe016"),
    _row("EfficientNetV2M", _EFFICIENTNET_V2, 480, 54_431_388, 85.3, 97.4,
         "efficientnetv2-m.h5", "a3bf6aa3276309f4fc6a34aa114c95cd"),
    _row("EfficientNetV2L", _EFFICIENTNET_V2, 480, 119_027_848, 85.7, 97.5,
         "efficientnetv2-l.h5", "27e6d408b53c7ebc868fefa357689935"),
    _row("ConvNeXtTiny", _CONVNEXT, 224, 28_589_128, 81.3, None, "convnext_tiny.h5",
         "8ae6e78ce2933352b1ef4008e6dd2f17bc40771563877d156bc6426c7cf503ff"),
    _row("ConvNeXtSmall", _CONVNEXT, 224, 50_223_688, 82.3, None, "convnext_small.h5",
         "ce1277d8f1ee5a0ef0e171469089c18f5233860ceaf9b168049cb9263fd7483c"),
    _row("ConvNeXtBase", _CONVNEXT, 224, 88_591_464, 85.3, None, "convnext_base.h5",
         "52cbb006d3dadd03f6e095a8ca1aca47aecdd75acb4bc74bce1f5c695d0086e6"),
    _row("ConvNeXtLarge", _CONVNEXT, 224, 197_767_336, 86.3, None, "convnext_large.h5",
         "070c5ed9ed289581e477741d3b34beffa920db8cf590899d6d2c67fba2a198a6"),
    _row("ConvNeXtXLarge", _CONVNEXT, 224, 350_196_968, 86.7, None, "convnext_xlarge.h5",
         "c1f5ccab661354fc3a79a10fa99af82f0fbf10ec65cb894a3ae0815f17a889ee"),
    _row("SqueezeNet11", _SQUEEZENET, 224, 1_235_496, 58.2, 80.6, ""),
    _row("AlexNet", _ALEXNET, 224, 61_100_840, 56.5, 79.1, ""),
)
# fmt: on

_BY_NAME = {model.name: model for model in ZOO}

# Mean and deviation of ImageNet's training pictures, RGB in 0..1
# (Source: keras/src/applications/imagenet_utils.py, mode "torch").
_MEAN = (0.485, 0.456, 0.406)
_STD = (0.229, 0.224, 0.225)

_IMAGENET = Preprocess(height=224, width=224)
# Belongs to no dataset: keeps the whole shorter side, and a picture of the right size as it is.
_PLAIN = replace(_IMAGENET, crop_fraction=1.0, filter="bilinear")

#: What ``--preprocess NAME`` takes beside the zoo's ids, at 224 pixels. The first three
#: are ImageNet's habits and crop as its evaluations do.
PRESETS: dict[str, Preprocess] = {
    "tf": replace(_IMAGENET, scale=(1 / 127.5,), offset=(-1.0,)),
    "torch": replace(
        _IMAGENET,
        scale=tuple(1 / (255 * std) for std in _STD),
        offset=tuple(-mean / std for mean, std in zip(_MEAN, _STD, strict=True)),
    ),
    # Means of the three channels in 0..255, blue first.
    "caffe": replace(_IMAGENET, color="bgr", offset=(-103.939, -116.779, -123.68)),
    "unit": replace(_PLAIN, scale=(1 / 255,)),
    "none": _PLAIN,
}


def find(name: str) -> ZooModel:
    """The model that ``name`` means, whatever its case, hyphens and underscores.

    Raises:
        UsageError: No model is called so; the hint has the nearest names.
    """
    model = _BY_NAME.get(_plain(name))
    if model is None:
        raise _unknown("model", name)
    return model


def preprocess_for(
    model: ZooModel, height: int | None = None, width: int | None = None
) -> Preprocess:
    """What ``model`` was evaluated with, at its own input size or at another."""
    return replace(
        PRESETS[model.preprocess],
        height=height or model.input_size,
        width=width or model.input_size,
        resize=model.resize,
        crop_fraction=model.crop_fraction,
        filter=model.filter,
    )


def preset(name: str, height: int, width: int) -> Preprocess:
    """What ``--preprocess NAME`` means for an input of ``height`` times ``width`` pixels.

    Args:
        name: A key of PRESETS or the id of a zoo model.
        height: Rows of the model's input.
        width: Columns of the model's input.

    Raises:
        UsageError: ``name`` is neither; the hint has the nearest names.
    """
    plain = _plain(name)
    if plain in _BY_NAME:
        return preprocess_for(_BY_NAME[plain], height, width)
    if plain not in PRESETS:
        raise _unknown("preprocessing", name, tuple(PRESETS))
    return replace(PRESETS[plain], height=height, width=width)


def _plain(name: str) -> str:
    return name.strip().lower().replace("-", "").replace("_", "")


def _unknown(what: str, name: str, others: tuple[str, ...] = ()) -> UsageError:
    shown = printable(name)[:60]
    near = difflib.get_close_matches(_plain(shown), [*others, *_BY_NAME], n=3, cutoff=0.5)
    guess = f"Did you mean {' or '.join(near)}? " if near else ""
    rest = f"Others are {', '.join(others)}; " if others else ""
    return UsageError(
        f"There is no {what} named '{shown}'.",
        f"{guess}{rest}`edgeconv models` lists the catalogue's models.",
    )
