"""One small, whole data set of every format, for tests to break, and what reading it says."""

import io
import json
import warnings
from pathlib import Path

import numpy as np
from PIL import Image

from labkit.data import load_dataset
from labkit.errors import LabkitError

POLYGON = [[4, 4], [20, 4], [20, 15], [4, 15]]
FLAT = [value for point in POLYGON for value in point]
MASK = np.zeros((30, 40), np.uint8)
MASK[4:15, 4:20] = 1


def png(array, **options) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, "PNG", **options)
    return stream.getvalue()


def put(path: Path, content) -> None:
    """Write json, bytes or an array, and the folders above."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, np.ndarray):
        content = png(content)
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())


PHOTO = png(np.full((30, 40, 3), 9, np.uint8))

COCO = {
    "images": [
        {"id": 1, "file_name": "a.png", "height": 30, "width": 40},
        {"id": 2, "file_name": "b.png", "height": 30, "width": 40},
    ],
    "annotations": [
        {
            "id": 1,
            "image_id": 1,
            "category_id": 1,
            "segmentation": [FLAT],
            "bbox": [4, 4, 16, 11],
            "area": 176,
            "iscrowd": 0,
        }
    ],
    "categories": [{"id": 1, "name": "cat"}],
}
PANOPTIC = COCO | {
    "annotations": [
        {
            "image_id": i,
            "file_name": f"{n}.png",
            "segments_info": [
                {"id": 1, "category_id": 1, "area": 176, "bbox": [4, 4, 16, 11], "iscrowd": 0}
            ],
        }
        for i, n in ((1, "a"), (2, "b"))
    ],
    "categories": [{"id": 1, "name": "cat", "isthing": 1}],
}
VIA = {
    f"{name}.png9": {
        "filename": f"{name}.png",
        "size": 9,
        "file_attributes": {},
        "regions": [
            {
                "shape_attributes": {
                    "name": "polygon",
                    "all_points_x": FLAT[::2],
                    "all_points_y": FLAT[1::2],
                },
                "region_attributes": {"kind": "cat"},
            }
        ],
    }
    for name in "ab"
}
LABELME = {
    "version": "5.0",
    "flags": {},
    "imagePath": "a.png",
    "imageData": None,
    "imageHeight": 30,
    "imageWidth": 40,
    "shapes": [{"label": "cat", "points": POLYGON, "group_id": None, "shape_type": "polygon"}],
}
CITY = {"imgHeight": 30, "imgWidth": 40, "objects": [{"label": "car", "polygon": POLYGON}]}


def photos(folder: Path) -> None:
    for name in "ab":
        put(folder / f"{name}.png", PHOTO)


def write_coco(root: Path) -> Path:
    photos(root)
    put(root / "x.json", COCO)
    return root / "x.json"


def write_panoptic(root: Path) -> Path:
    photos(root)
    for name in "ab":
        put(root / "x" / f"{name}.png", np.dstack([MASK, 0 * MASK, 0 * MASK]))
    put(root / "x.json", PANOPTIC)
    return root / "x.json"


def write_via(root: Path) -> Path:
    photos(root)
    put(root / "x.json", VIA)
    return root / "x.json"


def write_labelme(root: Path) -> Path:
    photos(root)
    put(root / "a.json", LABELME | {"imagePath": "a.png"})
    put(root / "b.json", LABELME | {"imagePath": "b.png"})
    return root / "b.json"


def write_cityscapes(root: Path) -> Path:
    for name in "ab":
        put(root / "leftImg8bit" / "train" / "x" / f"{name}_leftImg8bit.png", PHOTO)
        put(root / "gtFine" / "train" / "x" / f"{name}_gtFine_polygons.json", CITY)
    return root / "gtFine" / "train" / "x" / "b_gtFine_polygons.json"


def write_voc(root: Path) -> Path:
    photos(root / "JPEGImages")
    for name in "ab":
        put(root / "SegmentationObject" / f"{name}.png", MASK)
        put(root / "SegmentationClass" / f"{name}.png", MASK)
    return root / "SegmentationObject" / "b.png"


def write_label_maps(root: Path) -> Path:
    photos(root / "images")
    for name in "ab":
        put(root / "maps" / f"{name}.png", MASK)
    return root / "maps" / "b.png"


def write_mask_folders(root: Path) -> Path:
    for name in "ab":
        put(root / name / "images" / f"{name}.png", PHOTO)
        put(root / name / "masks" / "1.png", MASK)
        put(root / name / "masks" / "2.png", MASK)
    return root / "b" / "masks" / "1.png"


YOLO = "0 " + " ".join(str(v / (30 if i % 2 else 40)) for i, v in enumerate(FLAT)) + "\n"
YOLO_YAML = "train: images\nnames:\n  0: cat\n"
CVAT = """<?xml version="1.0" encoding="utf-8"?>
<annotations><version>1.1</version><meta><task><labels><label><name>cat</name></label></labels>
</task></meta>
<image id="0" name="a.png" width="40" height="30">
<polygon label="cat" points="4,4;20,4;20,15;4,15" group_id="1" z_order="0"></polygon></image>
<image id="1" name="b.png" width="40" height="30">
<mask label="cat" rle="0, 176" left="4" top="4" width="16" height="11" z_order="0"></mask></image>
</annotations>
"""
LABEL_STUDIO = [
    {
        "id": i,
        "data": {"image": f"/data/upload/1/{name}.png"},
        "annotations": [
            {
                "id": i,
                "was_cancelled": False,
                "result": [
                    {
                        "id": "r",
                        "type": "polygonlabels",
                        "original_width": 40,
                        "original_height": 30,
                        "image_rotation": 0,
                        "value": {
                            "points": [[x / 0.4, y / 0.3] for x, y in POLYGON],
                            "polygonlabels": ["cat"],
                        },
                    }
                ],
            }
        ],
    }
    for i, name in enumerate("ab")
]
VOC_BOXES = """<annotation><filename>{}.png</filename><object><name>cat</name><bndbox><xmin>4</xmin>
<ymin>4</ymin><xmax>20</xmax><ymax>15</ymax></bndbox></object></annotation>"""


def write_yolo(root: Path) -> Path:
    photos(root / "images")
    for name in "ab":
        put(root / "labels" / f"{name}.txt", YOLO.encode())
    put(root / "data.yaml", YOLO_YAML.encode())
    return root / "labels" / "b.txt"


def write_cvat(root: Path) -> Path:
    photos(root)
    put(root / "annotations.xml", CVAT.encode())
    return root / "annotations.xml"


def write_label_studio(root: Path) -> Path:
    photos(root)
    put(root / "x.json", LABEL_STUDIO)
    return root / "x.json"


def write_voc_boxes(root: Path) -> Path:
    for name in "ab":
        put(root / "JPEGImages" / f"{name}.png", PHOTO)
        put(root / "Annotations" / f"{name}.xml", VOC_BOXES.format(name).encode())
    return root / "Annotations" / "b.xml"


WRITERS = {
    "coco": write_coco,
    "panoptic": write_panoptic,
    "via": write_via,
    "labelme": write_labelme,
    "cityscapes": write_cityscapes,
    "voc": write_voc,
    "label_maps": write_label_maps,
    "mask_folders": write_mask_folders,
    "yolo": write_yolo,
    "cvat": write_cvat,
    "label_studio": write_label_studio,
    "voc_boxes": write_voc_boxes,
}
# What is given to the reader: the folder that write_… filled, or something in it.
GIVEN = {"coco": "x.json", "panoptic": "x.json", "via": "x.json", "label_maps": "maps"}
GIVEN |= {"cvat": "annotations.xml", "label_studio": "x.json"}
# Without this option the reader refuses the data, and says so.
OPTIONS = {"voc_boxes": {"boxes_as_masks": True}}


def read_all(root: Path, format: str, **options):
    """Load, look through everything, and return all problems."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        options = OPTIONS.get(format, {}) | options
        ds = load_dataset(root / GIVEN.get(format, "."), format=format, **options)
        assert ds.max_instances >= 0 and len(ds.image_ids) == len(ds)
        problems = ds.check()
        for index in range(len(ds)):  # a check of COCO looks at pictures' headers only
            try:
                ds[index]
            except LabkitError as error:
                problems += [str(error)] if str(error) not in problems else []
        return problems


def problems_of(root: Path, format: str, **options) -> list[str]:
    """All problems, or the error in loading as the only one."""
    try:
        return read_all(root, format, **options)
    except LabkitError as error:
        return [str(error)]
