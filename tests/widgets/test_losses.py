"""explore_losses: the numbers are those of labkit.ops.losses, and the gradients are right."""

import numpy as np
import pytest
import tensorflow as tf
import traitlets

import labkit
from labkit.ops import boxes as box_ops
from labkit.ops import losses
from labkit.widgets import explore_losses
from labkit.widgets.explorer import script

BETA = 1 / 9


@pytest.fixture(scope="module")
def explorer():
    return explore_losses()


@pytest.fixture
def w(explorer):
    """The default explorer in its first state."""
    for name, value in explorer.presets["at first"].items():
        setattr(explorer, name, value)
    return explorer


def preset(w, name):
    with w.hold_trait_notifications():
        for trait, value in w.presets[name].items():
            setattr(w, trait, value)
    return w


def test_with_equal_probabilities_the_loss_is_the_logarithm_of_the_choices(w):
    found = preset(w, "knows nothing").values
    assert found["objectness"] == pytest.approx(np.log(2))
    assert found["class"] == pytest.approx(np.log(len(w.class_names)))
    assert found["mask"] == pytest.approx(np.log(2))
    assert w.answer["anchor"] == w.answer["roi"] == "positive"


def test_boxes_are_counted_by_labkit(w):
    preset(w, "knows nothing")
    start, truth = (tf.constant([b], tf.float32) for b in (w.start, w.truth))
    for name, std in (("rpn_box", (1.0,) * 4), ("box", (0.1, 0.1, 0.2, 0.2))):
        deltas = box_ops.encode(truth, start, std)  # the prediction is the start: deltas of zero
        want = losses.box_loss(tf.zeros([1, 4]), deltas, tf.constant([True]), 1, BETA)
        assert w.values[name] == pytest.approx(float(want), rel=1e-4)


def test_a_perfect_prediction_has_losses_near_zero(w):
    found = preset(w, "knows it all").values
    assert found["rpn_box"] < 1e-6 and found["box"] < 1e-6  # float32 corners, encoded twice
    assert found["objectness"] < 0.01 and found["class"] < 0.01
    # Along the outline the target lies between 0 and 1, where even the best logit costs something.
    assert found["mask"] < 0.3


def test_far_off_only_objectness_and_class_have_a_loss(w):
    preset(w, "starts far off")
    found = w.values
    assert w.answer["anchor"] == w.answer["roi"] == "negative" and w.answer["label"] == 0
    assert found["rpn_box"] == found["box"] == found["mask"] == 0
    assert found["objectness"] > 0 and found["class"] > 0
    assert not w.gradients["mask"].any() and not any(w.answer["pull"])


def test_between_the_thresholds_the_anchor_has_no_loss(w):
    y1, x1, y2, x2 = w.truth
    w.start = [y1, x1, y2, x1 + 0.6 * (x2 - x1)]  # IoU 0.6: a positive RoI, an anchor in between
    assert w.answer["anchor"] == "ignored" and w.answer["roi"] == "positive"
    assert w.values["objectness"] == w.values["rpn_box"] == 0
    assert w.values["box"] > 0


@pytest.mark.parametrize(
    "name, loss, index",
    [
        ("objectness", "objectness", None),
        ("class_logits", "class", 1),
        ("mask_logits", "mask", 300),
    ],
)
def test_gradients_are_those_of_a_small_step(w, name, loss, index):
    step = 0.5 if loss == "mask" else 0.02  # one of 784 cells: float32 sees nothing smaller
    slope = np.ravel(w.gradients[loss])[index or 0]

    def at(offset):
        value = np.array(w.presets["at first"][name], np.float64)
        value.flat[index or 0] += offset
        setattr(w, name, value.tolist())
        return w.values[loss]

    assert (at(step) - at(-step)) / (2 * step) == pytest.approx(slope, rel=0.03)


def test_the_box_is_pulled_towards_the_truth(w):
    y1, x1, y2, x2 = w.truth
    w.box = [y1, x1 + 15, y2, x2 + 15]
    top, left, bottom, right = w.answer["pull"]
    assert left < 0 and right < 0
    assert abs(top) < abs(left) / 2 and abs(bottom) < abs(left) / 2


def test_it_is_driven_from_code(w):
    w.mask_logits = np.full((28, 28), 4.0)
    assert w.values["mask"] > 0.7
    w.class_logits = tf.constant([9.0, 0, 0, 0])
    assert w.values["class"] > 8


@pytest.mark.parametrize(
    "name, value",
    [
        ("mask_logits", np.zeros((14, 14))),
        ("mask_logits", "x"),
        ("class_logits", [0.0]),
        ("class_logits", [0, 0, 0, np.nan]),
        ("box", [5, 5, 5, 9]),
        ("start", [9, 9, 1, 1]),
    ],
)
def test_bad_input_is_refused(w, name, value):
    before = w.values
    with pytest.raises(traitlets.TraitError, match=name):
        setattr(w, name, value)
    assert w.values == before


def test_samples_and_names_that_do_not_go_together():
    sample = labkit.shapes(1, 64, 3)[0]
    with pytest.raises(labkit.LabkitError, match="no instance 99"):
        explore_losses(sample, instance=99)
    sample.class_ids[:] = 4
    with pytest.raises(labkit.LabkitError, match="only 2"):
        explore_losses(sample, ["a", "b"])
    assert explore_losses(sample).class_names[-1] == "class 4"


def test_every_preset_stays_in_the_picture(w):
    height, width = w.size
    for state in w.presets.values():
        for box in (state[name] for name in ("truth", "start", "box") if name in state):
            assert 0 <= box[0] < box[2] <= height and 0 <= box[1] < box[3] <= width


def test_the_prediction_of_a_model_is_the_first_state():
    sample = labkit.shapes(1, 128, 5)[0]
    model = labkit.MaskRCNN(labkit.Config.preset("tiny"), ["a", "b", "c", "d"])
    w = explore_losses(sample, model=model)
    lesson = model.trace(sample.image, sample).lesson
    for name in ("class", "box", "mask"):
        # mask: of a mini-mask as in training; sent as logits of four digits
        assert w.values[name] == pytest.approx(lesson.roi_losses[name][0], rel=0.01, abs=1e-3)
    assert w.class_names == ["background", "a", "b", "c", "d"]
    with pytest.raises(labkit.LabkitError, match="no number 999"):
        explore_losses(sample, model=model, roi=999)


def test_the_picture_says_what_it_shows(w):
    figure, alt = w.draw()
    assert all(f"{name} {w.values[name]:.3f}" in alt for name in losses.LOSS_NAMES)
    assert len(figure.axes) == 5  # with the colour bar


def test_the_javascript_parses(parses):
    parses(script("losses.js"))
