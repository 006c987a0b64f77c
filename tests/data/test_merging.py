"""Several data sets as one: no picture, class or number is taken for another."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycocotools.coco import COCO

from labkit.data import CocoDataset
from labkit.data.merging import merge
from labkit.errors import LabkitError

parts = st.lists(
    st.tuples(
        st.lists(st.lists(st.tuples(st.integers(1, 2), st.booleans()), max_size=4), max_size=4),
        st.lists(st.sampled_from(["a", "b", "c", "d"]), min_size=2, max_size=2, unique=True),
        st.lists(st.integers(1, 4), min_size=2, max_size=2, unique=True),
        st.integers(1, 4),
    ),
    min_size=1,
    max_size=4,
)


def holds(dataset):
    """[(pixel, [(class name, box, crowd)])] without the numbers that a merge may change."""
    return [
        (
            int(s.image[0, 0, 0]),
            [
                (dataset.class_names[c - 1], tuple(b), bool(x))
                for c, b, x in zip(s.class_ids, s.boxes.tolist(), s.crowd, strict=True)
            ],
        )
        for s in dataset
    ]


@given(parts)
def test_what_was_in_the_parts_is_in_the_whole(toy, parts):
    datasets = [toy(p, names, ids, first_id=first) for p, names, ids, first in parts]
    merged = merge(datasets)
    assert holds(merged) == [row for ds in datasets for row in holds(ds)]
    assert len(set(merged.image_ids)) == len(merged)
    assert len(set(merged.class_names)) == len(merged.class_names) == len(set(merged.category_ids))
    assert set(merged.class_names) == {n for ds in datasets for n in ds.class_names}
    for index in range(len(merged)):
        sample, labels = merged[index], merged.labels(index)
        assert sample.image_id == merged.image_info(index)["id"]
        np.testing.assert_array_equal(labels.class_ids, sample.class_ids)
        np.testing.assert_array_equal(labels.boxes, sample.boxes)
        assert len(merged.box_sizes(index)) == (~sample.crowd).sum()
    renumbered = sum(
        merged.image_ids[i] != n for i, n in enumerate(n for ds in datasets for n in ds.image_ids)
    )
    assert any(f"{renumbered} images" in p for p in merged.problems) == (renumbered > 0)


@given(parts)
def test_pycocotools_finds_every_annotation(toy, parts):
    merged = merge(toy(p, names, ids, first_id=first) for p, names, ids, first in parts)
    api = COCO()
    api.dataset = merged.to_coco()
    api.createIndex()
    assert len(api.imgs) == len(merged) and len(api.anns) == sum(len(s) for s in merged)


def test_ids_of_two_files_do_not_meet(tmp_path, toy):
    """Two files with the same image, annotation and category numbers, as tools write them."""
    sets = []
    for number, names in enumerate((("cat", "dog"), ("dog", "cow"))):
        ds = toy([[(1, False), (2, False)], [(2, True)]], names)
        ds.save_coco(tmp_path / f"{number}.json", tmp_path / f"images{number}")
        sets.append(CocoDataset(tmp_path / f"{number}.json", tmp_path / f"images{number}"))
    merged = merge(sets)
    assert merged.class_names == ("cat", "dog", "cow") and merged.category_ids == (1, 2, 3)
    assert merged.image_ids == (1, 2, 3, 4)
    coco = merged.to_coco()
    assert [a["id"] for a in coco["annotations"]] == [1, 2, 3, 4, 5, 6]
    assert [a["category_id"] for a in coco["annotations"]] == [1, 2, 2, 2, 3, 3]
    assert "'dog' in one data set and 'cow' in another" in merged.problems[0]
    assert merged.problems[1].startswith("merge: 2 images") and "3 to 4" in merged.problems[1]
    merged.save_coco(tmp_path / "all.json", tmp_path / "all")
    assert holds(CocoDataset(tmp_path / "all.json", tmp_path / "all", strict=True)) == holds(merged)


def test_what_does_not_meet_keeps_its_numbers(toy):
    merged = merge([toy([[(1, False)]], ("a",), (5,), 10), toy([[]], ("b",), (3,), 2)])
    assert merged.category_ids == (5, 3) and merged.image_ids == (10, 2)
    assert merged.problems == [] and merged[-1].image_id == merged.image_info(-1)["id"] == 2


def test_nothing_to_merge(toy):
    with pytest.raises(LabkitError, match="at least one"):
        merge([])
    assert len(merge([toy([]), toy([])])) == 0
