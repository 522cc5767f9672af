"""The cache: what it keeps, what it refuses, and what it never does to a run."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from edgeconv.cache import Cache, user_cache
from edgeconv.errors import UsageError
from edgeconv.progress import Silent

KEY = {"kind": "test", "graph": "abc"}
ENTRY = "entry.json"


class Notes(Silent):
    def __init__(self) -> None:
        self.texts: list[str] = []

    def note(self, text: str) -> None:
        self.texts.append(text)


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    folder = tmp_path / "cache"
    folder.mkdir(mode=0o700)
    return Cache(folder, 1 << 20)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "float.tflite"
    path.write_bytes(bytes(range(256)) * 64)
    return path


@pytest.fixture
def into(tmp_path: Path) -> Path:
    folder = tmp_path / "into"
    folder.mkdir()
    return folder


def entries(cache: Cache) -> list[Path]:
    return sorted(cache._folder.iterdir())


def test_what_was_kept_comes_back_byte_for_byte(cache: Cache, model: Path, into: Path) -> None:
    cache.keep(KEY, {"b": [1, None], "a": "ü"}, [model])

    assert cache.fetch(KEY, into) == {"b": [1, None], "a": "ü"}
    assert (into / model.name).read_bytes() == model.read_bytes()
    assert [path.name for path in into.iterdir()] == [model.name]


def test_the_order_of_names_is_kept(cache: Cache) -> None:
    cache.keep(KEY, {"z": 1, "a": 2})

    assert list(cache.fetch(KEY)) == ["z", "a"]


def test_another_key_finds_nothing(cache: Cache, model: Path, into: Path) -> None:
    cache.keep(KEY, 1, [model])

    assert cache.fetch({**KEY, "graph": "abd"}, into) is None
    assert list(into.iterdir()) == []


def test_other_code_versions_or_settings_find_nothing(
    cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    import edgeconv.cache as module

    cache.keep(KEY, 1)
    for field, value in (("code", "0"), ("versions", {"tensorflow": "0"}), ("machine", [])):
        with monkeypatch.context() as patched:
            changed = {**module._installed(), field: value}
            patched.setattr(module, "_installed", lambda changed=changed: changed)
            assert cache.fetch(KEY) is None, field
    with monkeypatch.context() as patched:
        patched.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
        assert cache.fetch(KEY) is None

    assert cache.fetch(KEY) == 1


@pytest.mark.parametrize("name", [ENTRY, "float.tflite"])
@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "longer"])
def test_a_damaged_entry_is_thrown_away_and_made_again(
    cache: Cache, model: Path, into: Path, name: str, damage: str
) -> None:
    cache.keep(KEY, 1, [model])
    (entry,) = entries(cache)
    content = (entry / name).read_bytes()
    middle = len(content) // 2
    flipped = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
    damaged = {"flip": flipped, "cut": content[:-1], "empty": b"", "longer": content + b"\0"}
    (entry / name).write_bytes(damaged[damage])

    assert cache.fetch(KEY, into) is None
    assert entries(cache) == [] and list(into.iterdir()) == []
    cache.keep(KEY, 1, [model])
    assert cache.fetch(KEY, into) == 1


def test_an_entry_whose_file_is_gone_is_no_entry(cache: Cache, model: Path, into: Path) -> None:
    cache.keep(KEY, 1, [model])
    (entries(cache)[0] / model.name).unlink()

    assert cache.fetch(KEY, into) is None
    cache.keep(KEY, 2, [model])
    assert cache.fetch(KEY, into) == 2


def seal(entry: Path, **changes: object) -> None:
    """Rewrite entry.json with a checksum that fits, as only a malicious hand would."""
    from edgeconv.cache import _read_entry, _write_entry

    _write_entry(entry / ENTRY, {**_read_entry(entry / ENTRY), **changes})


def test_no_file_of_an_entry_leaves_its_folder(cache: Cache, into: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").write_text("x")
    cache.keep(KEY, 1)
    for name in ("../outside", str(tmp_path / "outside"), ".."):
        cache.keep(KEY, 1)
        seal(entries(cache)[0], files={name: "0" * 64})
        assert cache.fetch(KEY, into) is None
    assert (tmp_path / "outside").read_text() == "x" and list(into.iterdir()) == []


def test_an_entry_of_another_key_is_not_taken_for_ours(cache: Cache) -> None:
    cache.keep(KEY, 1)
    seal(entries(cache)[0], key={"kind": "other"})

    assert cache.fetch(KEY) is None


def test_a_link_in_place_of_a_file_is_not_followed(cache: Cache, model: Path, into: Path) -> None:
    cache.keep(KEY, 1, [model])
    kept = entries(cache)[0] / model.name
    kept.unlink()
    kept.symlink_to(model)

    assert cache.fetch(KEY, into) is None


def test_the_least_recently_used_goes_first(cache: Cache, tmp_path: Path, into: Path) -> None:
    model = tmp_path / "large"
    model.write_bytes(bytes(300_000))
    for number in range(3):
        cache.keep({"n": number}, number, [model])
        os.utime(cache._folder, (0, 0))
    for age, entry in enumerate(sorted(entries(cache), key=lambda e: json_key(e)["n"])):
        for file in entry.iterdir():
            os.utime(file, (1000 + age, 1000 + age))
    assert cache.fetch({"n": 0}, into) == 0

    cache.keep({"n": 3}, 3, [model])

    assert [cache.fetch({"n": n}, into) for n in range(4)] == [0, None, 2, 3]
    assert sum(file.stat().st_size for e in entries(cache) for file in e.iterdir()) <= 1 << 20


def json_key(entry: Path) -> dict[str, int]:
    return json.loads((entry / ENTRY).read_bytes().partition(b"\n")[2])["key"]


def test_what_is_larger_than_the_whole_cache_is_not_kept(cache: Cache, tmp_path: Path) -> None:
    cache.keep(KEY, 1)
    model = tmp_path / "huge"
    model.write_bytes(bytes((1 << 20) + 1))

    cache.keep({"kind": "huge"}, 2, [model])

    assert cache.fetch(KEY) == 1 and len(entries(cache)) == 1


def test_what_a_killed_run_left_is_swept_up(cache: Cache, model: Path) -> None:
    left, fresh = cache._folder / ".aside-old", cache._folder / ".aside-new"
    for folder in (left, fresh):
        folder.mkdir()
        (folder / "part").write_bytes(b"x")
    os.utime(left / "part", (0, 0))

    cache.keep(KEY, 1, [model])

    assert not left.exists() and fresh.exists()


def test_eight_processes_at_once_do_not_clash(tmp_path: Path) -> None:
    script = """
import sys
from pathlib import Path
from edgeconv.cache import Cache
own = Path(sys.argv[2]); own.mkdir()
model = own / "model"
cache = Cache(Path(sys.argv[1]), 300_000)
for turn in range(30):
    n = turn % 5
    model.write_bytes(bytes([n]) * 50_000)
    cache.keep({"n": n}, n, [model])
    found = cache.fetch({"n": (n + 2) % 5}, own)
    assert found in (None, (n + 2) % 5), found
    assert found is None or set(model.read_bytes()) == {found}
"""
    folder = tmp_path / "cache"
    folder.mkdir()
    running = [
        subprocess.Popen(
            [sys.executable, "-c", script, folder, tmp_path / str(n)], stderr=subprocess.PIPE
        )
        for n in range(8)
    ]
    errors = [process.communicate()[1].decode() for process in running]

    assert [process.returncode for process in running] == [0] * 8, errors
    assert not [p for p in folder.iterdir() if p.name.startswith(".aside")]


def test_the_users_folder_is_theirs_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "deep" / "cache"
    folder.mkdir(parents=True, mode=0o777)
    folder.chmod(0o777)
    monkeypatch.setenv("EDGECONV_CACHE", str(folder))

    assert user_cache(Silent()) is not None
    assert folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    ("environment", "where"),
    [
        ({"EDGECONV_CACHE": "{0}/own", "XDG_CACHE_HOME": "{0}/xdg"}, "own"),
        ({"EDGECONV_CACHE": "", "XDG_CACHE_HOME": "{0}/xdg"}, "xdg/edgeconv"),
        ({"EDGECONV_CACHE": "", "XDG_CACHE_HOME": "", "HOME": "{0}"}, ".cache/edgeconv"),
        ({"EDGECONV_CACHE": "", "XDG_CACHE_HOME": "rel", "HOME": "{0}"}, ".cache/edgeconv"),
    ],
)
def test_the_folder_is_where_the_environment_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], where: str
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value.format(tmp_path))

    cache = user_cache(Silent())

    assert cache is not None and cache._folder == tmp_path / where


def test_an_unusable_folder_is_told_once_and_fails_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("EDGECONV_CACHE", str(tmp_path / "file" / "cache"))
    watch = Notes()

    assert user_cache(watch) is None
    assert len(watch.texts) == 1 and "can't be used" in watch.texts[0]


def test_another_users_folder_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGECONV_CACHE", str(tmp_path))
    monkeypatch.setattr(os, "getuid", lambda: tmp_path.stat().st_uid + 1)
    watch = Notes()

    assert user_cache(watch) is None
    assert "belongs to another user" in watch.texts[0] or "not permitted" in watch.texts[0]


def test_a_folder_that_vanishes_fails_nothing(cache: Cache, model: Path, into: Path) -> None:
    cache._folder.rmdir()

    cache.keep(KEY, 1, [model])

    assert cache.fetch(KEY, into) is None


def test_no_cache_of_no_size_and_none_of_a_wrong_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGECONV_CACHE_MIB", "0")
    assert user_cache(Silent()) is None
    for text in ("-1", "4 GB", "1e3", "9" * 13):
        monkeypatch.setenv("EDGECONV_CACHE_MIB", text)
        with pytest.raises(UsageError, match="EDGECONV_CACHE_MIB"):
            user_cache(Silent())
