"""A format is told by what is in its files, whatever they are called."""

import json

import numpy as np
import pytest
from PIL import Image

from labkit.data.readers.formats import READERS, found_in, json_format, looks_like_maps, split_of

REGION = {"shape_attributes": {}, "region_attributes": {}}
JSON = {
    "coco": {"images": [], "annotations": [], "categories": []},
    "panoptic": {"images": [], "annotations": [{"segments_info": []}], "categories": []},
    "via": {"a1": {"filename": "a", "size": 1, "regions": [REGION]}},
    "labelme": {"shapes": [], "imagePath": "a.jpg"},
}
OTHERS = [
    {},
    [],
    {"images": [], "annotations": []},
    {"shapes": []},
    {"name": "categories"},
    [{"image_id": 1, "segmentation": {}, "score": 1.0}],
]


@pytest.mark.parametrize("name", JSON)
@pytest.mark.parametrize("indent", [None, 2])
def test_json_by_its_keys(tmp_path, name, indent):
    path = tmp_path / "whatever.txt"
    path.write_text(json.dumps(JSON[name], indent=indent))
    assert json_format(path) == name and name in READERS


@pytest.mark.parametrize("content", OTHERS)
def test_other_json(tmp_path, content):
    (tmp_path / "a.json").write_text(json.dumps(content))
    assert json_format(tmp_path / "a.json") is None and found_in(tmp_path) == []


def test_files_without_content(tmp_path):
    (tmp_path / "empty.json").touch()
    assert json_format(tmp_path / "empty.json") is None
    assert json_format(tmp_path / "none.json") is None
    assert json_format(tmp_path) is None


@pytest.mark.parametrize(
    "name, split",
    [
        ("instances_val2017.json", "val2017"),
        ("person_keypoints_train.json", "train"),
        ("_annotations.coco.json", ""),
        ("annotations.json", ""),
        ("train.json", "train"),
        ("panoptic_val.json", "val"),
        ("via_region_data.json", "via_region_data"),
        ("coconut.json", "coconut"),
        ("instances.json", ""),
    ],
)
def test_splits_in_names(tmp_path, name, split):
    assert split_of(tmp_path / name) == split


def test_a_folder_of_labelmes_is_one_data_set(tmp_path):
    for i in range(60):
        (tmp_path / f"{i}.json").write_text(json.dumps(JSON["labelme"]))
    (found,) = found_in(tmp_path)
    assert found.format == "labelme" and found.path == tmp_path


def test_maps_by_their_pixels(tmp_path):
    maps, images = tmp_path / "maps", tmp_path / "images"
    maps.mkdir(), images.mkdir()
    Image.new("RGB", (40, 30)).save(images / "a.png")
    label_map = np.zeros((30, 40), np.uint16)
    for value, array, expected in (
        ("labels", np.where(label_map + np.arange(40) % 10 < 6, 1 + np.arange(40) // 10, 0), True),
        ("nothing", label_map, True),
        ("noise", np.random.default_rng(0).integers(0, 65536, (30, 40)), False),
        ("a ramp", np.tile(np.arange(40), (30, 1)) * 9, False),
    ):
        Image.fromarray(array.astype(np.uint16)).save(maps / "a.png")
        assert looks_like_maps(maps, images) == expected, value
    Image.new("RGB", (40, 30)).save(maps / "a.png")
    assert not looks_like_maps(maps, images) and not looks_like_maps(maps, None)
