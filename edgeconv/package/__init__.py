"""Package: a verified model becomes the folder that ships."""

from edgeconv.package.bundle import destination, write_bundle
from edgeconv.package.folder import check_destination

__all__ = ["check_destination", "destination", "write_bundle"]
