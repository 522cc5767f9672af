import pytest

from edgeconv.cli import main
from edgeconv.device import packages, refuse_missing
from edgeconv.errors import MissingDependency


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch):
    def hide(*names: str) -> None:
        found = packages.find_spec
        monkeypatch.setattr(packages, "find_spec", lambda n: None if n in names else found(n))

    return hide


def test_only_what_the_format_needs_is_asked_for(without):
    without("tf2onnx")
    refuse_missing(["tflite"])
    with pytest.raises(MissingDependency, match="without tf2onnx"):
        refuse_missing(["tflite", "onnx"])


def test_the_small_install_says_so_before_it_downloads_weights(without, tmp_path, capfd):
    without("tensorflow", "keras", "ai_edge_quantizer")
    code = main(["export", "vgg16", "--format", "tflite", "--output", str(tmp_path / "out")])
    assert code == 5
    assert capfd.readouterr().err.splitlines() == [
        "edgeconv: Nothing can be exported without tensorflow, keras, ai-edge-quantizer.",
        "  pip install 'edgeconv[convert]'",
    ]
