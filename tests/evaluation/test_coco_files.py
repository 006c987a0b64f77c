"""Every fault in the files is named (entry, field, remedy) before pycocotools gets them."""

import copy
import json

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from labkit.errors import LabkitError, MissingFileError
from labkit.evaluation import evaluate_results
from labkit.evaluation.coco_files import read_ground_truth
from labkit.evaluation.rle import check_texts, decode_texts

TRUTH = {
    "images": [{"id": 1, "height": 20, "width": 30}, {"id": 2, "height": 20, "width": 30}],
    "categories": [{"id": 4, "name": "cell"}],
    "annotations": [
        {
            "id": 1,
            "image_id": 1,
            "category_id": 4,
            "iscrowd": 0,
            "area": 100,
            "bbox": [2, 3, 10, 10],
            "segmentation": [[2, 3, 12, 3, 12, 13, 2, 13]],
        }
    ],
}
RESULT = {
    "image_id": 1,
    "category_id": 4,
    "score": 0.5,
    "bbox": [2, 3, 10, 10],
    "segmentation": {"size": [20, 30], "counts": [43, 10, 547]},
}


def changed(entry, **changes):
    entry = {**copy.deepcopy(entry), **changes}
    return {key: value for key, value in entry.items() if value != "gone"}


def test_the_untouched_example_is_fine():
    assert evaluate_results(TRUTH, [RESULT]).images == 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image_id": 9}, "image_id 9 is not among the 2 images of the ground truth"),
        ({"image_id": "gone"}, "has no image_id"),
        ({"image_id": "1"}, "image_id is '1'; it must be a whole number"),
        ({"category_id": 1}, r"category_id 1 is not among the categories .* \(4\)"),
        ({"score": "gone"}, "has no score"),
        ({"score": float("nan")}, "score is nan, which cannot be ranked"),
        ({"score": "0.5"}, "score is '0.5'; it must be a number"),
        ({"bbox": [1, 2, 3]}, r"bbox is \[1, 2, 3\]; it must be four numbers"),
        ({"bbox": [1, 2, 3, None]}, "must be four numbers"),
        ({"bbox": [9, 9, -2, 3]}, "negative size"),
        ({"segmentation": "gone"}, "has no segmentation; give every entry a mask, or none"),
        ({"segmentation": {"size": [20, 30]}}, "an RLE with size and counts"),
        ({"segmentation": {"size": [30, 20], "counts": [600]}}, r"\[30, 20\] pixels"),
        ({"segmentation": {"size": [20, 30], "counts": [599]}}, "cover 599 pixels instead of"),
        ({"segmentation": {"size": [20, 30], "counts": [-1, 601]}}, "run lengths"),
        ({"segmentation": {"size": [20, 30], "counts": "\x01ü"}}, "no COCO run-length text"),
        ({"segmentation": {"size": [20, 30], "counts": ""}}, "no COCO run-length text"),
        ({"segmentation": {"size": [20, 30], "counts": "o" * 20 + "0"}}, "far too large"),
        ({"segmentation": {"size": [20, 30], "counts": 600}}, "must be a text or a list"),
        ({"segmentation": [[1, 2, 3, 4]]}, "at least three points"),
    ],
)
def test_a_bad_result_is_named_with_its_number(changes, message):
    with pytest.raises(LabkitError, match=f"the results: entry 1: .*{message}"):
        evaluate_results(TRUTH, [RESULT, changed(RESULT, **changes)])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image_id": 9}, "image_id 9 is not among the 2 images"),
        ({"category_id": "gone"}, "has no category_id"),
        ({"iscrowd": 2}, "iscrowd is 2; it must be 0 or 1"),
        ({"area": float("inf")}, "area is inf"),
        ({"segmentation": []}, "has no segmentation; remove it"),
        ({"segmentation": [[0, 0, float("nan"), 1, 2, 2]]}, "a polygon of its segmentation"),
    ],
)
def test_a_bad_annotation_is_named_with_its_number(changes, message):
    truth = copy.deepcopy(TRUTH)
    truth["annotations"].append(changed(TRUTH["annotations"][0], **changes))
    with pytest.raises(LabkitError, match=rf"the ground truth: annotations\[1\]: .*{message}"):
        evaluate_results(truth, [RESULT])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": "gone"}, "the list 'images' is missing"),
        ({"images": []}, "lists no images"),
        ({"categories": []}, "lists no categories"),
        ({"images": [{"id": 1, "height": 20}]}, r"images\[0\]: has no width"),
        ({"images": [{"id": 1, "height": 0, "width": 3}]}, "whole number of pixels"),
        ({"images": TRUTH["images"] * 2}, r"images\[2\]: id 1 was used by an earlier image"),
        ({"categories": TRUTH["categories"] * 2}, r"categories\[1\]: id 4 was used"),
        ({"images": [17]}, r"images\[0\]: is int"),
    ],
)
def test_a_bad_ground_truth_is_named(changes, message):
    with pytest.raises(LabkitError, match=message):
        evaluate_results(changed(TRUTH, **changes), [])


def test_the_arguments_swapped_are_noticed():
    with pytest.raises(LabkitError, match="results go into the other argument"):
        evaluate_results([RESULT], TRUTH)
    with pytest.raises(LabkitError, match="results are a list"):
        evaluate_results(TRUTH, {"annotations": []})


def test_files_are_named(tmp_path):
    truth = tmp_path / "truth.json"
    truth.write_text(json.dumps(TRUTH), encoding="utf-8-sig")
    with pytest.raises(MissingFileError, match="found.json: there is no such file"):
        evaluate_results(truth, tmp_path / "found.json")
    cut = tmp_path / "cut.json"
    cut.write_text(json.dumps([RESULT])[:-9])
    with pytest.raises(LabkitError, match=r"cut.json: is not valid JSON \(line 1, column"):
        evaluate_results(truth, cut)
    cut.write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(LabkitError, match="cut.json: is not"):
        evaluate_results(truth, str(cut))
    with pytest.raises(LabkitError, match="is a folder"):
        evaluate_results(tmp_path, [])
    cut.write_text(json.dumps([changed(RESULT, category_id=8)]))
    with pytest.raises(LabkitError, match=r"cut.json: entry 0: .* of .*truth.json \(4\)"):
        evaluate_results(truth, cut)


def test_equal_category_names_are_told_apart():
    truth = changed(TRUTH, categories=[{"id": 4, "name": "cell"}, {"id": 7, "name": "cell"}])
    assert read_ground_truth(truth).names == ["cell (4)", "cell (7)"]


def random_masks(count):
    rng = np.random.default_rng(0)
    for _ in range(count):
        height, width = rng.integers(1, 90, 2)
        yield rng.random((height, width)) < rng.choice([0.001, 0.1, 0.5, 0.999])


def text_of(mask):
    return coco_mask.encode(np.asfortranarray(mask, np.uint8))["counts"]


def test_run_lengths_are_decoded_as_pycocotools_wrote_them():
    masks = list(random_masks(50))
    runs, firsts = decode_texts([text_of(mask) for mask in masks], "here")
    for mask, own in zip(masks, np.split(runs, firsts[1:]), strict=True):
        again = np.repeat(np.arange(len(own)) % 2, own).reshape(mask.shape[::-1]).T
        np.testing.assert_array_equal(again, mask)


def test_a_very_long_run():
    mask = np.zeros((3000, 4000), np.uint8, order="F")
    assert decode_texts([text_of(mask)], "here")[0].tolist() == [12_000_000]


@pytest.mark.parametrize("wrong", [0, 3, 4095, 4096, 5000])
def test_among_many_masks_the_wrong_one_is_named(wrong):
    good = {"size": [20, 30], "counts": text_of(np.zeros((20, 30)))}
    masks = [good] * 5001
    check_texts(masks, str)
    masks[wrong] = {"size": [20, 31], "counts": good["counts"]}
    with pytest.raises(LabkitError, match=rf"^{wrong}: the run lengths .* cover 600 pixels"):
        check_texts(masks, str)
    check_texts([], str)
