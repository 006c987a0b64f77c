"""Broken data, of every format: an error or a counted problem that names file and field.

One small, whole data set of each format is written, and then broken in one place: each kind of
damage is a function that takes the folder. hypothesis then breaks them anywhere, in any way.
"""

import base64
import copy
import io
import json
import shutil
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from labkit.data import load_dataset
from labkit.errors import LabkitError

POLYGON = [[4, 4], [20, 4], [20, 15], [4, 15]]
FLAT = [value for point in POLYGON for value in point]
MASK = np.zeros((30, 40), np.uint8)
MASK[4:15, 4:20] = 1


def png(array, **options) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, "PNG", **options)
    return stream.getvalue()


def put(path: Path, content) -> None:
    """Write json, bytes or an array, and the folders above."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, np.ndarray):
        content = png(content)
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())


PHOTO = png(np.full((30, 40, 3), 9, np.uint8))
DEEP = b'{"images": [], "shapes": [], "regions": ' + b"[" * 100_000
HUGE = b'{"images": [' + b"9" * 5_000 + b"]}"

# ---- a whole data set of every format ------------------------------------------------------------

COCO = {
    "images": [{"id": 1, "file_name": "a.png", "height": 30, "width": 40},
               {"id": 2, "file_name": "b.png", "height": 30, "width": 40}],
    "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "segmentation": [FLAT],
                     "bbox": [4, 4, 16, 11], "area": 176, "iscrowd": 0}],
    "categories": [{"id": 1, "name": "cat"}],
}  # fmt: skip
PANOPTIC = COCO | {
    "annotations": [
        {"image_id": i, "file_name": f"{n}.png", "segments_info":
         [{"id": 1, "category_id": 1, "area": 176, "bbox": [4, 4, 16, 11], "iscrowd": 0}]}
        for i, n in ((1, "a"), (2, "b"))
    ],
    "categories": [{"id": 1, "name": "cat", "isthing": 1}],
}  # fmt: skip
VIA = {
    f"{name}.png9": {
        "filename": f"{name}.png", "size": 9, "file_attributes": {},
        "regions": [{
            "shape_attributes": {"name": "polygon", "all_points_x": FLAT[::2],
                                 "all_points_y": FLAT[1::2]},
            "region_attributes": {"kind": "cat"},
        }],
    }
    for name in "ab"
}  # fmt: skip
LABELME = {
    "version": "5.0", "flags": {}, "imagePath": "a.png", "imageData": None, "imageHeight": 30,
    "imageWidth": 40,
    "shapes": [{"label": "cat", "points": POLYGON, "group_id": None, "shape_type": "polygon"}],
}  # fmt: skip
CITY = {"imgHeight": 30, "imgWidth": 40, "objects": [{"label": "car", "polygon": POLYGON}]}


def photos(folder: Path) -> None:
    for name in "ab":
        put(folder / f"{name}.png", PHOTO)


def write_coco(root: Path) -> Path:
    photos(root)
    put(root / "x.json", COCO)
    return root / "x.json"


def write_panoptic(root: Path) -> Path:
    photos(root)
    for name in "ab":
        put(root / "x" / f"{name}.png", np.dstack([MASK, 0 * MASK, 0 * MASK]))
    put(root / "x.json", PANOPTIC)
    return root / "x.json"


def write_via(root: Path) -> Path:
    photos(root)
    put(root / "x.json", VIA)
    return root / "x.json"


def write_labelme(root: Path) -> Path:
    photos(root)
    put(root / "a.json", LABELME | {"imagePath": "a.png"})
    put(root / "b.json", LABELME | {"imagePath": "b.png"})
    return root / "b.json"


def write_cityscapes(root: Path) -> Path:
    for name in "ab":
        put(root / "leftImg8bit" / "train" / "x" / f"{name}_leftImg8bit.png", PHOTO)
        put(root / "gtFine" / "train" / "x" / f"{name}_gtFine_polygons.json", CITY)
    return root / "gtFine" / "train" / "x" / "b_gtFine_polygons.json"


def write_voc(root: Path) -> Path:
    photos(root / "JPEGImages")
    for name in "ab":
        put(root / "SegmentationObject" / f"{name}.png", MASK)
        put(root / "SegmentationClass" / f"{name}.png", MASK)
    return root / "SegmentationObject" / "b.png"


def write_label_maps(root: Path) -> Path:
    photos(root / "images")
    for name in "ab":
        put(root / "maps" / f"{name}.png", MASK)
    return root / "maps" / "b.png"


def write_mask_folders(root: Path) -> Path:
    for name in "ab":
        put(root / name / "images" / f"{name}.png", PHOTO)
        put(root / name / "masks" / "1.png", MASK)
        put(root / name / "masks" / "2.png", MASK)
    return root / "b" / "masks" / "1.png"


WRITERS = {
    "coco": write_coco, "panoptic": write_panoptic, "via": write_via, "labelme": write_labelme,
    "cityscapes": write_cityscapes, "voc": write_voc, "label_maps": write_label_maps,
    "mask_folders": write_mask_folders,
}  # fmt: skip
# What is given to the reader: the folder that write_… filled, or something in it.
GIVEN = {"coco": "x.json", "panoptic": "x.json", "via": "x.json", "label_maps": "maps"}


def read_all(root: Path, format: str, **options):
    """Load, look through everything, and return all problems."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ds = load_dataset(root / GIVEN.get(format, "."), format=format, **options)
        assert ds.max_instances >= 0 and len(ds.image_ids) == len(ds)
        problems = ds.check()
        for index in range(len(ds)):  # a check of COCO looks at pictures' headers only
            try:
                ds[index]
            except LabkitError as error:
                problems += [str(error)] if str(error) not in problems else []
        return problems


def problems_of(root: Path, format: str, **options) -> list[str]:
    """All problems, or the error in loading as the only one."""
    try:
        return read_all(root, format, **options)
    except LabkitError as error:
        return [str(error)]


@pytest.mark.parametrize("format", WRITERS)
def test_before_they_are_broken_they_are_whole(tmp_path, format):
    WRITERS[format](tmp_path)
    assert read_all(tmp_path, format, strict=True) == []
    ds = load_dataset(tmp_path / GIVEN.get(format, "."))
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
BIG = np.ones((31, 40), np.uint8)
BROKEN_PHOTO = PHOTO[: len(PHOTO) // 2]
EMBEDDED = base64.b64encode(BROKEN_PHOTO).decode()

# format, damage, and words that the sentence has besides the file's name: the field, mostly
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
    ("coco", edited("x.json", COCO, "images", 1, "file_name", to="../b.png"), "not inside"),
    ("coco", edited("x.json", COCO, "images", 1, "file_name", to="..\\b.png"), "not inside"),
    ("coco", edited("x.json", COCO, "images", 1, "file_name", to="C:\\b.png"), "not inside"),
    ("coco", edited("x.json", COCO, "images", 1, "file_name", to="\ud800"), "no file can have"),
    ("coco", edited("x.json", COCO, "images", 1, "file_name", to="b.png\0"), "no file can have"),
    ("coco", edited("x.json", COCO, "images", 1, "file_name", to="b" * 5000), "cannot be opened"),
    ("coco", edited("x.json", COCO, "images", 1, "height", to=10**9), "more than the limit"),
    ("coco", edited("x.json", COCO, "images", 1, "height", to=31), "30 x 40 pixels"),
    ("coco", edited("x.json", COCO, *A, "segmentation", to=[[1e400] * 6]), "annotations[0]"),
    ("coco", edited("x.json", COCO, *A, "segmentation", to=[[10**400] * 6]), "far outside"),
    ("coco", edited("x.json", COCO, *A, "bbox", to=[10**400, 1, 1, 1]), "bbox is"),
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
    ("panoptic", edited("x.json", PANOPTIC, *INFO, "category_id"), '"category_id" is None'),
    ("panoptic", replaced("x/a.png", None), "a.png: there is no such file"),
    ("panoptic", replaced("x/a.png", MASK), "a.png is not a PNG of 8-bit colours"),
    ("panoptic", replaced("x/a.png", np.dstack([BIG] * 3)), "31 x 40"),
    ("panoptic", linked_out("x/a.png"), "a.png is a link that leads out"),
    ("via", replaced("x.json", b"{}"), 'x.json is not VIA\'s: none of its entries has "regions"'),
    ("via", edited("x.json", VIA, "b.png9", "filename"), 'b.png9" has no "filename"'),
    ("via", edited("x.json", VIA, "b.png9", "filename", to="../b.png"), "not inside"),
    ("via", edited("x.json", VIA, "b.png9", "regions", to=None), 'b.png9" has no "regions"'),
    ("via", edited("x.json", VIA, *REGION, "shape_attributes"), "shape_attributes"),
    ("via", edited("x.json", VIA, *REGION, "shape_attributes", "name", to="point"), "no area"),
    ("via", edited("x.json", VIA, *REGION, "shape_attributes", "all_points_x", to=[1]), "points_x"),
    ("via", edited("x.json", VIA, *REGION, "region_attributes", "kind", to=""), '"kind" is'),
    ("via", edited("x.json", VIA, *REGION, "region_attributes", "sex", to="m"), "class_attribute"),
    ("via", replaced("b.png", b"GIF89a"), "b.png"),
    ("via", linked_out("b.png"), "b.png is a link that leads out"),
    ("labelme", replaced("b.json", b"{"), "b.json is not json"),
    ("labelme", edited("b.json", LABELME, "shapes"), 'b.json is not LabelMe\'s'),
    ("labelme", edited("b.json", LABELME, "imagePath", to="none.png"), "none.png"),
    ("labelme", edited("b.json", LABELME, "imageHeight", to=-1), '"imageHeight"'),
    ("labelme", edited("b.json", LABELME, "imageData", to="x"), '"imageData" is not base64'),
    ("labelme", edited("b.json", LABELME, "imageData", to=EMBEDDED), '"imageData" is damaged'),
    ("labelme", edited("b.json", LABELME, *SHAPE, "label", to=3), 'shapes[0]: has no "label"'),
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
    ("label_maps", replaced("maps/b.png", np.dstack([MASK] * 3)), "b.png has 3 channels"),
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
    monkeypatch.setattr("labkit.images.MAX_PIXELS", 10_000)
    bomb = png(np.zeros((101, 100), np.uint8), optimize=True)
    for format, file in (("coco", "b.png"), ("via", "b.png"), ("label_maps", "maps/b.png"),
                         ("voc", "SegmentationClass/b.png"), ("mask_folders", "b/masks/1.png"),
                         ("panoptic", "x/a.png")):  # fmt: skip
        WRITERS[format](tmp_path / format)
        put(tmp_path / format / file, bomb)
        problems = problems_of(tmp_path / format, format)
        assert len(problems) == 1 and "limit of 10000" in problems[0], problems


# ---- damage anywhere -----------------------------------------------------------------------------

JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
    | st.sampled_from([0, -1, 10**30, 1e300, "", "../a", "\ud800", "a.png\0", [], {}, [[]]]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)  # fmt: skip


def spots(value, path=()):
    """The paths of all values in json."""
    yield path
    if isinstance(value, (dict, list)):
        items = value.items() if isinstance(value, dict) else enumerate(value)
    else:
        items = ()
    for key, inner in items:
        yield from spots(inner, (*path, key))


def with_junk(content, draw):
    """Json of which one to three values are exchanged, taken away or doubled."""
    content = copy.deepcopy(content)
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(list(spots(content))))
        if not path:
            return copy.deepcopy(draw(JUNK))
        place = content
        for key in path[:-1]:
            place = place[key]
        action = draw(st.sampled_from(["exchange", "exchange", "remove", "double"]))
        if action == "exchange":
            place[path[-1]] = copy.deepcopy(draw(JUNK))  # hypothesis gives the same [] again
        elif action == "remove":
            del place[path[-1]]
        elif isinstance(place, list):
            place.append(place[path[-1]])
    return content


def survives(root: Path, format: str) -> None:
    """Only a LabkitError of one sentence, or success; and soon."""
    began = time.process_time()
    for strict in (False, True):
        try:
            read_all(root, format, strict=strict)
        except LabkitError as error:
            assert str(error) and "\n" not in str(error)
    assert time.process_time() - began < 10


FUZZ = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
SOURCES = {"coco": COCO, "panoptic": PANOPTIC, "via": VIA, "labelme": LABELME, "cityscapes": CITY}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("format", SOURCES)
@FUZZ
@given(data=st.data())
def test_json_with_junk_in_it(tmp_path, format, data):
    root = tmp_path / "data"
    file = root / "x.json" if (root / "x.json").exists() else WRITERS[format](root)
    if format == "labelme":
        file = root / "b.json"
    put(file, json.dumps(with_junk(SOURCES[format], data.draw)).encode())
    survives(root, format)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("format", WRITERS)
@FUZZ
@given(data=st.data())
def test_bytes_with_junk_in_them(tmp_path, format, data):
    """The annotation file, json or PNG, with bytes exchanged, cut off or put in."""
    root = tmp_path / "data"
    shutil.rmtree(root, ignore_errors=True)
    file = WRITERS[format](root)
    content = bytearray(file.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(content)))
        end = min(start + data.draw(st.integers(0, 8)), len(content))
        content[start:end] = data.draw(st.binary(max_size=8))
    file.write_bytes(bytes(content))
    survives(root, format)
