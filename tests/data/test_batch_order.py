"""The order of images: the same for one worker and many, and without a gap in any bucket."""

import collections
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.data.augment import Augment
from labkit.data.batch_order import BatchOrder, BatchPlan
from labkit.data.dataset import Dataset
from labkit.data.pipeline import Batches
from labkit.data.sample import make_sample
from labkit.errors import LabkitError
from labkit.models.config import Config


class Sizes(Dataset):
    """Pictures of the given (height, width), each with one object."""

    class_names, category_ids, problems = ("x",), (1,), []

    def __init__(self, shapes):
        self.shapes = shapes

    def __len__(self):
        return len(self.shapes)

    def image_info(self, index):
        height, width = self.shapes[index]
        return {"id": index + 1, "file_name": "x", "height": height, "width": width}

    def read(self, index):
        mask = np.zeros((1, *self.shapes[index]), bool)
        mask[0, 2:9, 3:12] = True
        image = np.full((*self.shapes[index], 3), index + 1, np.uint8)
        return make_sample(image, mask, [1], image_id=index + 1, name="x")


sizes = st.lists(st.sampled_from([(20, 40), (40, 20), (30, 30)]), min_size=1, max_size=12)


@given(sizes, st.sampled_from([(4, 1), (4, 2), (4, 4), (6, 3)]), st.booleans(), st.integers(0, 9))
def test_the_shares_of_the_workers_are_the_batch(shapes, workers, buckets, seed):
    size, count = workers
    ds = Sizes(shapes)
    one = BatchOrder(ds, BatchPlan(size, (32, 64), seed=seed, buckets=buckets))
    plan = one.plan
    shares = [BatchOrder(ds, replace(plan, shard=(i, count))) for i in range(count)]
    for step in range(7):
        members, canvas = one.members(step)
        assert [m for s in shares for m in s.members(step)[0]] == members and len(members) == size
        assert {s.members(step)[1] for s in shares} == {canvas}


@given(sizes, st.integers(1, 4), st.booleans())
def test_an_epoch_of_buckets_shows_every_image_on_the_canvas_of_its_shape(shapes, size, shuffle):
    order = BatchOrder(Sizes(shapes), BatchPlan(size, (32, 64), buckets=True, shuffle=shuffle))
    steps = next(n for n in range(1, 50) if order.epochs_done(n))
    for epoch in range(2):
        seen = collections.Counter()
        for step in range(epoch * steps, (epoch + 1) * steps):
            members, canvas = order.members(step)
            for e, index in members:
                seen[index] += 1
                height, width = shapes[index]
                assert (height > width) == (canvas[0] > canvas[1])
                assert e == epoch or len(order.canvases) == 1
        assert len(order.canvases) == 1 or set(seen) == set(range(len(shapes)))
    assert order.epochs_done(2 * steps) >= 2 and order.epochs_done(steps - 1) == 0


def test_epochs_differ_in_the_order_of_their_batches():
    order = BatchOrder(Sizes([(20, 40), (40, 20)] * 8), BatchPlan(2, (32, 64), buckets=True))
    epochs = [[order.members(e * 8 + s)[0] for s in range(8)] for e in range(3)]
    assert len({str([[i for _, i in b] for b in e]) for e in epochs}) == 3
    canvases = {tuple(order.members(e * 8 + s)[1] for s in range(8)) for e in range(3)}
    assert len(canvases) > 1  # wide and high ones do not take strict turns


def test_batches_of_buckets_and_shares_hold_their_images():
    config = Config.preset("tiny", resize="none", max_instances=2)
    ds = Sizes([(20, 60), (60, 20), (30, 30), (25, 64)])
    plan = {"batch_size": 2, "canvas": (32, 64), "augment": Augment(), "seed": 2, "buckets": True}
    made = Batches(ds, config, BatchPlan(**plan))
    shares = [Batches(ds, config, BatchPlan(**plan, shard=(i, 2))) for i in range(2)]
    shapes = set()
    for step, batch in enumerate(made.tf_dataset(6)):
        shapes.add(batch["images"].shape[1:3])
        for name, values in batch.items():
            both = [share.batch(step)[name] for share in shares]
            np.testing.assert_array_equal(np.concatenate(both), values)
        for image, size, number in zip(
            batch["images"], batch["sizes"], batch["image_ids"], strict=True
        ):
            assert tuple(size.numpy()) == ds.shapes[int(number) - 1]
            height, width = size.numpy().astype(int)
            assert (image[:height, :width] == number.numpy()).numpy().all()
    assert {tuple(s) for s in shapes} == {(32, 64), (64, 32)}
    assert made.tf_dataset(1).element_spec["images"].shape.as_list() == [2, None, None, 3]
    one = Batches(ds.subset([1]), config, BatchPlan(**plan))  # all on their side: static again
    assert one.tf_dataset(1).element_spec["images"].shape.as_list() == [2, 64, 32, 3]


@pytest.mark.parametrize("shard", [(2, 2), (-1, 2), (0, 3), (0, 0)])
def test_shares_that_do_not_come_out_even_are_refused(shard):
    with pytest.raises(LabkitError, match="shard"):
        BatchPlan(4, (32, 32), shard=shard)
