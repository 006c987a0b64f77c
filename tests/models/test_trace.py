"""A trace is what detection and training compute, for one image."""

from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf

import labkit
from labkit.errors import LabkitError
from labkit.ops import losses


@pytest.fixture(scope="module")
def data():
    return labkit.shapes(4, size=96, seed=3)


@pytest.fixture(scope="module")
def model(data):
    config = labkit.Config.preset("tiny", image_min_side=128, max_instances=data.max_instances)
    return labkit.MaskRCNN(config, data.class_names)


@pytest.fixture(scope="module")
def trace(model, data):
    return model.trace(data[1].image, data[1])


def test_detections_are_those_of_detect(model, data, trace):
    found = model.detect(data[1].image)
    # detect runs a graph, whose fused operations round the last bit in another way
    np.testing.assert_allclose(trace.detections.boxes, found.boxes, rtol=1e-6, atol=1e-5)
    np.testing.assert_allclose(trace.detections.scores, found.scores, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(trace.detections.class_ids, found.class_ids)
    np.testing.assert_array_equal(trace.in_image(trace.boxes), trace.detections.boxes)
    assert trace.detections.masks.shape == (len(found), 96, 96)


def test_only_a_trace_hands_over_the_proposals(model, data):
    image = np.random.default_rng(1).integers(0, 255, (37, 201, 3)).astype(np.uint8)
    assert model.detect(image).rpn_boxes is None
    trace = model.trace(image)
    proposals = trace.detections.to_dict()["rpn_boxes"]
    assert proposals.shape == (len(trace.rois), 4) and len(proposals) > 0
    assert (proposals >= 0).all() and (proposals[:, 3] <= 201 + 1e-3).all()
    np.testing.assert_array_equal(proposals, trace.in_image(trace.rois))
    np.testing.assert_array_equal(trace.detections.rpn_scores, trace.roi_scores)


def test_shapes_along_the_way(model, trace, data):
    c = model.config
    assert trace.image.shape == data[1].image.shape and trace.seen.shape == (128, 128, 3)
    assert trace.size == (128, 128) and trace.scale == (128 / 96, 128 / 96)
    assert trace.origin == (0, 0)
    for feature, stride in zip(trace.features, trace.strides, strict=True):
        assert feature.shape == (128 // stride, 128 // stride, c.fpn_channels)
    for anchors, logits, deltas in zip(trace.anchors, trace.objectness, trace.deltas, strict=True):
        assert anchors.shape == deltas.shape == (len(logits), 4)
    count = len(trace.rois)
    assert trace.pooled.shape == (count, c.box_pool, c.box_pool, c.fpn_channels)
    assert trace.class_probabilities.shape == (count, 1 + len(model.class_names))
    np.testing.assert_allclose(trace.class_probabilities.sum(1), 1, rtol=1e-5)
    assert set(trace.levels) <= {0, 1, 2, 3}


def test_candidates_lead_to_the_proposals(trace):
    way = trace.candidates
    assert way.kept.sum() == len(trace.rois)
    assert not way.kept[~way.large_enough].any()
    mine = np.concatenate([way.clipped, way.scores[:, None]], 1)[way.kept]
    theirs = np.concatenate([trace.rois, trace.roi_scores[:, None]], 1)
    order = [np.lexsort(x.T) for x in (mine, theirs)]
    np.testing.assert_array_equal(mine[order[0]], theirs[order[1]])
    clipped = labkit.clip(tf.constant(way.decoded), *trace.size).numpy()
    np.testing.assert_array_equal(clipped, way.clipped)
    assert (way.anchors[:, 2:] > way.anchors[:, :2]).all()


def test_losses_are_those_of_training(model, data, trace):
    lesson = trace.lesson
    real = np.flatnonzero(~data[1].crowd)
    np.testing.assert_allclose(lesson.gt_boxes, data[1].boxes[real] * np.float32(128 / 96))
    assert set(lesson.losses) == set(losses.LOSS_NAMES)
    assert all(np.isfinite(v) and v >= 0 for v in lesson.losses.values())
    # Of RoIs that all count the same, the mean of the parts is the whole.
    sampled, positive = lesson.roi_sampled, lesson.roi_positive
    np.testing.assert_allclose(
        lesson.roi_losses["class"][sampled].mean(), lesson.losses["class"], rtol=1e-5
    )
    np.testing.assert_allclose(
        lesson.roi_losses["box"][positive].sum() / sampled.sum(), lesson.losses["box"], rtol=1e-5
    )
    np.testing.assert_allclose(
        lesson.roi_losses["mask"][positive].mean(), lesson.losses["mask"], rtol=1e-5
    )
    assert (lesson.roi_losses["box"][~positive] == 0).all()


def test_a_focal_loss_is_traced_as_it_is_trained(model, data):
    focal = labkit.MaskRCNN(model.config.replace(class_focal=2.0), model.class_names)
    focal.set_weights(model.get_weights())
    lesson = focal.trace(data[1].image, data[1]).lesson
    np.testing.assert_allclose(
        lesson.roi_losses["class"][lesson.roi_sampled].mean(), lesson.losses["class"], rtol=1e-5
    )


def test_positives_are_the_anchors_that_match(trace):
    lesson = trace.lesson
    assert (lesson.anchor_matches[lesson.anchor_positive] >= 0).all()
    assert (lesson.anchor_matches[lesson.anchor_negative] == -1).all()
    assert lesson.anchor_positive.any()


def test_the_same_step_draws_the_same_sample(model, data, trace):
    again = model.trace(data[1].image, data[1])
    np.testing.assert_array_equal(again.lesson.anchor_negative, trace.lesson.anchor_negative)
    other = model.trace(data[1].image, data[1], step=5)
    assert (other.lesson.anchor_negative != trace.lesson.anchor_negative).any()


def test_without_targets_there_is_no_lesson(model):
    trace = model.trace(np.zeros((60, 90, 3), np.uint8))
    assert trace.lesson is None and trace.size == (128, 192)
    np.testing.assert_allclose(trace.in_image(np.float32([0, 0, 128, 192])), [0, 0, 60, 90])


def test_full_masks_give_nearly_the_same_mask_targets(model, data, trace):
    full = labkit.MaskRCNN(model.config.replace(mini_mask=0), model.class_names)
    full.set_weights(model.get_weights())
    lesson = full.trace(data[1].image, data[1]).lesson
    np.testing.assert_array_equal(lesson.rois, trace.lesson.rois)
    real = lesson.roi_positive[: len(lesson.mask_targets)]
    # Whole masks are sampled without the half-pixel shift (as torchvision does), and a mini-mask
    # smooths outlines by part of a pixel: cells along the outlines differ.
    difference = np.abs(lesson.mask_targets[real] - trace.lesson.mask_targets[real])
    assert difference.mean() < 0.1


def test_an_image_without_objects_teaches_that_there_are_none(model, data):
    full = data[1]
    empty = replace(
        full,
        boxes=full.boxes[:0],
        class_ids=full.class_ids[:0],
        masks=full.masks[:0],
        crowd=full.crowd[:0],
    )
    lesson = model.trace(empty.image, empty).lesson
    assert not lesson.anchor_positive.any() and lesson.anchor_negative.any()
    assert lesson.losses["mask"] == lesson.losses["box"] == lesson.losses["rpn_box"] == 0


def test_targets_of_another_image_are_refused(model, data):
    with pytest.raises(LabkitError, match="trace: the targets' masks are .* the image is"):
        model.trace(np.zeros((50, 50, 3), np.uint8), data[1])


def test_as_the_last_line_of_a_cell_it_is_short(trace):
    assert repr(trace).startswith("Trace(") and "proposals" in repr(trace)
    assert max(map(len, map(repr, (trace, trace.candidates, trace.lesson)))) < 200
