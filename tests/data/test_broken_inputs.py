"""Data broken in one place, of every format: an error or a counted problem that names the field.

One small, whole data set of each format is written, and then broken: each kind of damage is a
function that takes the folder.
"""

import base64
import copy
import shutil
from pathlib import Path

import numpy as np
import pytest
from whole_inputs import (
    CITY,
    COCO,
    CVAT,
    GIVEN,
    LABEL_STUDIO,
    LABELME,
    MASK,
    OPTIONS,
    PANOPTIC,
    PHOTO,
    VIA,
    WRITERS,
    png,
    problems_of,
    put,
    read_all,
)

from labkit.data import load_dataset

DEEP = b'{"images": [], "shapes": [], "regions": ' + b"[" * 100_000
HUGE = b'{"images": [' + b"9" * 5_000 + b"]}"


@pytest.mark.parametrize("format", WRITERS)
def test_before_they_are_broken_they_are_whole(tmp_path, format):
    WRITERS[format](tmp_path)
    assert read_all(tmp_path, format, strict=True) == []
    ds = load_dataset(tmp_path / GIVEN.get(format, "."), **OPTIONS.get(format, {}))
    assert len(ds) == 2
    # cityscapesScripts draw the rim of a polygon, too: a pixel more at the far sides.
    assert ((ds[0].masks[0] ^ (MASK > 0)).sum() == 0) or format == "cityscapes"
    for index, sample in enumerate(ds):  # what is known without painting is what is painted
        labels = ds.labels(index)
        assert labels.class_ids.tolist() == sample.class_ids.tolist()
        assert labels.crowd.tolist() == sample.crowd.tolist()
        # around outlines as they are written: up to a pixel larger than the mask's
        np.testing.assert_allclose(labels.boxes, sample.boxes, atol=1)


# ---- damage in one place -------------------------------------------------------------------------


def edited(file: str, content, *path, to=...):
    """A damage: the json `content` with the value at `path` replaced (... takes it away)."""

    def damage(root: Path) -> None:
        data = copy.deepcopy(content)
        place = data
        for key in path[:-1]:
            place = place[key]
        if to is ...:
            del place[path[-1]]
        else:
            place[path[-1]] = to
        put(root / file, data)

    return damage


def replaced(file: str, content):
    """A damage: the file has this content instead; None takes it away."""

    def damage(root: Path) -> None:
        put(root / file, content) if content is not None else (root / file).unlink()

    return damage


def linked_out(file: str):
    """A damage: the file is a link to one outside the folder of the data set."""

    def damage(root: Path) -> None:
        secret = root.parent / f"secret of {root.name}"
        shutil.move(root / file, secret)
        (root / file).symlink_to(secret)

    return damage


CITY_FILE = "gtFine/train/x/b_gtFine_polygons.json"
A = ("annotations", 0)
INFO = (*A, "segments_info", 0)
REGION = ("b.png9", "regions", 0)
SHAPE = ("shapes", 0)
BOX_ONLY = COCO["annotations"][0] | {"segmentation": []}
BIG = np.ones((31, 40), np.uint8)
BROKEN_PHOTO = PHOTO[: len(PHOTO) // 2]
EMBEDDED = base64.b64encode(BROKEN_PHOTO).decode()

# format, damage, and words that the sentence has besides the file's name: the field, mostly
DRAWN = (1, "annotations", 0, "result", 0, "value")
KINDS = [
    ("coco", replaced("x.json", b""), "x.json is not json"),
    ("coco", replaced("x.json", b'{"images": ['), "line 1"),
    ("coco", replaced("x.json", b"\xff\xfe\x00"), "x.json is not text"),
    ("coco", replaced("x.json", DEEP), "x.json is nested"),
    ("coco", replaced("x.json", HUGE), "x.json holds a number"),
    ("coco", replaced("x.json", None), "x.json"),
    ("coco", edited("x.json", COCO, "images"), '"images" is missing'),
    ("coco", edited("x.json", COCO, "categories"), '"categories" is missing'),
    ("coco", edited("x.json", COCO, "images", 1, to=7), "images[1]"),
    ("coco", edited("x.json", COCO, "images", 1, "id", to=1), "images[1] has the id 1"),
    ("coco", edited("x.json", COCO, "images", 1, "file_name", to="../none.png"), "not inside"),
    ("coco", edited("x.json", COCO, "images", 1, "file_name", to="..\\none.png"), "not inside"),
    ("coco", edited("x.json", COCO, "images", 1, "file_name", to="C:\\none.png"), "not inside"),
    ("coco", edited("x.json", COCO, "images", 1, "file_name", to="\ud800"), "no file can have"),
    ("coco", edited("x.json", COCO, "images", 1, "file_name", to="b.png\0"), "no file can have"),
    ("coco", edited("x.json", COCO, "images", 1, "file_name", to="b" * 5000), "cannot be opened"),
    ("coco", edited("x.json", COCO, "images", 1, "height", to=10**9), "more than the limit"),
    ("coco", edited("x.json", COCO, "images", 1, "height", to=31), "30 x 40 pixels"),
    ("coco", edited("x.json", COCO, *A, "segmentation", to=[[1e400] * 6]), "annotations[0]"),
    ("coco", edited("x.json", COCO, *A, "segmentation", to=[[10**400] * 6]), "finite numbers"),
    (
        "coco",
        edited(
            "x.json",
            COCO,
            *A,
            to=BOX_ONLY | {"bbox": [10**400, 1, 1, 1]},
        ),
        "bbox is",
    ),
    ("coco", edited("x.json", COCO, *A, "category_id", to=2), "category_id 2"),
    ("coco", edited("x.json", COCO, *A, "iscrowd", to=[]), "iscrowd is []"),
    ("coco", replaced("b.png", None), "b.png: there is no such file"),
    ("coco", replaced("b.png", BROKEN_PHOTO), "b.png is damaged"),
    ("coco", linked_out("b.png"), "b.png is a link that leads out"),
    ("panoptic", replaced("x.json", b"[]"), 'x.json: there is no list "images"'),
    ("panoptic", edited("x.json", PANOPTIC, *A, "image_id", to=7), "annotations[0]"),
    ("panoptic", edited("x.json", PANOPTIC, *A, "file_name", to="../x.png"), "not inside"),
    ("panoptic", edited("x.json", PANOPTIC, *A, "segments_info", to=3), "segments_info"),
    ("panoptic", edited("x.json", PANOPTIC, *INFO, "id", to=2), "which are not in segments_info"),
    ("panoptic", edited("x.json", PANOPTIC, *INFO, "category_id"), "category_id None"),
    ("panoptic", replaced("x/a.png", None), "a.png: there is no such file"),
    ("panoptic", replaced("x/a.png", MASK), "a.png is not a PNG of 8-bit colours"),
    ("panoptic", replaced("x/a.png", np.dstack([BIG] * 3)), "31 x 40"),
    ("panoptic", linked_out("x/a.png"), "a.png is a link that leads out"),
    ("via", replaced("x.json", b"{}"), 'x.json is not VIA\'s: none of its entries has "regions"'),
    ("via", edited("x.json", VIA, "b.png9", "filename"), 'b.png9" has no "filename"'),
    ("via", edited("x.json", VIA, "b.png9", "filename", to="../none.png"), "not inside"),
    ("via", edited("x.json", VIA, "b.png9", "regions", to=None), 'b.png9" has no "regions"'),
    ("via", edited("x.json", VIA, *REGION, "shape_attributes"), "shape_attributes"),
    ("via", edited("x.json", VIA, *REGION, "shape_attributes", "name", to="point"), "no area"),
    ("via", edited("x.json", VIA, *REGION, "shape_attributes", "all_points_x", to=[1]), "points_x"),
    ("via", edited("x.json", VIA, *REGION, "region_attributes", "kind", to=""), '"kind" is'),
    ("via", edited("x.json", VIA, *REGION, "region_attributes", "sex", to="m"), "class_attribute"),
    ("via", replaced("b.png", b"GIF89a"), "b.png"),
    ("via", linked_out("b.png"), "b.png is a link that leads out"),
    ("labelme", replaced("b.json", b"{"), "b.json is not json"),
    ("labelme", edited("b.json", LABELME, "shapes"), "b.json is not LabelMe's"),
    ("labelme", edited("b.json", LABELME, "imagePath", to="none.png"), "none.png"),
    ("labelme", edited("b.json", LABELME, "imageHeight", to=10**9), '"imageHeight"'),
    ("labelme", edited("b.json", LABELME, "imageData", to="x"), '"imageData" is not base64'),
    ("labelme", edited("b.json", LABELME, "imageData", to=EMBEDDED), '"imageData" is damaged'),
    ("labelme", edited("b.json", LABELME, *SHAPE, "label", to=[]), 'shapes[0]: has no "label"'),
    ("labelme", edited("b.json", LABELME, *SHAPE, "points", to="x"), '"points" is not a list'),
    ("labelme", edited("b.json", LABELME, *SHAPE, "shape_type", to="line"), "shapes[0]: is a line"),
    ("labelme", edited("b.json", LABELME, *SHAPE, "group_id", to=[]), '"group_id" is []'),
    ("labelme", linked_out("b.png"), "b.png is a link that leads out"),
    ("cityscapes", replaced(CITY_FILE, b"nothing"), "polygons.json is not json"),
    ("cityscapes", replaced(CITY_FILE, None), "b_leftImg8bit.png"),
    ("cityscapes", edited(CITY_FILE, CITY, "objects"), 'no list "objects"'),
    ("cityscapes", edited(CITY_FILE, CITY, "imgWidth", to=41), "30 x 41 pixels"),
    ("cityscapes", edited(CITY_FILE, CITY, "objects", 0, "label", to="cat"), 'the label "cat"'),
    ("cityscapes", edited(CITY_FILE, CITY, "objects", 0, "polygon", to=[[1]] * 3), "corner [1]"),
    ("cityscapes", replaced("gtFine/train/x/b_gtFine_instanceIds.png", BIG), "31 x 40"),
    ("voc", replaced("SegmentationClass/b.png", None), "b.png: there is no such file"),
    ("voc", replaced("SegmentationClass/b.png", 0 * MASK), "object 1 of SegmentationObject"),
    ("voc", replaced("SegmentationObject/b.png", BIG), "31 x 40"),
    ("voc", replaced("JPEGImages/b.png", None), '"b" has no picture'),
    ("voc", replaced("classes.txt", b"\n"), "classes.txt names no class"),
    ("voc", replaced("classes.txt", b"\xff"), "classes.txt is not text"),
    ("voc", replaced("ImageSets/Segmentation/train.txt", b"a\n../../b\n"), "not inside"),
    ("label_maps", replaced("maps/b.png", png(MASK)[:50]), "b.png"),
    ("label_maps", replaced("maps/b.png", np.dstack([MASK, 2 * MASK, MASK])), "b.png has colours"),
    ("label_maps", replaced("maps/b.png", BIG), "31 x 40"),
    ("label_maps", replaced("maps/c.png", MASK), "c.png has no picture"),
    ("label_maps", replaced("images/b.png", None), "b.png has no picture"),
    ("label_maps", linked_out("maps/b.png"), "b.png is a link that leads out"),
    ("mask_folders", replaced("b/masks/1.png", b"\x89PNG"), "1.png"),
    ("mask_folders", replaced("b/masks/1.png", BIG), "1.png has 31 x 40 pixels"),
    ("mask_folders", replaced("b/masks/1.png", 0 * MASK), "1.png covers no pixel"),
    ("mask_folders", replaced("b/images/2.png", PHOTO), '2 pictures in "images"'),
    ("mask_folders", replaced("b/images/b.png", b""), "b.png is not a picture"),
    ("mask_folders", linked_out("b/masks/1.png"), "1.png is a link that leads out"),
    ("yolo", replaced("labels/b.txt", b"\xff"), "b.txt is not text"),
    ("yolo", replaced("labels/b.txt", b"0 1 2"), "b.txt: line 1 has 2 numbers after the class"),
    ("yolo", replaced("images/b.png", None), "b.txt has no picture"),
    ("yolo", replaced("images/b.png", b""), '"b.png" cannot be used'),
    ("yolo", replaced("data.yaml", b"names: ["), "not yaml"),
    ("yolo", linked_out("images/b.png"), "b.png is a link that leads out"),
    ("cvat", replaced("annotations.xml", CVAT.encode()[:300]), "annotations.xml is not xml"),
    ("cvat", replaced("annotations.xml", CVAT.replace("176", "175").encode()), "do not add up"),
    ("cvat", replaced("annotations.xml", CVAT.replace("b.png", "../z.png").encode()), "z.png"),
    ("cvat", replaced("b.png", None), "b.png"),
    ("label_studio", edited("x.json", LABEL_STUDIO, 1, "data"), "tasks[1] has no picture in its"),
    ("label_studio", edited("x.json", LABEL_STUDIO, 1, "data", "image", to="../c.png"), "c.png"),
    ("label_studio", edited("x.json", LABEL_STUDIO, *DRAWN, "points", to=3), "points"),
    ("label_studio", edited("x.json", LABEL_STUDIO, *DRAWN, "polygonlabels", to=3), "labels 3"),
    ("voc_boxes", replaced("Annotations/b.xml", b"<annotation>"), "b.xml is not xml"),
    ("voc_boxes", replaced("JPEGImages/b.png", None), "b.png"),
]


def test_there_are_enough_kinds_for_every_format():
    assert len(KINDS) >= 60
    assert {format for format, _, _ in KINDS} == set(WRITERS)


@pytest.mark.parametrize(
    "format, damage, words", KINDS, ids=[f"{f} {i}: {w}" for i, (f, _, w) in enumerate(KINDS)]
)
def test_damage_is_named(tmp_path, format, damage, words):
    WRITERS[format](tmp_path)
    damage(tmp_path)
    options = {"split": "train"} if (tmp_path / "ImageSets").exists() else {}
    problems = problems_of(tmp_path, format, **options)
    assert any(words in problem for problem in problems), problems
    assert problems_of(tmp_path, format, strict=True, **options)
    for problem in problems:
        assert problem.endswith(".") and "\n" not in problem
        assert str(tmp_path) in problem  # the file, or the folder that it is in
        problem.encode("utf-8")


def test_a_decompression_bomb_is_refused_wherever_it_stands(tmp_path, monkeypatch):
    """A few bytes that unpack to more pixels than allowed, as picture and as label map."""
    monkeypatch.setattr("labkit.io.images.MAX_PIXELS", 10_000)
    bomb = png(np.zeros((101, 100), np.uint8), optimize=True)
    for format, file in (
        ("coco", "b.png"),
        ("via", "b.png"),
        ("label_maps", "maps/b.png"),
        ("voc", "SegmentationClass/b.png"),
        ("mask_folders", "b/masks/1.png"),
        ("panoptic", "x/a.png"),
    ):
        WRITERS[format](tmp_path / format)
        put(tmp_path / format / file, bomb)
        problems = problems_of(tmp_path / format, format)
        assert len(problems) == 1 and "limit of 10000" in problems[0], problems
