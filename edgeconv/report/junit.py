"""JUnit XML of a verdict: a test case a check, for CI that shows such files.

Source: the schema that Jenkins publishes (junit-10.xsd), which GitLab, GitHub's
reporters and others read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from xml.etree import ElementTree

from edgeconv.pictures import printable
from edgeconv.report.device import device_sentences
from edgeconv.types import ArtifactVerdict, Check, Verdict

__all__ = ["junit"]

Holds = Callable[[ArtifactVerdict, Check], bool]


def junit(
    verdict: Verdict, name: str, holds: Holds, device: Mapping[str, Any] | None = None
) -> str:
    """Write a verdict as JUnit XML.

    Args:
        verdict: Of a bundle or a file.
        name: What was verified.
        holds: Whether a check counts as kept; an undecided one that does is
            shown as skipped, one that doesn't as failed.
        device: What a device was and took, where one ran too.

    Returns:
        The text of the file; harmless whatever the names in it are.
    """
    suite = ElementTree.Element("testsuite", name=_text(f"edgeconv verify {name}"))
    for artifact in verdict.artifacts:
        for case in _cases(artifact, holds):
            case.set("classname", _text(f"{name}.{artifact.precision}"))
            suite.append(case)
    _count(suite)
    if device is not None:
        told = ElementTree.SubElement(suite, "system-out")
        told.text = "\n".join(_text(sentence) for sentence in device_sentences(device))
    root = ElementTree.Element("testsuites", dict(suite.attrib), name="edgeconv verify")
    root.append(suite)
    ElementTree.indent(root)
    body = ElementTree.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="utf-8"?>\n{body}\n'


def _cases(artifact: ArtifactVerdict, holds: Holds) -> list[ElementTree.Element]:
    if not artifact.checks:
        case = ElementTree.Element("testcase", name=_text(f"{artifact.file} output"))
        if artifact.status != "pass":
            _add(case, "failure", artifact.reason, artifact)
        return [case]
    cases = []
    for check in artifact.checks:
        side = "at most" if check.at_most else "at least"
        title = f"{artifact.file} {check.metric} {side} {check.limit:g}"
        case = ElementTree.Element("testcase", name=_text(title))
        if not holds(artifact, check):
            _add(case, "failure", check.reason, artifact, check.status)
        elif check.status == "inconclusive":
            ElementTree.SubElement(case, "skipped", message=_text(check.reason))
        cases.append(case)
    return cases


def _add(
    case: ElementTree.Element, tag: str, reason: str, artifact: ArtifactVerdict, status: str = ""
) -> None:
    found = ElementTree.SubElement(case, tag, message=_text(reason))
    found.set("type", status or artifact.status)
    lines = [reason, *artifact.evidence, *artifact.suspicions]
    lines += [f"layer {layer['name']}: {layer.get('reason', '')}" for layer in artifact.layers[:3]]
    found.text = "\n".join(_text(line) for line in lines)


def _count(suite: ElementTree.Element) -> None:
    cases = suite.findall("testcase")
    suite.set("tests", str(len(cases)))
    suite.set("failures", str(sum(case.find("failure") is not None for case in cases)))
    suite.set("errors", "0")
    suite.set("skipped", str(sum(case.find("skipped") is not None for case in cases)))


def _text(text: str) -> str:
    """XML 1.0 has no word for control characters; ElementTree escapes the rest."""
    return printable(text)
