"""LabelmeDataset: shapes, groups, painted masks, pictures beside the json or in it."""

import base64
import io
import json
import math

import numpy as np
import pytest
from PIL import Image

from labkit.data import LabelmeDataset, load_dataset
from labkit.errors import LabkitError, MissingFileError

POLYGON = [[2, 3], [8, 3], [8, 6], [2, 6]]


@pytest.fixture
def folder(tmp_path):
    Image.new("RGB", (40, 30), (5, 6, 7)).save(tmp_path / "a.png")
    return tmp_path


def png(array) -> str:
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, "PNG")
    return base64.b64encode(stream.getvalue()).decode()


def shape(points=POLYGON, label="cat", kind="polygon", group=None, **more):
    return {"label": label, "points": points, "group_id": group, "shape_type": kind, **more}


def labelme(folder, *shapes, name="a.json", **changes):
    content = {
        "version": "5.4.1",
        "flags": {},
        "shapes": list(shapes),
        "imagePath": "a.png",
        "imageData": None,
        "imageHeight": 30,
        "imageWidth": 40,
    } | changes
    (folder / name).write_text(json.dumps(content), encoding="utf-8")
    return folder


def test_reading(folder):
    labelme(folder, shape(), shape([[20, 9], [10, 4]], "dog", "rectangle"))
    ds = LabelmeDataset(folder, strict=True)
    assert ds.class_names == ("cat", "dog") and ds.problems == [] and ds.check() == []
    sample = ds[0]
    assert sample.name == "a.png" and (sample.image == [5, 6, 7]).all()
    assert sample.boxes.tolist() == [[3, 2, 6, 8], [4, 10, 9, 20]]
    assert sample.class_ids.tolist() == [1, 2] and ds.max_instances == 2
    assert type(load_dataset(folder)) is LabelmeDataset
    assert LabelmeDataset(folder / "a.json")[0].boxes.tolist() == sample.boxes.tolist()


def test_circle_by_centre_and_a_point_on_it(folder):
    labelme(folder, shape([[20, 15], [20, 23]], kind="circle"))
    mask = LabelmeDataset(folder, strict=True)[0].masks[0]
    assert mask.sum() == pytest.approx(math.pi * 64, rel=0.06) and mask[15, 20]


def test_a_painted_mask_lies_between_its_corners(folder):
    painted = np.zeros((4, 6), bool)
    painted[1:, 2:] = True
    for corners in ([[10, 5], [15, 8]], [[15, 8], [10, 5]], [[10, 5], [16, 9]]):
        labelme(folder, shape(corners, kind="mask", mask=png(painted)))
        mask = LabelmeDataset(folder, strict=True)[0].masks[0]
        expected = np.zeros((30, 40), bool)
        expected[6:9, 12:16] = True
        assert (mask == expected).all()


def test_a_group_is_one_instance(folder):
    painted = png(np.ones((2, 2), bool))
    labelme(
        folder,
        shape(group=1),
        shape([[20, 20], [25, 25]], kind="rectangle", group=1),
        shape([[30, 20], [31, 21]], kind="mask", group=1, mask=painted),
        shape([[10, 20], [15, 25]], kind="rectangle", group=2),
        shape([[10, 10], [15, 15]], "dog", "rectangle", group=1),
    )
    sample = LabelmeDataset(folder, strict=True)[0]
    assert sample.masks.sum((1, 2)).tolist() == [18 + 25 + 4, 25, 25]
    assert sample.class_ids.tolist() == [1, 1, 2]
    assert sample.boxes[0].tolist() == [3, 2, 25, 32]


def test_old_files_without_shape_types_have_polygons(folder):
    old = {"label": "cat", "points": POLYGON, "line_color": None}
    labelme(folder, old, imageHeight=None, imageWidth=None)
    assert LabelmeDataset(folder, strict=True)[0].boxes.tolist() == [[3, 2, 6, 8]]


def test_what_is_to_be_ignored_is_counted(folder):
    labelme(folder, shape(), shape(label="__ignore__"), shape(label="_background_"))
    ds = LabelmeDataset(folder, strict=True)
    assert ds.ignored == 2 and len(ds[0]) == 1 and ds.class_names == ("cat",)


# ---- classes -------------------------------------------------------------------------------------


def test_labels_txt_orders_the_classes(folder):
    labelme(folder, shape())
    (folder / "labels.txt").write_text("__ignore__\n_background_\nzebra\n\ncat\n")
    ds = LabelmeDataset(folder, strict=True)
    assert ds.class_names == ("zebra", "cat") and ds[0].class_ids.tolist() == [2]
    labelme(folder, shape(), shape(label="dog"))
    with pytest.warns(UserWarning, match='the class "dog" is not among the lines of'):
        assert len(LabelmeDataset(folder)[0]) == 1
    assert LabelmeDataset(folder, class_names=["dog", "cat"])[0].class_ids.tolist() == [2, 1]


def test_labels_txt_above_counts_only_if_it_has_all_labels(tmp_path):
    folder = tmp_path / "json"
    folder.mkdir()
    Image.new("RGB", (40, 30)).save(folder / "a.png")
    labelme(folder, shape())
    (tmp_path / "labels.txt").write_text("zebra\ncat\n")
    assert LabelmeDataset(folder).class_names == ("zebra", "cat")
    (tmp_path / "labels.txt").write_text("zebra\n")
    assert LabelmeDataset(folder).class_names == ("cat",)


@pytest.mark.parametrize("text, words", [("", "names no class"), ("a\na\n", "a class twice")])
def test_labels_txt_of_no_use(folder, text, words):
    labelme(folder, shape())
    (folder / "labels.txt").write_text(text)
    with pytest.raises(LabkitError, match=words):
        LabelmeDataset(folder)


# ---- pictures ------------------------------------------------------------------------------------


def test_the_picture_in_the_json_comes_first(folder):
    labelme(folder, shape(), imageData=png(np.full((20, 25, 3), 9, np.uint8)), imagePath="a.json")
    sample = LabelmeDataset(folder, strict=True)[0]
    assert sample.image.shape == (20, 25, 3) and (sample.image == 9).all()
    assert sample.name == "a.json"


def test_a_json_that_changed_meanwhile(folder):
    labelme(folder, shape(), imageData=png(np.zeros((20, 25), np.uint8)))
    ds = LabelmeDataset(folder)
    labelme(folder, shape(), imageData=png(np.zeros((25, 25), np.uint8)))
    with pytest.raises(LabkitError, match="has changed"):
        ds[0]
    labelme(folder, shape(), imageData="!")
    with pytest.raises(LabkitError, match="not base64"):
        ds[0]


@pytest.mark.parametrize("path", ["../images/a.png", "..\\images\\a.png", "C:\\x\\a.png", "a.png"])
def test_pictures_in_a_folder_of_their_own(folder, path):
    (folder / "json").mkdir(), (folder / "images").mkdir()
    (folder / "a.png").rename(folder / "images" / "a.png")
    labelme(folder / "json", shape(), imagePath=path)
    ds = LabelmeDataset(folder / "json", folder / "images", strict=True)
    assert ds[0].image.shape == (30, 40, 3)
    assert load_dataset(folder / "json").folder == folder / "images"


def test_only_the_name_of_a_path_counts(folder):
    """No path in a json opens a file outside the folder of pictures."""
    secret = folder / "secret.png"
    (folder / "a.png").rename(secret)
    (folder / "json").mkdir()
    labelme(folder / "json", shape(), imagePath="../secret.png")
    with pytest.raises(LabkitError, match="No image remains"):
        LabelmeDataset(folder / "json")


def test_photos_that_their_json_shows_upright(folder):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (30, 40)).save(folder / "a.png", exif=exif)
    labelme(folder, shape())
    assert LabelmeDataset(folder)[0].image.shape == (30, 40, 3)
    Image.new("RGB", (40, 30)).save(folder / "a.png", exif=exif)
    assert LabelmeDataset(folder)[0].image.shape == (30, 40, 3)


# ---- what cannot be used -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong, words",
    [
        (shape([[1, 1]], kind="point"), "is a point, which has no area"),
        (shape([[1, 1], [9, 9]], kind="line"), "is a line, which has no area"),
        (shape([[1, 1], [9, 9], [1, 9]], kind="linestrip"), "is a linestrip"),
        (shape(kind="blob"), "not a shape of LabelMe"),
        (shape([[1, 1], [9, 9]]), "three corners"),
        (shape([[1, 1], [9, "9"], [3, 4]]), "not a list of [x, y]"),
        (shape(None), "not a list of [x, y]"),
        (shape([[1, 1], [1, 1]], kind="circle"), "positive"),
        (shape(kind="circle"), 'two "points", not 4'),
        (shape([[5, 5], [5, 9]], kind="rectangle"), "no area"),
        (shape([[1, 1], [4, 4]], kind="mask"), "not base64"),
        (shape([[1, 1], [4, 4]], kind="mask", mask="QUJD"), "not a picture"),
        (
            shape([[1, 1], [4, 4]], kind="mask", mask=png(np.ones((9, 9), bool))),
            '"mask" has 9 x 9 pixels, but "points" span 4 x 4',
        ),
        (
            shape([[38, 1], [41, 4]], kind="mask", mask=png(np.ones((4, 4), bool))),
            "reaches out of the picture",
        ),
        (
            shape([[1, 1], [4, 4]], kind="mask", mask=png(np.zeros((4, 4), bool))),
            "covers no pixel",
        ),
        (shape(group=[1]), '"group_id"'),
        (shape(label=None), 'has no "label"'),
        (shape(label=" "), 'has no "label"'),
        (7, 'has no "label"'),
    ],
)
def test_a_shape_that_cannot_be_used_is_named(folder, wrong, words):
    labelme(folder, wrong, shape())
    with pytest.warns(UserWarning, match="1 problem: "):
        ds = LabelmeDataset(folder)
    assert len(ds[0]) == 1 and words in ds.problems[0]
    assert f"{folder / 'a.json'}: shapes[0]" in ds.problems[0]
    with pytest.raises(LabkitError):
        LabelmeDataset(folder, strict=True)


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"imagePath": None}, 'neither "imageData" nor "imagePath"'),
        ({"imagePath": "none.png"}, "no such file"),
        ({"imageData": "!!"}, "not base64"),
        ({"imageData": "QUJD"}, "not a picture"),
        ({"imageHeight": 10**6, "imageWidth": 10**6}, "more than the limit"),
        ({"shapes": None}, 'no list "shapes"'),
    ],
)
def test_a_json_that_cannot_be_used_is_named(folder, changes, words):
    labelme(folder, shape(), name="a.json")
    labelme(folder, shape(), name="b.json", **changes)
    with pytest.warns(UserWarning, match="1 problem: "):
        ds = LabelmeDataset(folder)
    assert len(ds) == 1 and words in ds.problems[0] and "b.json" in ds.problems[0]
    assert ds.problems[0].endswith("the picture is left out.")


def test_folders_of_no_use(tmp_path):
    with pytest.raises(LabkitError, match="no json file"):
        LabelmeDataset(tmp_path)
    with pytest.raises(MissingFileError):
        LabelmeDataset(tmp_path / "none")
