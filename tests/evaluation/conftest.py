"""Small scenes of boxes: ground truth, results and comparisons."""

import numpy as np
import pytest

from labkit.evaluation import compare
from labkit.ops.coco_masks import encode_rle

SIDE = 100


def entries_of(boxes, masks):
    """COCO entries of (image id, category id, (x, y, w, h), …) with rectangular masks."""
    for image, category, (x, y, w, h), *_ in boxes:
        entry = {
            "image_id": image,
            "category_id": category,
            "bbox": [float(v) for v in (x, y, w, h)],
        }
        if masks:
            mask = np.zeros((SIDE, SIDE), bool)
            mask[y : y + h, x : x + w] = True
            entry["segmentation"] = encode_rle(mask)
        yield entry


def make_scene(objects, detections, *, classes=("cat", "dog"), images=(1, 2), masks=False):
    """(truth, results): objects are (image, class, box[, crowd]), detections (…, score)."""
    truth = {
        "images": [{"id": i, "height": SIDE, "width": SIDE} for i in images],
        "categories": [{"id": i + 1, "name": name} for i, name in enumerate(classes)],
        "annotations": [
            {**entry, "area": float(box[2] * box[3]), "iscrowd": int(bool(crowd and crowd[0]))}
            for entry, (_, _, box, *crowd) in zip(entries_of(objects, masks), objects, strict=True)
        ],
    }
    found = zip(entries_of(detections, masks), detections, strict=True)
    return truth, [{**entry, "score": score} for entry, (_, _, _, score) in found]


@pytest.fixture(scope="session")
def scene():
    """scene(objects, detections, …) -> (truth, results)."""
    return make_scene


@pytest.fixture(scope="session")
def compared():
    """compared(objects, detections, …) -> Comparison of boxes, or of masks with masks=True."""
    return lambda *args, **options: compare(*make_scene(*args, **options))
