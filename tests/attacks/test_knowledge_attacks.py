"""Records in model files that were made to do harm, each kept as runnable code."""

import json
import zipfile
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from edgeconv.errors import RefusedInput
from edgeconv.knowledge import read

SHA = "0" * 64
GOOD: dict[str, Any] = {
    "schema_version": 1,
    "preprocess": {"kind": "image", "height": 8, "width": 8},
    "labels": ["a", "b"],
    "splits": {"train": {"root": "..", "files": [["a/1.png", SHA, 0], ["b/1.png", SHA, 1]]}},
    "provenance": {"base": "mobilenetv2"},
}


def model(path: Path, record: bytes | str | dict[str, Any], **options: Any) -> Path:
    """A .keras archive that says ``record`` of itself."""
    text = json.dumps(record) if isinstance(record, dict) else record
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", "{}")
        archive.writestr("model.weights.h5", b"\x89HDF\r\n\x1a\n")
        archive.writestr("edgeconv.json", text, **options)
    return path


def changed(*path: str | int, to: Any) -> dict[str, Any]:
    record = deepcopy(GOOD)
    place: Any = record
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = to
    return record


def refused(path: Path) -> RefusedInput:
    with pytest.raises(RefusedInput) as caught:
        read(path)
    text = caught.value.message + caught.value.hint
    assert text.isprintable() and len(text) < 400, text
    return caught.value


def test_the_good_record_is_read(tmp_path: Path) -> None:
    assert read(model(tmp_path / "m.keras", GOOD)) is not None


@pytest.mark.parametrize(
    "file",
    [
        *("../secret.png", "a/../../secret.png", "/etc/passwd", "a/..", "..", ".", "", "a//b.png"),
        *("a/./b.png", "a/", "a\0.png", "a/\ud800.png", "x" * 5000, 7, None, ["a"], True),
    ],
)
def test_a_file_that_leads_out_of_its_folder_or_is_none_is_refused(
    tmp_path: Path, file: Any
) -> None:
    record = changed("splits", "train", "files", to=[[file, SHA, 0]])
    refused(model(tmp_path / "m.keras", record))


@pytest.mark.parametrize("root", ["/", "/etc", "//host/share", "", "a\0b", "\udfff", 3, None, []])
def test_an_absolute_folder_or_none_is_refused(tmp_path: Path, root: Any) -> None:
    refused(model(tmp_path / "m.keras", changed("splits", "train", "root", to=root)))


@pytest.mark.parametrize(
    "record",
    [
        changed("schema_version", to="1"),
        changed("schema_version", to=True),
        changed("labels", to="ab"),
        changed("labels", 0, to=1),
        changed("labels", 0, to=""),
        changed("labels", 0, to="a\x1b[31m"),
        changed("labels", 0, to="a\nb"),
        changed("labels", 0, to="\u202egnp.exe"),
        changed("labels", 0, to="x" * 501),
        changed("labels", to=["x"] * 100_001),
        changed("splits", to=[]),
        changed("splits", "holdout", to=GOOD["splits"]["train"]),
        changed("splits", "train", to=[]),
        changed("splits", "train", "files", to={"a": 1}),
        changed("splits", "train", "files", to=[["a/1.png", SHA]]),
        changed("splits", "train", "files", to=["abc"]),
        changed("splits", "train", "files", 0, 1, to="0" * 63),
        changed("splits", "train", "files", 0, 1, to="A" * 64),
        changed("splits", "train", "files", 0, 1, to=0),
        changed("splits", "train", "files", 0, 2, to=2),
        changed("splits", "train", "files", 0, 2, to=-1),
        changed("splits", "train", "files", 0, 2, to=True),
        changed("splits", "train", "files", 0, 2, to=0.0),
        changed("splits", "train", "files", 0, 2, to="0"),
        # Else one large picture could be read a hundred thousand times.
        changed(
            "splits", "train", "files", to=[["a/1.png", SHA, 0], ["a/1.png", SHA[1:] + "1", 0]]
        ),
        changed("preprocess", to=None),
        changed("preprocess", "height", to=10**9),
        changed("preprocess", "height", to="8"),
        changed("preprocess", "scale", to=[1e300]),
        changed("preprocess", "evil\x1b", to=1),
        changed("provenance", to=[]),
        changed("provenance", "base", to="x" * 300_000),
        changed("provenance", "base\r", to="x"),
        changed("provenance", "base", to="\x1b]0;pwned\x07"),
        {},
    ],
)
def test_wrong_types_and_values_are_refused(tmp_path: Path, record: dict[str, Any]) -> None:
    refused(model(tmp_path / "m.keras", record))


@pytest.mark.parametrize(
    "text",
    [
        *("", "null", "[]", "7", '"text"', "{", "\xff", b"\xff\xfe{}", b"PK\x03\x04"),
        json.dumps(changed("provenance", "x", to=float("nan"))),
        json.dumps(changed("provenance", "x", to=float("-inf"))),
        json.dumps(GOOD).replace('"mobilenetv2"', "1e999"),
        json.dumps(GOOD).replace('"mobilenetv2"', "9" * 5000),
        "[" * 1_000_000,
        '{"provenance":' * 100_000,
        json.dumps(GOOD).replace('"mobilenetv2"', "[" * 500 + "]" * 500),
    ],
)
def test_what_is_no_json_of_finite_numbers_is_refused(tmp_path: Path, text: str | bytes) -> None:
    refused(model(tmp_path / "m.keras", text))


def test_a_zip_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    bomb = b" " * (300 << 20)
    path = model(tmp_path / "m.keras", bomb, compress_type=zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 1 << 20
    assert "larger than 32 MiB" in refused(path).message


def test_a_bomb_that_lies_about_its_size_is_refused(tmp_path: Path) -> None:
    path = model(tmp_path / "m.keras", b" " * (64 << 20), compress_type=zipfile.ZIP_DEFLATED)
    honest = (64 << 20).to_bytes(4, "little")
    path.write_bytes(path.read_bytes().replace(honest, (100).to_bytes(4, "little")))
    refused(path)


def test_two_records_are_refused(tmp_path: Path) -> None:
    path = model(tmp_path / "m.keras", GOOD)
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("edgeconv.json", json.dumps(GOOD))
    assert "2 times" in refused(path).message


@pytest.mark.parametrize("flag", [0x1, 0x20, 0x40])
def test_forged_flags_are_refused_or_passed_over(tmp_path: Path, flag: int) -> None:
    path = model(tmp_path / "m.keras", GOOD)
    content = bytearray(path.read_bytes())
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = content.rfind(mark)
        content[at + offset] |= flag
    path.write_bytes(content)
    refused(path)
