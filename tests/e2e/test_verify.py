"""The gate through the real command line, and through the GitHub Action's own steps."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml

from tests.e2e.command import Outcome, edgeconv

Run = Callable[..., Outcome]

ROOT = Path(__file__).resolve().parents[2]
HOSTILE = '<script>alert("1")</script>\'[red],&\x1b[31m'
POLICY = """\
schema_version = 1
on_inconclusive = "estimate"

[artifacts."*"]
top1_drop = { max = 1.0 }
agreement = { min = 80 }

[artifacts.tflite]
float_operators = { max = 0 }
"""


def reseal(folder: Path) -> None:
    names = sorted(path.name for path in folder.iterdir() if path.name != "SHA256SUMS")
    lines = [f"{hashlib.sha256((folder / n).read_bytes()).hexdigest()}  {n}\n" for n in names]
    (folder / "SHA256SUMS").write_text("".join(lines))


@pytest.fixture
def bgr(bundle: Path, tmp_path: Path) -> Path:
    """The bundle with its channels swapped in the manifest, signed again."""
    folder = tmp_path / "bgr"
    shutil.copytree(bundle, folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["preprocess"]["color"] = "bgr"
    (folder / "manifest.json").write_text(json.dumps(manifest))
    reseal(folder)
    return folder


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    path = tmp_path / "parity.toml"
    path.write_text(POLICY)
    return path


def test_a_good_bundle_is_kept_and_everything_ci_wants_is_written(
    run: Run, bundle: Path, models: Path, pictures: Path, labels: Path, policy: Path, tmp_path: Path
) -> None:
    """Not through the bundle's eyes: the original is told its own preprocessing and labels."""
    summary = tmp_path / "summary.md"
    summary.write_text("before\n")

    done = run(
        "verify", bundle, "--against", models / "colours.keras", "--preprocess", "unit",
        "--labels", labels, "--data", pictures, "--policy", policy, "--junit", "out.xml",
        "--json", env={"GITHUB_STEP_SUMMARY": str(summary)},
    )  # fmt: skip

    assert done.code == 0, done.stderr
    result = json.loads(done.stdout)
    assert (result["schema_version"], result["exit_code"]) == (1, 0)
    assert result["verdict"]["samples"] == 60
    assert result["notes"] == []
    tflite, onnx = result["verdict"]["artifacts"]
    assert [c["metric"] for c in tflite["checks"]] == [
        "top1_drop",
        "agreement_interval",
        "float_operators",
    ]
    assert len(onnx["checks"]) == 2
    cases = list(ElementTree.parse(tmp_path / "out.xml").iter("testcase"))
    assert len(cases) == 5
    assert not any(case.findall("failure") for case in cases)
    text = summary.read_text()
    assert text.startswith("before\n## ")
    assert len(re.findall(r"^\| model\.", text, re.MULTILINE)) == 5


def test_sixty_pictures_decide_nothing_and_fail_unless_the_estimate_may_count(
    run: Run, bundle: Path, pictures: Path, tmp_path: Path
) -> None:
    """The ONNX file against the TFLite one: the same model in other arithmetic."""
    for format in ("tflite", "onnx"):
        shutil.copytree(bundle, tmp_path / format)
        leave_one_format(tmp_path / format, format)
    arguments = ("verify", "onnx", "--compare", "tflite", "--data", pictures)

    undecided = run(*arguments)
    estimated = run(*arguments, "--on-inconclusive", "estimate")

    assert (undecided.code, estimated.code) == (1, 0), undecided.stderr
    assert "more would decide" in undecided.stdout
    assert "Parity  not proven" in undecided.stdout
    assert "Parity  kept" in estimated.stdout


def leave_one_format(folder: Path, format: str) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["artifacts"] = [a for a in manifest["artifacts"] if a["format"] == format]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    reseal(folder)


def test_swapped_channels_fail_and_are_named(
    run: Run, bundle: Path, bgr: Path, pictures: Path
) -> None:
    done = run("verify", bgr, "--compare", bundle, "--data", pictures, "--junit", "out.xml")

    assert done.code == 1, done.stderr
    assert "fail" in done.stdout
    assert "when swapped" in done.stdout
    assert "Parity  lost" in done.stdout


def test_hostile_names_reach_nothing(run: Run, bundle: Path, tmp_path: Path) -> None:
    """In labels, in file names and in the names of what is verified."""
    old, new = tmp_path / "old", tmp_path / "new [red]<b>"
    for folder, names in ((old, [HOSTILE, "b", "c"]), (new, ["c", HOSTILE, "b"])):
        shutil.copytree(bundle, folder)
        (folder / "labels.txt").write_text("".join(f"{n.replace(chr(27), '')}\n" for n in names))
        reseal(folder)
    pictures = tmp_path / "data"
    pictures.mkdir()
    for number in range(3):
        make_picture(pictures / f"{number}{HOSTILE.replace('/', '')}.png", number)
    summary = tmp_path / "summary.md"

    done = run(
        "verify", new, "--compare", old, "--data", pictures, "--junit", "out.xml",
        env={"GITHUB_STEP_SUMMARY": str(summary)},
    )  # fmt: skip

    assert done.code == 1, done.stderr
    shown = done.stdout + done.stderr
    assert "\x1b" not in shown
    for text in (summary.read_text(), (tmp_path / "out.xml").read_text()):
        assert "\x1b" not in text and "<script" not in text and "<b>" not in text
    ElementTree.parse(tmp_path / "out.xml")


def make_picture(path: Path, seed: int) -> None:
    import numpy as np
    from PIL import Image

    pixels = np.random.default_rng(seed).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


# The GitHub Action: its own shell steps, run as the runner does.


def action() -> dict:
    return yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))


def run_step(step: dict, inputs: dict[str, str], folder: Path) -> subprocess.CompletedProcess[str]:
    values = {name: re.sub(r"\$\{\{ inputs\.([a-z-]+) \}\}", lambda m: inputs[m[1]], text)
              for name, text in step.get("env", {}).items()}  # fmt: skip
    assert not any("${{" in value for value in values.values())
    binaries = str(Path(sys.executable).parent)
    environment = {
        **os.environ,
        **values,
        "PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}",
        "GITHUB_OUTPUT": str(folder / "outputs.txt"),
        "GITHUB_STEP_SUMMARY": str(folder / "summary.md"),
    }
    script = folder / "step.sh"
    script.write_text(step["run"])
    # What GitHub's runner does with ``shell: bash``.
    command = ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", str(script)]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300
    )


def run_action(inputs: dict[str, str], folder: Path) -> tuple[int, str, str]:
    """Every shell step in turn, until one fails: exit code, the step's output, stderr."""
    document = action()
    given = {name: each.get("default", "") for name, each in document["inputs"].items()} | inputs
    stderr = ""
    for step in document["runs"]["steps"]:
        if "run" not in step:
            continue
        done = run_step(step, given, folder)
        stderr += done.stderr
        if done.returncode:
            break
    return done.returncode, (folder / "outputs.txt").read_text(), stderr


def test_the_action_s_steps_keep_a_good_bundle(
    bundle: Path, pictures: Path, policy: Path, tmp_path: Path
) -> None:
    odd = tmp_path / 'a bundle $(touch "hacked")'
    shutil.copytree(bundle, odd)

    code, outputs, stderr = run_action(
        {
            "bundle": str(odd),
            "compare": str(bundle),
            "data": str(pictures),
            "policy": str(policy),
            "arguments": "--blame=never\n\n--on-inconclusive=estimate\n",
            "package": "",
        },
        tmp_path,
    )

    assert code == 0, stderr
    assert outputs == "status=pass\n"
    assert len(ElementTree.parse(tmp_path / "parity.xml").findall(".//testcase")) == 5
    assert "✅ pass" in (tmp_path / "summary.md").read_text()
    assert not (tmp_path / "hacked").exists()


def test_the_action_s_steps_fail_a_broken_bundle(
    bundle: Path, bgr: Path, pictures: Path, tmp_path: Path
) -> None:
    inputs = {"bundle": str(bgr), "compare": str(bundle), "data": str(pictures), "package": ""}

    code, outputs, _ = run_action(inputs, tmp_path)

    assert (code, outputs) == (1, "status=fail\n")
    assert "❌ fail" in (tmp_path / "summary.md").read_text()


def test_the_action_says_why_it_could_not_even_begin(tmp_path: Path) -> None:
    code, outputs, stderr = run_action({"bundle": "nothing", "package": ""}, tmp_path)

    assert (code, outputs) == (2, "status=\n")
    assert "nothing does not exist" in stderr


def test_the_action_and_the_documented_workflow_fit_each_other() -> None:
    text = (ROOT / "docs" / "ci.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    steps = yaml.safe_load(example)["jobs"]["parity"]["steps"]
    (gate,) = [step for step in steps if "edgeconv@" in step.get("uses", "")]
    document = action()

    assert set(gate["with"]) <= set(document["inputs"])
    needed = {name for name, each in document["inputs"].items() if each.get("required")}
    assert needed <= set(gate["with"])
    shells = [step for step in document["runs"]["steps"] if "run" in step]
    assert all(step["shell"] == "bash" for step in shells)
    assert not any("${{" in step["run"] for step in shells)
    assert edgeconv("verify", "--help").code == 0
