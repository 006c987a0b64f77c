"""Parts of a data set: nothing twice, nothing lost, every class everywhere, no group torn."""

import collections

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.data.classes import class_counts
from labkit.data.splitting import split
from labkit.errors import LabkitError

pictures = st.lists(
    st.lists(st.tuples(st.integers(1, 3), st.booleans()), max_size=4), min_size=6, max_size=40
)
fractions = st.sampled_from([(0.5, 0.5), (0.8, 0.2), (0.6, 0.2, 0.2), (1 / 3, 2 / 3), (1.0,)])


def sizes_wanted(fractions, total):
    return np.asarray(fractions) * total


@given(pictures, fractions, st.integers(0, 99))
def test_every_picture_is_in_one_part_and_sizes_are_exact(toy, pictures, fractions, seed):
    ds = toy(pictures)
    parts = split(ds, fractions, seed)
    ids = [i for part in parts for i in part.image_ids]
    assert sorted(ids) == list(ds.image_ids) and len(parts) == len(fractions)
    for part, wanted in zip(parts, sizes_wanted(fractions, len(ds)), strict=True):
        assert abs(len(part) - wanted) < 1
        assert list(part.image_ids) == sorted(part.image_ids)
    again = split(ds, fractions, seed)
    assert [p.image_ids for p in again] == [p.image_ids for p in parts]


@given(pictures, st.integers(1, 9), st.integers(0, 99))
def test_no_group_is_torn(toy, pictures, count, seed):
    ds = toy(pictures)
    keys = [index % count for index in range(len(ds))]
    largest = max(collections.Counter(keys).values())
    try:
        parts = split(ds, (0.5, 0.5), seed, group=keys)
    except LabkitError as error:
        assert count < 4 and "empty" in str(error)
        return
    held = [{keys[i - 1] for i in part.image_ids} for part in parts]
    assert not held[0] & held[1] and held[0] | held[1] == set(keys)
    for part, wanted in zip(parts, sizes_wanted((0.5, 0.5), len(ds)), strict=True):
        assert abs(len(part) - wanted) <= largest


@given(st.integers(0, 50))
def test_rare_classes_are_shared_out(toy, seed):
    """Ten pictures of a rare class among two hundred: 0.8 of them in the first part, not 0.8 ± 3"""
    rng = np.random.default_rng(seed)
    pictures = [[(1, False)] for _ in range(190)] + [[(1, False), (2, False)] for _ in range(10)]
    ds = toy([pictures[i] for i in rng.permutation(200)], ("often", "rare"))
    train, val = split(ds, (0.8, 0.2), seed)
    assert class_counts(train)[1].tolist() == [160, 8] and class_counts(val)[1].tolist() == [40, 2]


@given(
    st.lists(
        st.lists(st.tuples(st.integers(1, 3), st.just(False)), max_size=4), min_size=20, max_size=60
    ),
    st.integers(0, 20),
)
def test_classes_are_no_worse_off_than_by_chance(toy, pictures, seed):
    ds = toy(pictures)
    total = class_counts(ds)[0]
    ours = class_counts(split(ds, (0.5, 0.5), seed)[0])[0]
    # With a class in n pictures, a coin's error is about sqrt(n) / 2; sharing out keeps below it.
    assert (np.abs(ours - total / 2) <= np.sqrt(total) / 2 + 2.5).all()


def test_another_seed_gives_another_split_and_a_function_gives_groups(toy):
    ds = toy([[(1, False)]] * 30)
    first = {split(ds, (0.5, 0.5), seed)[0].image_ids for seed in range(5)}
    assert len(first) == 5
    parts = split(ds, (2 / 3, 1 / 3), group=lambda info: info["file_name"].split("_")[0])
    assert [len(p) for p in parts] == [20, 10]
    assert len({info % 3 for info in parts[1].image_ids}) == 1


def test_pictures_without_objects_are_shared_out_too(toy):
    ds = toy([[]] * 8 + [[(1, False)]] * 4)
    parts = ds.split((0.75, 0.25))
    assert [sum(len(s) == 0 for s in part) for part in parts] == [6, 2]


@pytest.mark.parametrize("wrong", [(0.5, 0.6), (1.2, -0.2), (0.0, 1.0), (), ((0.5, 0.5),)])
def test_fractions_that_are_none(toy, wrong):
    with pytest.raises(LabkitError, match="add up to 1"):
        split(toy([[]] * 9), wrong)


def test_an_empty_part_is_refused(toy):
    with pytest.raises(LabkitError, match=r"part 2 \(0.1 of 3 images"):
        split(toy([[]] * 3), (0.9, 0.1))
    with pytest.raises(LabkitError, match="1 groups"):
        split(toy([[]] * 9), (0.5, 0.5), group=["one patient"] * 9)
    with pytest.raises(LabkitError, match="empty"):
        split(toy([]), (0.5, 0.5))
    with pytest.raises(LabkitError, match="3 keys for 9 images"):
        split(toy([[]] * 9), (0.5, 0.5), group=[1, 2, 3])
