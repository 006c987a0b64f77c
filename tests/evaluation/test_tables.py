"""An Evaluation as text and as HTML."""

import json
from pathlib import Path

import pytest

from labkit.errors import LabkitError
from labkit.evaluation import evaluate_results

GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.fixture(scope="module")
def edge():
    return evaluate_results(GOLDEN / "coco_edge_gt.json", GOLDEN / "coco_edge_dt.json")


def renamed(name):
    truth = json.loads((GOLDEN / "coco_edge_gt.json").read_text())
    truth["categories"][0]["name"] = name
    results = json.loads((GOLDEN / "coco_edge_dt.json").read_text())
    return evaluate_results(truth, results)


def test_each_number_stands_beside_what_it_means(edge):
    lines = str(edge).splitlines()
    assert lines[0] == (
        "12 images, 28 objects and 4 crowds, 201 detections (at most 100 per image and class)"
    )
    ap = next(line for line in lines if line.startswith("AP "))
    assert ap.split()[:3] == ["AP", "0.162", "0.160"]
    assert ap.endswith("the COCO score")
    assert max(map(len, lines)) <= 100
    assert repr(edge) == str(edge)


def test_classes_are_sorted_by_ap_and_those_without_truth_come_last(edge):
    lines = str(edge).splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("class"))
    assert [line.split()[0] for line in lines[start + 1 : start + 6]] == [
        "c5",
        "c3",
        "c2",
        "c1",
        "c90",
    ]
    assert lines[start + 5].split() == ["c90", "0", *"––––––"]
    assert "– means that the ground truth holds no such object" in lines[-1]


def test_no_dash_no_note():
    whole = evaluate_results(GOLDEN / "coco_main_gt.json", GOLDEN / "coco_main_dt.json")
    assert "–" not in str(whole)


def test_class_names_are_escaped_in_html():
    html = renamed("<script>alert('x')</script>")._repr_html_()
    assert "<script" not in html
    assert "&lt;script&gt;" in html


def test_control_characters_in_class_names_do_not_reach_the_terminal():
    text = str(renamed("\x1b[31mred\nx"))
    assert "\x1b" not in text and r"\x1b[31mred\nx" in text


def test_the_html_holds_the_same_numbers(edge):
    html = edge._repr_html_()
    for value in ("0.162", "0.160", "c90"):
        assert value in html
    assert html.count("<table>") == 3
    assert html.count("<caption>") == 3


def test_the_json_holds_the_numbers(edge, tmp_path):
    written = json.loads(edge.to_json(tmp_path / "metrics.json"))
    assert written == json.loads((tmp_path / "metrics.json").read_text())
    assert written == edge.to_dict()
    assert written["segm"]["AP"] == edge.segm["AP"]
    assert written["per_class"]["c90"]["bbox"]["AP"] == -1
    assert written["detections"] == 201


def test_the_operating_point_is_the_best_f1_of_the_curve(edge):
    point = edge.operating_point("c5", iou=0.5, kind="bbox")
    curve = edge.curves["bbox"].at(0.5)[:, edge.class_names.index("c5")]
    recall = edge.curves["bbox"].recall_thresholds
    assert point["f1"] == pytest.approx((2 * curve * recall / (curve + recall + 1e-15)).max())
    assert 0 < point["score"] <= 1
    with pytest.raises(LabkitError, match="'c90' has no ground truth"):
        edge.operating_point("c90")
    with pytest.raises(LabkitError, match="no curve for 'cat'"):
        edge.operating_point("cat")
    with pytest.raises(LabkitError, match="no curve at IoU 0.52"):
        edge.operating_point("c5", iou=0.52)
