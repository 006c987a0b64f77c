"""Every fault in the files is named (entry, field, remedy) before pycocotools gets them."""

import copy
import json

import numpy as np
import pytest

from labkit.errors import LabkitError, MissingFileError
from labkit.evaluation import evaluate_results
from labkit.evaluation.coco_results import read_results
from labkit.evaluation.coco_truth import read_ground_truth
from labkit.evaluation.rle import check_texts
from labkit.ops.coco_masks import decode_segmentation, encode_rle

TRUTH = {
    "images": [{"id": 1, "height": 20, "width": 30}, {"id": 2, "height": 20, "width": 30}],
    "categories": [{"id": 4, "name": "cell"}, {"id": 5, "name": "nucleus"}],
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
        ({"image_id": [1]}, r"image_id is \[1\]; it must be a whole number or a text"),
        ({"category_id": 1}, r"category_id 1 is not among the categories .* \(4, 5\)"),
        ({"score": "gone"}, "has no score"),
        ({"score": float("nan")}, "score is nan, which cannot be ranked"),
        ({"score": "0.5"}, "score is '0.5'; it must be a number"),
        ({"bbox": [1, 2, 3]}, r"bbox is \[1, 2, 3\]; it must be four numbers"),
        ({"bbox": [1, 2, 3, None]}, "must be four numbers"),
        ({"bbox": [9, 9, -2, 3]}, "negative size"),
        ({"segmentation": "gone"}, "has no segmentation; give every entry a mask, or none"),
        ({"segmentation": {"size": [20, 30]}}, 'lacks "size" or "counts"'),
        (
            {"segmentation": {"size": [30, 20], "counts": [600]}},
            r"size \[30, 20\] but the image is \[20, 30\]",
        ),
        (
            {"segmentation": {"size": [20, 30], "counts": [599]}},
            "add up to 599, not to the 600 pixels",
        ),
        ({"segmentation": {"size": [20, 30], "counts": [-1, 601]}}, "negative run lengths"),
        ({"segmentation": {"size": [20, 30], "counts": "\x01ü"}}, "not COCO's compressed run"),
        ({"segmentation": {"size": [20, 30], "counts": ""}}, "not COCO's compressed run"),
        ({"segmentation": {"size": [20, 30], "counts": "o" * 20 + "0"}}, "far too large"),
        (
            {"segmentation": {"size": [20, 30], "counts": 600}},
            "neither text nor a list of whole numbers",
        ),
        ({"segmentation": [[1, 2, 3, 4]]}, r"6 at least \(three corners\)"),
        ({"segmentation": [[1, 2, 3, 4, 1e12, 6]]}, "a corner far outside the image"),
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
        ({"iscrowd": 2}, "iscrowd is 2, not 0 or 1; remove it"),
        ({"area": float("inf"), "category_id": 5}, "area is inf"),
        ({"segmentation": []}, "has no segmentation; remove it"),
        ({"segmentation": [[0, 0, float("nan"), 1, 2, 2]]}, "not a list of finite numbers"),
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
        ({"images": TRUTH["images"] * 2}, r"images\[2\]: id 1 was used by an earlier image"),
        ({"categories": TRUTH["categories"] * 2}, r"categories\[2\]: id 4 was used"),
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
    with pytest.raises(LabkitError, match=r"cut.json: entry 0: .* of .*truth.json \(4, 5\)"):
        evaluate_results(truth, cut)


def test_equal_category_names_are_told_apart():
    truth = changed(TRUTH, categories=[{"id": 4, "name": "cell"}, {"id": 7, "name": "cell"}])
    assert read_ground_truth(truth).names == ["cell (4)", "cell (7)"]


ALL_600_PIXELS = encode_rle(np.zeros((20, 30)))


@pytest.mark.parametrize("wrong", [0, 3, 4095, 4096, 5000])
def test_among_many_masks_the_wrong_one_is_named(wrong):
    masks = [ALL_600_PIXELS] * 5001
    check_texts(masks, str)
    masks[wrong] = {**ALL_600_PIXELS, "size": [20, 31]}
    with pytest.raises(LabkitError, match=rf"^{wrong}: .* add up to 600, not to the 620 pixels"):
        check_texts(masks, str)
    check_texts([], str)


@pytest.mark.parametrize("counts", ["P8", ALL_600_PIXELS["counts"] + "1", "0" * 3])
def test_a_text_that_does_not_cover_its_image_is_named_in_either_file(counts):
    wrong = {"size": [20, 30], "counts": counts}
    truth = changed(TRUTH, annotations=[{**TRUTH["annotations"][0], "segmentation": wrong}])
    with pytest.raises(LabkitError, match=r"the ground truth: annotations\[0\]: .* add up to"):
        read_ground_truth(truth)
    results = [RESULT, {**RESULT, "segmentation": wrong}]
    with pytest.raises(LabkitError, match="the results: entry 1: .* add up to"):
        read_results(results, read_ground_truth(TRUTH))


def test_every_form_of_a_mask_becomes_the_same_text():
    polygon = [[2, 3, 12, 3, 12, 13, 2, 13]]
    text = encode_rle(decode_segmentation(polygon, 20, 30))
    runs = [20 * 2 + 3, *[10] * 19, 20 * 18 + 7]
    for given in (
        polygon,
        {**text, "counts": runs},
        text,
        {**text, "counts": text["counts"].encode()},
    ):
        found = read_results([{**RESULT, "segmentation": given}], read_ground_truth(TRUTH))
        assert found.entries[0]["segmentation"] == text


# ---- what is written oddly and read --------------------------------------------------------------

POLYGON = TRUTH["annotations"][0]["segmentation"][0]
ONE = pytest.approx(1)


def with_truth(**changes):
    """`TRUTH` whose first annotation has these changes."""
    return changed(TRUTH, annotations=[TRUTH["annotations"][0] | changes])


def perfect(truth, **changes):
    """The AP of a result that is the object itself; with changes to the result."""
    mask = encode_rle(decode_segmentation([POLYGON], 20, 30))
    return evaluate_results(truth, [RESULT | {"segmentation": mask} | changes])


@pytest.mark.parametrize(
    "changes",
    [
        {"segmentation": POLYGON},
        {"segmentation": [[2, 3], [12, 3], [12, 13], [2, 13]]},
        {"segmentation": [POLYGON, [1, 2, 3, 4]]},
        {"segmentation": [[], POLYGON, None, [1, 1, 9, 1, 20, 1]]},
        {"segmentation": [encode_rle(decode_segmentation([POLYGON], 20, 30))]},
        {"iscrowd": None},
        {"iscrowd": "0"},
        {"bbox": [2, 3, 0, 10]},
        {"bbox": [2, 3, -2, 10]},
        {"bbox": "none"},
    ],
)
def test_an_oddly_written_annotation_is_read_and_noted(changes):
    found = perfect(with_truth(**changes))
    assert found.segm["AP"] == found.bbox["AP"] == ONE and found.objects == 1
    assert len(found.notes) == 1 and found.notes[0].startswith("the ground truth: ")
    assert "annotations[0] (id 1)" in found.notes[0]


@pytest.mark.parametrize("changes", [{"iscrowd": False}, {"area": None}, {"bbox": None}, {"id": 0}])
def test_what_needs_no_word_is_read_without_one(changes):
    found = perfect(with_truth(**changes))
    assert found.segm["AP"] == ONE and found.notes == []


def test_an_oddly_written_result_is_read_and_noted():
    for mask in (POLYGON, [POLYGON, [1, 2, 3, 4]], [[2, 3], [12, 3], [12, 13], [2, 13]]):
        found = perfect(TRUTH, segmentation=mask)
        assert found.segm["AP"] == ONE and found.notes[0].startswith("the results: ")


def test_an_exact_duplicate_in_the_truth_is_one_object():
    truth = changed(TRUTH, annotations=TRUTH["annotations"] * 2)
    found = perfect(truth)
    assert found.objects == 1 and found.segm["AP"] == ONE and "duplicates" in found.notes[0]


@pytest.mark.parametrize(
    "image, category, asked",
    [
        ("7", 4, ("7", 7, 7.0)),
        (7.0, "4", (7.0, "7", 7)),
        ("photo", "f00d", ("photo",)),
        (2**63 + 5, 4, (2**63 + 5, str(2**63 + 5))),
    ],
)
def test_ids_of_any_kind_match_and_are_given_back(image, category, asked):
    truth = changed(
        TRUTH,
        images=[{"id": image, "height": 20, "width": 30}, {"id": 2, "height": 20, "width": 30}],
        categories=[{"id": category, "name": "cell"}],
        annotations=[TRUTH["annotations"][0] | {"image_id": image, "category_id": category}],
    )
    for spelling in asked:
        found = perfect(truth, image_id=spelling, category_id=category)
        assert found.segm["AP"] == ONE
        (written,) = found.results_for_file()
        assert written["image_id"] == image and written["category_id"] == category
        assert json.loads(json.dumps(written)) == written
        again = evaluate_results(truth, [written])
        assert again.segm == found.segm


def test_whole_numbers_stay_as_they_are():
    found = perfect(TRUTH)
    assert found.original_ids == ({}, {}) and found.results_for_file() is found.results


# ---- truths without sizes ------------------------------------------------------------------------


@pytest.mark.parametrize("size", [{}, {"height": 20}, {"height": -1, "width": -1}, {"width": None}])
def test_boxes_need_no_sizes(size):
    truth = changed(TRUTH, images=[{"id": 1} | size])
    found = evaluate_results(truth, [RESULT])
    assert found.bbox["AP"] == ONE and found.segm is None
    assert found.notes == [
        "Masks were not evaluated: the ground truth has no height and width of image 1."
    ]
    with pytest.raises(LabkitError, match="no height and width of image 1, so masks"):
        evaluate_results(truth, [RESULT], iou_types=("segm",))
    only_box = {key: value for key, value in RESULT.items() if key != "segmentation"}
    assert evaluate_results(truth, [only_box]).bbox["AP"] == ONE


def test_run_lengths_bring_their_size():
    mask = encode_rle(decode_segmentation([POLYGON], 20, 30))
    truth = with_truth(segmentation=mask) | {"images": [{"id": 1}]}
    assert perfect(truth).segm["AP"] == ONE


def test_sizes_may_be_texts():
    truth = changed(TRUTH, images=[{"id": 1, "height": "20", "width": 30.0}])
    found = perfect(truth)
    assert found.segm["AP"] == ONE and "2 times" in found.notes[0]
