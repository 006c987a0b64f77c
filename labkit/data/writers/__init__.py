"""Writers: of formats other than COCO's, which `Dataset.save_coco` writes, and of repaired data.

Each writes the pictures as PNG files and the annotations beside them, so that the folder can be
opened in the format's own tool. A warning says what the format cannot hold.

    via         VGG Image Annotator: one json of polygons
    yolo        YOLO's segmentation: a txt a picture
    label_maps  a 16-bit PNG a picture, every value an instance
    repaired    COCO with copies of the pictures, and a list of everything that was repaired
    outline     a mask as one polygon, which VIA and YOLO need
    common      what all writers do: save the pictures, warn of what is lost
"""

from labkit.data.writers.label_maps import save_label_maps
from labkit.data.writers.repaired import save_repaired
from labkit.data.writers.via import save_via
from labkit.data.writers.yolo import save_yolo

__all__ = ["save_label_maps", "save_repaired", "save_via", "save_yolo"]
