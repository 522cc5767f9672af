"""verify --on qemu:aarch64: 64-bit Arm code of the wheels that a Raspberry Pi gets."""

from __future__ import annotations

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.command import edgeconv

VERSIONS = {"litert": "2.1.6", "tflite-runtime": "2.14.0"}
SAMPLES = 100
#: Of 100 pictures, the top-1 that device and host have in common.
GOAL = 99


@pytest.fixture(scope="module")
def answered(
    emulated: dict[str, str], tflite_runtime: dict[str, str], mobilenet: Path, shared_data: Path
) -> Mapping[str, Any]:
    """What verify says with each engine; both run side by side, a second an image.

    Here, too, each runs with its own: two engines differ where two classes are nearly
    tied, whatever the processor (docs/runtime.md).
    """
    data = f"{shared_data / 'imagenet-sample/manifest.csv'}:evaluation"

    def verify(engine: str) -> Any:
        done = edgeconv(
            "verify", mobilenet, "--on", "qemu:aarch64", "--engine", engine, "--data", data,
            "--samples", SAMPLES, "--json", timeout_s=900,
            env={**emulated, **(tflite_runtime if engine == "tflite-runtime" else {})},
        )  # fmt: skip
        assert done.code == 0, done.stderr
        return json.loads(done.stdout)

    with ThreadPoolExecutor(len(VERSIONS)) as side_by_side:
        return dict(zip(VERSIONS, side_by_side.map(verify, VERSIONS), strict=True))


@pytest.mark.parametrize("engine", VERSIONS)
def test_mobilenet_answers_on_arm_as_it_does_here(
    answered: Mapping[str, Any], engine: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found = answered[engine]
    device, (row,) = found["device"], found["verdict"]["artifacts"]
    assert device["machine"] == "aarch64"
    assert device["engine"] == {"name": engine, "version": VERSIONS[engine]}
    assert found["verdict"]["samples"] == SAMPLES
    bits, equal = device["bit_identical"], row["metrics"]["agreement"]
    assert (bits["items"], bits["values"]) == (SAMPLES, SAMPLES * 1000)
    told = (
        f"{engine} {VERSIONS[engine]} on emulated aarch64: top-1 as the host's on {equal:.0f} of "
        f"{SAMPLES}; {bits['values_differing']:,} of {bits['values']:,} outputs differ in a bit "
        f"from {device['host_engine']['name']} {device['host_engine']['version']}, by "
        f"{bits['largest_difference']:.3g} at most; {device['latency_ms']['median']:.0f} ms median"
    )
    with capsys.disabled():
        print(f"\n{told}")
    assert device["host_engine"]["name"] == engine
    assert equal >= GOAL, told


def test_an_engine_that_crashes_there_is_refused_before_it_does(
    emulated: dict[str, str], tiny: Path
) -> None:
    done = edgeconv(
        "verify", tiny, "--on", "qemu:aarch64", "--engine", "onnxruntime", "--json", env=emulated
    )

    assert done.code == 4
    error = json.loads(done.stdout)["error"]
    assert "crashes under this emulator" in error["message"] and "--engine" in error["hint"]


def test_a_set_up_device_is_not_fetched_again(emulated: dict[str, str]) -> None:
    done = edgeconv("devices", "--setup", "qemu:aarch64", "--json", env=emulated)

    assert done.code == 0
    assert json.loads(done.stdout)["target"] == "qemu:aarch64"
    assert "fetch" not in done.stderr


def test_a_device_that_others_may_write_to_is_not_run(
    emulated: dict[str, str], tiny: Path, tmp_path: Path
) -> None:
    """What lies there is a program."""
    (made,) = Path(emulated["EDGECONV_DEVICE_CACHE"]).iterdir()
    copy = tmp_path / made.name
    copy.mkdir()
    copy.chmod(0o777)
    done = edgeconv(
        "verify", tiny, "--on", "qemu:aarch64", "--json",
        env={"EDGECONV_DEVICE_CACHE": str(tmp_path)},
    )  # fmt: skip

    assert done.code == 3
    assert "Others may write" in json.loads(done.stdout)["error"]["message"]
