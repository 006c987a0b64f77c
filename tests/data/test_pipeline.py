"""Batches: right, the same every time, and nothing cut in silence."""

import numpy as np
import pytest

from labkit.data import shapes
from labkit.data.augment import NONE, Augment
from labkit.data.pipeline import Batches, BatchPlan
from labkit.errors import LabkitError
from labkit.models.config import Config
from labkit.models.detector_config import CHOICES
from labkit.models.inference import batch_of

CONFIG = Config.preset("tiny", max_instances=8, resize="none")


def batches(dataset=None, config=CONFIG, **plan):
    plan = {"batch_size": 2, "canvas": (64, 64), **plan}
    dataset = shapes(5, 64, seed=3) if dataset is None else dataset
    return Batches(dataset, config, BatchPlan(**plan))


def test_a_batch_holds_what_the_samples_hold():
    dataset = shapes(4, 64, seed=3)
    batch = batches(dataset, shuffle=False).batch(1)
    for row, index in enumerate((2, 3)):
        sample = dataset[index]
        count = len(sample)
        np.testing.assert_array_equal(batch["images"][row], sample.image)
        np.testing.assert_array_equal(batch["boxes"][row, :count], sample.boxes)
        np.testing.assert_array_equal(batch["classes"][row, :count], sample.class_ids)
        assert (batch["classes"][row, count:] == 0).all()
        assert batch["image_ids"][row] == sample.image_id
        np.testing.assert_array_equal(batch["sizes"][row], [64, 64])


def test_full_masks_where_mini_masks_are_off():
    dataset = shapes(2, 64, seed=3)
    batch = batches(dataset, CONFIG.replace(mini_mask=0), shuffle=False).batch(0)
    sample = dataset[0]
    np.testing.assert_array_equal(batch["masks"][0, : len(sample)], sample.masks)


def test_the_boxes_of_crowds_come_along_where_a_detector_spares_them(toy):
    dataset = toy([[(1, False), (2, True), (1, True)], []])
    assert "crowds" not in batches(dataset).batch(0)
    batch = batches(dataset, CONFIG.replace(max_crowds=3), shuffle=False, augment=NONE).batch(0)
    sample = dataset[0]
    assert batch["crowds"].shape == (2, 3, 4) and sample.crowd.sum() == 2
    np.testing.assert_array_equal(batch["crowds"][0, :2], sample.boxes[sample.crowd])
    assert not batch["crowds"][0, 2:].any() and not batch["crowds"][1].any()
    one = batches(dataset, CONFIG.replace(max_crowds=1), shuffle=False, augment=NONE).batch(0)
    np.testing.assert_array_equal(one["crowds"], batch["crowds"][:, :1])


def test_batches_depend_on_seed_and_number_alone():
    plan = {"augment": Augment(quarter_turns=True), "seed": 5}
    one, other = batches(**plan), batches(**plan)
    other.batch(0), other.batch(1)  # what was read before must not matter
    for name, values in one.batch(7).items():
        np.testing.assert_array_equal(values, other.batch(7)[name])
    different = batches(**plan | {"seed": 6}).batch(7)
    assert any((different[n] != v).any() for n, v in one.batch(7).items())


def test_every_epoch_shows_every_image_once_in_another_order():
    made = batches(shapes(6, 64, seed=3))
    orders = [
        [int(i) for b in range(3) for i in made.batch(e * 3 + b)["image_ids"]] for e in range(4)
    ]
    assert all(sorted(o) == [1, 2, 3, 4, 5, 6] for o in orders)
    assert len(set(map(tuple, orders))) > 1


def test_tf_dataset_gives_the_same_batches_in_order_with_static_shapes():
    made = batches(augment=Augment(quarter_turns=True))
    data = made.tf_dataset(steps=3, start=4)
    assert data.element_spec["images"].shape == (2, 64, 64, 3)
    for number, batch in enumerate(data, start=4):
        for name, values in made.batch(number).items():
            np.testing.assert_array_equal(batch[name], values)


def test_the_end_of_training_waits_for_no_tuning():
    """tf.data's tuner sleeps for up to a minute, and who lets go of the iterator sleeps with it."""
    options = batches().tf_dataset(steps=3).options()
    assert options.autotune.enabled is False


def test_what_exceeds_the_limit_is_counted_and_takes_turns():
    dataset = shapes(1, 64, seed=3, min_objects=4, max_objects=4)
    made = batches(dataset, CONFIG.replace(max_instances=3), batch_size=1)
    seen = {tuple(b) for e in range(12) for b in made.batch(e)["boxes"][0]}
    assert made.left_out == {"over the limit of 3 instances": 12}
    assert len(seen) == 4  # over the epochs, each of the four objects is taught


def test_small_images_are_padded_and_large_ones_cropped():
    small = batches(shapes(2, 32, seed=1, max_objects=2)).batch(0)
    np.testing.assert_array_equal(small["sizes"], [[32, 32]] * 2)
    assert (small["images"][:, 32:] == 0).all()
    large = batches(shapes(2, 160, seed=1)).batch(0)
    np.testing.assert_array_equal(large["sizes"], [[64, 64]] * 2)
    assert (large["boxes"] <= 64).all()


@pytest.mark.parametrize("name", CHOICES["resize_filter"])
def test_training_resizes_as_detection_does(name):
    dataset = shapes(1, 160, seed=1)
    config = CONFIG.replace(
        resize="shortest_edge", image_min_side=64, image_max_side=64, resize_filter=name
    )
    batch = batches(dataset, config, batch_size=1, augment=NONE).batch(0)
    seen, _ = batch_of([dataset[0].image], config)
    assert batch["images"].dtype == np.uint8  # so "bilinear" loses what follows the point
    np.testing.assert_array_equal(batch["images"], np.rint(seen))


def test_images_without_objects_are_negatives():
    dataset = shapes(2, 160, seed=1, max_objects=1)
    made = batches(dataset)
    counts = [(b > 0).sum() for s in range(10) for b in made.batch(s)["classes"]]
    assert 0 in counts  # a window that shows nothing still makes a valid batch


def test_unusable_plans_are_refused():
    with pytest.raises(LabkitError, match="multiples of 32"):
        batches(canvas=(100, 100))
    with pytest.raises(LabkitError, match="32 pixels at least"):
        batches(canvas=(16, 16))
    with pytest.raises(LabkitError, match="batch_size"):
        batches(batch_size=0)
    with pytest.raises(LabkitError, match="no images"):
        batches(shapes(3, 64).subset([]))
