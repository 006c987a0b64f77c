"""explore_nms: its rounds are labkit's suppression, and it can be driven from code."""

import numpy as np
import pytest
import traitlets
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.course.exercises import find
from labkit.errors import LabkitError
from labkit.ops.boxes import iou
from labkit.ops.nms import nms
from labkit.widgets import explore_nms
from labkit.widgets.explorer import script
from labkit.widgets.nms import CANDIDATES, rounds_of


def test_the_default_scene_shows_what_its_caption_asks():
    w = explore_nms()
    w.step = 99
    assert w.step == len(w.rounds) == 4
    # At 0.5 the second object's best box dies for the first one's, and a worse one stays.
    assert 3 in w.rounds[0]["suppressed"] and 4 in w.values["kept"]
    w.threshold = 0.3
    assert w.values["objects_left"] == 2
    w.threshold, w.step = 0.6, 99
    assert w.values["kept"] == [0, 3, 6, 9] and w.values["objects_left"] == 3
    w.threshold = 0.8
    w.step = 99
    assert len(w.values["kept"]) == len(CANDIDATES)


def test_soft_nms_lowers_the_best_box_of_the_right_object():
    """What notebook 02b says of its exercise 3."""
    scene = explore_nms()
    scores = np.array(scene.scores)
    overlap = iou(np.float32(scene.boxes), np.float32(scene.boxes)).numpy()
    after = find("soft_nms").reference(np.float32(scene.boxes), scores, 0.3)
    best, worse = 3, 4
    assert (scores[best], scores[worse]) == (0.93, 0.81)
    first = scores.argmax()
    assert round(scores[best] * (1 - overlap[first, best]), 2) == 0.41
    assert round(after[worse], 2) == 0.44 and after[best] < 0.05


box = st.tuples(*[st.integers(0, 12)] * 4)
rows = st.lists(st.tuples(box, st.integers(0, 9)), max_size=9)


@settings(max_examples=30, deadline=None)
@given(rows, st.sampled_from([0.0, 0.3, 0.5, 1.0]))
def test_rounds_are_greedy_suppression(rows, threshold):
    boxes = np.float32([(y, x, y + h, x + w) for (y, x, h, w), _ in rows]).reshape(-1, 4)
    scores = np.float32([s / 10 for _, s in rows])
    rounds = rounds_of(boxes, scores, threshold)
    assert [r["taken"] for r in rounds] == nms(boxes, scores, threshold).numpy().tolist()
    gone = [i for r in rounds for i in r["suppressed"]]
    assert sorted(gone + [r["taken"] for r in rounds]) == list(range(len(boxes)))
    overlap = iou(boxes, boxes).numpy()
    for r in rounds:
        for i, shown in zip(r["suppressed"], r["overlaps"], strict=True):
            assert overlap[r["taken"], i] > threshold and scores[i] <= scores[r["taken"]]
            assert shown == pytest.approx(overlap[r["taken"], i], abs=1e-3)


def test_it_is_driven_from_code():
    w = explore_nms([[0, 0, 10, 10], [0, 0, 10, 9]], [0.5, 0.9], truth=[[0, 0, 10, 10]])
    assert w.values == {"kept": [], "suppressed": [], "objects_left": 1, "waiting": [0, 1]}
    w.step = 1
    assert w.values == {"kept": [1], "suppressed": [0], "objects_left": 1, "waiting": []}
    w.threshold = 0.95
    assert w.values["waiting"] == [0] and len(w.rounds) == 2
    with w.hold_trait_notifications():
        w.boxes, w.scores = [[0, 0, 4, 4]] * 3, [0.1, 0.2, 0.3]
    w.step = 3
    assert w.values["kept"] == [2] and w.values["suppressed"] == [1, 0] and w.step == 1


def test_no_boxes_at_all():
    w = explore_nms(np.zeros((0, 4)), [])
    assert w.rounds == [] and w.values["waiting"] == []
    assert w.picture().png.startswith(b"\x89PNG")


def test_bad_input_is_refused():
    with pytest.raises(LabkitError, match="boxes and scores together"):
        explore_nms(boxes=[[0, 0, 1, 1]])
    with pytest.raises(traitlets.TraitError, match="give every box one score"):
        explore_nms([[0, 0, 1, 1]], [0.5, 0.6])
    w = explore_nms()
    with pytest.raises(traitlets.TraitError, match="give every box one score"):
        w.scores = [0.5]
    with pytest.raises(traitlets.TraitError):
        w.threshold = 1.5


def test_the_picture_shows_which_boxes_are_kept_and_suppressed():
    w = explore_nms(image=np.zeros((260, 380, 3), np.uint8))
    w.step = 1
    figure, alt = w.draw()
    labels = figure.legends[0].get_texts()
    assert "kept (1)" in {t.get_text() for t in labels}
    assert "suppressed now (3)" in {t.get_text() for t in labels}
    assert "1 kept, 3 suppressed, 6 waiting" in alt
    assert len(figure.axes[0].images) == 1


def test_the_script_parses(parses):
    parses(script("nms.js"))
