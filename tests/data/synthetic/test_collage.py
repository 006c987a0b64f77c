"""Collage: composed photographs whose masks are exact and whose splits are apart."""

import sys

import numpy as np
import pytest

from labkit.data import collage
from labkit.data.synthetic import photographs
from labkit.data.synthetic.collage import CLASS_NAMES
from labkit.errors import LabkitError

skimage = pytest.importorskip("skimage")


def test_a_picture_depends_on_seed_split_and_number_alone():
    one, again = collage(2, 160)[1], collage(9, 160)[1]
    assert (one.image == again.image).all() and (one.masks == again.masks).all()
    others = [collage(2, 160, seed=1)[1], collage(2, 160, split="val")[1], collage(2, 160)[0]]
    assert not any((one.image == other.image).all() for other in others)


def test_objects_are_where_the_dice_put_them():
    """Pinned without pixels, which another version of Pillow may resize a little differently."""
    sample = collage(1)[0]
    assert sample.class_ids.tolist() == PINNED_CLASSES
    np.testing.assert_allclose(sample.boxes, PINNED_BOXES, atol=2)


PINNED_CLASSES = [3, 4, 3, 1]
PINNED_BOXES = [
    [164, 311, 274, 384],
    [23, 136, 115, 230],
    [110, 120, 261, 282],
    [176, 0, 330, 119],
]


def test_every_object_is_visible_and_no_two_share_a_pixel():
    for split in ("train", "val"):
        for sample in collage(12, (160, 224), split=split):
            assert sample.image.shape == (160, 224, 3) and sample.image.dtype == np.uint8
            assert 1 <= len(sample) <= 6 and sample.masks.sum(axis=0).max() <= 1
            assert (sample.masks.sum(axis=(1, 2)) >= 40).all()


def test_one_class_is_common_and_one_is_rare():
    data = collage(120, 96)
    ids = np.concatenate([data[i].class_ids for i in range(120)])
    counts = dict(zip(CLASS_NAMES, np.bincount(ids, minlength=7)[1:].tolist(), strict=True))
    assert max(counts, key=counts.get) == "coin" and min(counts, key=counts.get) == "rocket"
    assert counts["coin"] > 2 * counts["rocket"] > 10


def test_the_splits_share_no_coin_and_no_background():
    train, val = (photographs.cutouts(split) for split in ("train", "val"))
    assert tuple(train) == tuple(val) == CLASS_NAMES
    coins = [{c.pixels.tobytes() for c in part["coin"]} for part in (train, val)]
    assert [len(c) for c in coins] == [16, 8] and not coins[0] & coins[1]
    names = [{name for name, _ in photographs.GROUNDS[split]} for split in ("train", "val")]
    assert not names[0] & names[1]


@pytest.mark.parametrize(
    "name, inside, outside",
    [  # (x, y) of a photograph that lie on the object and beside it
        ("cat", [(170, 110), (260, 240), (385, 10)], [(60, 250), (400, 150), (10, 30)]),
        ("cup", [(285, 60), (100, 220), (412, 80)], [(40, 60), (560, 200), (90, 370)]),
        ("flower", [(310, 215), (200, 150)], [(100, 200), (310, 400)]),
        ("astronaut", [(230, 90), (100, 350), (420, 420)], [(60, 80), (420, 150), (340, 150)]),
        ("rocket", [(323, 140), (322, 380)], [(340, 300), (300, 200)]),
    ],
)
def test_outlines_hold_the_object_and_nothing_else(name, inside, outside):
    (cutout,) = photographs.cutouts("train")[name]
    corners = np.reshape(getattr(photographs, name.upper()), (-1, 2))
    left, top = corners.min(axis=0).astype(int) - photographs.MARGIN
    height, width = cutout.pixels.shape[:2]
    for x, y in inside:
        assert cutout.pixels[y - top, x - left, 3] == 255
    for x, y in outside:
        within = 0 <= y - top < height and 0 <= x - left < width
        assert not within or cutout.pixels[y - top, x - left, 3] == 0


def test_what_is_seen_is_what_is_masked():
    """Inside a cup's mask there is the red of the cup; the background has another colour."""
    data = collage(40, 192, split="val")
    cup = CLASS_NAMES.index("cup") + 1
    seen = [s.image[s.masks[i]] for s in data for i in np.flatnonzero(s.class_ids == cup)]
    red, green, blue = np.concatenate(seen).mean(axis=0)
    assert len(seen) > 5 and red > 1.6 * green > 1.6 * blue


def test_impossible_settings_are_refused_with_one_sentence(monkeypatch):
    for wrong, words in (({"split": "test"}, "train, val"), ({"size": 10}, "size")):
        with pytest.raises(LabkitError, match=words):
            collage(**wrong)
    monkeypatch.setitem(sys.modules, "skimage", None)
    photographs.photograph.cache_clear()
    with pytest.raises(LabkitError, match="scikit-image.*labkit.lab"):
        photographs.photograph("coffee")
