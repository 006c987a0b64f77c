"""explore_rpn_targets: its colours are labkit's matches, its sample is labkit's sample."""

import json

import numpy as np
import pytest
import tensorflow as tf
import traitlets

from labkit.errors import LabkitError
from labkit.models.config import Config
from labkit.models.inference import batch_of
from labkit.ops.anchors import pyramid_anchors
from labkit.ops.boxes import iou
from labkit.ops.matching import BACKGROUND, IGNORED, match
from labkit.widgets import explore_rpn_targets
from labkit.widgets.explorer import script
from labkit.widgets.rpn_targets import LEFT_OUT, VIEWS, matches_of

IMAGE = np.full((128, 128, 3), 90, np.uint8)
BOXES = np.float32([[10, 10, 60, 60], [70, 80, 126, 127], [100, 10, 112, 22]])
TINY = Config.preset("tiny")


@pytest.fixture(scope="module")
def anchors():
    grids = [(128 // s, 128 // s) for s in TINY.strides]
    levels = pyramid_anchors((128, 128), grids, TINY.anchor_sizes, TINY.anchor_ratios, False, 0.5)
    return np.concatenate(levels)


def test_its_anchors_and_matches_are_the_training_s(anchors):
    w = explore_rpn_targets(IMAGE, BOXES)
    np.testing.assert_array_equal(np.frombuffer(w.anchors, np.float32).reshape(-1, 4), anchors)
    want = match(iou(anchors, BOXES), tf.ones(3, tf.bool), 0.6, 0.3, True).numpy()
    np.testing.assert_array_equal(np.frombuffer(w.matches, np.int32), want)
    found = w.values
    assert found["positive"] == (want >= 0).sum() and found["ignored"] == (want == IGNORED).sum()
    assert found["negative"] == (want == BACKGROUND).sum() and found["left_out"] == 0
    assert found["positives"] == [(want == g).sum() for g in range(3)]


def test_the_sample_is_full_and_of_the_right_kinds():
    w = explore_rpn_targets(IMAGE, BOXES)
    matches, chosen = np.frombuffer(w.matches, np.int32), np.frombuffer(w.sampled, np.uint8) > 0
    assert chosen.sum() == TINY.rpn_samples
    assert not (chosen & (matches == IGNORED)).any()
    assert w.values["sampled_positive"] == min(w.values["positive"], TINY.rpn_samples // 2)
    w.seed = 1
    other = np.frombuffer(w.sampled, np.uint8) > 0
    assert other.sum() == chosen.sum() and (other != chosen).any()
    w.samples = 16
    assert w.values["sampled_positive"] + w.values["sampled_negative"] == 16
    w.view = "the sample"
    assert sum(len(boxes) for boxes in w.shown().values()) == 16


def test_the_best_anchor_rule_leaves_no_object_alone():
    w = explore_rpn_targets(IMAGE, BOXES)
    w.positive_iou = 1.0
    assert w.values["without"] == [] and min(w.values["positives"]) >= 1
    w.every_object = False
    assert w.values["without"] == [0, 1, 2] and w.values["share_without"] == 1
    assert w.values["sampled_positive"] == 0


def test_anchors_that_cross_the_border_are_left_out(anchors):
    w = explore_rpn_targets(IMAGE, BOXES)
    w.inside_only = True
    inside = ((anchors >= 0) & (anchors <= 128)).all(axis=1)
    assert w.values["left_out"] == (~inside).sum() > 0
    matches = matches_of(anchors, BOXES, (0, 0, 128, 128), 0.6, 0.3, True)
    assert (matches[~inside] == LEFT_OUT).all() and (matches[inside] != LEFT_OUT).all()
    # An object's best anchor is the best of those inside.
    assert set(range(3)) <= set(matches[inside].tolist())
    assert not (np.frombuffer(w.sampled, np.uint8)[~inside]).any()


def test_the_border_is_the_picture_s_not_the_padding_s():
    picture = np.zeros((100, 128, 3), np.uint8)
    w = explore_rpn_targets(picture, BOXES[:1])
    canvas, sizes = batch_of([picture], TINY)
    assert w.size == list(canvas.shape[1:3]) and w.place == [0, 0, *sizes[0]]
    assert w.place[3] < w.size[1]
    w.inside_only, w.view = True, "every anchor"
    shown = np.concatenate(list(v for k, v in w.shown().items() if k != "left_out"))
    assert shown[:, 3].max() <= w.place[3]


def test_one_threshold_follows_the_other():
    w = explore_rpn_targets(IMAGE, BOXES)
    w.positive_iou = 0.2
    assert w.negative_iou == 0.2 and w.values["ignored"] == 0
    w.negative_iou = 0.8
    assert w.positive_iou == 0.8


def test_a_level_alone():
    w = explore_rpn_targets(IMAGE, BOXES)
    assert w.shown()["negative"].size == 0  # at first the positive anchors alone
    assert len(w.shown()["positive"]) == w.values["positive"]
    w.view, w.level = "every anchor", 4
    assert sum(len(boxes) for boxes in w.shown().values()) == w.counts[4] == 12


def test_no_objects():
    w = explore_rpn_targets(IMAGE, [])
    assert w.values["positive"] == 0 and np.isnan(w.values["share_without"])
    assert w.values["negative"] == len(w.anchors) // 16
    assert w.picture().png.startswith(b"\x89PNG")


def test_bad_input_is_refused():
    with pytest.raises(LabkitError, match="give the objects' boxes"):
        explore_rpn_targets(IMAGE)
    with pytest.raises(traitlets.TraitError, match="box 1 has no area"):
        explore_rpn_targets(IMAGE, [[0, 0, 9, 9], [5, 5, 5, 9]])
    w = explore_rpn_targets(IMAGE, BOXES)
    for name, value in {"positive_iou": 1.2, "level": 7, "view": "all", "samples": 0}.items():
        with pytest.raises(traitlets.TraitError):
            setattr(w, name, value)


def test_the_picture_states_the_counts():
    w = explore_rpn_targets()
    figure, alt = w.draw()
    labels = {t.get_text() for t in figure.legends[0].get_texts()}
    assert f"positive ({w.values['positive']})" in labels and "object (5)" in labels
    assert "object 1 has" in alt and "0 of 5 objects without an anchor" in alt


def test_the_script_parses(parses):
    parses(script("rpn_targets.js"))


def test_kernel_and_page_offer_the_same_views():
    assert f"const VIEWS = {json.dumps(list(VIEWS))};" in script("rpn_targets.js")
