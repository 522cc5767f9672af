"""Data: folders, manifests and arrays as streams of preprocessed batches."""

from edgeconv.data.choose import DataRequest, check, choose, remembered
from edgeconv.data.files import picture_items
from edgeconv.data.folder import read_folder
from edgeconv.data.held import hold_back
from edgeconv.data.items import Items
from edgeconv.data.manifest import read_manifest
from edgeconv.data.overlap import refuse_overlap
from edgeconv.data.reader import open_dataset
from edgeconv.data.ready import ready_items
from edgeconv.data.scale import with_input_scale
from edgeconv.data.splits import split
from edgeconv.data.stored import Stored
from edgeconv.data.thumbnails import thumbnails

__all__ = [
    "DataRequest",
    "Items",
    "Stored",
    "check",
    "choose",
    "hold_back",
    "open_dataset",
    "picture_items",
    "read_folder",
    "read_manifest",
    "ready_items",
    "refuse_overlap",
    "remembered",
    "split",
    "thumbnails",
    "with_input_scale",
]
