"""YOLACT as a detector: it learns, finds, traces; what the original does wrong is done right.

tests/parity compares its numbers with the original's.
"""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

import labkit
from labkit.data.batch_order import BatchPlan
from labkit.data.pipeline import Batches
from labkit.errors import LabkitError
from labkit.models import yolact_select
from labkit.models.registry import build_detector, name_of, presets
from labkit.models.yolact import YOLACT
from labkit.models.yolact_config import PRESETS, YolactConfig
from labkit.models.yolact_targets import drawn_masks, mask_targets


@pytest.fixture(scope="module")
def data():
    return labkit.shapes(6, 64, seed=3)


@pytest.fixture(scope="module")
def model(data, micro_yolact):
    return YOLACT(micro_yolact, data.class_names)


@pytest.fixture(scope="module")
def batch(data, model):
    found = Batches(data, model.config, BatchPlan(3, (64, 64))).batch(0)
    return {name: tf.constant(value) for name, value in found.items()}


# --- settings --------------------------------------------------------------------------------


def test_its_presets_are_offered_and_round_trip():
    assert list(PRESETS) == [
        *("yolact_r50", "yolact_darknet53", "yolact_base", "yolact_im700"),
        *("yolact_lite0", "yolact_tiny"),
    ]
    for name, config in PRESETS.items():
        assert presets()[name] is config and name_of(config) == "yolact"
        assert YolactConfig.from_dict(json.loads(config.to_json())) == config
    weights = {"class": 1.0, "box": 1.5, "mask": 6.125, "semantic": 1.0}
    assert YolactConfig().loss_weights == weights
    assert YolactConfig(loss_weights={"mask": 1}).loss_weights == weights | {"mask": 1}


def test_only_what_learns_from_noise_has_group_norm_behind_the_backbone(model):
    def norms(detector):
        parts = (detector.fpn, detector.prototype_net, detector.head)
        return {layer.name for part in parts for layer in part.layers if "_gn" in layer.name}

    levels = {f"level{i}_gn" for i in range(2, 6)}
    assert norms(model) == levels | {"conv0_gn", "conv1_gn", "conv_gn"}
    plain = model.config.replace(group_norm=False)
    assert norms(YOLACT(plain, model.class_names)) == set()


@pytest.mark.parametrize(
    "field, value",
    [
        ("prototypes", 0),
        ("mask_samples", 0),
        ("nms", "slow"),
        ("strides", (8, 16, 32, 60, 120)),
        ("strides", (16, 32, 64, 128, 256)),
        ("positive_iou", 1.5),
        ("negative_iou", 0.6),
        ("negatives", -1.0),
        ("box_std", (0.1, 0.1, 0.2)),
        ("mask_paste", "exact"),
        ("inclusive_boxes", True),
        ("resize", "square"),
        ("image_max_side", 600),
    ],
)
def test_impossible_values_are_refused_by_name(field, value):
    with pytest.raises(LabkitError, match=field) as caught:
        YolactConfig().replace(**{field: value})
    assert "\n" not in str(caught.value)


def test_a_picture_is_stretched_and_never_padded():
    from labkit.models.inference import batch_of

    seen, sizes = batch_of([np.zeros((100, 200, 3), np.uint8)], YolactConfig())
    assert seen.shape == (1, 550, 550, 3) and sizes.tolist() == [[550, 550]]


# --- the network -----------------------------------------------------------------------------


def test_it_has_as_many_numbers_as_its_original():
    """R-101: the total that follows from the structure; its norms' statistics do not train."""
    config = YolactConfig.preset("yolact_base", freeze_batch_norm=False)
    model = build_detector(config, [f"class {i}" for i in range(80)])
    trained = sum(int(np.prod(v.shape)) for v in model.trainable_variables)
    assert trained == 50_157_071


def test_levels_anchors_and_prototypes_of_550_px():
    """69, 35, 18, 9 and 5 cells, and 19,248 anchors; those of P3 are squares of three sizes."""
    config = YolactConfig.preset("yolact_r50", backbone_blocks=(1, 1, 1, 1), fpn_channels=8)
    model = build_detector(config, ["a"])
    images = tf.zeros([1, 550, 550, 3])
    maps = model.features(images, tf.constant([[550.0, 550.0]]))
    assert [m.shape[1] for m in maps] == [69, 35, 18, 9, 5]
    assert model.prototypes(maps).shape == (1, 138, 138, 32)
    anchors = [a.numpy() for a in model.anchors(images, maps)]
    assert sum(map(len, anchors)) == 19_248
    sides = anchors[0][:3, 2:] - anchors[0][:3, :2]
    np.testing.assert_allclose(sides, np.float32([[24] * 2, [17] * 2, [33.94] * 2]), atol=0.05)
    centres = (anchors[0][:, :2] + anchors[0][:, 2:]) / 2
    np.testing.assert_allclose([centres[0], centres[-1]], [[3.986] * 2, [546.014] * 2], atol=1e-3)


# --- learning --------------------------------------------------------------------------------


def test_what_it_says_at_first_is_what_guessing_says(model, batch):
    learnt = model.learn(batch, training=False)
    guesses = model.guessing(len(model.class_names))
    for name in ("class", "semantic"):
        assert float(learnt.losses[name]) == pytest.approx(guesses[name], rel=0.35), name
    assert set(learnt.signs) == set(model.SIGNS) and set(learnt.counts) == set(model.LOSSES)


def test_every_part_learns_from_the_losses_it_is_said_to(model, batch):
    with tf.GradientTape(persistent=True) as tape:
        losses = model.losses_of(batch, training=False)
    for name, part in model.parts().items():
        own = model.LOSSES_OF_PART.get(name, model.LOSSES)
        variables = [v.value for v in part.trainable_variables]
        for loss in model.LOSSES:
            found = tape.gradient(losses[loss], variables)
            moved = any(g is not None and float(tf.reduce_max(tf.abs(g))) > 0 for g in found)
            assert moved == (loss in own), (name, loss)


def test_images_without_objects_still_teach_what_background_is(model, batch):
    empty = batch | {"classes": tf.zeros_like(batch["classes"])}
    with tf.GradientTape() as tape:
        losses = model.losses_of(empty, training=False)
        total = model.total(losses)
    assert float(losses["class"]) > 0 and float(losses["box"]) == float(losses["mask"]) == 0
    gradients = [g for g in tape.gradient(total, model.trainable_variables) if g is not None]
    assert all(np.isfinite(g).all() for g in map(tf.convert_to_tensor, gradients))
    none_at_all = {
        k: v[:, :0] if k in ("boxes", "classes", "masks") else v for k, v in empty.items()
    }
    for name, value in model.losses_of(none_at_all, training=False).items():
        assert float(value) == pytest.approx(float(losses[name]), rel=1e-5)


def test_masks_of_the_image_s_size_teach_what_mini_masks_do(data, model, batch):
    whole = model.config.replace(mini_mask=0)
    other = Batches(data, whole, BatchPlan(3, (64, 64))).batch(0)
    found = [
        mask_targets({k: tf.constant(v) for k, v in b.items()}, (32, 32), config).numpy()
        for b, config in ((batch, model.config), (other, whole))
    ]
    inside, either = (f(found, axis=0).sum(axis=(2, 3)) for f in (np.all, np.any))
    real = batch["classes"].numpy() > 0
    assert inside[real].min() > 0 and not either[~real].any()
    # They differ in some cells of the edge, which in a square has four times the root of its cells.
    assert ((either - inside)[real] < 2 * np.sqrt(either[real])).all()
    assert inside[real].sum() > 0.9 * either[real].sum()


def test_crowds_are_neither_object_nor_background(model, batch):
    everywhere = tf.tile(tf.constant([[[-99.0, -99.0, 199.0, 199.0]]]), [3, 1, 1])
    trace = model.trace_losses(batch | {"crowds": everywhere}, training=False)
    assert not tf.reduce_any(trace["negative"]) and tf.reduce_any(trace["targets"]["positive"])


def test_masks_that_are_not_drawn_are_stood_for():
    positive = np.zeros((2, 10), bool)
    positive[0, 2:8], positive[1, 4] = True, True
    targets = {"positive": positive, "counts": tf.constant([6, 1])}
    anchors, shares = drawn_masks(targets, np.linspace(0.1, 1, 10)[None] * np.ones((2, 1)), 4)
    assert anchors[0].numpy().tolist() == [7, 6, 5, 4] and int(anchors[1, 0]) == 4
    np.testing.assert_allclose(shares, [[1.5] * 4, [1, 0, 0, 0]])


# --- finding ---------------------------------------------------------------------------------


def test_detections_lie_in_their_picture_and_above_the_threshold(model):
    picture = np.random.default_rng(0).integers(0, 256, (50, 90, 3), np.uint8)
    found = model.detect(picture, score_threshold=0.2)
    assert 0 < len(found) <= 20 and found.masks.shape == (len(found), 50, 90)
    assert (found.scores > 0.2).all()
    assert (found.boxes >= 0).all() and (found.boxes[:, 2:] <= [50, 90]).all()
    assert (found.boxes[:, 2:] > found.boxes[:, :2]).all()
    reach = 2 * 90 / 32  # two cells of the prototypes
    for mask, (y1, x1, y2, x2) in zip(found.masks, found.boxes, strict=True):
        rows, columns = np.nonzero(mask)
        if len(rows):
            assert rows.min() >= y1 - reach and rows.max() <= y2 + reach
            assert columns.min() >= x1 - reach and columns.max() <= x2 + reach


def test_nothing_above_the_threshold_is_no_detection(model):
    found = model.detect(np.zeros((64, 64, 3), np.uint8), score_threshold=1.0)
    assert len(found) == 0 and found.masks.shape == (0, 64, 64)


def candidates():
    """Three boxes of two classes: the second overlaps the first and the third."""
    boxes = tf.constant([[[0, 0, 10, 10], [0, 0, 10, 7], [0, 0, 10, 4], [70, 70, 90, 90.0]]])
    scores = tf.constant([[[0.1, 0.8, 0.1], [0.2, 0.7, 0.1], [0.3, 0.1, 0.6], [0, 0.9, 0.1]]])
    return boxes, scores, tf.constant([[64.0, 64.0]])


@pytest.mark.parametrize(
    "kind, faithful, want",
    [
        ("fast", False, [(0, 1), (1, 1), (2, 2)]),
        ("ordinary", False, [(0, 1), (1, 1), (2, 2)]),
        ("cross_class", False, [(0, 1), (1, 1)]),
        # a box outside of the image, and classes below the threshold of anchors above it
        ("fast", True, [(3, 1), (0, 1), (2, 2), (0, 2), (3, 2)]),
    ],
)
def test_kinds_of_nms(kind, faithful, want):
    config = YolactConfig(nms=kind, faithful=faithful)
    iou = 0.75 if not faithful else 0.5
    kept, classes, scores, count = yolact_select.select(*candidates(), config, 0.3, iou, 10)
    n = int(count[0])
    assert list(zip(kept[0].numpy()[:n], classes[0].numpy()[:n], strict=True))[: len(want)] == want
    assert (np.diff(scores[0].numpy()[:n]) <= 0).all() and not scores[0, n:].numpy().any()


def test_a_batch_finds_what_its_images_find_alone(model):
    rng = np.random.default_rng(1)
    pictures = [rng.integers(0, 256, (64, 64, 3), np.uint8) for _ in range(3)]
    together = model.detect(pictures, score_threshold=0.2)
    for picture, found in zip(pictures, together, strict=True):
        alone = model.detect(picture, score_threshold=0.2)
        np.testing.assert_allclose(found.boxes, alone.boxes, atol=1e-3)
        assert (found.class_ids == alone.class_ids).all()


def test_a_trace_holds_every_stage_and_the_lesson(model, data):
    trace = model.trace(data[0].image, data[0])
    assert [f.shape[0] for f in trace.features] == [16, 8, 4, 2, 1]
    assert trace.prototypes.shape == (32, 32, 8) and (trace.prototypes >= 0).all()
    assert sum(map(len, trace.anchors)) == len(trace.decoded) == len(trace.class_probabilities)
    logits = np.einsum("hwk,nk->nhw", trace.prototypes, trace.coefficients)
    inside = trace.masks > 0
    np.testing.assert_allclose(trace.masks[inside], (1 / (1 + np.exp(-logits)))[inside], rtol=1e-4)
    np.testing.assert_array_equal(trace.all_coefficients[trace.kept], trace.coefficients)
    lesson = trace.lesson
    assert set(lesson.losses) == set(model.LOSSES)
    assert len(lesson.mask_logits) == (lesson.matches >= 0).sum()
    assert model.trace(data[0].image).lesson is None


def test_it_is_saved_and_read(model, tmp_path):
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert type(again) is YOLACT and again.config == model.config
    for a, b in zip(again.weights, model.weights, strict=True):
        np.testing.assert_array_equal(a, b)


def test_from_pretrained_of_another_kind_is_one_sentence(model, tmp_path, data):
    settings = labkit.TrainSettings(steps=1, batch_size=2, canvas=(64, 64))
    labkit.train(model, data, tmp_path / "run", settings, verbose=False)
    assert isinstance(YOLACT.from_pretrained(tmp_path / "run", verbose=False), YOLACT)
    with pytest.raises(LabkitError, match="is a YOLACT; call YOLACT.from_pretrained"):
        labkit.MaskRCNN.from_pretrained(tmp_path / "run", verbose=False)
