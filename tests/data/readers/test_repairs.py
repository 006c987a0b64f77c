"""What people bring: readers repair what has one meaning, count it, and say it once."""

import copy
import warnings

import numpy as np
import pytest
from whole_inputs import COCO, FLAT, LABELME, MASK, PANOPTIC, PHOTO, POLYGON, VIA, WRITERS, png, put

from labkit.data import CocoDataset, load_dataset, merge
from labkit.data.cache import fingerprint
from labkit.errors import LabkitError
from labkit.io import coco_repair
from labkit.io.data_files import read_json

OTHER = [22, 4, 34, 4, 34, 15, 22, 15]


@pytest.fixture
def folder(tmp_path):
    data = tmp_path / "project" / "data"  # with no other test's pictures beside it
    for name in "ab":
        put(data / f"{name}.png", PHOTO)
    return data


def coco(images=(), annotations=(), categories=()):
    """`COCO` with changes: to its first image, first annotation and first category."""
    content = copy.deepcopy(COCO)
    for part, changes in (
        ("images", images),
        ("annotations", annotations),
        ("categories", categories),
    ):
        content[part][0].update(changes)
    return content


def opened(content, folder, **options) -> CocoDataset:
    """The data set; one warning says what was repaired or left out."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        ds = CocoDataset(content, folder, **options)
    assert len(said) == bool(ds.repairs or ds.problems)
    assert all(warning.filename == __file__ for warning in said)  # the caller's line, not labkit's
    return ds


def assert_whole(ds, kinds: int) -> None:
    """Both pictures, the object with its mask, no problem, and so many kinds of repairs."""
    assert ds.problems == [] and len(ds.repairs) == kinds, (ds.problems, ds.repairs)
    assert len(ds) == 2 and len(ds[1]) == 0 and (ds[0].masks == (MASK > 0)).all()
    assert ds[0].class_ids.tolist() == [1] and not ds[0].crowd.any()
    assert ds.describe().repairs == tuple(ds.repairs)
    assert all(sentence in str(ds.describe()) for sentence in ds.repairs)


# ---- COCO: fields --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "images, annotations, categories, kinds",
    [
        ({"id": "1"}, {"image_id": "1"}, {}, 1),
        ({"id": "1"}, {"image_id": 1.0}, {}, 1),
        ({}, {"image_id": "1"}, {}, 0),
        ({}, {"image_id": 1.0, "category_id": "1"}, {}, 0),
        ({"id": "a"}, {"image_id": "a"}, {}, 1),
        ({"id": 2**63 + 5}, {"image_id": 2**63 + 5}, {}, 1),
        ({}, {"category_id": 1.0}, {"id": "1"}, 1),
        ({}, {"category_id": "f00d"}, {"id": "f00d"}, 1),
        ({}, {}, {"name": 5}, 1),
        ({"height": "30", "width": 40.0}, {}, {}, 1),
        ({"height": -1, "width": -1}, {}, {}, 1),
        ({"height": 0, "width": 0}, {}, {}, 1),
        ({"height": "unknown"}, {}, {}, 1),
        ({"height": None, "width": None}, {}, {}, 0),
        ({"height": 40, "width": 30}, {}, {}, 1),
        ({"file_name": "C:\\Users\\anna\\a.png"}, {}, {}, 1),
        ({"file_name": "https://example.org/pics/a.png"}, {}, {}, 1),
        ({"file_name": "A.PNG"}, {}, {}, 1),
        ({"file_name": None, "path": "a.png"}, {}, {}, 1),
        ({"file_name": "", "coco_url": "http://images.example.org/a.png"}, {}, {}, 2),
        ({}, {"segmentation": FLAT}, {}, 1),
        ({}, {"segmentation": POLYGON}, {}, 1),
        ({}, {"segmentation": [FLAT, [1, 2, 3, 4]]}, {}, 1),
        ({}, {"segmentation": [FLAT, [1, 2, 30, 2, 39, 2]]}, {}, 1),
        ({}, {"segmentation": [None, FLAT, []]}, {}, 1),
        ({}, {"iscrowd": None}, {}, 1),
        ({}, {"iscrowd": "0"}, {}, 1),
        ({}, {"iscrowd": False}, {}, 0),
        ({}, {"bbox": [4, 4, 0, 11]}, {}, 1),
        ({}, {"bbox": "[4, 4, 16, 11]"}, {}, 1),
        ({}, {"id": "x"}, {}, 1),
        ({}, {"id": 0}, {}, 0),
    ],
)
def test_oddly_written_files_are_read(folder, images, annotations, categories, kinds):
    content = coco(images, annotations, categories)
    before = copy.deepcopy(content)
    ds = opened(content, folder, strict=True)
    assert_whole(ds, kinds)
    assert content == before  # what is given is not changed
    np.testing.assert_allclose(ds.labels(0).boxes, ds[0].boxes, atol=1)
    assert ds.to_coco()["annotations"][0]["bbox"] == [4, 4, 16, 11]
    assert ds.check() == []
    assert fingerprint(ds) == fingerprint(opened(content, folder, strict=True))


def test_run_lengths_in_a_list(folder):
    runs = {"size": [30, 40], "counts": [30 * 4 + 4, *[11, 19] * 15, 11, 15 + 30 * 20]}
    assert_whole(opened(coco(annotations={"segmentation": [runs]}), folder), 1)


def test_ids_come_back_as_they_were(folder):
    content = coco({"id": "photo"}, {"image_id": "photo", "category_id": 7.0}, {"id": 7.0})
    ds = opened(content, folder)
    info = ds.image_info(0)
    assert info["original_id"] == "photo" and ds.image_ids == (info["id"], 2)
    assert ds.category_ids == (7,) and ds.original_category_ids == {7: 7.0}
    view = ds.subset([0]).keep_classes(["cat"])
    assert view.image_info(0) == info and view.original_category_ids == {7: 7.0}
    assert list(view.repairs) == list(ds.repairs)
    both = merge([ds, ds])
    assert both.image_info(0)["original_id"] == "photo" and len(set(both.image_ids)) == 4
    assert "original_id" not in both.image_info(2) and len(both.repairs) == 2 * len(ds.repairs)


# ---- COCO: annotations among each other ----------------------------------------------------------


def with_annotations(*changes):
    content = copy.deepcopy(COCO)
    content["annotations"] = [COCO["annotations"][0] | change for change in changes]
    return content


@pytest.mark.parametrize("ids", [(1, 1), (0, 0), ("a", "a"), (None, 1)])
def test_objects_with_one_id_are_both_kept(folder, ids):
    ds = opened(with_annotations({"id": ids[0]}, {"id": ids[1], "segmentation": [OTHER]}), folder)
    assert len(ds[0]) == 2 and ds.problems == [] and len(ds.repairs) == 1
    written = [annotation["id"] for annotation in ds.to_coco()["annotations"]]
    assert len(set(written)) == 2 and min(written) >= 1


def test_ids_that_are_unique_within_a_picture_only(folder):
    ds = opened(with_annotations({"id": 1}, {"id": 1, "image_id": 2}), folder)
    assert [len(sample) for sample in ds] == [1, 1] and len(ds.repairs) == 1


def test_an_exact_duplicate_is_left_out_and_said(folder):
    ds = opened(with_annotations({"id": 1}, {"id": 2}), folder)
    assert len(ds[0]) == 1 and ds.problems == []
    assert list(ds.repairs) == [f"{coco_repair.DUPLICATES} (once: annotations[1] (id 2))."]


def test_the_empty_parent_category_is_left_out(folder):
    content = coco(categories={"supercategory": "animal"})
    content["categories"].insert(0, {"id": 0, "name": "animal", "supercategory": "none"})
    ds = opened(content, folder)
    assert ds.class_names == ("cat",) and ds.category_ids == (1,)
    assert_whole(ds, 1)


# ---- COCO: crowds, boxes, pictures ---------------------------------------------------------------


def test_when_all_are_crowds_there_is_an_offer(folder):
    content = coco(annotations={"iscrowd": 1})
    ds = opened(content, folder)
    assert len(ds.problems) == 1 and "1 of 1 annotations are marked as crowds" in ds.problems[0]
    assert "crowds_as_instances=True (--crowds-as-instances)" in ds.problems[0]
    assert ds[0].crowd.tolist() == [True]
    assert_whole(opened(content, folder, crowds_as_instances=True), 0)


def test_some_crowds_are_nothing_unusual(folder):
    crowd = {"iscrowd": 1, "segmentation": [OTHER], "id": 2}
    ds = opened(with_annotations({}, crowd), folder)
    assert ds.problems == [] and ds[0].crowd.tolist() == [False, True]


@pytest.mark.parametrize("segmentation", [..., None, [], [[]]])
def test_boxes_without_masks(folder, segmentation):
    content = with_annotations({"segmentation": segmentation}, {"id": 2, "segmentation": [OTHER]})
    if segmentation is ...:
        del content["annotations"][0]["segmentation"]
    ds = opened(content, folder)
    assert len(ds[0]) == 1 and len(ds.problems) == 1
    for words in ("1 of 2 annotations", "annotations[0] (id 1)", "background", "--boxes-as-masks"):
        assert words in ds.problems[0]
    ds = opened(content, folder, boxes_as_masks=True)
    assert ds.problems == [] and (ds[0].masks[0] == (MASK > 0)).all() and len(ds[0]) == 2
    with pytest.raises(LabkitError, match="have a box but no mask"):
        CocoDataset(content, folder, strict=True)


def test_a_file_without_an_object_is_loud(folder):
    ds = opened(with_annotations(), folder)
    assert len(ds.problems) == 1 and "there is no object (the file has none)" in ds.problems[0]
    ds = opened(coco(annotations={"category_id": 9}), folder)
    assert "there is no object (none can be used)" in ds.problems[-1]


def test_missing_pictures_are_said_at_once(folder):
    (folder / "b.png").unlink()
    ds = opened(coco(), folder, strict=True)
    assert len(ds) == 2 and len(ds.problems) == 1
    assert "1 of 2 pictures is not in" in ds.problems[0] and '("b.png")' in ds.problems[0]
    assert len(ds.check()) == 1 and "b.png: there is no such file" in ds.check()[0]


def test_swapped_sizes_whose_outlines_do_not_fit_are_named(folder):
    runs = {"size": [40, 30], "counts": [40 * 5, 40 * 5, 40 * 20]}
    ds = opened(coco({"height": 40, "width": 30}, {"segmentation": runs}), folder)
    assert len(ds.repairs) == 0 and len(ds.problems) == 1 and "are swapped" in ds.problems[0]
    assert "says 40 x 30, the picture has 30 x 40" in ds.problems[0]


def test_a_photo_that_is_turned_has_no_swapped_size(folder):
    from PIL import Image

    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (30, 40)).save(folder / "a.png", exif=exif)
    assert_sizes = opened(coco(), folder)
    assert assert_sizes.problems == [] and len(assert_sizes.repairs) == 0


# ---- other formats -------------------------------------------------------------------------------


def via(**changes):
    content = copy.deepcopy(VIA)
    content["a.png9"].update(changes)
    return content


def via_region(shape, kind="cat"):
    return [{"shape_attributes": shape, "region_attributes": {"kind": kind}}]


RECT = {"name": "rect", "x": 4, "y": 4, "width": 16, "height": 11}
CORNERS = VIA["a.png9"]["regions"][0]["shape_attributes"]


@pytest.mark.parametrize(
    "changes, classes, kinds",
    [
        ({"regions": via_region({**RECT, "x": "4", "width": "16"})}, ("cat",), 1),
        ({"regions": via_region({**CORNERS, "all_points_x": list(map(str, FLAT[::2]))})}, None, 1),
        ({"regions": via_region(RECT, kind=1)}, ("1", "cat"), 1),
        ({"filename": "..\\other\\a.png"}, ("cat",), 1),
        ({"filename": "/data/local-files/?d=pics%2Fa.png"}, ("cat",), 1),
    ],
)
def test_via(folder, changes, classes, kinds):
    put(folder / "via.json", via(**changes))
    with pytest.warns(UserWarning, match="repaired: "):
        ds = load_dataset(folder / "via.json", strict=True)
    assert len(ds) == 2 and ds.problems == [] and len(ds.repairs) == kinds
    assert ds.class_names == (classes or ("cat",)) and (ds[0].masks[0] == (MASK > 0)).all()


@pytest.mark.parametrize(
    "changes, kinds",
    [
        ({"imageHeight": -1, "imageWidth": -1}, 0),
        ({"imageHeight": "30", "imageWidth": 40.0}, 1),
        ({"imageHeight": 40, "imageWidth": 30}, 1),
        ({"imagePath": "D:\\pics\\a.png"}, 0),  # LabelMe's own way to write a path
        ({"imagePath": "a.jpg"}, 1),
        ({"imagePath": "https://example.org/x/a.png?size=2"}, 0),
        ({"shapes": [LABELME["shapes"][0] | {"label": 1}]}, 1),
    ],
)
def test_labelme(folder, changes, kinds):
    put(folder / "a.json", LABELME | changes)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        ds = load_dataset(folder / "a.json", strict=True)
    assert len(ds) == 1 and len(ds.repairs) == kinds == len(said)
    assert (ds[0].masks == (MASK > 0)).all()
    assert ds.class_names == (("1",) if "shapes" in changes else ("cat",))


@pytest.mark.parametrize("groups", [("1", "1"), (1, "1"), (1.0, 1), ("left", "left")])
def test_group_ids_of_labelme_may_be_texts(folder, groups):
    points = np.reshape(OTHER, (-1, 2)).tolist()
    shapes = [
        LABELME["shapes"][0] | {"group_id": group, "points": corners}
        for group, corners in zip(groups, (POLYGON, points), strict=True)
    ]
    put(folder / "a.json", LABELME | {"shapes": shapes})
    sample = load_dataset(folder / "a.json", strict=True)[0]
    assert len(sample) == 1 and sample.masks.sum() == (MASK > 0).sum() + 12 * 11


def test_panoptic(tmp_path):
    WRITERS["panoptic"](tmp_path)
    content = read_json(tmp_path / "x.json")
    assert content == PANOPTIC
    content["images"][0].update(id="1", height=-1, file_name="C:\\pics\\a.png")
    content["images"][1]["id"] = "two"
    content["annotations"][0].update(image_id=1.0)
    content["annotations"][1].update(image_id="two")
    info = content["annotations"][0]["segments_info"][0]
    info.update(id="1", category_id="1", iscrowd=None)
    put(tmp_path / "x.json", content)
    with pytest.warns(UserWarning, match="repaired: .* And 4 more kinds of repairs"):
        ds = load_dataset(tmp_path / "x.json", strict=True)
    assert [(sample.masks == (MASK > 0)).all() for sample in ds] == [True, True]
    assert ds.image_info(1)["original_id"] == "two" and ds.class_names == ("cat",)


def test_a_file_of_another_machine_finds_the_folder_of_its_pictures(tmp_path):
    put(tmp_path / "pics" / "a.png", png(np.zeros((30, 40), np.uint8)))
    content = coco({"file_name": "/home/anna/x/a.png"})
    content["images"] = content["images"][:1]
    put(tmp_path / "data.json", content)
    with pytest.warns(UserWarning, match="found by a part of their name"):
        ds = load_dataset(tmp_path / "data.json")
    assert ds.folder == tmp_path / "pics" and ds[0].name == "a.png"
