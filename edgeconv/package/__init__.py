"""Package: a verified model becomes the folder that ships."""

from edgeconv.package.bundle import destination, write_bundle
from edgeconv.package.explain import explain
from edgeconv.package.folder import check_destination
from edgeconv.package.versions import tool_versions

__all__ = ["check_destination", "destination", "explain", "tool_versions", "write_bundle"]
