"""Model files that were made to do harm, each kept as runnable code."""

import io
import json
import random
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from edgeconv.errors import EdgeconvError, RefusedInput, UsageError
from edgeconv.load.guard import check_source
from edgeconv.load.hdf5 import check_hdf5, check_keras_weights


def keras_file(path: Path, config: Any, **members: bytes) -> Path:
    """A .keras archive around ``config``."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", json.dumps(config))
        archive.writestr("metadata.json", "{}")
        archive.writestr("model.weights.h5", b"\x89HDF\r\n\x1a\n")
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def layer(class_name: str, module: str = "keras.layers", **config: Any) -> dict[str, Any]:
    return {"class_name": class_name, "module": module, "config": {"name": "evil", **config}}


def model(*layers: dict[str, Any]) -> dict[str, Any]:
    return {"class_name": "Sequential", "module": "keras", "config": {"layers": list(layers)}}


@pytest.mark.parametrize(
    "evil",
    [
        layer("Lambda", function={"class_name": "__lambda__", "config": {"code": "4wEA"}}),
        layer("Dense", activation={"class_name": "__lambda__", "config": {"code": "4wEA"}}),
        layer("TorchModuleWrapper", module_pickle="gASV"),
        layer("TFSMLayer", filepath="/tmp/other"),
        layer("Evil", module="os"),
        layer("function", module="keras.utils"),
        {"class_name": "function", "module": "keras.utils", "config": "get_file"},
        {"class_name": "function", "module": "os", "config": "system"},
        {"class_name": "function", "module": "keras.src.utils.file_utils", "config": "get_file"},
        layer("StringLookup", vocabulary="/etc/passwd"),
        # Keras would look these up by their whole path.
        layer("layers.Lambda", module="keras"),
        layer("layers.TFSMLayer", module="keras", filepath="/tmp/other"),
        {"class_name": ["Lambda"], "module": "keras.layers", "config": {}},
        # Inside a model inside the model, whose training configuration Keras does read.
        {**model(), "compile_config": {"loss": layer("Evil", module="os")}},
    ],
)
def test_a_config_that_reaches_outside_keras_is_refused(
    tmp_path: Path, evil: dict[str, Any]
) -> None:
    path = keras_file(tmp_path / "m.keras", model(layer("Dense"), evil))

    with pytest.raises(RefusedInput) as caught:
        check_source(path)

    assert "m.keras" in caught.value.message
    assert caught.value.hint


def test_trust_lets_a_lambda_through(tmp_path: Path) -> None:
    path = keras_file(tmp_path / "m.keras", model(layer("Lambda")))

    assert check_source(path, trust=True) == "keras"


def test_a_plain_model_passes(tmp_path: Path) -> None:
    relu = {"class_name": "function", "module": "builtins", "config": "relu"}
    path = keras_file(tmp_path / "m.keras", model(layer("Dense", activation=relu)))

    assert check_source(path) == "keras"


def test_a_very_deep_config_is_refused_without_a_crash(tmp_path: Path) -> None:
    path = tmp_path / "deep.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", "[" * 200_000 + "]" * 200_000)
        archive.writestr("model.weights.h5", b"")

    with pytest.raises(RefusedInput):
        check_source(path)


def test_bytes_flipped_anywhere_in_an_archive_give_a_model_or_a_refusal(tmp_path: Path) -> None:
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(
            "config.json", json.dumps(model(*[layer("Dense", units=i) for i in range(50)]))
        )
        archive.writestr("model.weights.h5", b"")
    chosen = random.Random(0)
    path = tmp_path / "m.keras"
    for _ in range(1500):
        data = bytearray(whole.getvalue())
        for position in chosen.choices(range(len(data)), k=2):
            data[position] ^= 1 << chosen.randrange(8)
        path.write_bytes(data)
        try:
            check_source(path)
        except EdgeconvError as error:
            assert error.exit_code in (2, 3), error.message


def test_a_training_configuration_that_is_not_loaded_is_not_in_the_way(tmp_path: Path) -> None:
    loss = {"class_name": "function", "module": "my_training", "config": "my_loss"}
    path = keras_file(tmp_path / "m.keras", {**model(layer("Dense")), "compile_config": loss})

    assert check_source(path) == "keras"


@pytest.mark.parametrize("how", ["soft link", "external link", "external storage", "virtual"])
def test_weights_that_lie_in_another_file_are_refused(tmp_path: Path, how: str) -> None:
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = np.arange(4.0)
    with h5py.File(tmp_path / "m.h5", "w") as file:
        if how == "soft link":
            file["w"] = h5py.SoftLink("/elsewhere")
        elif how == "external link":
            file["w"] = h5py.ExternalLink("other.h5", "/x")
        elif how == "external storage":
            file.create_dataset("w", (4,), "u1", external=[(tmp_path / "other.h5", 0, 4)])
        else:
            layout = h5py.VirtualLayout((4,), "f8")
            layout[:] = h5py.VirtualSource(tmp_path / "other.h5", "x", (4,))
            file.create_virtual_dataset("w", layout)

    with pytest.raises(RefusedInput, match=r"another file|link to elsewhere"):
        check_keras_weights(tmp_path / "m.h5")


def test_a_group_that_holds_itself_ends_the_search(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "m.h5", "w") as file:
        file.create_group("layers")["again"] = file["/"]

    check_keras_weights(tmp_path / "m.h5")


@pytest.mark.parametrize("config", [3, np.arange(3), b"\xff\xfe", "{", "[" * 100_000])
def test_a_legacy_file_whose_configuration_is_no_json_is_refused(
    tmp_path: Path, config: Any
) -> None:
    with h5py.File(tmp_path / "m.h5", "w", libver="latest") as file:
        file.attrs["model_config"] = config

    with pytest.raises(RefusedInput, match=r"m\.h5"):
        check_hdf5(tmp_path / "m.h5", trust=False)


@pytest.mark.parametrize("name", ["../outside", "/absolute", "a/../../b", "..\\windows"])
def test_a_member_outside_the_archive_is_refused(tmp_path: Path, name: str) -> None:
    path = keras_file(tmp_path / "m.keras", model(), **{name: b"x"})

    with pytest.raises(RefusedInput, match="outside"):
        check_source(path)


def test_an_archive_that_claims_terabytes_is_refused_unread(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("config.json", "{}")
        archive.writestr("model.weights.h5", b"")
        for number in range(10_001):
            archive.writestr(f"assets/{number}", b"")
    path = tmp_path / "many.keras"
    path.write_bytes(buffer.getvalue())

    with pytest.raises(RefusedInput, match="10,000"):
        check_source(path)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.99])
def test_a_truncated_archive_is_refused(tmp_path: Path, share: float) -> None:
    whole = keras_file(tmp_path / "whole.keras", model(layer("Dense"))).read_bytes()
    path = tmp_path / "cut.keras"
    path.write_bytes(whole[: int(len(whole) * share)])

    with pytest.raises(EdgeconvError) as caught:
        check_source(path)

    assert caught.value.exit_code == 3


def test_a_model_under_a_wrong_name_is_told_its_right_one(tmp_path: Path) -> None:
    path = keras_file(tmp_path / "m.h5", model())

    with pytest.raises(UsageError, match=r"m\.h5") as caught:
        check_source(path)

    assert "m.keras" in caught.value.hint


def test_another_kind_of_archive_is_not_taken_for_a_model(tmp_path: Path) -> None:
    np.savez(tmp_path / "data.npz", x=np.zeros(3))

    with pytest.raises(RefusedInput, match=r"data\.npz .* not a readable \.keras archive"):
        check_source(tmp_path / "data.npz")
