"""ViaDataset: all shapes and versions of VIA's json; what has no area is named."""

import json
import math

import numpy as np
import pytest
from PIL import Image

from labkit.data import ViaDataset, load_dataset
from labkit.errors import LabkitError, MissingFileError

POLYGON = {"name": "polygon", "all_points_x": [2, 8, 8, 2], "all_points_y": [3, 3, 6, 6]}
RECT = {"name": "rect", "x": 10, "y": 1, "width": 5, "height": 4}


@pytest.fixture
def folder(tmp_path):
    for name in ("a.png", "b.png"):
        Image.new("RGB", (40, 30), (5, 6, 7)).save(tmp_path / name)
    return tmp_path


def region(shape, **attributes):
    return {"shape_attributes": shape, "region_attributes": attributes}


def entry(regions, name="a.png"):
    return {"filename": name, "size": 9, "regions": regions, "file_attributes": {}}


def via(folder, *entries, project=False, **attributes):
    """The path of a json with these entries."""
    content = {f"{e['filename']}{e['size']}{i}": e for i, e in enumerate(entries)}
    if project:
        content = {
            "_via_settings": {},
            "_via_img_metadata": content,
            "_via_attributes": {"region": attributes, "file": {}},
        }
    path = folder / "via.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


@pytest.mark.parametrize("project", [False, True])
@pytest.mark.parametrize("as_object", [False, True])
def test_versions(folder, project, as_object):
    regions = [region(POLYGON, kind="cat"), region(RECT, kind="dog")]
    regions = {str(i): r for i, r in enumerate(regions)} if as_object else regions
    path = via(folder, entry(regions), entry({} if as_object else [], "b.png"), project=project)
    ds = ViaDataset(path, strict=True)
    assert ds.class_names == ("cat", "dog") and ds.category_ids == (1, 2) and len(ds) == 2
    sample, empty = ds
    assert sample.boxes.tolist() == [[3, 2, 6, 8], [1, 10, 5, 15]]
    assert sample.masks.sum((1, 2)).tolist() == [18, 20] and sample.class_ids.tolist() == [1, 2]
    assert sample.name == "a.png" and sample.image_id == 1 and (sample.image == [5, 6, 7]).all()
    assert len(empty) == 0 and empty.masks.shape == (0, 30, 40)
    assert ds.max_instances == 2 and ds.check() == []
    assert [sides.tolist() for sides in ds.instance_sizes()] == [[3, 4], [6, 5]]
    assert ds.labels(0).boxes.tolist() == sample.boxes.tolist()
    assert type(load_dataset(folder)) is ViaDataset
    assert load_dataset(path)[0].boxes.tolist() == sample.boxes.tolist()


def test_without_any_object_it_is_loud(folder):
    with pytest.warns(UserWarning, match="there is no object in 1 pictures"):
        ViaDataset(via(folder, entry([])), strict=True)


def test_round_shapes(folder):
    shapes = [
        {"name": "circle", "cx": 20, "cy": 15, "r": 8},
        {"name": "ellipse", "cx": 20, "cy": 15, "rx": 12, "ry": 4},
        {"name": "ellipse", "cx": 20, "cy": 15, "rx": 12, "ry": 4, "theta": math.pi / 2},
    ]
    masks = ViaDataset(via(folder, entry([region(s) for s in shapes])), strict=True)[0].masks
    areas = masks.sum((1, 2))
    assert areas == pytest.approx([math.pi * 64, math.pi * 48, math.pi * 48], rel=0.06)
    heights = [np.ptp(np.flatnonzero(mask.any(1))) + 1 for mask in masks]
    assert heights == pytest.approx([16, 8, 24], abs=1)


def test_theta_turns_clockwise_as_seen(folder):
    """y points down, so the right end of an ellipse turned by 45 degrees is below its centre."""
    shape = {"name": "ellipse", "cx": 20, "cy": 15, "rx": 12, "ry": 2, "theta": math.pi / 4}
    mask = ViaDataset(via(folder, entry([region(shape)])), strict=True)[0].masks[0]
    assert mask[22, 27] and mask[8, 13] and not mask[8, 27] and not mask[22, 13]


@pytest.mark.parametrize(
    "shape, words",
    [
        ({"name": "point", "cx": 3, "cy": 3}, "is a point, which has no area"),
        (
            {"name": "polyline", "all_points_x": [1, 2, 9], "all_points_y": [1, 8, 3]},
            "is a polyline, which has no area",
        ),
        ({"name": "spiral"}, "not a shape of VIA"),
        ({}, "not a shape of VIA"),
        ({**RECT, "width": 0}, "no area"),
        ({**RECT, "x": "one"}, "\"x\" is 'one', not a number"),
        ({**RECT, "x": 100}, "covers no pixel"),
        ({"name": "circle", "cx": 1, "cy": 1, "r": 0}, "positive"),
        ({"name": "circle", "cx": 1, "cy": 1, "r": 1e30}, "far outside"),
        ({**POLYGON, "all_points_x": [1, 2]}, "two lists of one length"),
        ({**POLYGON, "all_points_x": [1, 2, 3, None]}, '"all_points_x" is None, not a number'),
        ({"name": "polygon", "all_points_x": [1, 2], "all_points_y": [1, 2]}, "three corners"),
    ],
)
def test_a_region_that_cannot_be_used_is_named_and_counted(folder, shape, words):
    path = via(folder, entry([region(shape), region(POLYGON)]))
    with pytest.warns(UserWarning, match="1 problem: "):
        ds = ViaDataset(path)
    assert len(ds[0]) == 1 and len(ds.problems) == 1
    assert words in ds.problems[0] and "regions[0]" in ds.problems[0]
    assert str(path) in ds.problems[0] and ds.problems[0].endswith("the region is left out.")
    with pytest.raises(LabkitError) as error:
        ViaDataset(path, strict=True)
    assert str(error.value) == ds.problems[0].removesuffix("; the region is left out.") + "."


# ---- classes -------------------------------------------------------------------------------------


def test_without_attributes_there_is_one_class(folder):
    path = via(folder, entry([region(POLYGON)]))
    assert ViaDataset(path).class_names == ("object",)
    assert ViaDataset(path, class_names=["balloon"]).class_names == ("balloon",)
    with pytest.raises(LabkitError, match="no region attribute"):
        ViaDataset(path, class_names=["a", "b"])


def test_of_several_attributes_one_has_to_be_named(folder):
    path = via(folder, entry([region(POLYGON, kind="cat", seen="half")]))
    with pytest.raises(LabkitError, match='"kind", "seen".*class_attribute='):
        ViaDataset(path)
    assert ViaDataset(path, class_attribute="kind").class_names == ("cat",)
    assert load_dataset(path, class_attribute="seen").class_names == ("half",)
    with pytest.raises(LabkitError, match='no region attribute "size"; there are: "kind", "seen"'):
        ViaDataset(path, class_attribute="size")


def test_a_project_offers_classes_that_no_region_has(folder):
    options = {"type": "dropdown", "options": {"dog": "", "cat": "a cat"}}
    path = via(folder, entry([region(POLYGON, kind="cat")]), project=True, kind=options)
    assert ViaDataset(path).class_names == ("cat", "dog")


def test_given_classes_decide(folder):
    path = via(folder, entry([region(POLYGON, kind="cat"), region(RECT, kind="dog")]))
    assert ViaDataset(path, class_names=["dog", "cat"])[0].class_ids.tolist() == [2, 1]
    with pytest.warns(UserWarning, match='the class "dog" is not among class_names'):
        assert len(ViaDataset(path, class_names=["cat"])[0]) == 1


def test_ticked_boxes(folder):
    regions = [
        region(POLYGON, kind={"cat": True, "dog": False}),
        region(RECT, kind={}),
        region(RECT, kind={"cat": True, "dog": True}),
        region(RECT, kind=""),
    ]
    with pytest.warns(UserWarning, match="3 problems"):
        ds = ViaDataset(via(folder, entry(regions)))
    assert ds.class_names == ("cat",) and all("not one class" in p for p in ds.problems)


def test_crowds_are_marked_by_an_attribute(folder):
    regions = [region(POLYGON, kind="cat", iscrowd="1"), region(RECT, kind="cat")]
    assert ViaDataset(via(folder, entry(regions)))[0].crowd.tolist() == [True, False]


# ---- pictures ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, words",
    [
        ("none.png", "no such file"),
        ("../none.png", "not inside"),
        ("..\\a.png", "second time"),
        ("/none.png", "not inside"),
        ("https://host/none.png", "no such file"),
        ("a.png", "second time"),
    ],
)
def test_a_picture_that_cannot_be_used_is_named(folder, name, words):
    path = via(folder, entry([region(POLYGON)]), entry([], name))
    with pytest.warns(UserWarning, match="1 problem: "):
        ds = ViaDataset(path)
    assert len(ds) == 1 and words in ds.problems[0]
    assert ds.problems[0].endswith("the picture is left out.")


def test_names_with_markup_and_emoji_survive(folder):
    name = "<b>né & 🎈\n.png"
    (folder / "a.png").rename(folder / name)
    ds = ViaDataset(via(folder, entry([region(POLYGON, kind="<i>\n🎈")], name)), strict=True)
    assert ds[0].name == name and ds.class_names == ("<i>\n🎈",)


@pytest.mark.parametrize(
    "content, words",
    [
        ([], "no object with an entry a picture"),
        ({}, "none of its entries"),
        ({"a": 3}, "none of its entries"),
        ({"_via_img_metadata": []}, "_via_img_metadata"),
        ({"project": {}, "file": {}, "metadata": {}}, "VIA 3"),
    ],
)
def test_files_that_are_not_via(folder, content, words):
    (folder / "x.json").write_text(json.dumps(content))
    with pytest.raises(LabkitError, match=words):
        ViaDataset(folder / "x.json")


def test_missing_files(folder):
    with pytest.raises(MissingFileError, match="none.json"):
        ViaDataset(folder / "none.json")
    with pytest.raises(MissingFileError, match="folder of images"):
        ViaDataset(via(folder, entry([])), folder / "none")
