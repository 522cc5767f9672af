"""What ``edgeconv verify`` leaves behind: a table or JSON, and the files that CI wants."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from edgeconv.cli.console import Console
from edgeconv.cli.files import write_text
from edgeconv.errors import HostFailure
from edgeconv.pictures import printable
from edgeconv.types import ArtifactVerdict, Check
from edgeconv.verification import Verification, VerifyRequest

__all__ = ["check_folder", "show", "write"]

#: Layers that get a line, and those that are named after them.
_BLAMED, _NAMED = 3, 10


def check_folder(path: Path | None) -> None:
    """Refuse a file that can't be written before minutes of work.

    Raises:
        HostFailure: It has no folder to stand in, or is one.
    """
    if path is not None and path.is_dir():
        raise HostFailure(f"{printable(path)} can't be written: it is a folder.", "Name a file.")
    if path is not None and not path.parent.is_dir():
        raise HostFailure(
            f"{printable(path)} can't be written: there is no folder {printable(path.parent)}.",
            "Make the folder first.",
        )


def write(
    result: Verification,
    request: VerifyRequest,
    junit: Path | None,
    report: Path | None,
    console: Console,
) -> None:
    """Write the test report, the page and the summary of the job, where asked for.

    A summary that can't be written is said and hides no verdict: nobody asked for it here.

    Raises:
        HostFailure: The test report or the page can't be written.
    """
    name = request.candidate.name or str(request.candidate)
    if junit is not None:
        write_text(junit, _junit(result, request, name))
    if report is not None:
        write_text(report, _page(result, request, name))
    if summary := os.environ.get("GITHUB_STEP_SUMMARY"):
        from edgeconv.report.summary import step_summary

        text = step_summary(result.verdict, name, result.reference, result.data, result.device)
        try:
            with Path(summary).open("a", encoding="utf-8") as file:
                file.write(text)
        except OSError as error:
            console.note(f"GITHUB_STEP_SUMMARY ({summary}) can't be written: {error.strerror}")


def _junit(result: Verification, request: VerifyRequest, name: str) -> str:
    from edgeconv import verify
    from edgeconv.report.junit import junit

    def holds(artifact: ArtifactVerdict, check: Check) -> bool:
        return verify.holds(artifact, check, request.policy.on_inconclusive)

    return junit(result.verdict, name, holds, result.device)


def _page(result: Verification, request: VerifyRequest, name: str) -> str:
    """The report; only now are the pictures on it read."""
    from edgeconv import data, report, verify

    rows = [verify.named(found, result.labels) for found in result.disagreements]
    manifest, recipe = _documents(request.candidate)
    return report.render(
        result.verdict,
        {"name": name, **manifest},
        recipe_text=recipe,
        disagreements=rows,
        thumbnails=data.thumbnails(result.items, report.pictured(rows)),
        compared=(result.reference, result.data),
        device=result.device,
    )


def _documents(candidate: Path) -> tuple[dict[str, Any], str]:
    """A bundle's manifest.json and recipe.toml, sealed; a bare file has neither."""
    from edgeconv.runtime.checksums import SealedFolder
    from edgeconv.verification.candidate import is_bundle

    if not is_bundle(candidate):
        return {}, ""
    folder = SealedFolder(candidate)
    recipe = folder.read("recipe.toml") if "recipe.toml" in folder.sums else b""
    return json.loads(folder.read("manifest.json")), recipe.decode("utf-8", "replace")


def show(result: Verification, request: VerifyRequest, console: Console, code: int) -> None:
    """Print the verdict: a table and sentences, or one JSON object.

    Args:
        result: Of the verification.
        request: What was asked for.
        console: Where to.
        code: The exit code.
    """
    if console.as_json:
        name = request.candidate.name or str(request.candidate)
        console.result(_json(result, name, code))
    else:
        _print(result, console, code)


def _json(result: Verification, name: str, code: int) -> dict[str, Any]:
    from edgeconv import verify

    return {
        "schema_version": 1,
        "exit_code": code,
        "candidate": name,
        "reference": result.reference,
        "data": result.data,
        "verdict": verify.verdict_to_json(result.verdict),
        "notes": list(result.notes),
        "device": None if result.device is None else dict(result.device),
    }


def _print(result: Verification, console: Console, code: int) -> None:
    from edgeconv.cli.table import verdict_table
    from edgeconv.report.device import device_sentences

    console.print("")
    console.print(verdict_table(result.verdict, console.width))
    for artifact in result.verdict.artifacts:
        for line in _lines(artifact):
            console.print(printable(line))
    for sentence in () if result.device is None else device_sentences(result.device):
        console.print(sentence)
    items = "item" if result.verdict.samples == 1 else "items"
    console.print(
        f"\nParity  {_word(result, code)}, against {printable(result.reference)} "
        f"on {result.verdict.samples:,} {items} of {printable(result.data)}"
    )


def _word(result: Verification, code: int) -> str:
    status = result.verdict.status
    if code == 0:
        return "kept" if status == "pass" else "kept by the estimate, not proven"
    return "lost" if status == "fail" else "not proven"


def _lines(artifact: ArtifactVerdict) -> Iterator[str]:
    reasons = [check.reason for check in artifact.checks] or [artifact.reason]
    for reason in reasons:
        yield f"{artifact.file}: {reason}"
    for sentence in (*artifact.evidence, *artifact.suspicions):
        yield f"  {sentence}"
    if artifact.layers:
        what = "that add to the error" if artifact.status == "pass" else "to blame"
        yield f"  layers {what}, worst first:"
        yield from (f"    {_layer(layer)}" for layer in artifact.layers[:_BLAMED])
    if others := [layer["name"] for layer in artifact.layers[_BLAMED:] if layer.get("reason")]:
        rest = len(others) - _NAMED
        more = f" and {rest} more" if rest > 0 else ""
        yield f"    then {', '.join(others[:_NAMED])}{more}; --json and --report say why"


def _layer(layer: Mapping[str, Any]) -> str:
    text = f"{layer['name']} ({layer['op']})"
    if isinstance(share := layer.get("share"), int | float):
        text += f", {share:.1f}% of the error"
    return f"{text}: {layer['reason']}" if layer.get("reason") else text
