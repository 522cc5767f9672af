"""The built-in pictures are what their manifest says, and open as a dataset."""

import hashlib
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edgeconv.data import builtin
from edgeconv.data.builtin import builtin_folder, open_builtin
from edgeconv.errors import HostFailure, RefusedInput, UsageError
from edgeconv.preprocess import Preprocess

ROOT = Path(__file__).resolve().parents[3]
FOLDER = ROOT / "calibration"
MOBILENET = Preprocess(height=224, width=224, scale=(1 / 127.5,), offset=(-1.0,))
FREE = {
    "CC0-1.0",
    "CC-BY-2.0",
    "CC-BY-3.0",
    "CC-BY-4.0",
    "CC-BY-SA-3.0",
    "CC-BY-SA-4.0",
    "LicenseRef-Public-Domain",
}


@pytest.fixture(scope="module")
def manifest() -> dict[str, Any]:
    return tomllib.loads((FOLDER / "manifest.toml").read_text(encoding="utf-8"))


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installation's own copy of the pictures, to be harmed."""
    folder = tmp_path / "edgeconv" / "_calibration"
    shutil.copytree(FOLDER, folder)
    monkeypatch.setattr(builtin, "_PACKAGE", tmp_path / "edgeconv")
    return folder


def test_manifest_lists_exactly_the_pictures_that_are_there(manifest: dict[str, Any]) -> None:
    listed = [picture["file"] for picture in manifest["picture"]]
    there = {path.relative_to(FOLDER).as_posix() for path in (FOLDER / "pictures").iterdir()}
    assert len(listed) == len(set(listed)) == manifest["set"]["count"]
    assert set(listed) == there


def test_each_picture_has_the_sha256_of_the_manifest_and_none_is_there_twice(
    manifest: dict[str, Any],
) -> None:
    wrong = [
        picture["file"]
        for picture in manifest["picture"]
        if hashlib.sha256((FOLDER / picture["file"]).read_bytes()).hexdigest() != picture["sha256"]
    ]
    assert wrong == []
    assert max(Counter(picture["sha256"] for picture in manifest["picture"]).values()) == 1


def test_each_picture_has_an_author_a_source_and_a_free_licence(manifest: dict[str, Any]) -> None:
    for picture in manifest["picture"]:
        assert picture["licence"] in FREE, picture["file"]
        assert picture["source"] in manifest["source"], picture["file"]
        for key in ("title", "author", "url", "path"):
            assert picture[key].strip(), f"{picture['file']} has no {key}"
    for source in manifest["source"].values():
        assert source["package"] and source["version"] and source["licences"]


def test_licences_page_credits_each_picture(manifest: dict[str, Any]) -> None:
    rows = (FOLDER / "LICENSES.md").read_text(encoding="utf-8").splitlines()
    for picture in manifest["picture"]:
        row = next(row for row in rows if row.startswith(f"| {picture['file']} |"))
        assert picture["author"] in row and f"| {picture['licence']} |" in row


def test_both_sides_are_large_enough_and_share_no_photograph(manifest: dict[str, Any]) -> None:
    sides: dict[str, set[tuple[str, ...]]] = {"calibration": set(), "parity": set()}
    pages: dict[str, set[str]] = {"calibration": set(), "parity": set()}
    for picture in manifest["picture"]:
        origin = (picture["source"], picture["path"], picture.get("member", ""))
        sides[picture["split"]].add(origin)
        if "/File:" in picture["url"]:
            pages[picture["split"]].add(picture["url"])
    sizes = Counter(picture["split"] for picture in manifest["picture"])
    assert sizes["calibration"] >= 32 and sizes["parity"] >= 32
    assert sizes.total() >= 64
    assert not sides["calibration"] & sides["parity"]
    assert not pages["calibration"] & pages["parity"], "the same photograph by way of two packages"


def test_no_two_pictures_look_alike(manifest: dict[str, Any]) -> None:
    thumbnails = []
    for picture in manifest["picture"]:
        with Image.open(FOLDER / picture["file"]) as image:
            small = np.asarray(image.convert("L").resize((16, 16)), np.float64).ravel()
        thumbnails.append((small - small.mean()) / np.linalg.norm(small - small.mean()))
    alike = np.array(thumbnails) @ np.array(thumbnails).T - 2 * np.eye(len(thumbnails))
    first, second = np.unravel_index(alike.argmax(), alike.shape)
    files = [manifest["picture"][int(index)]["file"] for index in (first, second)]
    assert alike.max() < 0.95, f"{files} may be one photograph"


def test_pictures_are_small_detailed_jpegs_without_metadata(manifest: dict[str, Any]) -> None:
    for picture in manifest["picture"]:
        path = FOLDER / picture["file"]
        left, top, right, bottom = picture["crop"]
        with Image.open(path) as image:
            assert image.format == "JPEG" and image.mode == "RGB", path.name
            assert not {"exif", "icc_profile", "comment", "xmp"} & set(image.info), path.name
            assert 200 <= min(image.size) <= 256, f"{path.name} is {image.size}"
            assert abs(image.width / image.height - (right - left) / (bottom - top)) < 0.01
            assert np.asarray(image.convert("L")).std() > 10, f"{path.name} shows nothing"
        assert path.stat().st_size < 60_000, path.name
    assert sum(path.stat().st_size for path in FOLDER.rglob("*") if path.is_file()) < 3_200_000


@pytest.mark.parametrize("split", ["calibration", "parity"])
def test_opened_side_yields_every_picture_once_in_the_same_order(split: builtin.Split) -> None:
    dataset = open_builtin(MOBILENET, split)
    batches = list(dataset.batches(24))
    x = np.concatenate([batch.x[0] for batch in batches])
    assert len(dataset) == 64 and not dataset.labelled
    assert x.shape == (64, 224, 224, 3) and x.dtype == np.float32
    assert -1.0 <= x.min() < -0.9 and 0.9 < x.max() <= 1.0
    assert [len(batch.ids) for batch in batches] == [24, 24, 16]
    assert all(batch.y is None for batch in batches)
    again = next(iter(dataset.batches(64)))
    assert again.ids == tuple(name for batch in batches for name in batch.ids)
    assert np.array_equal(again.x[0], x)


def test_both_sides_have_fingerprints_of_their_own() -> None:
    calibration, parity = (open_builtin(MOBILENET, s) for s in ("calibration", "parity"))
    assert calibration.fingerprint != parity.fingerprint
    assert calibration.fingerprint == open_builtin(MOBILENET, "calibration").fingerprint


def test_grey_model_of_one_fixed_size_takes_the_pictures_too() -> None:
    small = Preprocess(height=32, width=48, color="gray", resize="none", layout="nchw")
    batch = next(iter(open_builtin(small, "calibration").batches(8)))
    assert batch.x[0].shape == (8, 1, 32, 48)


def test_model_of_arrays_is_told_to_bring_its_own_data() -> None:
    with pytest.raises(UsageError, match="takes arrays"):
        open_builtin(Preprocess(kind="array"), "calibration")


def test_changed_picture_is_refused_by_name(copied: Path) -> None:
    victim = copied / "pictures" / "alpaca.jpg"
    victim.write_bytes(victim.read_bytes()[:-2] + b"\x00\x00")
    with pytest.raises(RefusedInput, match=r"alpaca\.jpg was changed"):
        open_builtin(MOBILENET, "calibration")


def test_missing_picture_is_refused_by_name(copied: Path) -> None:
    (copied / "pictures" / "alpaca.jpg").unlink()
    with pytest.raises(RefusedInput, match=r"can't be read: .*alpaca\.jpg"):
        open_builtin(MOBILENET, "calibration")


@pytest.mark.parametrize("text", ["[[picture]", "", "\udcff"])
def test_broken_manifest_is_refused(copied: Path, text: str) -> None:
    (copied / "manifest.toml").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(RefusedInput, match="list of the built-in pictures is broken"):
        open_builtin(MOBILENET, "parity")


def test_installation_without_pictures_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(builtin, "_PACKAGE", tmp_path / "edgeconv")
    with pytest.raises(HostFailure, match="missing from this installation"):
        builtin_folder()


def test_wheel_carries_the_pictures(tmp_path: Path, manifest: dict[str, Any]) -> None:
    pytest.importorskip("hatchling", reason="hatchling builds the wheel that is looked into")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        wheel.extractall(tmp_path / "site")
    installed = tmp_path / "site" / "edgeconv" / "_calibration"
    for picture in manifest["picture"]:
        content = (installed / picture["file"]).read_bytes()
        assert hashlib.sha256(content).hexdigest() == picture["sha256"]
    assert (installed / "LICENSES.md").is_file()
    # Only the wheel's own copy is on this path, so an answer proves that it was found.
    code = "from edgeconv.data.builtin import builtin_folder; print(builtin_folder())"
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path / "site", capture_output=True, text=True
    )
    assert Path(run.stdout.strip()) == installed.resolve(), run.stderr
