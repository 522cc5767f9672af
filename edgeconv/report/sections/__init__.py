"""The parts of the page, one a module; each returns "" where there is nothing to show."""

from edgeconv.report.sections.artifacts import artifact_section
from edgeconv.report.sections.checks import check_section
from edgeconv.report.sections.details import detail_sections
from edgeconv.report.sections.device import device_section
from edgeconv.report.sections.latency import latency_section
from edgeconv.report.sections.layers import layer_section
from edgeconv.report.sections.margin import margin_section
from edgeconv.report.sections.moved import moved_section, pictured
from edgeconv.report.sections.recovery import recovery_section
from edgeconv.report.sections.top import header, verdict_section

__all__ = [
    "artifact_section",
    "check_section",
    "detail_sections",
    "device_section",
    "header",
    "latency_section",
    "layer_section",
    "margin_section",
    "moved_section",
    "pictured",
    "recovery_section",
    "verdict_section",
]
