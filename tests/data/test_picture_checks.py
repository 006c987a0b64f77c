"""Pictures that are there twice, or have two readings, are named; `split` keeps copies together."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from labkit.data import CocoDataset, merge
from labkit.data.picture_checks import duplicate_pictures, shared_pictures


@pytest.fixture
def coco(tmp_path):
    """Six pictures, of which 1 and 4, and 2, 3 and 5 are the same."""
    rng = np.random.default_rng(0)
    for name, number in zip("abcdef", (0, 1, 2, 2, 1, 2), strict=True):
        if number == ord(name) - ord("a"):
            picture = Image.fromarray(rng.integers(0, 255, (20, 30, 3), np.uint8))
            picture.save(tmp_path / f"{name}.png")
        else:
            shutil.copy(tmp_path / f"{'abc'[number]}.png", tmp_path / f"{name}.png")
    images = [
        {"id": i, "file_name": f"{name}.png", "height": 20, "width": 30}
        for i, name in enumerate("abcdef")
    ]
    annotations = [
        {"id": i + 1, "image_id": i, "category_id": 1, "segmentation": [[2, 2, 9, 2, 9, 9]]}
        for i in range(6)
    ]
    content = {"images": images, "annotations": annotations}
    content["categories"] = [{"id": 1, "name": "thing"}]
    (tmp_path / "a.json").write_text(json.dumps(content))
    return CocoDataset(tmp_path / "a.json", tmp_path)


def test_copies_are_found_through_every_view(coco):
    groups = [[1, 4], [2, 3, 5]]
    assert duplicate_pictures(coco) == groups
    assert duplicate_pictures(coco.group_classes({"x": ["thing"]})) == groups
    assert duplicate_pictures(coco[1:4]) == [[1, 2]]
    assert duplicate_pictures(merge([coco[:2], coco[:2]])) == [[0, 2], [1, 3]]


def test_pictures_of_two_data_sets(coco, toy):
    assert shared_pictures(coco[:2], coco[2:]) == ["e.png"]
    assert shared_pictures(coco[:2], coco[1:3]) == ["b.png"]
    assert shared_pictures(coco[:1], coco[1:]) == []
    assert shared_pictures(toy([[(1, False)]]), toy([[(1, False)]])) == []


def test_describe_says_so_if_it_reads_the_pictures(coco):
    assert coco.describe().problems == ()
    (problem,) = coco.describe(check=True).problems
    assert '"b.png", "e.png" are the same picture (and 1 more such groups)' in problem


@pytest.mark.parametrize("group", [None, [0, 1, 2, 3, 4, 5], [0, 0, 1, 2, 3, 4]])
@pytest.mark.parametrize("seed", range(5))
def test_split_keeps_copies_together(coco, group, seed):
    with pytest.warns(UserWarning, match="3 pictures are copies of others"):
        parts = coco.split((0.5, 0.5), seed, group=group)
    names = [{info["file_name"][0] for info in map(p.image_info, range(len(p)))} for p in parts]
    assert names[0] | names[1] == set("abcdef") and not names[0] & names[1]
    for together in ["be", "cdf"] + (["ab"] if group and group[1] == 0 else []):
        assert any(set(together) <= part for part in names)


def test_drawn_pictures_have_no_file(toy):
    assert duplicate_pictures(toy([[(1, False)]] * 3)) == []


def test_remarks_on_files_are_part_of_check(tmp_path):
    Image.fromarray(np.full((20, 30), 900, np.uint16)).save(tmp_path / "a.png")
    image = {"id": 1, "file_name": "a.png", "height": 20, "width": 30}
    content = {"images": [image], "annotations": [], "categories": [{"id": 1, "name": "x"}]}
    assert any("12 bits" in problem for problem in CocoDataset(content, tmp_path).check())
