"""Image, boxes and masks seen through a view stay one thing."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.data.augment import (
    LARGE_SCALE_JITTER,
    NONE,
    Augment,
    Example,
    View,
    choose_view,
    crowds_in,
    render,
)
from labkit.data.sample import make_sample
from labkit.errors import LabkitError
from labkit.ops.mask_boxes import boxes_from_masks

RED, BLACK = np.uint8([255, 0, 0]), np.uint8([0, 0, 0])


def picture(seed: int, height=48, width=64, count=3):
    """Rectangles that the picture paints in red just where the masks are: a mask is visible."""
    rng = np.random.default_rng(seed)
    masks = np.zeros((count, height, width), bool)
    for mask in masks:
        y, x = rng.integers(0, height - 12), rng.integers(0, width - 12)
        h, w = rng.integers(6, 12, 2)
        mask[y : y + h, x : x + w] = True
    image = np.where(masks.any(0)[..., None], RED, BLACK)
    return make_sample(image, masks, np.ones(count, int), image_id=7, name="red")


def views():
    """A window of the 48 x 64 picture at its own scale, turned and mirrored any way."""
    return st.builds(
        lambda top, left, height, width, turns, mirror: View(
            top, left, top + height, left + width, height, width, turns, mirror
        ),
        st.integers(0, 20),
        st.integers(0, 20),
        st.integers(16, 28),
        st.integers(16, 44),
        st.integers(0, 3),
        st.booleans(),
    )


@settings(max_examples=200, deadline=None)
@given(seed=st.integers(0, 1000), view=views())
def test_masks_boxes_and_pixels_agree_in_any_view(seed, view):
    example = Example.of(picture(seed))
    image, boxes, classes, masks, vanished = render(example, view, mini=0)
    assert vanished == 0 and len(boxes) == len(classes) == len(masks)
    union = masks.any(0) if len(masks) else np.zeros(image.shape[:2], bool)
    np.testing.assert_array_equal(union, image[..., 0] > 0)  # nothing visible is left out
    np.testing.assert_array_equal(boxes, boxes_from_masks(masks))  # boxes are tight


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 1000), view=views())
def test_mini_masks_fill_their_boxes(seed, view):
    example = Example.of(picture(seed))
    _, boxes, _, masks, _ = render(example, view, mini=28)
    # Rectangles that nothing hides fill their box whole, however they are turned or cut.
    assert masks.shape == (len(boxes), 28, 28) and (masks == 1).all()


def test_mini_mask_turns_with_the_view():
    masks = np.zeros((1, 20, 20), bool)
    masks[0, 4:16, 4:7] = masks[0, 13:16, 4:16] = True  # an L
    sample = make_sample(np.zeros((20, 20, 3), np.uint8), masks, [1], image_id=1, name="L")
    example = Example.of(sample)
    straight = render(example, View(0, 0, 20, 20, 20, 20), 12)[3][0]
    for turns in range(4):
        for mirror in (False, True):
            seen = render(example, View(0, 0, 20, 20, 20, 20, turns, mirror), 12)[3][0]
            expected = np.rot90(straight[:, ::-1] if mirror else straight, turns)
            np.testing.assert_array_equal(seen, expected)


def test_scaled_boxes_follow_the_image():
    example = Example.of(picture(3))
    _, plain, *_ = render(example, View(0, 0, 48, 64, 48, 64), 0)
    image, boxes, _, masks, _ = render(example, View(0, 0, 48, 64, 96, 128), 0)
    assert image.shape == (96, 128, 3) and masks.shape[1:] == (96, 128)
    np.testing.assert_allclose(boxes, plain * 2, atol=1e-4)
    np.testing.assert_array_equal(boxes_from_masks(masks), boxes)


def test_less_than_a_pixel_is_counted_not_kept():
    masks = np.zeros((1, 64, 64), bool)
    masks[0, 10:14, 10:14] = True
    sample = make_sample(np.zeros((64, 64, 3), np.uint8), masks, [1], image_id=1, name="dot")
    _, boxes, _, masks, vanished = render(Example.of(sample), View(0, 0, 64, 64, 8, 8), 28)
    assert len(boxes) == 0 and masks.shape == (0, 28, 28) and vanished == 1


def test_crowds_are_left_out_and_counted():
    sample = picture(1)
    sample.crowd[0] = True
    example = Example.of(sample)
    assert len(example.patches) == 2 and len(example.crowds) == 1


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 1000), view=views(), size=st.tuples(st.integers(16, 90), st.booleans()))
def test_the_box_of_a_crowd_moves_as_that_of_an_object_does(seed, view, size):
    view = dataclasses.replace(view, height=size[0], width=2 * size[0] if size[1] else view.width)
    sample = picture(seed)  # objects that fill their boxes, and so does what a view leaves of them
    _, boxes, _, _, vanished = render(Example.of(sample), view, 28)
    sample.crowd[:] = True
    crowds = crowds_in(Example.of(sample), view)
    assert len(crowds) == len(boxes) + vanished
    wide = (crowds[:, 2:] - crowds[:, :2]).min(axis=1) >= 1
    np.testing.assert_allclose(crowds[wide], boxes, atol=1e-4)


@settings(max_examples=200, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 300), st.integers(1, 300)),
    seed=st.integers(0, 10_000),
    low=st.floats(0.5, 1.0),
    high=st.floats(1.0, 2.0),
)
def test_a_view_fits_image_and_canvas(shape, seed, low, high):
    rng = np.random.default_rng(seed)
    view = choose_view(shape, shape, (96, 64), Augment(quarter_turns=True, scale=(low, high)), rng)
    assert 0 <= view.top < view.bottom <= shape[0] and 0 <= view.left < view.right <= shape[1]
    assert 1 <= view.height <= 96 and 1 <= view.width <= 64
    assert view.turns in (0, 2)  # a canvas that is not square is not laid on its side


def test_without_augmentation_the_whole_image_is_seen():
    view = choose_view((50, 60), (100, 120), (128, 128), NONE, np.random.default_rng(0))
    assert view == View(0, 0, 50, 60, 100, 120)


@settings(max_examples=1000, deadline=None)
@given(
    seed=st.integers(0, 100_000),
    canvas=st.sampled_from([(64, 64), (32, 96), (96, 96)]),
    low=st.floats(0.1, 1.0),
    high=st.floats(1.0, 2.0),
    turns=st.booleans(),
)
def test_in_any_random_view_masks_lie_on_their_pixels(seed, canvas, low, high, turns):
    """White objects on black. Where a mask and all around it agree, so does the image: at an edge
    the two are interpolated differently, but never a pixel off."""
    sample = picture(seed)
    sample.image[:] = np.where(sample.masks.any(0)[..., None], 255, 0)
    rng = np.random.default_rng(seed)
    augment = Augment(quarter_turns=turns, scale=(low, high))
    view = choose_view((48, 64), (48, 64), canvas, augment, rng)
    image, boxes, _, masks, vanished = render(Example.of(sample), view, mini=0)
    if vanished:
        return
    inside = masks.any(0) if len(masks) else np.zeros(image.shape[:2], bool)
    padded = np.pad(inside, 1, mode="edge")
    around = [
        padded[y : y + inside.shape[0], x : x + inside.shape[1]] for y in range(3) for x in range(3)
    ]
    assert (image[np.logical_and.reduce(around)] > 127).all()
    assert (image[~np.logical_or.reduce(around)] < 128).all()
    for box, mask in zip(boxes, masks > 0, strict=True):
        tight = boxes_from_masks(mask[None])[0]
        if mask.any():
            assert np.abs(box - tight).max() <= 1.0


def test_large_scale_jitter_pads_and_crops():
    rng = np.random.default_rng(0)
    views = [
        choose_view((100, 100), (128, 128), (128, 128), LARGE_SCALE_JITTER, rng) for _ in range(400)
    ]
    factors = np.array([v.height / (v.bottom - v.top) / 1.28 for v in views])
    assert 0.1 <= factors.min() < 0.12 and 1.9 < factors.max() <= 2.02
    # log-uniform: as many below the middle of the logarithms as above
    assert abs((factors < np.sqrt(0.2)).mean() - 0.5) < 0.06
    small = [v for v, f in zip(views, factors, strict=True) if f < 0.95]
    assert all(v.bottom - v.top == 100 and v.height < 128 for v in small)  # whole, then padded
    large = [v for v, f in zip(views, factors, strict=True) if f > 1.05]
    assert all(v.height >= 126 and v.bottom - v.top < 100 for v in large)  # a window of it


def test_colours_change_the_image_alone():
    example = Example.of(picture(3))
    plain = render(example, View(0, 0, 48, 64, 48, 64), 28)
    view = View(0, 0, 48, 64, 48, 64, contrast=0.5, saturation=0.2, hue=0.3)
    coloured = render(example, view, 28)
    assert (coloured[0] != plain[0]).any()
    for a, b in zip(coloured[1:], plain[1:], strict=True):
        np.testing.assert_array_equal(a, b)


def test_colours_are_drawn_within_their_bounds_and_only_where_asked():
    augment = Augment(contrast=0.3, saturation=0.5, hue=0.1)
    rng = np.random.default_rng(0)
    views = [choose_view((9, 9), (9, 9), (32, 32), augment, rng) for _ in range(300)]
    for name, low, high in (("contrast", 0.7, 1.3), ("saturation", 0.5, 1.5), ("hue", -0.1, 0.1)):
        values = np.array([getattr(v, name) for v in views])
        assert low <= values.min() < low + 0.05 * (high - low)
        assert high - 0.05 * (high - low) < values.max() <= high
    one, other = np.random.default_rng(1), np.random.default_rng(1)
    plain = choose_view((9, 9), (9, 9), (32, 32), Augment(), one)
    assert (plain.contrast, plain.saturation, plain.hue) == (1, 1, 0)
    choose_view((9, 9), (9, 9), (32, 32), Augment(hue=0.1), other)
    assert one.random() != other.random()  # the draw was made, after all others


@pytest.mark.parametrize(
    "wrong",
    [
        {"scale": (2.0, 1.0)},
        {"scale": (0, 1)},
        {"scale": (1.0,)},
        {"brightness": 1.5},
        {"contrast": -0.1},
        {"saturation": 1.0},
        {"hue": 0.6},
        {"copy_paste": 1.1},
    ],
)
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(LabkitError, match=next(iter(wrong))):
        Augment(**wrong)
