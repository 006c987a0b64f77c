"""`labkit evaluate` takes what `labkit detect` wrote."""

import json

import pytest

from labkit.errors import LabkitError
from labkit.evaluation import evaluate_results
from labkit.evaluation.detected import as_results

BOX = [10.0, 10.0, 30.0, 30.0]
IMAGES = [("a/one.png", 40), ("b/one.png", 50), ("b/two.png", 60)]
TRUTH = {
    "images": [{"id": i, "file_name": n, "height": 60, "width": 80} for n, i in IMAGES],
    "categories": [{"id": 7, "name": "cat"}, {"id": 9, "name": "dog"}],
    "annotations": [
        {"id": i, "image_id": i, "category_id": c, "bbox": BOX, "area": 900, "iscrowd": 0}
        for i, c in ((40, 7), (50, 9), (60, 9))
    ],
}


def detected(names=("pics/a/one.png", "/data/b/one.png", "two.png"), labels=(2, 1, 1)):
    """Perfect detections, numbered as `labkit detect` does."""
    return {
        "images": [
            {"id": i, "file_name": n, "height": 60, "width": 80} for i, n in enumerate(names, 1)
        ],
        "categories": [
            {"id": 1, "name": "Dog"},
            {"id": 2, "name": "cat"},
            {"id": 3, "name": "cow"},
        ],
        "annotations": [
            {"id": i, "image_id": i, "category_id": c, "bbox": BOX, "score": 0.9, "area": 900.0}
            for i, c in enumerate(labels, 1)
        ],
    }


@pytest.mark.parametrize("in_files", [False, True])
def test_perfect_detections_have_an_ap_of_one(tmp_path, in_files):
    truth, found = TRUTH, detected()
    if in_files:
        for name, content in (("truth", truth), ("found", found)):
            (tmp_path / f"{name}.json").write_text(json.dumps(content))
        truth, found = tmp_path / "truth.json", tmp_path / "found.json"
    evaluation = evaluate_results(truth, found)
    assert evaluation.bbox["AP"] == 1.0
    assert any("does not have cow" in note for note in evaluation.notes)
    assert {r["image_id"] for r in evaluation.results} == {40, 50, 60}


@pytest.mark.parametrize(
    ("name", "words"), [("one.png", "may be several"), ("other.png", "not in the ground truth")]
)
def test_a_picture_that_is_not_clear_is_named(name, words):
    with pytest.raises(LabkitError, match=f"^the results: .{name}. .*{words}"):
        as_results(detected((name, "b/one.png", "two.png")), TRUTH)


@pytest.mark.parametrize("other", [[], [{"image_id": 1}], TRUTH, {"images": []}, None])
def test_anything_else_is_left_to_the_reader_of_results(other):
    assert as_results(other, TRUTH) == (other, [])
