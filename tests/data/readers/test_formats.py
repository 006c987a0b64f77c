"""A format is told by what is in its files, whatever they are called."""

import json

import numpy as np
import pytest
from PIL import Image

from labkit.data import load_dataset
from labkit.data.readers.formats import READERS, found_in, json_format, looks_like_maps, split_of
from labkit.errors import LabkitError

REGION = {"shape_attributes": {}, "region_attributes": {}}
JSON = {
    "coco": {"images": [], "annotations": [], "categories": []},
    "panoptic": {"images": [], "annotations": [{"segments_info": []}], "categories": []},
    "via": {"a1": {"filename": "a", "size": 1, "regions": [REGION]}},
    "labelme": {"shapes": [], "imagePath": "a.jpg"},
}
JSON["label_studio"] = [
    {"data": {"image": "a"}, "annotations": [{"result": [{"original_width": 1}]}]}
]
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


def test_yolo_and_boxes_beside_other_annotations_do_not_count(tmp_path):
    for place in ("images", "labels", "Annotations"):
        (tmp_path / place).mkdir()
    Image.new("RGB", (40, 30)).save(tmp_path / "images" / "a.png")
    (tmp_path / "labels" / "a.txt").write_text("0 0.1 0.1 0.5 0.1 0.5 0.5\n")
    (tmp_path / "Annotations" / "a.xml").write_text("<annotation></annotation>")
    assert [found.format for found in found_in(tmp_path)] == ["yolo"]
    (tmp_path / "labels" / "a.txt").unlink()
    assert [found.format for found in found_in(tmp_path)] == ["voc_boxes"]
    (tmp_path / "a.json").write_text(json.dumps(JSON["coco"]))
    assert [found.format for found in found_in(tmp_path)] == ["coco"]


NOT_READ = {
    "a.csv": (
        "filename,file_size,file_attributes,region_count,region_id,region_shape_attributes,"
        "region_attributes\n",
        "VIA's csv.*as json",
    ),
    "datumaro.json": (
        {
            "info": {},
            "categories": {"label": {"labels": [{"name": "cat", "parent": ""}]}},
            "items": [{"id": "a", "annotations": [{"type": "polygon", "label_id": 0}]}],
        },
        "Datumaro's json.*COCO",
    ),
    "createml.json": (
        [{"image": "a.png", "annotations": [{"label": "x", "coordinates": {"x": 2, "y": 2}}]}],
        "CreateML's json, which holds boxes.*COCO",
    ),
    "results.json": (
        [{"image_id": 1, "category_id": 1, "bbox": [1, 1, 2, 2], "score": 0.9}],
        "a file of results.*labkit evaluate --results",
    ),
    "captions.json": (
        {"images": [], "annotations": [{"image_id": 1, "caption": "words"}]},
        "COCO's file of captions.*instances",
    ),
    "supervisely.json": (
        {"objects": [{"classTitle": "x", "points": {"exterior": []}}]},
        "Supervisely's json.*COCO",
    ),
}


@pytest.mark.parametrize("name", NOT_READ)
def test_formats_that_are_not_read_are_named(tmp_path, name):
    content, words = NOT_READ[name]
    path = tmp_path / name
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    for place in (path, tmp_path):
        with pytest.raises(LabkitError, match=f"{name} is {words}"):
            load_dataset(place, images=tmp_path)


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
