"""The report of a real bundle in a real browser, held against the files beside it."""

import json
from pathlib import Path

import pytest

from tests.browser import Browser
from tests.e2e.command import edgeconv
from tests.unit.report.pages import assert_equals_its_source

pytestmark = pytest.mark.long

FIGURES = """[...document.querySelectorAll("data")].map(
    (e) => [e.dataset.from ?? "", e.getAttribute("value"), e.textContent])"""


def test_every_figure_of_a_report_stands_in_a_file_of_its_bundle(
    shared_data: Path, tmp_path: Path
) -> None:
    browser = Browser(tmp_path / "profile")
    pictures = shared_data / "cifar10" / "cifar10_sample.npz"
    bundle = tmp_path / "b"
    done = edgeconv(
        "export", shared_data / "mlperf-tiny/image_classification/pretrainedResnet.h5",
        "--preprocess", "none",
        "--calibration", f"{pictures}:train", "--parity", f"{pictures}:test",
        "--output", bundle, "--json",
    )  # fmt: skip
    assert done.code == 0, done.stderr
    report = bundle / "report.html"
    assert report.stat().st_size < 1_000_000
    documents = {
        name: json.loads((bundle / name).read_text())
        for name in ("verdict.json", "manifest.json", "bench.json", "recovery.json")
    }
    try:
        browser.open(report)
        figures = browser.run(FIGURES)
        recipe = browser.run('document.getElementById("recipe").textContent')
        assert browser.console == []
    finally:
        browser.close()
    assert len(figures) > 40
    assert_equals_its_source(figures, documents)
    assert recipe.strip() == (bundle / "recipe.toml").read_text().strip()
