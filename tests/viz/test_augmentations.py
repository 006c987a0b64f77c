"""The variants of a picture are those of training's batches."""

import numpy as np
import pytest

from labkit.data import shapes
from labkit.data.augment import NONE, Augment
from labkit.errors import LabkitError
from labkit.viz import augmentations, show


def pictures(figure):
    return [ax.images[0].get_array() for ax in figure.axes if ax.images]


def test_n_variants_that_differ_and_repeat_with_the_seed():
    ds = shapes(3, 64, seed=2)
    figure = augmentations(ds, -1, Augment(scale=(0.5, 1.5), hue=0.2, copy_paste=0.5), n=5)
    assert show(figure, alt="variants", dpi=50).png
    first = pictures(figure)
    assert len(first) == 5 and len(figure.axes) == 8
    assert len({p.tobytes() for p in first}) == 5
    again = pictures(augmentations(ds, 2, Augment(scale=(0.5, 1.5), hue=0.2, copy_paste=0.5), n=2))
    np.testing.assert_array_equal(again[1], first[1])


def test_without_augmentation_all_are_the_picture():
    ds = shapes(2, (64, 96), seed=2)
    same = pictures(augmentations(ds, 1, NONE, n=2))
    np.testing.assert_array_equal(same[0], same[1])
    assert same[0].shape == (64, 96, 3)
    with pytest.raises(LabkitError, match="n is 0"):
        augmentations(ds, 0, NONE, n=0)
    with pytest.raises(IndexError):
        augmentations(ds, 2, NONE)
