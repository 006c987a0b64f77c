"""CVAT for images 1.1: every shape, and what cannot be one."""

import math

import numpy as np
import pytest
from PIL import Image

from labkit.data import CvatDataset, load_dataset
from labkit.errors import LabkitError

LABELS = "".join(f"<label><name>{name}</name></label>" for name in ("pear", "apple"))
POLYGON = '<polygon label="apple" points="10.00,10.00;40.00,10.00;40.00,30.00;10.00,30.00"/>'


def write(folder, shapes, image='id="0" name="a.png" width="80" height="60"', meta=LABELS):
    (folder / "images").mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((60, 80, 3), np.uint8)).save(folder / "images" / "a.png")
    (folder / "annotations.xml").write_text(
        f'<?xml version="1.0" encoding="utf-8"?>\n<annotations><version>1.1</version><meta><task>'
        f"<labels>{meta}</labels></task></meta><image {image}>{shapes}</image></annotations>"
    )
    return folder


def test_reading(tmp_path):
    write(tmp_path, POLYGON.replace("/>", ' occluded="0" z_order="0" />'))
    for path in (tmp_path, tmp_path / "annotations.xml", tmp_path / "images"):
        ds = load_dataset(path, strict=True)
        assert type(ds) is CvatDataset and ds.class_names == ("pear", "apple")
        assert ds[0].class_ids.tolist() == [2] and ds[0].boxes.tolist() == [[10, 10, 30, 40]]
    assert ds.check() == []


def painted(rle, left=10, top=20, width=4, height=3):
    return (
        f'<mask label="pear" rle="{rle}" left="{left}" top="{top}" width="{width}" '
        f'height="{height}"/>'
    )


@pytest.mark.parametrize(
    "shape, pixels, box",
    [
        ('<box label="pear" xtl="10" ytl="5" xbr="30" ybr="15"/>', 200, [5, 10, 15, 30]),
        (
            '<box label="pear" xtl="10" ytl="5" xbr="30" ybr="15" rotation="90.00"/>',
            200,
            [0, 15, 20, 25],
        ),
        (
            '<ellipse label="pear" cx="40" cy="30" rx="20" ry="10"/>',
            math.pi * 200,
            [20, 20, 40, 60],
        ),
        (
            '<ellipse label="pear" cx="40" cy="30" rx="20" ry="10" rotation="90"/>',
            math.pi * 200,
            [10, 30, 50, 50],
        ),
        (painted("0, 12"), 12, [20, 10, 23, 14]),
        (painted("1, 2, 3, 2, 4"), 4, [20, 11, 22, 14]),
        (painted("5,1,6,"[:-1]), 1, [21, 11, 22, 12]),
    ],
)
def test_shapes(tmp_path, shape, pixels, box):
    sample = CvatDataset(write(tmp_path, shape) / "annotations.xml", tmp_path / "images")[0]
    assert abs(sample.masks.sum() - pixels) <= 0.02 * pixels
    assert np.abs(sample.boxes - [box]).max() <= 1


def test_runs_go_row_by_row(tmp_path):
    write(tmp_path, painted("1, 2, 3, 2, 4"))
    mask = load_dataset(tmp_path)[0].masks[0][20:23, 10:14]
    assert mask.astype(int).tolist() == [[0, 1, 1, 0], [0, 0, 1, 1], [0, 0, 0, 0]]


def test_parts_of_a_group_are_one_object(tmp_path):
    more = '<box label="apple" xtl="50" ytl="40" xbr="60" ybr="50" group_id="3"/>'
    other = '<box label="pear" xtl="50" ytl="40" xbr="60" ybr="50" group_id="3"/>'
    alone = '<box label="apple" xtl="1" ytl="1" xbr="5" ybr="5" group_id="0"/>'
    write(tmp_path, POLYGON.replace("/>", ' group_id="3"/>') + more + other + alone * 2)
    sample = load_dataset(tmp_path, strict=True)[0]
    assert sample.masks.sum((1, 2)).tolist() == [700, 100, 16, 16]


def test_what_has_no_area_is_counted(tmp_path):
    lines = '<polyline label="pear" points="1,1;5,5"/>' * 3 + '<points label="pear" points="1,1"/>'
    write(tmp_path, POLYGON + lines + '<tag label="pear"/>')
    with pytest.warns(UserWarning, match="2 problems.* 3 polylines have no area"):
        ds = load_dataset(tmp_path)
    assert len(ds[0]) == 1 and "1 points" in ds.problems[1]


@pytest.mark.parametrize(
    "shape, words",
    [
        (painted("0, 11"), "do not add up"),
        (painted("0, 99999999999999999999"), "rle"),
        (painted("0, x"), "rle"),
        (painted("0, -1, 13"), "do not add up"),
        (painted("0, 12", left=78), "reaches out"),
        (painted("0, 12", top=58), "reaches out"),
        ('<polygon label="pear" points="1,1;2"/>', "points"),
        ('<polygon label="pear" points="1,1;2,2"/>', "polygon 1"),
        ('<box label="pear" xtl="10" ytl="5" xbr="x" ybr="15"/>', "the xbr 'x', not a number"),
        ('<box label="pear" xtl="10" ytl="5" xbr="nan" ybr="15"/>', "xbr nan"),
        ('<cuboid label="pear" xtl1="10"/>', "cuboid"),
        ('<box label="plum" xtl="1" ytl="5" xbr="9" ybr="15"/>', 'the class "plum"'),
    ],
)
def test_shapes_that_cannot_be_used(tmp_path, shape, words):
    write(tmp_path, POLYGON + shape)
    with pytest.warns(UserWarning, match=words):
        assert len(load_dataset(tmp_path)[0]) == 1


def test_other_files_of_cvat_are_named(tmp_path):
    write(tmp_path, POLYGON)
    path = tmp_path / "annotations.xml"
    path.write_text(path.read_text().replace("<image", "<track id='0'/><image", 1))
    with pytest.raises(LabkitError, match="CVAT for video.*COCO 1.0"):
        load_dataset(tmp_path)
    path.write_text("<annotations><version>1.1</version></annotations>")
    with pytest.raises(LabkitError, match="no <image>"):
        load_dataset(tmp_path)
    path.write_text("<a/>")
    with pytest.raises(LabkitError, match="<a>"):
        CvatDataset(path)


def test_pictures_in_folders_of_the_task(tmp_path):
    write(tmp_path, POLYGON, image='id="0" name="day 1/a.png" width="80" height="60"')
    (tmp_path / "images" / "day 1").mkdir()
    (tmp_path / "images" / "a.png").rename(tmp_path / "images" / "day 1" / "a.png")
    assert len(load_dataset(tmp_path, strict=True)[0]) == 1


def test_without_labels_the_classes_are_those_that_occur(tmp_path):
    write(tmp_path, POLYGON, meta="")
    assert load_dataset(tmp_path).class_names == ("apple",)
