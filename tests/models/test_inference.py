"""Images of any size through a detector that is no Mask R-CNN and returns only what it must."""

import weakref

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from labkit.errors import LabkitError
from labkit.io.images import read_image
from labkit.models import inference
from labkit.models.config import Config
from labkit.models.inference import FOUND, detect_images
from labkit.ops.nms import round_down

CONFIG = Config(image_min_side=64, image_max_side=128, score_threshold=0.3, detections=3)


class WholePicture:
    """Finds each picture itself and its upper left quarter, which scores half its brightness."""

    def __init__(self, config=CONFIG, class_names=("whole", "quarter")):
        self.config, self.class_names = config, class_names
        self.graphs, self.calls = 0, []

    def detect_in_batch(self, images, image_sizes, score_threshold, nms_iou, detections):
        self.graphs += 1
        options = [tf.shape(images)[0], score_threshold, nms_iou, detections]
        tf.py_function(lambda *given: self.calls.append([g.numpy() for g in given]), options, [])
        far = tf.stack([image_sizes, image_sizes / 2], axis=1)
        brightness = tf.reduce_max(images, axis=[1, 2, 3]) / 255
        scores = tf.stack([brightness, brightness / 2], axis=1)
        return {
            "boxes": tf.concat([tf.zeros_like(far), far], axis=-1),
            "scores": scores,
            "classes": tf.tile([[1, 2]], [tf.shape(images)[0], 1]),
            "masks": tf.ones([tf.shape(images)[0], 2, 4, 4]),
            "count": tf.reduce_sum(tf.cast(scores > score_threshold, tf.int32), axis=1),
        }


def picture(height, width, brightness):
    return np.full((height, width, 3), round(255 * brightness), np.uint8)


PICTURES = [picture(30, 50, 0.8), picture(90, 20, 0.6), picture(30, 50, 0.4), picture(7, 7, 0.2)]


def detect(detector, images, score=None, nms_iou=None, most=None, batch_size=8):
    return detect_images(detector, images, score, nms_iou, most, batch_size)


def test_results_are_in_the_order_and_in_the_pixels_of_the_pictures():
    detector = WholePicture()
    found = detect(detector, PICTURES, score=0.05)
    for image, one in zip(PICTURES, found, strict=True):
        height, width = image.shape[:2]
        want = [[0, 0, height, width], [0, 0, height / 2, width / 2]]
        np.testing.assert_allclose(one.boxes, want, atol=1e-4)  # ulp of 90 px
        np.testing.assert_allclose(one.scores, image.max() / 255 / np.float32([1, 2]), rtol=1e-6)
        np.testing.assert_array_equal(one.image, image)
        assert one.names == ["whole", "quarter"]
        assert one.masks.shape == (2, height, width)
    assert detector.graphs == 1  # one for all sizes
    assert detect(detector, []) == []


def test_options_are_the_config_s_unless_given():
    detector = WholePicture()
    assert [len(d) for d in detect(detector, PICTURES)] == [2, 1, 1, 0]
    assert [len(d) for d in detect(detector, PICTURES, score=0.5)] == [1, 1, 0, 0]
    detector.calls.clear()
    detect(detector, PICTURES[0])
    detect(detector, PICTURES[0], score=0.25, nms_iou=0.7, most=5)
    nms_iou = round_down(CONFIG.nms_iou), round_down(0.7)
    assert detector.calls == [[1, np.float32(0.3), nms_iou[0], 3], [1, 0.25, nms_iou[1], 5]]


def test_a_batch_has_pictures_of_one_size_and_no_more_than_asked():
    detector = WholePicture()
    detect(detector, [PICTURES[0]] * 3 + [PICTURES[1]], batch_size=2)
    assert [call[0] for call in detector.calls] == [2, 1, 1]


def test_classes_that_were_never_trained_are_left_out():
    (found,) = detect(WholePicture(class_names=("whole", "N/A 2")), [PICTURES[0]])
    assert found.names == ["whole"]


def test_proposals_and_whatever_else_a_detector_returns_stay_behind():
    detector = WholePicture()
    plain = detector.detect_in_batch
    detector.detect_in_batch = lambda *args: plain(*args) | {"proposals": {"boxes": tf.zeros([])}}
    assert detect(detector, PICTURES[0]).rpn_boxes is None
    graph = detector._detect_graph.get_concrete_function()
    assert set(graph.structured_outputs) == set(FOUND)


def test_whole_pixel_boxes_drop_those_with_nothing_left():
    config = CONFIG.replace(whole_pixel_boxes=True, image_min_side=1, image_max_side=128)
    (found,) = detect(WholePicture(config), [np.full((1, 40, 3), 255, np.uint8)])
    np.testing.assert_array_equal(found.boxes, [[0, 0, 1, 40]])  # half a row is rounded to none


def test_files_are_read_in_their_turn_and_not_kept(tmp_path, monkeypatch):
    paths = [tmp_path / f"{number}.png" for number in range(len(PICTURES))]
    for path, image in zip(paths, PICTURES, strict=True):
        Image.fromarray(image).save(path)
    held, most = [], []

    def read(source, *args, **options):
        image = read_image(source, *args, **options)
        held.append(weakref.ref(image))
        most.append(sum(ref() is not None for ref in held))
        return image

    monkeypatch.setattr(inference, "read_image", read)
    found = detect(WholePicture(), paths, score=0.05, batch_size=1)
    assert len(held) == 4 and max(most) <= 2 and not any(ref() is not None for ref in held)
    wanted = detect(WholePicture(), PICTURES, score=0.05)
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(one.boxes, other.boxes)
        np.testing.assert_array_equal(one.image, other.image)


@pytest.mark.parametrize(
    ("option", "value"),
    [("most", -5), ("most", 0), ("most", 2.5), ("batch_size", 0), ("nms_iou", np.nan)]
    + [("nms_iou", 1.5), ("score", -0.1), ("score", np.nan)],
)
def test_options_out_of_range_are_one_sentence(option, value):
    with pytest.raises(LabkitError, match=r"^detect: \w+ must .*, got .*\.$"):
        detect(WholePicture(), PICTURES[0], **{option: value})
