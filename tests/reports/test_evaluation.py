"""The page that compares runs: whole, self-contained, escaped."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from labkit.errors import LabkitError
from labkit.evaluation import evaluate_results
from labkit.reports.evaluation import evaluation_page, write_evaluation_page

GOLDEN = Path(__file__).parents[1] / "golden"
PATHS = GOLDEN / "coco_edge_gt.json", GOLDEN / "coco_edge_dt.json"
EVIL = "<script>alert('x')</script>"


@pytest.fixture(scope="module")
def html(tmp_path_factory):
    truth = json.loads(PATHS[0].read_text())
    truth["categories"][0]["name"] = EVIL
    results = json.loads(PATHS[1].read_text())
    runs = {EVIL: evaluate_results(truth, results), "half": evaluate_results(truth, results[::2])}
    path = write_evaluation_page(runs, tmp_path_factory.mktemp("page") / "page.html")
    return path.read_text(encoding="utf-8")


class Outline(HTMLParser):
    """The tags that are open, the anchors, the images."""

    def __init__(self, text):
        super().__init__()
        self.open, self.ids, self.links, self.images = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.ids += [attrs["id"]] if "id" in attrs else []
        self.links += [attrs["href"]] if tag == "a" else []
        self.images += [attrs] if tag == "img" else []
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_is_well_formed_and_the_contents_lead_somewhere(html):
    outline = Outline(html)
    assert outline.open == []
    assert [link[1:] for link in outline.links] == outline.ids
    for title in ("COCO&#x27;s numbers", "Other definitions of AP", "Confusion", "Worst images"):
        assert f"{title}</h2>" in html


def test_it_asks_for_nothing_from_outside(html):
    assert not re.search(r"(src|href)=[\"'](?!data:|#)", html)
    assert "http://" not in html and "https://" not in html and "url(" not in html
    assert "default-src 'none'" in html and "prefers-color-scheme: dark" in html


def test_names_are_escaped_and_images_have_words(html):
    assert "<script" not in html and "&lt;script&gt;" in html
    images = Outline(html).images
    assert len(images) > 10 and all(len(image["alt"]) > 20 for image in images)


def test_the_numbers_are_those_of_the_evaluation(html):
    evaluation = evaluate_results(*PATHS)
    assert f"{evaluation.segm['AP']:.3f}" in html and f"{evaluation.bbox['AP']:.3f}" in html
    assert "of each row is bold, with a star" in html


def test_runs_on_other_data_are_refused_and_empty_truth_is_not():
    truth = json.loads(PATHS[0].read_text())
    one = evaluate_results(*PATHS)
    fewer = evaluate_results({**truth, "images": truth["images"], "annotations": []}, [])
    with pytest.raises(LabkitError, match="'a' and 'b' were measured on different images"):
        evaluation_page({"a": one, "b": fewer})
    with pytest.raises(LabkitError, match="at least one run"):
        evaluation_page({})
    assert "Types of errors" not in evaluation_page({"empty": fewer}).html()


def test_all_of_the_page_counts_as_many_detections_as_the_evaluation(tmp_path):
    squares = [
        {"image_id": 1, "category_id": 1, "bbox": [5 * i, 0, 4, 4], "area": 16, "iscrowd": 0}
        for i in range(120)
    ]
    truth = {
        "images": [{"id": 1, "file_name": "a.png", "height": 9, "width": 600}],
        "categories": [{"id": 1, "name": "cell"}],
        "annotations": [s | {"id": i} for i, s in enumerate(squares, 1)],
    }
    found = [s | {"score": 0.9} for s in squares]
    for most, cost in ((120, "missed 0.000"), (100, "missed 0.1")):
        evaluation = evaluate_results(truth, found, iou_types=["bbox"], max_dets=most)
        path = write_evaluation_page({"run": evaluation}, tmp_path / f"{most}.html")
        assert cost in path.read_text(encoding="utf-8")
