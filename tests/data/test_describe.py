"""The report on a data set: its numbers, its words, and what strangers' names can do to it."""

import json
import subprocess
import sys

import numpy as np
import pytest

from labkit.data import CocoDataset, shapes
from labkit.data.describe import describe
from labkit.models.config import Config

SEVEN = [[(1, False), (1, False), (2, False)], [(1, False), (2, True)], [], [(3, True)]]


def test_counts(toy):
    found = describe(toy(SEVEN, problems=["x.json: images[3] is broken."]))
    assert (found.images, found.instances, found.crowds, found.without_objects) == (4, 4, 2, 1)
    assert [(c.name, c.images, c.instances) for c in found.classes] == [
        ("a", 2, 3),
        ("b", 1, 1),
        ("c", 0, 0),
    ]
    assert found.per_image == (0, 0, 3) and found.heights == (24, 24, 24)
    assert found.rare_classes == 3 and found.head_share == 0.75
    assert found.problems == ("x.json: images[3] is broken.",)


def test_sizes_are_those_of_the_boxes_before_and_after_resizing(toy):
    config = Config.preset("tiny", image_min_side=48, image_max_side=64)  # twice as large
    found = describe(toy(SEVEN), config)
    np.testing.assert_array_equal(found.box_sides, [[2, 3], [2, 4], [2, 5], [2, 3]])
    np.testing.assert_allclose(found.resized_sides, found.box_sides * 2)
    assert found.size_quantiles[95][1] == pytest.approx(2 * found.size_quantiles[95][0])
    assert found.config_name == "the given config"
    assert describe(toy(SEVEN), Config.preset("r50_fpn")).config_name == "r50_fpn"


def test_overlaps(tmp_path):
    """Three boxes: two nearly the same, of one class or of two, and one apart."""
    square = lambda x, y: [[x, y, x + 10, y, x + 10, y + 10, x, y + 10]]  # noqa: E731
    for category, hidden in ((1, 2 / 3), (2, 0)):
        content = {
            "images": [{"id": 1, "file_name": "a.png", "height": 40, "width": 40}],
            "categories": [{"id": 1, "name": "x"}, {"id": 2, "name": "y"}],
            "annotations": [
                {"id": i, "image_id": 1, "category_id": c, "segmentation": s}
                for i, c, s in (
                    (1, 1, square(0, 0)),
                    (2, category, square(1, 1)),
                    (3, 1, square(25, 25)),
                )
            ],
        }
        overlaps = CocoDataset(content, tmp_path).describe().overlaps
        assert overlaps.touching == pytest.approx(2 / 3)
        assert overlaps.hidden_by_nms == pytest.approx(hidden)


def test_no_picture_is_read_unless_asked(tmp_path):
    content = {
        "images": [{"id": 1, "file_name": "absent.png", "height": 40, "width": 40}],
        "categories": [{"id": 1, "name": "x"}],
        "annotations": [
            {
                "id": 1,
                "image_id": 1,
                "category_id": 1,
                "segmentation": [[1, 1, 9, 1, 9, 9]],
                "area": 32,
                "bbox": [1, 1, 8, 8],
            }
        ],
    }
    ds = CocoDataset(content, tmp_path)
    listed = "1 of 1 pictures is not in"  # which a listing of the folder tells
    assert listed in ds.describe().problems[0] and not ds.describe().checked
    assert "absent.png: there is no such file" in ds.describe(check=True).problems[0]
    view = ds.subset([0]).keep_classes(["x"])
    assert "absent.png" in view.describe(check=True).problems[0]


def test_json_takes_everything(toy):
    for ds in (toy(SEVEN), toy([]), toy([[]])):
        back = json.loads(json.dumps(describe(ds).to_dict(), allow_nan=False))
        assert back["images"] == len(ds) and len(back["classes"]) == 3
        assert back["anchors"]["sizes"] == [12, 24, 48, 96, 160]
    assert back["anchors"]["uncovered"] is None and back["size_quantiles"] == {}


def test_words_for_a_terminal_and_a_notebook(toy):
    names = ("<script>alert(1)</script>", "b\nc", "$x_1^")
    found = describe(toy(SEVEN, names, problems=["<b>bold</b>\nsecond line"]))
    text = str(found)
    assert "<script>alert(1)</script>" in text and "b c" in text and "problem: <b>" in text
    assert "none with an IoU of 0.5" in text
    html = found._repr_mimebundle_()["text/html"]
    assert "<script>" not in html and "<b>bold" not in html and "&lt;b&gt;bold" in html


def test_the_method_shows_pictures_in_a_notebook_and_the_function_draws_nothing(toy):
    html = toy(SEVEN).describe()._repr_mimebundle_()["text/html"]
    assert html.count("<img alt=") == 2 and 'alt="Bar chart of the instances of 3' in html
    assert html.startswith(describe(toy(SEVEN))._repr_mimebundle_()["text/html"])
    empty = toy([]).describe()
    assert "nothing to see" in str(empty) and "<img" not in empty._repr_mimebundle_()["text/html"]
    assert "<img" not in describe(toy(SEVEN))._repr_mimebundle_()["text/html"]


def test_a_machine_without_matplotlib_shows_the_table(toy, monkeypatch):
    monkeypatch.setitem(sys.modules, "labkit.viz.dataset", None)
    html = toy(SEVEN).describe()._repr_mimebundle_()["text/html"]
    assert "<table>" in html and "<img" not in html


def test_nothing_is_drawn_before_a_notebook_shows_it():
    code = (
        "import sys, labkit; data = labkit.shapes(2, 64); print(data.describe()); "
        "sys.exit('labkit.viz' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_long_lists_are_cut_and_the_rest_is_counted(toy):
    names = [f"class {i}" for i in range(40)]
    found = describe(toy([[(1, False)]], names, problems=[f"problem {i}" for i in range(30)]))
    text = str(found)
    assert "and 28 more classes" in text and "and 18 more problems" in text
    assert "the most frequent tenth has 100%" in text
    assert "and 18 more" in found._repr_mimebundle_()["text/html"]
    assert len(found.to_dict()["problems"]) == 30


def test_made_up_pictures_are_described_from_what_is_drawn():
    found = shapes(8, 64, seed=1).describe()
    sizes = shapes(8, 64, seed=1).instance_sizes()
    np.testing.assert_array_equal(found.box_sides, np.stack(sizes, axis=1))
    assert found.overlaps.touching > 0
