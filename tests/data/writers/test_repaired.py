"""What a person brings goes in, and a clean COCO folder comes out, with a list of every change."""

import copy
import warnings

import numpy as np
import pytest
from whole_inputs import COCO, FLAT, GIVEN, OPTIONS, PHOTO, WRITERS, put

from labkit.data import CocoDataset, load_dataset, merge, save_repaired, shapes
from labkit.errors import LabkitError
from labkit.io.data_files import read_json


def opened_cleanly(folder, **options):
    """The data set in a folder, which has nothing to repair and no problem."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        ds = load_dataset(folder, strict=True, **options)
    assert list(ds.repairs) == [] and ds.check() == []
    return ds


@pytest.fixture
def untidy(tmp_path):
    """Two pictures with an object each, and most of what can be wrong."""
    content = copy.deepcopy(COCO)
    for name in "ab":
        put(tmp_path / "data" / "pics" / f"{name}.png", PHOTO)
    content["images"][0].update(id="first", file_name="C:\\Users\\anna\\a.png", height=-1)
    content["images"][1].update(id="second", file_name="https://example.org/b.png", width="40")
    content["images"].append({"id": 3, "file_name": "none.png", "height": 30, "width": 40})
    content["categories"][0].update(id=7.0, name=1)
    first = content["annotations"][0] | {"category_id": "7"}
    content["annotations"] = [
        first | {"image_id": "first", "segmentation": FLAT},
        first | {"image_id": "second", "segmentation": [FLAT, [1, 2]], "bbox": [4, 4, 40, 30]},
        first | {"image_id": "second", "segmentation": [FLAT, [1, 2]], "bbox": [4, 4, 40, 30]},
        first | {"image_id": "second", "iscrowd": "0", "bbox": [4, 4, 0, 0]},
        first | {"image_id": "second", "segmentation": [[1, 2, 3, 4]]},
        first | {"image_id": "nobody"},
    ]
    put(tmp_path / "data" / "export.json", content)
    return tmp_path / "data"


@pytest.mark.filterwarnings("ignore:.*repaired")
def test_an_untidy_data_set_becomes_clean(untidy, tmp_path):
    ds = CocoDataset(untidy / "export.json", untidy)
    path = save_repaired(ds, tmp_path / "out")
    assert path == tmp_path / "out" / "annotations.json"
    clean = opened_cleanly(tmp_path / "out")
    assert clean.class_names == ("1",) and len(clean) == 2
    for old, new in zip(ds[:2], clean, strict=True):  # the missing picture came last
        assert (new.image == old.image).all() and (new.masks == old.masks).all()
        assert new.class_ids.tolist() == old.class_ids.tolist()
    assert (tmp_path / "out" / "images" / "pics" / "a.png").read_bytes() == PHOTO
    written = read_json(path)
    assert [a["id"] for a in written["annotations"]] == [1, 2]
    assert {tuple(a["bbox"]) for a in written["annotations"]} == {(4, 4, 16, 11)}


@pytest.mark.filterwarnings("ignore:.*repaired")
def test_every_change_is_listed(untidy, tmp_path):
    ds = CocoDataset(untidy / "export.json", untidy)
    save_repaired(ds, tmp_path / "out")
    lines = (tmp_path / "out" / "changes.txt").read_text().splitlines()
    for words in (
        "the image id 'first' is ",
        'images[0]: "C:\\\\Users\\\\anna\\\\a.png" as "pics/a.png"',
        "images[0]: -1 x 40",
        "images[1]: width '40'",
        "annotations[0] (id 1): A flat list",
        "annotations[1] (id 1): part 1 has 2 numbers",
        "annotations[2] (id 1): Exact duplicates",
        "annotations[3] (id 1): '0' as 0",
        "bbox [4, 4, 0, 0] has no area",
        '"pics/b.png": [4, 4, 40, 30]: A bbox that is not the box',
        "annotations[4] (id 1): segmentation holds a polygon",
        "annotations[5] (id 1): image_id 'nobody'",
        "none.png: there is no such file; check the path. The picture is left out.",
    ):
        assert sum(words in line for line in lines) == 1, (words, lines)
    assert len([line for line in lines if line.startswith("repaired: ")]) >= ds.repairs.total


@pytest.mark.parametrize("format", WRITERS)
def test_whole_data_of_every_format_stay_as_they_are(tmp_path, format):
    WRITERS[format](tmp_path / "data")
    given = tmp_path / "data" / GIVEN.get(format, ".")
    ds = load_dataset(given, format=format, **OPTIONS.get(format, {}))
    save_repaired(ds, tmp_path / "out")
    clean = opened_cleanly(tmp_path / "out")
    assert clean.class_names == ds.class_names and len(clean) == len(ds)
    for old, new in zip(ds, clean, strict=True):
        assert (new.image == old.image).all()
        assert {mask.tobytes() for mask in new.masks} == {mask.tobytes() for mask in old.masks}
    assert "problem" not in (tmp_path / "out" / "changes.txt").read_text()


def test_pictures_without_a_file_and_names_that_occur_twice(tmp_path):
    drawn = shapes(2, 64, seed=1)
    save_repaired(merge([drawn, drawn]), tmp_path / "out")
    clean = opened_cleanly(tmp_path / "out")
    assert len(clean) == 4 and len({info["file_name"] for info in map(clean.image_info, range(4))})
    for index in range(4):
        np.testing.assert_array_equal(clean[index].image, drawn[index % 2].image)


def test_a_broken_picture_is_left_out(tmp_path):
    WRITERS["coco"](tmp_path / "data")
    put(tmp_path / "data" / "b.png", PHOTO[: len(PHOTO) // 2])
    save_repaired(load_dataset(tmp_path / "data" / "x.json"), tmp_path / "out")
    assert len(opened_cleanly(tmp_path / "out")) == 1
    assert "b.png is damaged" in (tmp_path / "out" / "changes.txt").read_text()


def test_where_nothing_is_written(tmp_path):
    WRITERS["coco"](tmp_path / "data")
    ds = load_dataset(tmp_path / "data" / "x.json")
    with pytest.raises(LabkitError, match="not an empty folder"):
        save_repaired(ds, tmp_path / "data")
    with pytest.raises(LabkitError, match="not an empty folder"):
        save_repaired(ds, tmp_path / "data" / "x.json")
    for name in "ab":
        (tmp_path / "data" / f"{name}.png").unlink()
    with pytest.raises(LabkitError, match="No picture can be used"):
        save_repaired(ds, tmp_path / "out")
