"""Writers of formats other than COCO's, which `Dataset.save_coco` writes.

Each writes the pictures as PNG files and the annotations beside them, so that the folder can be
opened in the tool the format is of. What a format cannot hold is said in a warning.
"""

from labkit.data.writers.label_maps import save_label_maps
from labkit.data.writers.via import save_via
from labkit.data.writers.yolo import save_yolo

__all__ = ["save_label_maps", "save_via", "save_yolo"]
