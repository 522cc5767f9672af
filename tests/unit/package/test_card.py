"""The model card says what a person with only the folder needs."""

import re
from pathlib import Path

from edgeconv.package.card import build_card, preprocess_text
from edgeconv.preprocess import Preprocess
from edgeconv.types import Recipe, TensorSpec
from tests import bundles

VERDICT = {
    "status": "inconclusive",
    "samples": 250,
    "artifacts": [
        {
            "file": "model.tflite",
            "status": "inconclusive",
            "metrics": {
                "top1": 82.8,
                "top1_drop": {"estimate": 0.4, "ci95": [-0.8, 1.7]},
                "agreement": 94.4,
                "sqnr_db": None,
            },
        }
    ],
}


def test_it_tells_accuracy_tensors_preprocessing_and_licence(tmp_path: Path) -> None:
    quantized = bundles.artifact(
        tmp_path / "a.tflite",
        "tflite",
        bundles.tflite_bytes(),
        precision="int8",
        inputs=(TensorSpec("image", (1, 8, 8, 3), "int8", 0.0078125, -1),),
        float_operators={},
    )
    card = build_card(bundles.source(), [quantized], Recipe(), VERDICT)
    for part in (
        "# tiny, int8",
        "on 250 items: **inconclusive**",
        "| 82.8 | 0.40 [-0.80, 1.70] | 94.4 |",
        "| model.tflite | input `image` | 1 x 8 x 8 x 3 | int8 | 0.0078125 | -1 |",
        "`x * 0.00784313725 - 1`",
        "applies softmax in float",
        "no operators in float",
        "python infer.py --self-test",
        "weights of `tiny.keras`",
        "ai-edge-litert",
    ):
        assert part in card, part
    assert "onnxruntime" not in card


def test_a_verdict_without_metrics_is_no_claim() -> None:
    card = build_card(bundles.source(), [], Recipe(), {"status": "pass", "samples": 0})
    assert "It was not measured." in card


def test_each_kind_of_preprocessing_is_a_sentence() -> None:
    per_channel = Preprocess(height=4, width=6, scale=(1.0, 2.0, 3.0), offset=(0.0, 0.0, -1.0))
    assert "centre crop of 6 x 4 keeps 87.5%" in preprocess_text(per_channel)
    assert "(1, 2, 3)" in preprocess_text(per_channel)
    array = Preprocess(kind="array", scale=(0.5,))
    assert preprocess_text(array) == "Input: an array; raw values become `x * 0.5 + 0`."


def test_the_card_tells_of_the_training_in_plain_text() -> None:
    training = {
        "base": "mobilenetv2",
        "test_accuracy": 71.25,
        "unfreeze": None,
        "pictures": {"train": 700, "test": 150},
        "note": "| [click](javascript:alert(1)) <script>`x`",
    }
    source = bundles.source(provenance={"file": "m.keras", "training": training})
    card = build_card(source, [], Recipe(), VERDICT)

    assert "| base | mobilenetv2 |" in card and "| test accuracy | 71.25 % |" in card
    assert "| pictures, train | 700 |" in card and "unfreeze" not in card
    (row,) = [line for line in card.splitlines() if line.startswith("| note")]
    # Every sign that Markdown or HTML would act on is escaped.
    assert re.findall(r"(?<!\\)[\[\]()<>`|]", row) == ["|", "|", "|"]
    assert "How it was trained" not in build_card(bundles.source(), [], Recipe(), VERDICT)
