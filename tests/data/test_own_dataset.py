"""A `Dataset` of one's own: what it must define is enough, and what it returns is checked."""

import dataclasses

import numpy as np
import pytest

from labkit.data import Dataset, Sample
from labkit.data.merging import merge
from labkit.errors import LabkitError
from labkit.models.config import Config
from labkit.training import TrainSettings, fit_to_data


def good(index=0):
    masks = np.zeros((2, 60, 80), bool)
    masks[0, 10:40, 10:50] = True
    masks[1, 20:50, 60:70] = True
    boxes = np.array([[10, 10, 40, 50], [20, 60, 50, 70]], np.float32)
    image = np.full((60, 80, 3), 90, np.uint8)
    ids = np.array([1, 2], np.int32)
    return Sample(image, boxes, ids, masks, np.zeros(2, bool), index + 5, f"{index}.png")


class Mine(Dataset):
    """All that the docstring of Dataset asks for."""

    class_names = ("x", "y")

    def __init__(self, **changes):
        self.changes = changes

    def __len__(self):
        return 3

    def image_info(self, index):
        return {"id": index + 5, "file_name": f"{index}.png", "height": 60, "width": 80}

    def read(self, index):
        return dataclasses.replace(good(index), **self.changes)


def test_class_names_length_read_and_image_info_are_enough(tmp_path):
    mine = Mine()
    assert mine.category_ids == (1, 2) and list(mine.problems) == [] and mine.check() == []
    assert mine.describe(check=True).instances == 6
    coco = mine.to_coco()
    assert coco["categories"] == [{"id": 1, "name": "x"}, {"id": 2, "name": "y"}]
    assert [a["category_id"] for a in coco["annotations"]] == [1, 2] * 3
    assert mine.max_instances == 2 and len(mine.cutouts(1).patches) == 2
    assert [len(part) for part in mine.split((0.67, 0.33))] == [2, 1]
    assert mine.prune(min_images=1).class_names == ("x", "y")
    assert mine.keep_classes(["y"]).category_ids == (2,)
    both = merge([mine, mine])
    assert len(both) == 6 and both.category_ids == (1, 2)
    mine.save_coco(tmp_path / "all.json", tmp_path / "images")
    assert fit_to_data(Config.preset("tiny"), TrainSettings(), mine)[0].max_instances == 8


def test_ids_of_its_own_are_kept():
    class Numbered(Mine):
        category_ids = (7, 9)

    assert [a["category_id"] for a in Numbered().to_coco()["annotations"]] == [7, 9] * 3
    mine = Mine()
    mine.category_ids = (3, 4)
    assert mine[:2].category_ids == (3, 4) and Mine().category_ids == (1, 2)


FLOATS = good().masks.astype(np.float32)
WRONG = {
    "a class id above the last": ({"class_ids": np.array([1, 3])}, r"class_ids\[1\] is 3; with 2"),
    "background": ({"class_ids": np.array([0, 1])}, r"class_ids\[0\] is 0.*0 is background"),
    "class ids as floats": ({"class_ids": np.array([1.0, 2.0])}, "class_ids holds float64.*int32"),
    "class ids in a list": ({"class_ids": [1, 2]}, "class_ids is a list"),
    "COCO's boxes": (
        {"boxes": np.array([[10, 10, 40, 30], [60, 20, 10, 30]], np.float32)},
        r"boxes\[0\] is \(10, 10, 40, 30\), but masks\[0\] fills \(10, 10, 40, 50\); .*y1, x1",
    ),
    "NaN in a box": ({"boxes": np.full((2, 4), np.nan, np.float32)}, r"boxes\[0\] is \(nan"),
    "whole numbers": ({"boxes": good().boxes.astype(int)}, "boxes holds int64.*np.float32"),
    "one box too few": ({"boxes": good().boxes[:1]}, r"boxes is float32 of shape \(1, 4\).*2, 4"),
    "masks last": ({"masks": np.moveaxis(good().masks, 0, -1)}, r"masks is .*must be .*2, 60, 80"),
    "masks as floats": ({"masks": FLOATS}, r"masks holds float32; make it bool .*astype\(bool\)"),
    "an empty mask": ({"masks": good().masks & [[[True]], [[False]]]}, r"masks\[1\] is empty"),
    "crowds as numbers": ({"crowd": np.zeros(2, int)}, "crowd holds int64"),
    "a picture of floats": ({"image": np.zeros((60, 80, 3))}, "image is float64 of shape"),
    "a grey picture": (
        {"image": np.zeros((60, 80), np.uint8)},
        "image is uint8 of shape",
    ),
    "a picture with alpha": ({"image": np.zeros((60, 80, 4), np.uint8)}, r"image has shape .*RGB"),
}


@pytest.mark.parametrize(("changes", "words"), WRONG.values(), ids=WRONG)
def test_a_wrong_field_is_named_with_its_sample(changes, words):
    wrong = Mine(**changes)
    for read in (wrong.__getitem__, wrong.cutouts, wrong.labels, wrong.coco_annotations):
        with pytest.raises(LabkitError, match=rf"^sample 1 \(1.png\): {words}"):
            read(1)
    with pytest.raises(LabkitError, match="sample 0"):
        list(wrong)
    assert len(wrong.check()) == 3 and str(wrong.check()[0]).count("\n") == 0


def test_boxes_may_be_a_pixel_off_and_a_picture_without_objects_is_one():
    assert len(Mine(boxes=good().boxes + np.float32(0.5))[0]) == 2
    none = {"boxes": np.zeros((0, 4), np.float32), "class_ids": np.zeros(0, np.int32)}
    none |= {"masks": np.zeros((0, 60, 80), bool), "crowd": np.zeros(0, bool)}
    assert len(Mine(**none)[0]) == 0


def test_something_else_than_a_sample():
    class Pair(Mine):
        def read(self, index):
            return good().image, good().masks

    with pytest.raises(LabkitError, match=r"read\(2\) returned a tuple; return a Sample"):
        Pair()[2]
