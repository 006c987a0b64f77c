"""explore_training: its frames are the film's, and right means right as in AP50."""

import json
import re

import numpy as np
import pytest
import traitlets

import labkit
from labkit.errors import LabkitError, MissingFileError
from labkit.evaluation import evaluate_results
from labkit.models.detections import Detections
from labkit.ops.losses import LOSS_NAMES
from labkit.training import History
from labkit.training.film import Camera
from labkit.widgets import explore_training
from labkit.widgets.explorer import opened, script
from labkit.widgets.training import FINEST, MOST_POINTS, objects_of, outline


@pytest.fixture(scope="module")
def data():
    return labkit.shapes(3, 64, seed=4)


def rows(count: int) -> list[dict]:
    return [
        {"step": i, "stage": 1, "lr": 1e-3, "total": 5.0 / i} | dict.fromkeys(LOSS_NAMES, 1.0 / i)
        for i in range(1, count + 1)
    ]


def results(data) -> list[dict]:
    """Every object found, the first picture's first one as another class, and one twice."""
    wanted = ("image_id", "category_id", "bbox", "segmentation")
    found = [
        {k: a[k] for k in wanted} | {"score": 0.9 - i / 50}
        for i, a in enumerate(data.to_coco()["annotations"])
    ]
    found[0] = found[0] | {"category_id": found[0]["category_id"] % len(data.category_ids) + 1}
    return [*found, found[-1] | {"score": 0.95}]


@pytest.fixture
def run(data, tmp_path):
    """The folder of a run of 40 steps with two frames; nothing was found in the first."""
    camera = Camera(tmp_path, data, len(data))
    camera.take(10, [])
    camera.take(30, results(data))
    ap = [
        {"step": s, "bbox_AP": v, "bbox_AP50": v, "segm_AP": v / 2, "segm_AP50": v}
        for s, v in ((10, 0.0), (30, 0.5))
    ]
    History(rows(40), ap).save(tmp_path)
    return tmp_path


@pytest.fixture
def w(run):
    return explore_training(run)


def test_it_opens_at_the_end_of_the_film(w, data):
    assert w.step == 30 and [f["step"] for f in w.frames] == [10, 30]
    for picture, sample in zip(w.pictures, data, strict=True):
        np.testing.assert_array_equal(opened(picture["url"]), sample.image)
        assert [o["name"] for o in picture["objects"]] == [
            data.class_names[c - 1] for c in sample.class_ids
        ]
    json.dumps([w.frames, w.curves, w.pictures], allow_nan=False)  # what the browser can read


def test_what_is_found_is_counted_at_every_frame_and_score(w, data):
    objects = sum(map(len, data))
    w.score = 0.05
    # All but the misnamed one; it, and the copy of the last object, are too many.
    assert w.values == {
        "step": 30,
        "objects": objects,
        "found": objects + 1,
        "right": objects - 1,
        "false_positives": 2,
        "missed": 1,
        "bbox_AP": 0.5,
        "segm_AP": 0.25,
    }
    w.score = 0.92  # only the copy, which is now the first to find its object
    assert w.values["found"] == w.values["right"] == 1
    w.frame = 0
    assert w.values["found"] == 0 and w.values["missed"] == objects and w.values["bbox_AP"] == 0


def test_a_detection_is_right_where_ap50_says_so(data):
    """As many are right as pycocotools finds at IoU 0.5: the highest recall of each class."""
    rng = np.random.default_rng(3)
    found = []
    for entry in results(data):
        y, x = rng.integers(-4, 5, 2)
        mask = labkit.ops.coco_masks.decode_segmentation(entry["segmentation"], 64, 64)
        mask = np.roll(mask, (y, x), (0, 1))
        found.append(
            entry | {"segmentation": labkit.ops.coco_masks.encode_rle(mask), "score": rng.random()}
        )
    evaluation = evaluate_results(data.to_coco(), found)
    hits = {name: 0 for name in data.class_names}
    for sample in data:
        own = [r for r in found if r["image_id"] == sample.image_id]
        here = detections(own, data)
        there = detections(
            [
                a | {"score": 1.0}
                for a in data.to_coco()["annotations"]
                if a["image_id"] == sample.image_id
            ],
            data,
        )
        for name, which in zip(here.names, objects_of(here, there), strict=True):
            assert which < 0 or there.names[which] == name
            hits[name] += which >= 0
    curves = evaluation.curves["segm"]
    for k, name in enumerate(data.class_names):
        count = evaluation.per_class[name]["objects"]
        if count:
            reached = curves.recall_thresholds[curves.at(0.5)[:, k] > 0].max(initial=0)
            assert reached == pytest.approx(hits[name] / count, abs=0.01)  # a grid of 101 points
    assert 0 < sum(hits.values()) < len(found)


def detections(entries, data) -> Detections:
    x, y, width, height = np.array([e["bbox"] for e in entries], float).reshape(-1, 4).T
    masks = [labkit.ops.coco_masks.decode_segmentation(e["segmentation"], 64, 64) for e in entries]
    return Detections(
        np.stack([y, x, y + height, x + width], 1),
        [e["score"] for e in entries],
        [e["category_id"] for e in entries],
        class_names=data.class_names,
        image_size=(64, 64),
        masks=np.array(masks, bool).reshape(-1, 64, 64),
    )


def test_an_outline_runs_between_the_pixels():
    mask = np.zeros((6, 8), bool)
    mask[2:4, 3:7] = True
    x, y = np.array(re.findall(r"[ML]([\d.]+) ([\d.]+)", outline(mask)), float).T
    # The line of one half between pixel centres is the border itself.
    assert (x.min(), x.max(), y.min(), y.max()) == (3, 7, 2, 4)
    assert outline(np.zeros((4, 4), bool)) == ""
    edge = outline(np.ones((4, 4), bool))
    assert edge.count("M") == 1 and edge.endswith("Z")
    split = np.zeros((5, 9), bool)
    split[1:3, 1:3] = split[1:3, 5:8] = True
    assert outline(split).count("M") == 2


def test_outlines_of_large_pictures_are_coarser():
    yy, xx = np.mgrid[:2000, :2000]
    disc = np.hypot(yy - 1000, xx - 1000) < 900
    assert outline(disc).count("L") < 5 * FINEST


def test_curves_of_long_runs_have_few_points(run):
    History(rows(5000)).save(run)
    w = explore_training(run)
    assert [c["name"] for c in w.curves] == ["total", *LOSS_NAMES, "lr", "ap"]
    for curve in w.curves[:-1]:
        assert curve["last"] == 5000
        for points in curve["lines"].values():
            assert len(points) <= MOST_POINTS and points[-1][0] == 5000


def test_losses_that_broke_leave_gaps(run):
    broken = rows(40)
    broken[-1]["mask"] = float("nan")
    History(broken).save(run)
    curve = next(c for c in explore_training(run).curves if c["name"] == "mask")
    assert len(curve["lines"]["raw"]) == 39 and 0 < curve["top"] < 2
    # A run that is going on has frames before its history is written down.
    (run / "history.csv").unlink()
    w = explore_training(run)
    assert w.curves[0]["lines"]["raw"] == [] and w.curves[0]["last"] == 30
    assert w.draw()[1]


def test_it_is_driven_from_code_within_the_film(w):
    w.frame = 99
    assert w.frame == 1
    for name, value in (("frame", -1), ("score", 2.0), ("truth", "yes")):
        with pytest.raises(traitlets.TraitError, match=name):
            setattr(w, name, value)


def test_no_film_and_no_frame_are_sentences(data, tmp_path):
    with pytest.raises(MissingFileError, match="film.json does not exist"):
        explore_training(tmp_path)
    Camera(tmp_path, data, 1)
    with pytest.raises(LabkitError, match="no frame yet: the first is taken at step"):
        explore_training(tmp_path)


def test_the_picture_says_what_it_shows(w):
    figure, alt = w.draw()
    now = w.values
    assert f"step 30: {now['found']} found, {now['right']} right" in alt
    assert len(figure.axes) == 3 + 2
    assert len(figure.axes[0].collections) > 0  # the ground truth
    w.truth = False
    w.frame = 0
    assert len(w.draw()[0].axes[0].collections) == 0


def marks(w) -> list[str]:
    return [text.get_text() for ax in w.draw()[0].axes[:3] for text in ax.texts]


def test_labels_do_not_hide_many_objects(w, run, monkeypatch):
    w.score = 0.05
    assert marks(w) and all(len(m) > 2 and m[0] in "✓✕" for m in marks(w))  # with names
    monkeypatch.setattr("labkit.widgets.training.MANY", 0)
    assert marks(w) == ["✕"] * w.values["false_positives"]


def test_a_single_class_is_not_named(tmp_path):
    data = labkit.shapes(1, 64, seed=4, classes=["star"])
    camera = Camera(tmp_path, data, 1)
    wanted = ("image_id", "category_id", "bbox", "segmentation")
    own = data.to_coco()["annotations"]
    camera.take(10, [{k: a[k] for k in wanted} | {"score": 0.9} for a in own])
    History(rows(10)).save(tmp_path)
    found = [text.get_text() for text in explore_training(tmp_path).draw()[0].axes[0].texts]
    assert found == ["✓"] * len(own)


def test_the_script_parses(parses):
    parses(script("training.js"))
