"""Label Studio's JSON: every kind of region, and pictures by the names of uploads."""

import json
import math

import numpy as np
import pytest
from label_studio_brush import encode_brush
from PIL import Image

from labkit.data import LabelStudioDataset, load_dataset
from labkit.errors import LabkitError

SIZE = {"original_width": 80, "original_height": 60, "image_rotation": 0}
SQUARE = {"points": [[25, 50], [50, 50], [50, 100], [25, 100]], "polygonlabels": ["x"]}


def region(value, kind="polygonlabels", **more):
    return {
        "id": "r",
        "type": kind,
        "from_name": "l",
        "to_name": "i",
        "value": value,
        **SIZE,
        **more,
    }


def task(*regions, image="/data/upload/1/a.png", **more):
    made = [{"id": 1, "was_cancelled": False, "result": list(regions)}]
    return {"id": 1, "data": {"image": image}, "annotations": made, **more}


def write(folder, *tasks, picture="a.png"):
    (folder / "images").mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((60, 80, 3), np.uint8)).save(folder / "images" / picture)
    (folder / "project.json").write_text(json.dumps(tasks))
    return folder


def test_reading(tmp_path):
    write(tmp_path, task(region(SQUARE)))
    for path in (tmp_path, tmp_path / "project.json"):
        ds = load_dataset(path, strict=True)
        assert type(ds) is LabelStudioDataset and ds.class_names == ("x",) and ds.check() == []
        assert ds[0].boxes.tolist() == [[30, 20, 60, 40]] and ds[0].name == "a.png"


@pytest.mark.parametrize(
    "image, file",
    [
        ("/data/upload/4/1a2b3c4d-a.png", "a.png"),
        ("/data/upload/4/1a2b3c4d-a.png", "1a2b3c4d-a.png"),
        ("/data/local-files/?d=set/a.png", "a.png"),
        ("https://host/some/a.png", "a.png"),
        ("s3://bucket/set/a.png", "a.png"),
        ("C:\\pics\\a.png", "a.png"),
        ("a.png", "a.png"),
    ],
)
def test_pictures_are_found_by_their_names(tmp_path, image, file):
    write(tmp_path, task(region(SQUARE), image=image), picture=file)
    ds = load_dataset(tmp_path)
    assert ds.problems == [] and len(ds[0]) == 1 and ds[0].name == file


def test_a_picture_that_is_not_there(tmp_path):
    write(tmp_path, task(region(SQUARE)), task(region(SQUARE), image="/data/upload/1/b.png"))
    with pytest.warns(UserWarning, match=r"tasks\[1\].*b.png.*the picture is left out"):
        assert len(load_dataset(tmp_path)) == 1


RECTANGLE = {"x": 25, "y": 50, "width": 25, "height": 25, "rectanglelabels": ["x"]}
ELLIPSE = {"x": 50, "y": 50, "radiusX": 25, "radiusY": 10, "ellipselabels": ["x"]}
BRUSH = np.zeros((60, 80), bool)
BRUSH[10:20, 30:70], BRUSH[40, 5] = True, True


@pytest.mark.parametrize(
    "value, kind, pixels, box",
    [
        (RECTANGLE | {"rotation": 0}, "rectanglelabels", 300, [30, 20, 45, 40]),
        (RECTANGLE | {"rotation": 90}, "rectanglelabels", 300, [30, 5, 50, 20]),
        (ELLIPSE, "ellipselabels", math.pi * 120, [24, 20, 36, 60]),
        (
            ELLIPSE | {"rotation": 90},
            "ellipselabels",
            math.pi * 120,
            [10, 34, 50, 46],
        ),
        (
            {"format": "rle", "rle": encode_brush(BRUSH), "brushlabels": ["x"]},
            "brushlabels",
            401,
            [10, 5, 41, 70],
        ),
        ({"points": SQUARE["points"], "labels": ["x"]}, "labels", 600, [30, 20, 60, 40]),
    ],
)
@pytest.mark.parametrize("minimal", [False, True])
def test_regions(tmp_path, value, kind, pixels, box, minimal):
    content = task(region(value, kind))
    if minimal:
        content = {"image": "/data/upload/1/a.png", "id": 1, "tag": [{**value, **SIZE}]}
    sample = load_dataset(write(tmp_path, content), strict=True)[0]
    assert abs(sample.masks.sum() - pixels) <= 0.03 * pixels
    assert np.abs(sample.boxes - [box]).max() <= 1
    if kind == "brushlabels":
        assert (sample.masks[0] == BRUSH).all()


def test_of_several_annotations_the_first_that_was_not_skipped(tmp_path):
    content = task(region(SQUARE))
    skipped = {"id": 2, "was_cancelled": True, "result": []}
    other = {"id": 3, "result": [region(SQUARE | {"polygonlabels": ["y"]})]}
    content["annotations"] = [skipped, *content["annotations"], other]
    with pytest.warns(UserWarning, match="1 further annotations of a task"):
        ds = load_dataset(write(tmp_path, content))
    assert ds.class_names == ("x",)


def test_what_has_no_area_is_counted(tmp_path):
    point = region({"x": 1, "y": 1, "width": 1, "keypointlabels": ["x"]}, "keypointlabels")
    choice = region({"choices": ["good"]}, "choices")
    with pytest.warns(UserWarning, match="2 problems.*1 keypoints"):
        ds = load_dataset(write(tmp_path, task(region(SQUARE), point, choice)))
    assert len(ds[0]) == 1


@pytest.mark.parametrize(
    "value, more, words",
    [
        (SQUARE | {"polygonlabels": ["x", "y"]}, {}, "labels"),
        (SQUARE | {"polygonlabels": []}, {}, "labels"),
        (SQUARE | {"points": "x"}, {}, "\"points\" 'x'"),
        (SQUARE | {"points": [[1, 2], [3, None]]}, {}, "points"),
        (SQUARE, {"image_rotation": 90}, "turned in Label Studio"),
        (RECTANGLE | {"width": 0}, {}, "no area"),
        (RECTANGLE | {"x": "?"}, {}, '"x"'),
        ({"format": "rle", "rle": [0, 1], "brushlabels": ["x"]}, {}, "ends too early"),
        ({"format": "png", "brushlabels": ["x"]}, {}, '"format"'),
    ],
)
def test_regions_that_cannot_be_used(tmp_path, value, more, words):
    with pytest.warns(UserWarning, match=words):
        ds = load_dataset(write(tmp_path, task(region(SQUARE), region(value, **more))))
    assert len(ds[0]) == 1


def test_what_cannot_be_a_data_set(tmp_path):
    with pytest.raises(LabkitError, match="no class"):
        LabelStudioDataset(write(tmp_path, task()) / "project.json", tmp_path / "images")
    (tmp_path / "project.json").write_text("3")
    with pytest.raises(LabkitError, match="no list of tasks"):
        LabelStudioDataset(tmp_path / "project.json")
    with pytest.raises(LabkitError, match="data"):
        LabelStudioDataset(write(tmp_path, {"id": 1, "data": 3}, 7) / "project.json")
