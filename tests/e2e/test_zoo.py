"""Six models of the matrix, small: those between them have the traps that lose a conversion.

mobilenetv3small   hard-swish, squeeze-and-excite; 108 Transposes as tf2onnx leaves them
efficientnetb0     constants of a Normalization layer as inputs; swish
convnexttiny       exact GELU, LayerNorm, LayerScale
nasnetmobile       concatenations, average pooling, padding by crops
densenet121        concatenations all the way
mobilenet          depthwise convolutions, ReLU6
"""

from dataclasses import replace
from pathlib import Path

import pytest

from edgeconv.load.measured import CELLS
from edgeconv.load.zoo import find
from tests.zoo import zoo_page, zoo_row

BOUNDS = zoo_row.Bounds(pictures=8, latency_s=0.5, input_size=64)
#: At 64 pixels NASNet's cells see four places at the end, and random weights no signal
#: that int8 could keep: 2.8 dB in TFLite, 4.6 dB in ONNX.
SIZES = {"nasnetmobile": 128}


@pytest.mark.long
@pytest.mark.parametrize(
    "name",
    [
        "mobilenetv3small",
        "efficientnetb0",
        "convnexttiny",
        "nasnetmobile",
        "densenet121",
        "mobilenet",
    ],
)
def test_a_model_of_the_matrix_converts_whole(tmp_path: Path, name: str):
    bounds = replace(BOUNDS, input_size=SIZES.get(name, BOUNDS.input_size))
    row = zoo_row.make_row(find(name), bounds, tmp_path)
    for cell in CELLS:
        assert row[cell]["status"] == "pass", f"{cell}: {row[cell].get('reason')}"
    for cell in ("tflite-fp32", "onnx-fp32"):
        assert row[cell]["relative_difference"] <= zoo_row.RELATIVE_BOUND, cell
    for cell in ("onnx-fp32", "onnx-int8"):
        assert row[cell]["transposes"] <= row["transposes_bound"], cell
        assert row[cell]["extra_inputs"] == [], cell
    assert not zoo_page.too_much_memory(row), zoo_page.reds(row)
