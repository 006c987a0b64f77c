"""The whole model: what a Keras user expects of it works, and detection keeps its promises."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from labkit.data import shapes
from labkit.data.pipeline import Batches, BatchPlan
from labkit.errors import LabkitError
from labkit.models.config import Config
from labkit.models.mask_rcnn import MaskRCNN
from labkit.ops.losses import LOSS_NAMES, mask_loss
from labkit.training import TrainSettings
from labkit.training.schedules import make_optimizer


@pytest.fixture(scope="module")
def data():
    return shapes(6, 64, seed=3)


@pytest.fixture(scope="module")
def batches(data, micro_config):
    return Batches(data, micro_config, BatchPlan(batch_size=2, canvas=(64, 64)))


@pytest.fixture(scope="module")
def fitted(data, batches, micro_config):
    model = MaskRCNN(micro_config, data.class_names)
    model.compile(optimizer=keras.optimizers.Adam(1e-3))
    history = model.fit(batches.tf_dataset(4), epochs=2, steps_per_epoch=2, verbose=0)
    return model, history


def tensors(batch):
    return {k: tf.constant(v) for k, v in batch.items()}


def test_fit_reports_the_five_losses(fitted):
    _, history = fitted
    assert set(history.history) == {"loss", *LOSS_NAMES}
    assert np.isfinite(history.history["loss"]).all()


@pytest.mark.parametrize("agnostic", [True, False])
def test_every_part_gets_a_gradient(agnostic, batches, data, micro_config):
    model = MaskRCNN(micro_config.replace(class_agnostic=agnostic, box_passes=1), data.class_names)
    with tf.GradientTape() as tape:
        total = tf.add_n(list(model.losses_of(tensors(batches.batch(0))).values()))
    gradients = tape.gradient(total, model.trainable_variables)
    for variable, gradient in zip(model.trainable_variables, gradients, strict=True):
        assert gradient is not None and np.isfinite(gradient.numpy()).all(), variable.path
    parts = {v.path.split("/")[0] for v in model.trainable_variables}
    assert len(parts) >= 5, parts  # backbone, fpn, rpn, box_head, mask_head


@pytest.mark.parametrize("positives", [0, 3, 8, 11])
def test_the_mask_head_learns_from_the_real_rois_alone(positives, batches, data, micro_config):
    """What the others would say changes neither the loss nor a gradient, and is not computed."""
    model = MaskRCNN(micro_config, data.class_names)
    maps = model.features(*(tensors(batches.batch(0))[k] for k in ("images", "sizes")))[:4]
    rois = tf.constant([[[4.0 + i, 3.0, 30.0 + 2 * i, 40.0] for i in range(6)]] * 2)
    classes = tf.ones((2, 6), tf.int32)
    real = tf.reshape(tf.range(12) < positives, (2, 6))
    answers = []
    for chosen in (real, None):  # the real ones; all of them, and the others' masks thrown away
        with tf.GradientTape() as tape:
            logits = model.segment(maps, rois, classes, chosen, training=True)
            loss = mask_loss(logits, tf.zeros_like(logits), real)
        weights = model.mask_head.trainable_variables
        answers.append([loss, *tape.gradient(loss, weights)])
        if chosen is not None:
            assert not logits[~real].numpy().any()
    for mine, every in zip(*answers, strict=True):
        np.testing.assert_allclose(mine, every, rtol=1e-5, atol=1e-7)


def test_the_loss_of_one_batch_falls(data, micro_config):
    model = MaskRCNN(micro_config, data.class_names)
    batch = tensors(Batches(data, micro_config, BatchPlan(4, (64, 64))).batch(0))
    model.compile(optimizer=keras.optimizers.Adam(3e-3))
    step = tf.function(model.train_step)
    for _ in range(60):
        step(batch)
        if model.optimizer.iterations == 1:
            first = sum(model.last_losses.values())
    assert sum(model.last_losses.values()) < 0.7 * first


@pytest.mark.parametrize("batch_norm", [False, True])
def test_an_image_without_objects_trains(batch_norm, data, micro_config):
    model = MaskRCNN(micro_config.replace(heads_batch_norm=batch_norm), data.class_names)
    batch = Batches(data, micro_config, BatchPlan(2, (64, 64))).batch(0)
    batch["classes"][:] = 0
    batch["boxes"][:] = 0
    with tf.GradientTape() as tape:
        losses = model.losses_of(tensors(batch))
        total = tf.add_n(list(losses.values()))
    assert losses["objectness"] > 0 and losses["class"] > 0  # negatives teach
    assert losses["rpn_box"] == losses["box"] == losses["mask"] == 0
    gradients = tape.gradient(total, model.trainable_variables)
    assert all(np.isfinite(g.numpy()).all() for g in gradients if g is not None)


def test_other_seeds_draw_other_samples(data, micro_config):
    drawn = [
        MaskRCNN(micro_config.replace(seed=seed), data.class_names).priority([2, 9], 7, 0).numpy()
        for seed in (0, 1, 2**31, 2**32 - 1)
    ]
    assert len({d.tobytes() for d in drawn}) == 4
    with pytest.raises(LabkitError, match="'seed' must be below 2"):
        micro_config.replace(seed=2**32)


def test_the_same_config_builds_the_same_weights(micro_config):
    import random

    random.seed(1)
    expected = random.random()
    random.seed(1)
    one = MaskRCNN(micro_config, ["a"])
    assert random.random() == expected  # the caller's random numbers are untouched
    two = MaskRCNN(micro_config, ["a"])
    three = MaskRCNN(micro_config.replace(seed=1), ["a"])
    pairs = list(zip(one.weights, two.weights, three.weights, strict=True))
    assert all((a.numpy() == b.numpy()).all() for a, b, _ in pairs)
    assert any((a.numpy() != c.numpy()).any() for a, _, c in pairs)


def test_weights_and_whole_models_are_saved_and_read(fitted, data, micro_config, tmp_path):
    model, _ = fitted
    image, model.category_ids = data[0].image, (7, 9, 11, 13)
    expected = model.detect(image, score_threshold=0.0, max_detections=5).boxes
    model.save_weights(tmp_path / "m.weights.h5")
    other = MaskRCNN(micro_config.replace(seed=9), data.class_names)
    other.load_weights(tmp_path / "m.weights.h5")
    found = other.detect(image, score_threshold=0.0, max_detections=5).boxes
    np.testing.assert_array_equal(found, expected)
    model.save(tmp_path / "m.keras")
    loaded = keras.saving.load_model(tmp_path / "m.keras")
    assert loaded.class_names == model.class_names and loaded.config == model.config
    assert loaded.category_ids == model.category_ids == (7, 9, 11, 13)
    found = loaded.detect(image, score_threshold=0.0, max_detections=5).boxes
    np.testing.assert_array_equal(found, expected)
    was, now = model.optimizer, loaded.optimizer  # it goes on where the saved one stopped
    assert type(now) is type(was) and int(now.iterations) == int(was.iterations) > 0
    for old, new in zip(was.variables, now.variables, strict=True):
        np.testing.assert_array_equal(old.numpy(), new.numpy(), err_msg=old.path)


@pytest.mark.parametrize("schedule", ["cosine", "step", "plateau"])
def test_a_model_with_labkits_own_optimizer_is_saved_whole(schedule, data, micro_config, tmp_path):
    model = MaskRCNN(micro_config, data.class_names)
    settings = TrainSettings(steps=5, schedule=schedule, ema=0.9, clip_norm=1.0)
    model.compile(optimizer=make_optimizer(settings))
    model.save(tmp_path / "m.keras")
    loaded = keras.saving.load_model(tmp_path / "m.keras")
    assert loaded.optimizer.get_config() == model.optimizer.get_config()


def test_evaluate_gives_validation_losses_and_changes_nothing(fitted, batches):
    model, _ = fitted
    before = [w.numpy() for w in model.weights]
    result = model.evaluate(batches.tf_dataset(2), verbose=0, return_dict=True)
    assert set(result) == {"loss", *LOSS_NAMES}
    for old, new in zip(before, model.weights, strict=True):
        np.testing.assert_array_equal(old, new.numpy(), err_msg=new.path)


def test_calling_the_model_gives_padded_detections(fitted):
    model, _ = fitted
    result = model(np.zeros((2, 64, 96, 3), np.float32))
    n = result["boxes"].shape[1]
    assert result["boxes"].shape == (2, n, 4) and result["scores"].shape == (2, n)
    assert result["masks"].shape == (2, n, 28, 28)


def test_a_loss_of_ones_own_is_refused(micro_config):
    with pytest.raises(LabkitError, match="the losses are built in"):
        MaskRCNN(micro_config, ["a"]).compile(optimizer="sgd", loss="mse")


@pytest.mark.parametrize(
    ("names", "word"), [("cat", "list"), (3, "list"), ([], "empty"), (["a", "a"], "twice")]
)
def test_class_names_are_checked(names, word, micro_config):
    with pytest.raises(LabkitError, match=word):
        MaskRCNN(micro_config, names)


# --- detection ------------------------------------------------------------------------------------


def test_detect_takes_one_or_many_of_any_size(fitted):
    model, _ = fitted
    rng = np.random.default_rng(0)
    images = [
        rng.integers(0, 255, shape).astype(np.uint8)
        for shape in ((40, 90, 3), (90, 40), (64, 64, 4), (40, 90, 3))
    ]
    several = model.detect(images, score_threshold=0.0)
    assert [d.image_size for d in several] == [(40, 90), (90, 40), (64, 64), (40, 90)]
    alone = model.detect(images[3], score_threshold=0.0)
    np.testing.assert_allclose(several[3].boxes, alone.boxes, atol=1e-3)
    assert model.detect([]) == []


def test_detections_lie_in_the_original_image(fitted):
    model, _ = fitted
    image = np.random.default_rng(1).integers(0, 255, (37, 201, 3)).astype(np.uint8)
    found = model.detect(image, score_threshold=0.0, max_detections=30)
    assert 0 < len(found) <= 30
    assert found.masks.shape == (len(found), 37, 201)
    y1, x1, y2, x2 = found.boxes.T
    assert (y1 >= 0).all() and (x1 >= 0).all() and (y2 <= 37 + 1e-4).all()
    assert (x2 <= 201 + 1e-3).all() and (y2 > y1).all() and (x2 > x1).all()
    assert (np.diff(found.scores) <= 0).all()
    assert set(found.class_ids) <= {1, 2, 3, 4}
    assert found.to_dict()["rpn_boxes"] is None


def test_boxes_and_masks_of_the_detected_class_are_used(data, micro_config):
    """With a box and a mask for each class, a detection has those of its own class."""
    model = MaskRCNN(micro_config.replace(class_agnostic=False, box_passes=1), data.class_names)
    bias = np.arange(4, dtype=np.float32)  # class c moves its box by c/10 of the height, its mask
    shifts = np.stack([bias, 0 * bias, 0 * bias, 0 * bias], axis=1)
    model.box_head.get_layer("deltas").bias.assign(shifts.ravel())
    logits = model.mask_head.get_layer("logits")
    logits.bias.assign(10 * bias - 15)
    logits.kernel.assign(tf.zeros_like(logits.kernel))
    image, size = data[0].image[None].astype(np.float32), np.float32([[64, 64]])
    result = model.detect_in_batch(tf.constant(image), tf.constant(size), 0.0)
    classes = result["classes"].numpy()[0]
    np.testing.assert_allclose(
        result["masks"].numpy()[0, :, 0, 0], 1 / (1 + np.exp(15 - 10 * (classes - 1.0))), rtol=1e-5
    )
    refined = result["refined"].numpy()[0]  # [P, N, 4]
    for box, c in zip(result["boxes"].numpy()[0], classes, strict=True):
        assert np.abs(refined[:, c - 1] - box).sum(1).min() < 1e-4


def test_an_image_of_one_row_works(fitted):
    model, _ = fitted
    found = model.detect(np.zeros((1, 1000, 3), np.uint8), score_threshold=0.0)
    assert found.image_size == (1, 1000) and found.masks.shape[1:] == (1, 1000)


def test_a_threshold_of_one_finds_nothing(fitted):
    model, _ = fitted
    found = model.detect(np.zeros((64, 64, 3), np.uint8), score_threshold=1.0)
    assert len(found) == 0 and found.masks.shape == (0, 64, 64)


def test_trace_and_training_are_the_same_function(fitted, batches):
    model, _ = fitted
    batch = tensors(batches.batch(0))
    trace = model.trace_losses(batch, step=3, training=False)
    losses = model.losses_of(batch, step=3, training=False)
    assert set(losses) == set(LOSS_NAMES)
    for name in LOSS_NAMES:
        np.testing.assert_array_equal(losses[name], trace["losses"][name], err_msg=name)
    rois = trace["rois"]
    assert (rois["positive"].numpy() <= rois["sampled"].numpy()).all()
    shown = rois["classes"].numpy() > 0
    np.testing.assert_array_equal(shown, rois["positive"].numpy())


# --- the large preset -----------------------------------------------------------------------------


def test_r50_fpn_has_the_size_of_torchvisions():
    """torchvision's maskrcnn_resnet50_fpn has 44,401,393 parameters for 91 classes, of which its
    own 80 + 11 unused. The difference, for the same number of classes, is explained exactly."""
    model = MaskRCNN(Config.preset("r50_fpn"), [f"class {i}" for i in range(90)])
    total = sum(int(np.prod(w.shape)) for w in model.weights)
    # Ours counts every weight; torchvision's frozen batch norms are buffers, not parameters.
    norms = [
        layer
        for layer in model.backbone.layers
        if "bn" in layer.name or layer.name.endswith("downsample_1")
    ]
    frozen = sum(int(np.prod(w.shape)) for n in norms for w in n.weights)
    background_box = 4 * (1024 + 1)  # torchvision regresses a box for background too, never used
    background_mask = 256 + 1  # and predicts a mask for it
    assert total - frozen + background_box + background_mask == 44_401_393


def test_it_is_exported_for_images_of_any_size(fitted, tmp_path):
    model, _ = fitted
    model.export(tmp_path / "saved", verbose=False)
    images = np.random.default_rng(0).integers(0, 255, (1, 96, 64, 3)).astype(np.float32)
    saved = tf.saved_model.load(tmp_path / "saved")
    found = saved.serve(images)
    for name, value in model(images).items():
        np.testing.assert_allclose(found[name], value, atol=1e-4, err_msg=name)


@pytest.mark.parametrize(
    "setting, other", [("floatx", "float64"), ("image_data_format", "channels_first")]
)
def test_keras_set_in_a_way_that_the_networks_cannot_have_is_one_sentence(
    micro_config, setting, other
):
    before = getattr(keras.config, setting)()
    change = getattr(keras.config, f"set_{setting}")
    try:
        change(other)
        with pytest.raises(LabkitError, match=f"set_{setting}\\('{before}'\\) first"):
            MaskRCNN(micro_config, ["a"])
    finally:
        change(before)


def test_what_fit_and_call_do_not_take_is_said(micro_config):
    model = MaskRCNN(micro_config, ["a"])
    model.compile(optimizer="sgd", run_eagerly=True)
    with pytest.raises(LabkitError, match="no x and y; labkit.train"):
        model.fit(np.zeros((1, 64, 64, 3), np.float32), np.zeros(1), verbose=0)
    with pytest.raises(LabkitError, match="100 x 64 pixels.*multiples of 32. detect"):
        model.call(np.zeros((1, 100, 64, 3), np.float32))
