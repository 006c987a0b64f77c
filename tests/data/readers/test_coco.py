"""CocoDataset: what is right is read as pycocotools does, what is wrong is named and left out."""

import copy
import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

from labkit.data import CocoDataset, shapes
from labkit.errors import LabkitError, MissingFileError

ROOT = Path(__file__).resolve().parents[3]
SHARED = Path(os.environ.get("LABKIT_SHARED", ROOT.parent / "shared" / "data"))
SQUARE = [[2, 2, 8, 2, 8, 6, 2, 6]]


def content() -> dict:
    """Two pictures; one holds a square of class 7 and a crowd of class 3, the other nothing."""
    crowd = {"size": [10, 12], "counts": [0, 20, 100]}
    return {
        "images": [
            {"id": 5, "file_name": "a.png", "height": 10, "width": 12},
            {"id": 9, "file_name": "b.png", "height": 10, "width": 12},
        ],
        "annotations": [
            {
                "id": 1,
                "image_id": 5,
                "category_id": 7,
                "segmentation": SQUARE,
                "bbox": [2, 2, 6, 4],
                "area": 24.0,
                "iscrowd": 0,
            },
            {"id": 4, "image_id": 5, "category_id": 3, "segmentation": crowd, "iscrowd": 1},
        ],
        "categories": [{"id": 7, "name": "seven"}, {"id": 3, "name": "<i>three</i>\n"}],
    }


@pytest.fixture
def folder(tmp_path):
    for name in ("a.png", "b.png"):
        Image.new("RGB", (12, 10), (9, 8, 7)).save(tmp_path / name)
    return tmp_path


def changed(**changes) -> dict:
    """`content()` whose first annotation has these fields (... to take one away)."""
    data = content()
    for field, value in changes.items():
        data["annotations"][0][field] = value
        if value is ...:
            del data["annotations"][0][field]
    return data


# ---- what is right -------------------------------------------------------------------------------


def test_reading(folder):
    (folder / "all.json").write_text(json.dumps(content()), encoding="utf-8-sig")
    ds = CocoDataset(folder / "all.json", folder, strict=True)
    assert ds.class_names == ("<i>three</i>\n", "seven") and ds.category_ids == (3, 7)
    assert ds.image_ids == (5, 9) and len(ds) == 2 and ds.problems == [] and ds.check() == []
    sample, empty = ds
    assert sample.name == "a.png" and sample.image_id == 5 and (sample.image == [9, 8, 7]).all()
    assert sample.class_ids.tolist() == [2, 1] and sample.crowd.tolist() == [False, True]
    assert sample.boxes.tolist() == [[2, 2, 6, 8], [0, 0, 10, 2]]
    assert len(empty) == 0 and empty.masks.shape == (0, 10, 12) and empty.boxes.shape == (0, 4)
    assert ds.max_instances == 2
    assert [sides.tolist() for sides in ds.instance_sizes()] == [[4], [6]]


def test_the_json_may_be_a_dictionary_and_is_not_changed(folder):
    data = content()
    before = copy.deepcopy(data)
    ds = CocoDataset(data, folder)
    ds[0], ds.to_coco(), ds.check()
    assert data == before


def test_classes_do_not_depend_on_the_order_of_the_file(folder):
    data = content()
    data["categories"].reverse()
    assert CocoDataset(data, folder).class_names == CocoDataset(content(), folder).class_names


def test_coco_keeps_the_annotations_of_the_file(folder):
    ds = CocoDataset(content(), folder)
    first, crowd = ds.to_coco()["annotations"]
    assert first == content()["annotations"][0]
    assert crowd["bbox"] == [0, 0, 2, 10] and crowd["area"] == 20 and crowd["id"] == 4
    assert ds.subset([0]).to_coco()["annotations"] == [first, crowd]


def test_coco_has_no_annotation_with_the_id_zero(folder):
    """pycocotools takes 0 for "no partner", so that such an instance would never count as found."""
    assert [a["id"] for a in CocoDataset(changed(id=0), folder).to_coco()["annotations"]] == [1, 2]
    assert [a["id"] for a in CocoDataset(changed(id=...), folder).to_coco()["annotations"]] == [
        1,
        2,
    ]


def test_area_of_zero_is_computed_anew(folder):
    for area in (0, None, ..., float("nan")):
        ds = CocoDataset(changed(area=area), folder)
        assert ds.to_coco()["annotations"][0]["area"] == 24


@pytest.mark.parametrize("orientation, upright", [(6, True), (6, False), (1, True)])
def test_a_photo_is_turned_if_the_json_speaks_of_the_turned_one(folder, orientation, upright):
    exif = Image.Exif()
    exif[0x0112] = orientation
    pixels = np.zeros((12, 10, 3) if upright and orientation == 6 else (10, 12, 3), np.uint8)
    stored = np.rot90(pixels) if upright and orientation == 6 else pixels
    Image.fromarray(np.ascontiguousarray(stored)).save(folder / "a.png", exif=exif)
    data = content()
    data["images"][0].update(height=pixels.shape[0], width=pixels.shape[1])
    data["annotations"].pop()  # the crowd's run lengths are for 10 x 12
    ds = CocoDataset(data, folder)
    assert ds[0].image.shape == pixels.shape and ds.check() == []


def test_a_size_that_the_json_lacks_is_the_pictures(folder):
    data = content()
    del data["images"][0]["height"]
    assert CocoDataset(data, folder).image_info(0)["height"] == 10


def test_pictures_in_folders_inside_the_folder(folder):
    (folder / "deep").mkdir()
    (folder / "a.png").rename(folder / "deep" / "a.png")
    data = content()
    data["images"][0]["file_name"] = "deep/../deep/a.png"
    assert CocoDataset(data, folder, strict=True)[0].name == "deep/../deep/a.png"


# ---- single entries that are wrong ---------------------------------------------------------------

WRONG_ANNOTATIONS = [
    (changed(category_id=8), "category_id 8 is not among"),
    (changed(category_id="seven"), "category_id 'seven' is not among"),
    (changed(image_id=6), "image_id 6 is not among"),
    (changed(image_id=...), "image_id"),
    (changed(bbox=[2, 2, 0, 4], segmentation=[]), "has no area"),
    (changed(bbox=[2, 2, 6, -4], segmentation=[]), "has no area"),
    (changed(bbox=[50, 2, 6, 4], segmentation=[]), "outside the image"),
    (changed(bbox=[-9, 2, 6, 4], segmentation=[]), "outside the image"),
    (changed(bbox=[2, 2, 6], segmentation=[]), "four numbers"),
    (changed(bbox=[2, 2, float("nan"), 4], segmentation=[]), "four numbers"),
    (changed(segmentation=..., bbox=None), "segmentation is missing"),
    (changed(segmentation=[], bbox=None), "empty list"),
    (changed(segmentation=[[1, 1, 2, 2]]), "4 numbers"),
    (changed(segmentation=[[2, 2, 2, 2, 2, 2]]), "covers no pixel"),
    (changed(segmentation=[[40, 40, 44, 40, 44, 44]], bbox=None), "covers no pixel"),
    (changed(segmentation={"size": [10, 12], "counts": [120]}), "covers no pixel"),
    (changed(segmentation={"size": [12, 10], "counts": [120]}), "[10, 12] (height, width)"),
    (changed(segmentation={"size": [10, 12], "counts": "garbage"}), "segmentation has"),
    (changed(iscrowd=2), "iscrowd is 2"),
]


@pytest.mark.parametrize("data, words", WRONG_ANNOTATIONS, ids=[w for _, w in WRONG_ANNOTATIONS])
def test_a_wrong_annotation_is_left_out_and_named(folder, data, words):
    with pytest.warns(UserWarning, match=r": 1 problem: "):
        ds = CocoDataset(data, folder)
    assert len(ds) == 2 and len(ds[0]) == 1 and len(ds.problems) == 1
    assert ds[0].crowd.tolist() == [True]
    assert words in ds.problems[0] and "annotations[0]" in ds.problems[0]
    assert ds.problems[0].endswith("the annotation is left out.")
    with pytest.raises(LabkitError) as error:
        CocoDataset(data, folder, strict=True)
    # Loading stops: nothing is left out.
    assert str(error.value) == ds.problems[0].removesuffix("; the annotation is left out.") + "."


def test_annotations_that_are_no_objects(folder):
    data = content()
    data["annotations"] += [None, 3, "x", []]
    with pytest.warns(UserWarning, match="4 problems"):
        assert len(CocoDataset(data, folder)[0]) == 2


def test_a_thin_polygon_that_covers_nothing_is_found_when_it_is_filled(folder):
    thin = changed(segmentation=[[1, 1, 6, 6, 6, 6]], bbox=[1, 1, 5, 5])
    ds = CocoDataset(thin, folder)
    if not ds.problems:  # it is not suspicious enough to be filled at once
        assert len(ds[0]) == 1 and len(ds[0]) == 1
    assert len(ds.problems) == 1 and "covers no pixel" in ds.problems[0]
    assert ds.check() == ds.problems


@pytest.mark.parametrize(
    "change, words",
    [
        ({"id": 5.5}, "neither a whole number nor a text"),
        ({"id": None}, "neither a whole number nor a text"),
        ({"id": 9}, "an earlier image has"),
        ({"id": 9.0}, "an earlier image has"),
        ({"file_name": None}, "file_name"),
        ({"file_name": ""}, "file_name"),
        ({"file_name": "../b.png"}, "belongs to another picture"),
        ({"file_name": "../c.png"}, "not inside"),
        ({"file_name": "/etc/passwd"}, "not inside"),
        ({"file_name": "."}, "not inside"),
        ({"height": 10**9}, "more than the limit"),
        ({"height": None, "file_name": "none.png"}, "no such file"),
    ],
)
def test_a_wrong_image_is_left_out_and_named(folder, change, words):
    data = content()
    for annotation in data["annotations"]:
        annotation["image_id"] = 9
    data["images"].reverse()  # the wrong one comes second
    data["images"][1].update(change)
    with pytest.warns(UserWarning):
        ds = CocoDataset(data, folder)
    assert ds.image_ids == (9,) and len(ds.problems) == 1
    assert words in ds.problems[0] and "images[1]" in ds.problems[0]
    with pytest.raises(LabkitError):
        CocoDataset(data, folder, strict=True)


def test_a_data_set_of_which_nothing_remains_is_refused(folder):
    data = content()
    for image in data["images"]:
        image["file_name"] = "../none.png"
    with pytest.raises(LabkitError, match="No image remains"):
        CocoDataset(data, folder)


def test_two_categories_of_one_name_are_named(folder):
    data = content()
    data["categories"].append({"id": 8, "name": "seven"})
    with pytest.warns(UserWarning, match='"seven" occurs 2 times'):
        CocoDataset(data, folder)


# ---- pictures ------------------------------------------------------------------------------------


def test_a_missing_picture_is_named_when_it_is_read_and_by_check(folder):
    (folder / "b.png").unlink()
    ds = CocoDataset(content(), folder)
    assert len(ds[0]) == 2
    with pytest.raises(MissingFileError, match="b.png"):
        ds[1]
    assert len(ds.check()) == 1 and "b.png" in ds.check()[0]


def test_a_broken_picture(folder):
    (folder / "b.png").write_bytes(b"no picture")
    ds = CocoDataset(content(), folder)
    with pytest.raises(LabkitError, match="b.png"):
        ds[1]
    assert "b.png" in ds.check()[0]


def test_a_picture_of_another_size(folder):
    Image.new("RGB", (30, 20)).save(folder / "a.png")
    ds = CocoDataset(content(), folder)
    with pytest.raises(LabkitError, match=r"20 x 30 pixels .* says 10 x 12"):
        ds[0]
    assert len(ds.check()) == 1


def test_check_finds_a_box_written_as_two_corners(folder):
    data = changed(bbox=[2, 2, 8, 6])
    data["images"][0].update(height=100, width=100)
    data["annotations"] = data["annotations"][:1]
    data["annotations"][0].update(
        segmentation=[[40, 40, 60, 40, 60, 60, 40, 60]], bbox=[40, 40, 60, 60]
    )
    Image.new("RGB", (100, 100)).save(folder / "a.png")
    ds = CocoDataset(data, folder)
    assert ds[0].boxes.tolist() == [[40, 40, 60, 60]]  # the mask decides
    assert len(ds.check()) == 1 and "[x, y, width, height]" in ds.check()[0]


# ---- files that are not COCO ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "text, words",
    [
        ("", "not json"),
        ("{", "line 1"),
        ("[1]", "list of results"),
        ("3", "holds a int"),
        ("{}", '"images" is missing'),
        ('{"images": [], "annotations": []}', '"categories" is missing'),
        ('{"images": {}, "annotations": [], "categories": []}', '"images" is not a list'),
        ('{"images": [], "annotations": [], "categories": []}', "categories"),
        ('{"images": [], "annotations": [], "categories": [{"id": 1}]}', "categories[0]"),
        ('{"images": [], "annotations": [], "categories": [4]}', "categories[0]"),
        (
            '{"images": [], "annotations": [], "categories": '
            '[{"id": 1, "name": "a"}, {"id": 1, "name": "b"}]}',
            "earlier category",
        ),
        ('{"images": [], "annotations": [], "categories": [{"id": [], "name": "a"}]}', "a number"),
        ("[" * 100_000, "nested"),
        (b"\xff\xfe\x00", "UTF-8"),
    ],
)
def test_a_file_that_is_not_coco(folder, text, words):
    path = folder / "all.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(LabkitError) as error:
        CocoDataset(path, folder)
    assert words in str(error.value) and str(path) in str(error.value)


def test_missing_files(folder):
    with pytest.raises(MissingFileError, match="none.json"):
        CocoDataset(folder / "none.json", folder)
    with pytest.raises(MissingFileError, match="no such folder"):
        CocoDataset(content(), folder / "none")
    with pytest.raises(LabkitError):
        CocoDataset(folder, folder)


# ---- real data -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, split", [("tiny_coco", "val"), ("balloon", "val"), ("nuclei", "val")]
)
def test_real_data_as_pycocotools_reads_it(name, split, capsys):
    annotations = SHARED / name / "annotations" / f"instances_{split}.json"
    if not annotations.exists():
        pytest.skip(f"{name} is not among the data at hand ({annotations.parent} is absent)")
    ds = CocoDataset(annotations, SHARED / name / split, strict=True)
    assert ds.check() == []
    api = COCO(str(annotations))
    for index in range(0, len(ds), 3):
        sample = ds[index]
        truth = api.loadAnns(api.getAnnIds(sample.image_id))
        assert len(truth) == len(sample)
        for annotation, mask, class_id in zip(truth, sample.masks, sample.class_ids, strict=True):
            assert (api.annToMask(annotation) == mask).all()
            assert ds.category_ids[class_id - 1] == annotation["category_id"]
    assert len(ds.to_coco()["annotations"]) == len(api.anns)


def test_evaluating_the_truth_against_itself_gives_one(tmp_path):
    """What is written for pycocotools means the same to it: its AP of perfect results is 1."""
    from pycocotools.cocoeval import COCOeval

    ds = shapes(6, 96, seed=2)
    ds.save_coco(tmp_path / "all.json", tmp_path)
    api = COCO()
    api.dataset = CocoDataset(tmp_path / "all.json", tmp_path).to_coco()
    api.createIndex()
    results = [
        {key: a[key] for key in ("image_id", "category_id", "segmentation")} | {"score": 1.0}
        for a in api.dataset["annotations"]
    ]
    evaluation = COCOeval(api, api.loadRes(results), "segm")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    assert evaluation.stats[0] == pytest.approx(1)
