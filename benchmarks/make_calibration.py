"""Rebuilds calibration/ from the packages that its manifest names.

    package -> file (-> member of a Qt resource file) -> crop box -> shorter side 256 -> JPEG

The manifest is written by hand and says all of it but the SHA-256 of the
results, which this script fills in; then it writes LICENSES.md from it.
Needs apt-get and dpkg-deb (the Debian release of the manifest's versions) and pip.
The same Pillow writes the same bytes; another one may not, and the hashes change with it.

    python benchmarks/make_calibration.py [--cache DIR]
"""

import argparse
import hashlib
import io
import struct
import subprocess
import sys
import tempfile
import tomllib
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image

FOLDER = Path(__file__).resolve().parent.parent / "calibration"
SHORTER_SIDE = 256  # what a crop of 224 with a crop fraction of 0.875 is cut from
QUALITY = 88

LICENCE_URLS = {
    "CC0-1.0": "https://creativecommons.org/publicdomain/zero/1.0/",
    "CC-BY-2.0": "https://creativecommons.org/licenses/by/2.0/",
    "CC-BY-3.0": "https://creativecommons.org/licenses/by/3.0/",
    "CC-BY-4.0": "https://creativecommons.org/licenses/by/4.0/",
    "CC-BY-SA-3.0": "https://creativecommons.org/licenses/by-sa/3.0/",
    "CC-BY-SA-4.0": "https://creativecommons.org/licenses/by-sa/4.0/",
    "LicenseRef-Public-Domain": "https://creativecommons.org/publicdomain/mark/1.0/",
}

HEADER = """\
# Pictures of the built-in set

Written by `benchmarks/make_calibration.py` from `manifest.toml`; edit that.

Each picture is a changed copy: cut to the manifest's box, scaled down to a shorter side of at most
{side} pixels and saved again as JPEG. What was changed before us stands in the last column.
Each stays under the licence of its own line, the share-alike ones too; the licence of edgeconv's
code does not cover them. None of the authors endorses edgeconv.

## Licences

{licences}

## Pictures

| picture | title | author | licence | taken from | changed before us |
| --- | --- | --- | --- | --- | --- |
{rows}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cache", type=Path, help="folder that keeps the downloaded packages")
    cache = parser.parse_args().cache
    with tempfile.TemporaryDirectory() as scratch:
        rebuild((cache or Path(scratch)).resolve())


def rebuild(cache: Path) -> None:
    manifest_path = FOLDER / "manifest.toml"
    text = manifest_path.read_text(encoding="utf-8")
    manifest = tomllib.loads(text)
    roots = {name: fetch(source, cache / name) for name, source in manifest["source"].items()}
    changed = 0
    for picture in manifest["picture"]:
        jpeg = cut(original(roots[picture["source"]], picture), picture["crop"])
        target = FOLDER / picture["file"]
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(jpeg)
        text, new = with_digest(text, picture["file"], hashlib.sha256(jpeg).hexdigest())
        changed += new
    manifest_path.write_text(text, encoding="utf-8")
    (FOLDER / "LICENSES.md").write_text(credits_page(manifest), encoding="utf-8")
    print(f"{len(manifest['picture'])} pictures, {changed} of them changed")


def with_digest(text: str, file: str, digest: str) -> tuple[str, bool]:
    """Put the picture's digest on the line below its file name."""
    head, rest = text.split(f'file = "{file}"\n', 1)
    old, tail = rest.split("\n", 1)
    new = f'sha256 = "{digest}"'
    return f'{head}file = "{file}"\n{new}\n{tail}', old != new


def fetch(source: dict[str, str], folder: Path) -> Path:
    """Unpack one package below ``folder``, by the client of its own registry."""
    root = folder / "unpacked"
    if root.is_dir():
        return root
    folder.mkdir(parents=True, exist_ok=True)
    package, version = source["package"], source["version"]
    if source["kind"] == "debian":
        run(["apt-get", "download", f"{package}={version}"], folder)
        run(["dpkg-deb", "-x", str(next(folder.glob("*.deb"))), str(root)], folder)
    else:
        pip = [sys.executable, "-m", "pip", "download", "--no-deps", f"{package}=={version}"]
        run([*pip, "--dest", str(folder)], folder)
        with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
            wheel.extractall(root)
    return root


def run(command: list[str], folder: Path) -> None:
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)


def original(root: Path, picture: dict[str, Any]) -> bytes:
    data = (root / picture["path"]).read_bytes()
    return dict(qt_resources(data))[picture["member"]] if "member" in picture else data


def qt_resources(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield (path, content) of the files in a Qt resource file (.rcc).

    Source:
        QResource and rcc of Qt 5: a header of offsets, a tree of 14 or 22 byte
        nodes, UTF-16 names, and sized contents. Flag 1 is zlib, 2 a folder, 4 Zstandard.
    """
    magic, version, tree, contents, names = struct.unpack_from(">4sIIII", data)
    if magic != b"qres":
        raise ValueError("not a Qt resource file")
    node_bytes = 22 if version > 1 else 14

    def walk(node: int, parent: str) -> Iterator[tuple[str, bytes]]:
        at = tree + node * node_bytes
        name_at, flags = struct.unpack_from(">IH", data, at)
        path = f"{parent}/{name(names + name_at)}" if node else ""
        if flags & 2:
            count, first = struct.unpack_from(">II", data, at + 6)
            for child in range(first, first + count):
                yield from walk(child, path)
        elif not flags & 4:
            start = contents + struct.unpack_from(">I", data, at + 10)[0]
            (size,) = struct.unpack_from(">I", data, start)
            content = data[start + 4 : start + 4 + size]
            # zlib's stream follows four bytes with the unpacked size
            yield path.lstrip("/"), zlib.decompress(content[4:]) if flags & 1 else content

    def name(at: int) -> str:
        (length,) = struct.unpack_from(">H", data, at)
        return data[at + 6 : at + 6 + 2 * length].decode("utf-16-be")  # 4 bytes of hash between

    yield from walk(0, "")


def cut(source: bytes, box: list[int]) -> bytes:
    """Return the box of a picture as a small JPEG without metadata."""
    with Image.open(io.BytesIO(source)) as image:
        picture = image.convert("RGB").crop(tuple(box))
    scale = min(1.0, SHORTER_SIDE / min(picture.size))
    size = (round(picture.width * scale), round(picture.height * scale))
    small = picture.resize(size, Image.Resampling.LANCZOS)
    out = io.BytesIO()
    Image.frombytes("RGB", size, small.tobytes()).save(
        out, "JPEG", quality=QUALITY, optimize=True, progressive=True
    )
    return out.getvalue()


def credits_page(manifest: dict[str, Any]) -> str:
    used = sorted({picture["licence"] for picture in manifest["picture"]})
    licences = "\n".join(f"- {licence}: <{LICENCE_URLS[licence]}>" for licence in used)
    rows = "\n".join(credit(picture, manifest["source"]) for picture in manifest["picture"])
    return HEADER.format(side=SHORTER_SIDE, licences=licences, rows=rows)


def credit(picture: dict[str, Any], sources: dict[str, dict[str, str]]) -> str:
    source = sources[picture["source"]]
    url = picture["url"].replace("(", "%28").replace(")", "%29")
    cells = (
        picture["file"],
        f"[{picture['title'].replace('|', '/')}]({url})",
        picture["author"],
        picture["licence"],
        f"{source['package']} {source['version']}",
        picture.get("changes", ""),
    )
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
