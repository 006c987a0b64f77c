"""Pasted objects: every pixel belongs to what is seen there, and what is hidden is counted."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.data.augment import Augment, Example, View, render
from labkit.data.copy_paste import Cutout, choose_cutouts, paste
from labkit.data.pipeline import Batches, BatchPlan
from labkit.data.sample import make_sample
from labkit.models.config import Config


def painted(seed: int, first: int, shape=(40, 56), count=4) -> Example:
    """Ellipses over one another, each painted with a number of its own from `first` on."""
    rng = np.random.default_rng(seed)
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    owner = np.zeros(shape, int)
    for i in range(count):
        y, x = rng.uniform(0, shape[0]), rng.uniform(0, shape[1])
        a, b = rng.uniform(3, 14, 2)
        owner[((rows - y) / a) ** 2 + ((columns - x) / b) ** 2 < 1] = i + 1
    seen = [i for i in range(1, count + 1) if (owner == i).any()]
    masks = np.array([owner == i for i in seen]).reshape(-1, *shape)
    image = np.zeros((*shape, 3), np.uint8)
    for i, mask in zip(seen, masks, strict=True):
        image[mask] = first + i - 1
    # the class is the number too, so that what is pasted can be told from what was there
    sample = make_sample(image, masks, [first + i - 1 for i in seen], image_id=first, name="x")
    return Example.of(sample)


def whole(example: Example) -> View:
    height, width = example.image.shape[:2]
    return View(0, 0, height, width, height, width)


def agrees(example: Example, view: View) -> None:
    """Every mask shows exactly the pixels of its number, and every number has its mask."""
    image, boxes, classes, masks, _ = render(example, view, 0)
    assert len(set(classes.tolist())) == len(classes)
    for box, number, mask in zip(boxes.astype(int), classes, masks > 0, strict=True):
        np.testing.assert_array_equal(mask, image[..., 0] == number)
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        assert box.tolist() == [rows[0], columns[0], rows[-1] + 1, columns[-1] + 1]
    assert set(np.unique(image)) <= {0, *classes.tolist()}


@settings(max_examples=1000)
@given(
    seeds=st.tuples(st.integers(0, 10_000), st.integers(0, 10_000), st.integers(0, 10_000)),
    sizes=st.tuples(
        st.sampled_from([(40, 56), (24, 90), (1, 1)]),
        st.sampled_from([(40, 56), (70, 30), (9, 200)]),
    ),
    mirror=st.booleans(),
    turns=st.integers(0, 3),
    flip=st.booleans(),
)
def test_pixels_and_masks_are_one_thing(seeds, sizes, mirror, turns, flip):
    """At the scale of the pictures no pixel is mixed, so numbers in the image can be compared."""
    target, source = painted(seeds[0], 10, sizes[0]), painted(seeds[1], 100, sizes[1])
    rng = np.random.default_rng(seeds[2])
    cutouts = choose_cutouts(sizes[0], source, (1.0, 1.0), Augment(mirror=mirror), rng)
    pasted, lost = paste(target, cutouts)
    view = whole(pasted)
    agrees(
        pasted,
        View(
            *[getattr(view, n) for n in ("top", "left", "bottom", "right", "height", "width")],
            turns,
            flip,
        ),
    )
    kept = (pasted.class_ids < 100).sum()
    assert kept + lost == len(target.class_ids)
    for number in target.class_ids:  # lost only if not a pixel of it is to be seen
        assert (number in pasted.class_ids) == (pasted.image == number).any()


@settings(max_examples=300)
@given(seed=st.integers(0, 10_000), factor=st.floats(0.2, 3.0), low=st.floats(0.3, 1.0))
def test_scaled_objects_bring_their_own_pixels(seed, factor, low):
    """Pixels inside a pasted mask come from the object; outside, the target is as it was."""
    target, source = painted(seed, 10, (50, 60), 2), painted(seed + 1, 200, (40, 40), 3)
    source.image[:] = np.where(source.image > 0, 200, 200)  # one colour, so that mixing shows none
    rng = np.random.default_rng(seed)
    before = target.image.copy()
    cutouts = choose_cutouts((50, 60), source, (factor, factor), Augment(scale=(low, 1.0)), rng)
    pasted, _ = paste(target, cutouts)
    over = np.zeros((50, 60), bool)
    for patch, (y1, x1, y2, x2), number in zip(
        pasted.patches, pasted.boxes, pasted.class_ids, strict=True
    ):
        assert patch.shape == (y2 - y1, x2 - x1) and patch.any()
        assert 0 <= y1 < y2 <= 50 and 0 <= x1 < x2 <= 60
        if number >= 200:
            assert not (over[y1:y2, x1:x2] & patch).any()  # one owner a pixel
            over[y1:y2, x1:x2] |= patch
    assert (pasted.image[over] == 200).all()
    np.testing.assert_array_equal(pasted.image[~over], before[~over])
    np.testing.assert_array_equal(target.image, before)  # the target itself is as it was


def block(top, left, height, width, class_id=9):
    return Cutout(
        np.full((height, width, 3), 99, np.uint8),
        np.ones((height, width), bool),
        top,
        left,
        class_id,
    )


def squares() -> Example:
    masks = np.zeros((2, 20, 20), bool)
    masks[0, 2:8, 2:8] = masks[1, 10:18, 10:18] = True
    return Example.of(
        make_sample(np.zeros((20, 20, 3), np.uint8), masks, [1, 2], image_id=3, name="x")
    )


def test_what_is_covered_shrinks_or_is_counted():
    pasted, lost = paste(squares(), [block(0, 0, 9, 9), block(14, 0, 6, 20)])
    assert lost == 1 and pasted.class_ids.tolist() == [2, 9, 9]
    assert pasted.boxes[0].tolist() == [10, 10, 14, 18] and pasted.image_id == 3
    assert pasted.patches[0].shape == (4, 8) and (pasted.image == 99).sum() == 3 * (81 + 120)


def test_later_ones_lie_on_top_and_what_sticks_out_is_cut():
    pasted, lost = paste(squares(), [block(-3, -3, 8, 8, 5), block(-1, -1, 4, 30, 6)])
    assert lost == 0 and pasted.class_ids.tolist() == [1, 2, 5, 6]
    assert pasted.boxes[2].tolist() == [3, 0, 5, 5] and pasted.boxes[3].tolist() == [0, 0, 3, 20]


def test_outside_or_empty_changes_nothing():
    example = squares()
    hollow = Cutout(np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4), bool), 3, 3, 9)
    pasted, lost = paste(example, [block(50, 0, 5, 5), block(0, -9, 5, 5), hollow])
    assert lost == 0 and pasted.class_ids.tolist() == [1, 2]
    np.testing.assert_array_equal(pasted.image, example.image)
    assert (
        choose_cutouts(
            (20, 20),
            Example.of(
                make_sample(
                    example.image,
                    np.zeros((0, 20, 20), bool),
                    [],
                    image_id=1,
                    name="x",
                )
            ),
            (1, 1),
            Augment(),
            np.random.default_rng(0),
        )
        == []
    )


def test_objects_keep_the_size_they_have_for_the_network(toy):
    """Pictures of two sizes, resized to one: what is pasted is as large as in its own picture."""

    class TwoSizes(toy):
        def image_info(self, index):
            side = (64, 128)[index % 2]
            return {"id": index + 1, "file_name": "x", "height": side, "width": side}

        def read(self, index):
            side = self.image_info(index)["height"]
            masks = np.zeros((1, side, side), bool)
            masks[0, side // 4 : side // 2, side // 4 : side // 2] = True
            image = np.zeros((side, side, 3), np.uint8)
            return make_sample(image, masks, [1 + index % 2], image_id=index + 1, name="x")

    config = Config.preset("tiny", image_min_side=96, image_max_side=96)
    plan = BatchPlan(2, (96, 96), Augment(copy_paste=1.0, mirror=False), seed=1)
    made = Batches(TwoSizes([[], []]), config, plan)
    pasted = 0
    for step in range(12):
        batch = made.batch(step)
        for boxes, classes in zip(batch["boxes"], batch["classes"], strict=True):
            sides = (boxes[:, 2:] - boxes[:, :2])[classes > 0]
            pasted += len(sides) == 2
            assert (sides <= 24 + 1.6).all() and sides.max() >= 22.4
    assert pasted > 3


def test_the_pipeline_pastes_now_and_then_and_counts(toy):
    ds = toy([[(1, False)] * 6, [(2, False)] * 6, [(3, False)] * 6])
    config = Config.preset("tiny", resize="none", max_instances=20)
    made = Batches(ds, config, BatchPlan(3, (32, 32), Augment(copy_paste=0.5, mirror=False)))
    counts = [(made.batch(s)["classes"] > 0).sum(axis=1) for s in range(20)]
    assert max(map(max, counts)) > 6 and 10 < (np.array(counts) == 6).sum() < 50
    again = Batches(ds, config, made.plan)
    np.testing.assert_array_equal(again.batch(7)["images"], made.batch(7)["images"])
    large = BatchPlan(3, (32, 32), Augment(copy_paste=1.0, scale=(1.0, 5.0)))
    hiding = Batches(ds, config, large)
    for step in range(20):
        hiding.batch(step)
    assert hiding.left_out["covered by a paste"] > 0
