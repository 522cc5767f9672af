"""A bundle on a device, which here is a process of its own: real engines, no TensorFlow."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeconv import report
from edgeconv.cli import main
from edgeconv.data import DataRequest
from edgeconv.errors import RefusedInput
from edgeconv.preprocess import prepare_array
from edgeconv.report.device import device_sentences
from edgeconv.verification import Verification, VerifyRequest, verify
from edgeconv.verification.on_device import DeviceOrder
from edgeconv.verify import Policy, Threshold
from tests import bundles

COUNT = 60


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bundles.make_bundle(tmp_path_factory.mktemp("bundle"))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Pictures labelled with the model's own answers."""
    path = tmp_path_factory.mktemp("data") / "pictures.npz"
    x = np.random.default_rng(3).integers(0, 256, (COUNT, 8, 8, 3), dtype=np.uint8)
    ready = np.concatenate([prepare_array(bundles.PREPROCESS, picture) for picture in x])
    np.savez(path, x=x, y=bundles.logits(ready).argmax(axis=1))
    return str(path)


@pytest.fixture
def python(tmp_path: Path) -> Callable[[str], str]:
    """An interpreter whose device does something to what infer.py wrote."""

    def make(afterwards: str) -> str:
        path = tmp_path / "python"
        (tmp_path / "after.py").write_text(f"import numpy as np\n{afterwards}\n")
        path.write_text(
            f'#!/bin/sh\n{sys.executable} "$@" || exit $?\n'
            f'case "$*" in *infer.py*) exec {sys.executable} {tmp_path / "after.py"};; esac\n'
        )
        path.chmod(0o755)
        return str(path)

    return make


def on_local(
    bundle: Path, data: str, against: Path | None = None, policy: Policy | None = None, **order: Any
) -> Verification:
    return verify(
        VerifyRequest(
            bundle, against, DataRequest(parity=data), policy or Policy(),
            on=DeviceOrder("local", **order),
        )
    )  # fmt: skip


def test_without_an_original_the_device_is_held_against_this_machine(
    bundle: Path, data: str
) -> None:
    found = on_local(bundle, data, samples=25)

    (row,) = found.verdict.artifacts
    assert row.file == "model.tflite on local"
    assert (row.status, row.equivalent, found.verdict.samples) == ("pass", True, 25)
    assert row.gated == "agreement_interval", "labels don't say whether two machines agree"
    assert found.reference == "tiny on this machine"
    assert found.device is not None
    assert found.device["bit_identical"]["items"] == 25
    assert found.device["bit_identical"]["values_differing"] == 0


def test_with_an_original_the_device_has_a_row_beside_the_host_s(bundle: Path, data: str) -> None:
    found = on_local(bundle, data, against=bundle, engine="onnxruntime", samples=20)

    files = [row.file for row in found.verdict.artifacts]
    assert files == ["model.tflite", "model.onnx", "model.onnx on local"]
    host, device = found.verdict.artifacts[1:]
    assert found.verdict.samples == COUNT
    assert device.status == host.status == "pass"
    assert device.metrics["top1"] == 100.0
    assert "to the bit" in device.reason and host.reason in device.reason


def test_the_host_s_bits_have_the_host_s_parity(bundle: Path, data: str) -> None:
    """A threshold that the host breaks is broken by a device that answers the same."""
    policy = Policy(thresholds=(Threshold("*", "agreement", 101.0, False),))
    found = on_local(bundle, data, against=bundle, policy=policy, samples=20)
    assert [row.status for row in found.verdict.artifacts] == ["fail"] * 3


def test_bits_that_differ_are_counted(
    bundle: Path, data: str, python: Callable[[str], str]
) -> None:
    """The device is off by one part in 8 million in one output of three items."""
    twist = (
        "y = dict(np.load('y.npz'))['y0']\n"
        "y[[2, 5, 7], 4] = np.nextafter(y[[2, 5, 7], 4], np.float32(np.inf))\n"
        "np.savez('y.npz', y0=y)"
    )
    found = on_local(bundle, data, python=python(twist), samples=10)

    assert found.device is not None
    bits = found.device["bit_identical"]
    assert (bits["items"], bits["items_differing"]) == (10, 3)
    assert (bits["values"], bits["values_differing"]) == (100, 3)
    assert 0 < bits["largest_difference"] < 1e-5
    assert found.verdict.status == "pass"
    assert "3 of 100 outputs differ" in device_sentences(found.device)[1]


def test_a_device_that_answers_something_else_fails(
    bundle: Path, data: str, python: Callable[[str], str]
) -> None:
    twist = "y = dict(np.load('y.npz'))['y0']\nnp.savez('y.npz', y0=np.roll(y, 1, axis=1))"
    alone = on_local(bundle, data, python=python(twist))
    beside = on_local(bundle, data, against=bundle, python=python(twist))

    assert alone.verdict.status == beside.verdict.status == "fail"
    assert [row.status for row in beside.verdict.artifacts] == ["pass", "pass", "fail"]
    assert {item.file for item in beside.disagreements} == {"model.tflite on local"}
    assert len(alone.disagreements) == COUNT


def test_a_device_that_answers_nan_fails(
    bundle: Path, data: str, python: Callable[[str], str]
) -> None:
    twist = "y = dict(np.load('y.npz'))['y0']\ny[3] = np.nan\nnp.savez('y.npz', y0=y)"
    found = on_local(bundle, data, python=python(twist))

    assert found.verdict.status == "fail"
    assert found.device is not None
    bits = found.device["bit_identical"]
    assert (bits["items_differing"], bits["largest_difference"]) == (1, None)
    assert device_sentences(found.device)[1].endswith("items")


@pytest.mark.parametrize(
    "afterwards",
    [
        "np.savez('y.npz', y0=np.zeros((10, 9), np.float32))",
        "np.savez('y.npz', y0=np.zeros((10, 10), np.float64))",
        "np.savez('y.npz', y1=np.zeros((10, 10), np.float32))",
        "np.savez('y.npz')",
        "np.savez('y.npz', y0=np.array([{}], dtype=object))",
        "np.savez_compressed('y.npz', y0=np.zeros(1 << 20, np.uint8))",
        "np.savez('y.npz', y0=np.zeros(1 << 20, np.uint8))",
        "open('y.npz', 'w').write('no archive')",
        "print('{}')",
        "print('not even JSON')",
        "import json; print(json.dumps({'file': 'other.tflite'}))",
    ],
)
def test_outputs_that_are_none_are_refused(
    bundle: Path, data: str, python: Callable[[str], str], afterwards: str
) -> None:
    with pytest.raises(RefusedInput):
        on_local(bundle, data, python=python(afterwards), samples=10)


def test_a_device_can_t_write_into_the_page(bundle: Path, data: str) -> None:
    found = on_local(bundle, data, samples=5)
    assert found.device is not None
    facts = {**found.device, "machine": "<script>alert(1)</script>"}
    page = report.render(found.verdict, device=facts)

    assert "alert(1)" in page and "<script>alert" not in page


# The command line.


def test_the_command_line_tells_what_the_device_was(
    bundle: Path, data: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    junit, page = tmp_path / "parity.xml", tmp_path / "report.html"
    code = main(
        ["verify", str(bundle), "--on", "local", "--data", data, "--samples", "10",
         "--junit", str(junit), "--report", str(page)]
    )  # fmt: skip

    assert code == 0
    shown = capfd.readouterr().out
    assert "model.tflite on local" in shown and "ms median" in shown
    assert "All 100 outputs of 10 items are this machine's" in shown
    for path in (junit, page):
        assert "ms median" in path.read_text() and "model.tflite on local" in path.read_text()


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--on", "usb"], "usb"),
        (["--on", "local", "--engine", "caffe"], "caffe"),
        (["--samples", "10"], "--samples"),
        (["--python", "python3"], "--python"),
        (["--on", "local", "--samples", "0"], "samples"),
        (["--on", "qemu:aarch64", "--python", "python3"], "has its own Python"),
    ],
)
def test_an_order_that_makes_no_sense_is_refused(
    bundle: Path, arguments: list[str], word: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["verify", str(bundle), *arguments]) == 2
    assert word in capfd.readouterr().err


def test_a_bare_file_has_no_infer_py_to_run(
    bundle: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["verify", str(bundle / "model.tflite"), "--on", "local"]) == 2
    assert "no bundle" in capfd.readouterr().err
