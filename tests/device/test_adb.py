"""verify --on adb: the real client and its server, and the daemon's side of the protocol."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.device.adbd import Adbd
from tests.e2e.command import Outcome, edgeconv


def verify(serial: str, bundle: Path, *more: object) -> Outcome:
    return edgeconv(
        "verify", bundle, "--json", "--on", f"adb:{serial}", "--python", sys.executable, *more
    )


def left(device: Adbd) -> list[Path]:
    return sorted(device.folder.iterdir())


def test_a_bundle_runs_and_its_bits_are_the_host_s(android: Adbd, tiny: Path) -> None:
    done = verify(android.serial, tiny, "--samples", 20)

    assert done.code == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["verdict"]["artifacts"][0]["file"] == f"model.tflite on adb:{android.serial}"
    assert found["device"]["bit_identical"]["values_differing"] == 0
    assert left(android) == []
    assert "rm -rf" in android.commands[-1]


def test_a_device_that_is_not_there_is_named(android: Adbd, tiny: Path) -> None:
    done = verify("emulator-5599", tiny)

    assert done.code == 6
    error = json.loads(done.stdout)["error"]
    assert "emulator-5599" in error["message"] and "adb devices" in error["hint"]


@pytest.mark.parametrize("step", ["mktemp", "tar -xf", "infer.py", "cat "])
def test_a_device_that_is_pulled_out_is_an_error_of_the_network(
    android: Adbd, tiny: Path, step: str
) -> None:
    android.hang_up_on = step
    done = verify(android.serial, tiny, "--samples", 5)

    assert done.code == 6, done
    assert "can't be reached" in json.loads(done.stdout)["error"]["message"]
    for folder in left(android):
        assert folder.name in done.stderr


def test_no_python_there_says_what_to_install(android: Adbd, tiny: Path) -> None:
    done = verify(android.serial, tiny, "--python", "python9.9")

    assert done.code == 4
    error = json.loads(done.stdout)["error"]
    assert "has no python9.9" in error["message"] and "numpy" in error["hint"]
    assert left(android) == []
