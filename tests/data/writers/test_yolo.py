"""The lines that `save_yolo` writes give the masks back: IoU 1."""

import numpy as np
import pytest
from PIL import Image

from labkit.data import save_yolo, shapes
from labkit.data.dataset import Dataset
from labkit.data.sample import make_sample
from labkit.ops.coco_masks import decode_segmentation


class Wide(Dataset):
    """A picture of 3,001 pixels, where six decimals are coarsest, with a crowd."""

    class_names, category_ids, problems = ('odd: "a"\n🎈', "b"), (1, 2), []

    def __len__(self):
        return 1

    def image_info(self, index):
        return {"id": 5, "file_name": "x.png", "height": 40, "width": 3001}

    def read(self, index):
        masks = np.zeros((2, 40, 3001), bool)
        masks[0, 3:37, 5:2999:2], masks[0, 20], masks[1, 1, 1] = True, True, True
        return make_sample(
            np.zeros((40, 3001, 3), np.uint8),
            masks,
            [2, 1],
            crowd=[False, True],
            image_id=5,
            name="x.png",
        )


def read_lines(path, height, width):
    masks, classes = [], []
    for line in path.read_text().splitlines():
        number, *shares = line.split()
        points = np.float64(shares).reshape(-1, 2) * [width, height]
        masks.append(decode_segmentation([points.ravel().tolist()], height, width))
        classes.append(int(number))
    return np.array(masks).reshape(-1, height, width), classes


def test_round_trip(tmp_path):
    ds = shapes(8, 96, seed=4)
    save_yolo(ds, tmp_path, "train")
    for sample in ds:
        name = f"{sample.image_id:06d}"
        masks, classes = read_lines(tmp_path / "labels" / "train" / f"{name}.txt", 96, 96)
        assert (masks == sample.masks).all() and classes == (sample.class_ids - 1).tolist()
        picture = np.array(Image.open(tmp_path / "images" / "train" / f"{name}.png"))
        assert (picture == sample.image).all()


def test_six_decimals_are_enough_and_crowds_are_counted(tmp_path):
    with pytest.warns(UserWarning, match="crowds left out: 1"):
        save_yolo(Wide(), tmp_path)
    masks, classes = read_lines(tmp_path / "labels" / "train" / "000005.txt", 40, 3001)
    assert classes == [1] and (masks[0] == Wide()[0].masks[0]).all()


def test_data_yaml(tmp_path):
    yaml = pytest.importorskip("yaml")
    save_yolo(shapes(1, 64), tmp_path, "val")
    with pytest.warns(UserWarning):
        path = save_yolo(Wide(), tmp_path, "train")
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert content["names"] == dict(enumerate(Wide.class_names))
    assert content["train"] == "images/train" and content["val"] == "images/val"


def test_pictures_without_instances_have_an_empty_file(tmp_path):
    save_yolo(shapes(1, 64, min_objects=0, max_objects=0), tmp_path)
    assert (tmp_path / "labels" / "train" / "000001.txt").read_text() == ""
