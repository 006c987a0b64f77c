"""The sheet of truth beside prediction, from 1 picture to 24."""

import numpy as np
import pytest

from labkit.data.sample import make_sample
from labkit.errors import LabkitError
from labkit.models.detections import Detections
from labkit.viz import detection_sheet, show

NAMES = ("disc", "ring")


def sample(i, size=(48, 64), count=2, crowd=None):
    masks = np.zeros((count, *size), bool)
    for k in range(count):
        masks[k, 5 + 10 * k : 14 + 10 * k, 8:30] = True
    image = np.full((*size, 3), 90, np.uint8)
    ids = [1 + k % 2 for k in range(count)]
    return make_sample(image, masks, ids, image_id=i, name=f"pictures/$number_{i}.jpg", crowd=crowd)


def found(one, scores=(0.9, 0.2)):
    count = len(one)
    return Detections(
        one.boxes,
        scores[:count],
        one.class_ids,
        masks=one.masks,
        class_names=NAMES,
        image_size=one.image.shape[:2],
    )


def words(ax):
    return [text.get_text() for text in ax.texts]


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 9, 24])
def test_any_number_of_pairs(count):
    samples = [sample(i, [(48, 64), (64, 48)][i % 2]) for i in range(count)]
    figure = detection_sheet(samples, [found(s) for s in samples], title="$ title")
    assert len(figure.axes) == 2 * count
    assert show(figure, alt="a sheet", dpi=40).png


def test_pairs_stay_inside_and_apart():
    samples = [sample(i, [(48, 64), (200, 40), (40, 200)][i % 3]) for i in range(7)]
    figure = detection_sheet(samples, [found(s) for s in samples])
    places = [ax.get_position() for ax in figure.axes]
    for i, place in enumerate(places):
        assert place.x0 >= 0 and place.y0 >= 0 and place.x1 <= 1 and place.y1 <= 1
        assert not any(place.overlaps(other) for other in places[i + 1 :])


def test_truth_has_names_and_prediction_names_and_scores():
    one = sample(3)
    truth, prediction = detection_sheet([one], [found(one)]).axes
    assert "disc" in words(truth) and "ring" in words(truth)
    assert "ground truth: 2" in words(truth)
    assert "disc 0.90" in words(prediction)
    assert "found: 1 (+1 below 0.5)" in words(prediction)
    assert any("number" in word for word in words(truth))


def test_a_class_has_one_colour_on_both_sides_whatever_the_models_order():
    one = sample(0)
    turned = Detections(
        one.boxes,
        [0.9, 0.8],
        [2, 1],
        masks=one.masks,
        class_names=NAMES[::-1],
        image_size=one.image.shape[:2],
    )
    truth, prediction = detection_sheet([one], [turned], class_names=NAMES).axes
    left, right = (ax.collections[-1].get_edgecolors() for ax in (truth, prediction))
    assert len(left) == 2 and left.tolist() == right.tolist()


def test_empty_pictures_and_crowds():
    empty = sample(0, count=0)
    crowd = sample(1, crowd=[True, False])
    axes = detection_sheet([empty, crowd], [found(empty), found(crowd)]).axes
    assert "ground truth: 0" in words(axes[0]) and "found: 0" in words(axes[1])
    assert "disc (crowd)" in words(axes[2]) and "ground truth: 1" in words(axes[2])


def test_unequal_lists_are_refused():
    one = sample(0)
    for samples, detections in (([], []), ([one], []), ([one], [found(one)] * 2)):
        with pytest.raises(LabkitError, match="detection_sheet"):
            detection_sheet(samples, detections)
