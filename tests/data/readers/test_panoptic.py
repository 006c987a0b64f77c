"""PanopticDataset: things and stuff, crowds, and segments that json and PNG disagree about."""

import json

import numpy as np
import pytest
from PIL import Image

from labkit.data import PanopticDataset, load_dataset
from labkit.data.readers.panoptic import read_segment_numbers
from labkit.errors import LabkitError, MissingFileError

NUMBERS = np.zeros((30, 40), np.int64)
NUMBERS[:10] = 70_000  # sky
NUMBERS[12:20, 5:15], NUMBERS[12:20, 20:38] = 300, 2


def colours(numbers):
    return np.stack([numbers % 256, numbers // 256 % 256, numbers // 65536], -1).astype(np.uint8)


def content():
    return {
        "images": [{"id": 9, "file_name": "a.jpg", "height": 30, "width": 40}],
        "annotations": [
            {
                "image_id": 9,
                "file_name": "a.png",
                "segments_info": [
                    {"id": 70_000, "category_id": 187, "area": 400, "iscrowd": 0},
                    {"id": 300, "category_id": 18, "area": 80, "iscrowd": 0},
                    {"id": 2, "category_id": 1, "area": 144, "iscrowd": 1},
                ],
            }
        ],
        "categories": [
            {"id": 187, "name": "sky", "isthing": 0},
            {"id": 1, "name": "person", "isthing": 1},
            {"id": 18, "name": "dog", "isthing": 1},
        ],
    }


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "annotations" / "panoptic_val2017").mkdir(parents=True)
    (tmp_path / "val2017").mkdir()
    Image.new("RGB", (40, 30), (5, 6, 7)).save(tmp_path / "val2017" / "a.jpg")
    png = tmp_path / "annotations" / "panoptic_val2017" / "a.png"
    Image.fromarray(colours(NUMBERS)).save(png)
    return tmp_path


def written(folder, data):
    path = folder / "annotations" / "panoptic_val2017.json"
    path.write_text(json.dumps(data))
    return path


def read(folder, data, **options):
    return PanopticDataset(written(folder, data), folder / "val2017", **options)


def test_reading(folder):
    ds = read(folder, content(), strict=True)
    assert ds.class_names == ("person", "dog", "sky") and ds.category_ids == (1, 18, 187)
    sample = ds[0]
    assert sample.class_ids.tolist() == [3, 2, 1] and sample.crowd.tolist() == [False, False, True]
    for mask, number in zip(sample.masks, (70_000, 300, 2), strict=True):
        assert (mask == (NUMBERS == number)).all()
    assert sample.masks.sum((1, 2)).tolist() == [400, 80, 144] and sample.image_id == 9
    assert ds.check() == [] and ds.max_instances == 3 and not ds.skipped
    loaded = load_dataset(folder, stuff="skip")
    assert type(loaded) is PanopticDataset and loaded.class_names == ("person", "dog")


def test_skipped_stuff_is_counted(folder):
    ds = read(folder, content(), stuff="skip", strict=True)
    assert ds[0].class_ids.tolist() == [2, 1] and ds.skipped == {"sky": 1}
    assert ds.problems == [] and ds.max_instances == 2
    with pytest.raises(LabkitError, match='"instances" or "skip"'):
        read(folder, content(), stuff="maybe")


def test_numbers_of_colours(tmp_path):
    Image.fromarray(colours(np.array([[0, 255, 256, 65535, 65536, 256**3 - 1]]))).save(
        tmp_path / "a.png"
    )
    numbers = read_segment_numbers(tmp_path / "a.png").tolist()
    assert numbers == [[0, 255, 256, 65535, 65536, 256**3 - 1]]
    Image.new("L", (3, 3)).save(tmp_path / "b.png")
    with pytest.raises(LabkitError, match="8-bit colours"):
        read_segment_numbers(tmp_path / "b.png")


def test_where_json_and_png_disagree(folder):
    data = content()
    data["annotations"][0]["segments_info"][0]["id"] = 4
    ds = read(folder, data)
    assert ds[0].class_ids.tolist() == [2, 1]
    assert len(ds.problems) == 2 and ds.check() == ds.problems
    assert "segments [70000], which are not in segments_info" in ds.problems[0]
    assert "segment 4 covers no pixel" in ds.problems[1]


@pytest.mark.parametrize(
    "field, value, words",
    [
        ("id", 0, "no colour"),
        ("id", 256**3, "no colour"),
        ("id", "two", "no colour"),
        ("id", 300, "an earlier one"),
        ("category_id", 5, "not among the categories"),
        ("category_id", None, "not among the categories"),
        ("iscrowd", 2, "not 0 or 1"),
    ],
)
def test_a_segment_that_cannot_be_used_is_named(folder, field, value, words):
    data = content()
    data["annotations"][0]["segments_info"][2][field] = value
    with pytest.warns(UserWarning, match="1 problem: "):
        ds = read(folder, data)
    assert words in ds.problems[0] and "annotations[0]: segments_info[2]" in ds.problems[0]
    assert len(ds[0]) == 2


@pytest.mark.parametrize(
    "part, changes, words",
    [
        ("annotations", {"image_id": 8}, "no image has"),
        ("annotations", {"image_id": None}, "no image has"),
        ("annotations", {"file_name": "../a.png"}, "not inside"),
        ("annotations", {"file_name": "none.png"}, "no such file"),
        ("annotations", {"file_name": 3}, 'no "file_name"'),
        ("annotations", {"segments_info": {}}, "segments_info"),
        ("images", {"file_name": "../none.jpg"}, "not inside"),
        ("images", {"file_name": "none.jpg"}, "no such file"),
        ("images", {"id": [9]}, "neither a whole number nor a text"),
    ],
)
def test_an_entry_that_cannot_be_used_is_named(folder, part, changes, words):
    data = content()
    data[part][0].update(changes)
    with pytest.raises(LabkitError, match="No image remains"):
        read(folder, data)
    with pytest.raises(LabkitError) as error:
        read(folder, data, strict=True)
    assert words in str(error.value) and "s[0] " in str(error.value)  # of images or annotations


def test_an_image_without_segments_is_named(folder):
    data = content()
    data["images"].append({"id": 10, "file_name": "b.jpg", "height": 30, "width": 40})
    with pytest.warns(UserWarning, match=r'image 10 \("b.jpg"\) has no entry in "annotations"'):
        assert len(read(folder, data)) == 1


def test_the_second_annotation_of_an_image_is_left_out(folder):
    data = content()
    data["annotations"] *= 2
    with pytest.warns(UserWarning, match=r"annotations\[1\].*no image has any more"):
        assert len(read(folder, data)) == 1


@pytest.mark.parametrize("isthing", [None, 2, "1"])
def test_things_have_to_be_told_from_stuff_to_skip_it(folder, isthing):
    data = content()
    data["categories"][0]["isthing"] = isthing
    assert len(read(folder, data)[0]) == 3
    with pytest.raises(LabkitError, match='"sky" has no "isthing"'):
        read(folder, data, stuff="skip")


def test_files_of_no_use(folder):
    path = written(folder, {"images": []})
    with pytest.raises(LabkitError, match='no list "annotations"'):
        PanopticDataset(path, folder / "val2017")
    with pytest.raises(MissingFileError, match="segments=FOLDER"):
        PanopticDataset(folder / "other.json", folder / "val2017")
