"""explore_proposals: its stages are the trace's, its recall is labkit's."""

from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from labkit.data import shapes
from labkit.errors import LabkitError
from labkit.evaluation.proposal_recall import best_overlaps, recall
from labkit.models.config import Config
from labkit.models.resize import Placement
from labkit.models.rpn import propose
from labkit.models.trace import _candidates
from labkit.ops.anchors import pyramid_anchors
from labkit.widgets import explore_proposals
from labkit.widgets.explorer import script
from labkit.widgets.proposals import STAGES, best_boxes, stages_of


@pytest.fixture(scope="module")
def sample():
    return shapes(1, size=128, seed=3)[0]


@pytest.fixture(scope="module", params=["tiny", "inclusive and joint"])
def model(request, sample):
    """What the explorer asks of a model: the RPN's answers are random, what follows is labkit's."""
    odd = {"inclusive_boxes": True, "proposals_joint": True} if request.param != "tiny" else {}
    config = Config.preset("tiny", proposals=20, proposals_before_nms=60, **odd)
    rng = np.random.default_rng(0)
    grids = [(128 // stride, 128 // stride) for stride in config.strides]
    anchors = pyramid_anchors((128, 128), grids, config.anchor_sizes, config.anchor_ratios)
    logits = [tf.constant(rng.normal(size=(1, len(a))), tf.float32) for a in anchors]
    deltas = [tf.constant(rng.normal(size=(1, len(a), 4)), tf.float32) for a in anchors]
    found = propose(logits, deltas, anchors, tf.constant([[128.0, 128.0]]), config, False)
    count = int(found["count"][0])
    trace = SimpleNamespace(
        candidates=_candidates(found),
        rois=found["boxes"][0, :count].numpy(),
        roi_scores=found["scores"][0, :count].numpy(),
        seen=np.float32(sample.image),
        placement=Placement((128, 128), (128, 128), (0, 0)),
    )
    return SimpleNamespace(config=config, trace=lambda image: trace)


@pytest.fixture
def explorer(model, sample):
    return explore_proposals(model, sample.image, sample)


def test_the_stages_are_the_trace_s(model, sample):
    trace = model.trace(sample.image)
    stages = stages_of(trace, model.config)
    assert list(stages) == list(STAGES)
    c = trace.candidates
    assert [len(b) for b, _ in stages.values()] == [
        *[len(c.anchors)] * 3,
        c.large_enough.sum(),
        len(stages["NMS"][0]),
        len(trace.rois),
    ]
    for boxes, scores in stages.values():
        assert boxes.shape == (len(scores), 4) and (np.diff(scores) <= 0).all()
    # What NMS leaves begins with what the limit leaves, and that is what the network hands on.
    boxes, scores = stages["NMS"]
    assert len(boxes) > len(trace.rois) == 20
    np.testing.assert_array_equal(boxes[:20], trace.rois)
    np.testing.assert_array_equal(boxes[:20], stages["top-n"][0])


def test_recall_is_labkit_s(explorer, sample):
    for i, row in enumerate(explorer.values):
        boxes = explorer.of_stage(i)
        assert row["boxes"] == len(boxes)
        assert row["recall"] == recall([boxes], [sample.boxes], 0.5)
    explorer.iou = 0.05
    assert explorer.values[0]["recall"] == recall([explorer.of_stage(0)], [sample.boxes], 0.05) > 0


def test_it_is_driven_from_code(explorer, sample):
    explorer.most = 3
    assert explorer.values[-1]["boxes"] == 3 and explorer.values[-2]["boxes"] > 20
    assert explorer.overlaps[-1] == best_overlaps(explorer.of_stage(5), sample.boxes).tolist()
    explorer.stage = 5
    assert explorer.best == best_boxes(explorer.of_stage(5), sample.boxes)
    explorer.truth = []
    assert np.isnan(explorer.values[0]["recall"]) and explorer.best == []


def test_best_boxes():
    boxes = [[0, 0, 10, 10], [0, 0, 10, 8], [50, 50, 60, 60]]
    assert best_boxes(boxes, [[0, 0, 10, 7], [90, 90, 99, 99]]) == [[0, 0, 10, 8]]
    assert best_boxes([], [[0, 0, 1, 1]]) == [] == best_boxes(boxes, [])


def test_boxes_may_be_given_instead_of_a_sample(model, sample, explorer):
    assert explore_proposals(model, sample.image, sample.boxes).truth == explorer.truth
    assert explore_proposals(model, sample.image).truth == []
    with pytest.raises(LabkitError, match="give a Sample, or boxes"):
        explore_proposals(model, sample.image, "objects")


def test_the_picture_states_all_recalls(explorer):
    figure, alt = explorer.draw()
    assert all(name in alt for name in STAGES)
    assert figure.axes[0].get_title().startswith("1 of 6: top-k")
    assert explorer.picture().png.startswith(b"\x89PNG")


def test_the_script_parses(parses):
    parses(script("proposals.js"))
