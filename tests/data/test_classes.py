"""Classes grouped, kept, dropped and pruned: every view says the same in all its answers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.data import CocoDataset
from labkit.data.classes import (
    class_counts,
    drop_classes,
    drop_empty,
    group_classes,
    keep_classes,
    prune,
    pruning_table,
)
from labkit.data.dataset import Dataset
from labkit.errors import LabkitError

NAMES = ("white", "wholemeal", "apple", "tea")
pictures = st.lists(
    st.lists(st.tuples(st.integers(1, 4), st.booleans()), max_size=6), min_size=1, max_size=8
)
classes = st.lists(st.sampled_from(NAMES), min_size=1, max_size=4, unique=True)


def agrees_with_itself(view: Dataset) -> None:
    """labels, read, box_sizes, coco_annotations and image_info tell one and the same story."""
    assert len(view.class_names) == len(view.category_ids) == len(set(view.category_ids))
    for index in range(len(view)):
        sample, labels = view[index], view.labels(index)
        annotations, info = view.coco_annotations(index), view.image_info(index)
        np.testing.assert_array_equal(labels.class_ids, sample.class_ids)
        np.testing.assert_array_equal(labels.crowd, sample.crowd)
        np.testing.assert_array_equal(labels.boxes, sample.boxes)
        np.testing.assert_array_equal(view.box_sizes(index), Dataset.box_sizes(view, index))
        assert [view.category_ids[i - 1] for i in sample.class_ids] == [
            a["category_id"] for a in annotations
        ]
        assert [bool(a["iscrowd"]) for a in annotations] == sample.crowd.tolist()
        assert all(a["image_id"] == sample.image_id == info["id"] for a in annotations)
        assert len(sample) <= view.instance_limit(index) <= view.max_instances
        assert sample.class_ids.dtype == np.int32 and sample.masks.dtype == bool


def story(dataset: Dataset) -> list:
    """What a data set holds, picture by picture: [(pixel, [(class name, box, crowd)])]."""
    return [
        (
            int(s.image[0, 0, 0]),
            s.image_id,
            [
                (dataset.class_names[c - 1], tuple(b), bool(x))
                for c, b, x in zip(s.class_ids, s.boxes.tolist(), s.crowd, strict=True)
            ],
        )
        for s in dataset
    ]


# ---- classes -------------------------------------------------------------------------------------


@given(pictures, classes)
def test_kept_classes_are_those_named_and_nothing_else_changes(toy, pictures, names):
    ds = toy(pictures, NAMES, (7, 2, 90, 4))
    kept = keep_classes(ds, names)
    agrees_with_itself(kept)
    assert story(kept) == [
        (pixel, image_id, [i for i in instances if i[0] in names])
        for pixel, image_id, instances in story(ds)
    ]
    of = dict(zip(NAMES, (7, 2, 90, 4), strict=True))
    assert kept.category_ids == tuple(of[name] for name in kept.class_names)
    others = [name for name in NAMES if name not in names]
    if others:
        assert story(drop_classes(ds, others)) == story(kept)


@given(pictures, classes, st.booleans())
def test_a_group_is_its_members(toy, pictures, members, keep_others):
    ds = toy(pictures, NAMES, (7, 2, 90, 4))
    grouped = group_classes(ds, {"food": members}, keep_others=keep_others)
    agrees_with_itself(grouped)
    renamed = [
        (
            pixel,
            image_id,
            [
                ("food" if n in members else n, b, c)
                for n, b, c in instances
                if keep_others or n in members
            ],
        )
        for pixel, image_id, instances in story(ds)
    ]
    assert story(grouped) == renamed
    assert grouped.class_names[-1] == "food" and grouped.category_ids[-1] == 91
    assert set(grouped.category_ids[:-1]) <= {7, 2, 90, 4}  # no id changes its meaning


def test_several_groups_at_once_and_one_with_the_name_of_a_member(toy):
    ds = toy([[(1, False), (2, True), (3, False), (4, False)]], NAMES)
    grouped = group_classes(ds, {"white": ["white", "wholemeal"], "rest": ["tea"]})
    assert grouped.class_names == ("apple", "white", "rest")
    assert grouped[0].class_ids.tolist() == [2, 2, 1, 3] and grouped.category_ids == (3, 5, 6)


@pytest.mark.parametrize(
    "shape, words",
    [
        (lambda ds: keep_classes(ds, ["appel"]), "'appel'; did you mean 'apple'"),
        (lambda ds: drop_classes(ds, ["zzz"]), "class_names"),
        (lambda ds: keep_classes(ds, []), "at least one"),
        (lambda ds: drop_classes(ds, NAMES), "no class would be left"),
        (lambda ds: group_classes(ds, {}), "at least one group"),
        (lambda ds: group_classes(ds, {"x": []}), "at least one class"),
        (lambda ds: group_classes(ds, {"x": "apple"}), "must be a list"),
        (lambda ds: group_classes(ds, {"x": ["apple"], "y": ["apple"]}), "leave it in one"),
        (lambda ds: group_classes(ds, {"tea": ["apple"]}), "another name"),
        (lambda ds: group_classes(ds, {"x": ["aple"]}), "did you mean 'apple'"),
    ],
)
def test_mistakes_are_named(toy, shape, words):
    with pytest.raises(LabkitError, match=words):
        shape(toy([[(1, False)]], NAMES))


def test_views_of_views_of_subsets(toy):
    ds = toy([[(1, False), (3, True)], [(2, False)], []], NAMES, problems=["one is broken"])
    view = ds.subset([1, 0]).group_classes({"bread": ["white", "wholemeal"]}).keep_classes("bread")
    agrees_with_itself(view)
    assert view.problems == ["one is broken"] and len(view) == 2
    assert [len(s) for s in view] == [1, 1] and view[-1].class_ids.tolist() == [1]
    assert view.subset([1])[0].image_id == 1


def test_a_view_reads_no_picture_for_what_annotations_tell(tmp_path):
    square = {"segmentation": [[1, 1, 9, 1, 9, 9, 1, 9]], "area": 64, "bbox": [1, 1, 8, 8]}
    content = {
        "images": [{"id": 1, "file_name": "absent.png", "height": 10, "width": 10}],
        "categories": [{"id": 3, "name": "x"}, {"id": 5, "name": "y"}],
        "annotations": [
            square | {"id": 1, "image_id": 1, "category_id": 3},
            square | {"id": 2, "image_id": 1, "category_id": 5},
            {"id": 3, "image_id": 1, "category_id": 5, "segmentation": [[1, 1, 9, 1, 9, 9]]},
        ],
    }
    view = CocoDataset(content, tmp_path).keep_classes(["y"])
    assert view.max_instances == 2 and view.instance_sizes()[0].tolist() == [8, 8]
    assert [a["id"] for a in view.to_coco()["annotations"]] == [2, 3]
    assert view.coco_annotations(0)[0]["segmentation"] == square["segmentation"]


@given(pictures)
def test_a_view_saves_and_reads_back(toy, tmp_path_factory, pictures):
    folder = tmp_path_factory.mktemp("saved")
    view = group_classes(toy(pictures, NAMES), {"bread": NAMES[:2]})
    view.save_coco(folder / "all.json", folder / "images")
    back = CocoDataset(folder / "all.json", folder / "images", strict=True)
    assert story(back) == story(view) and back.class_names == view.class_names


# ---- pruning -------------------------------------------------------------------------------------


@given(pictures, st.sampled_from(["images", "instances"]))
def test_the_table_foretells_what_pruning_keeps(toy, pictures, by):
    ds = toy(pictures, NAMES)
    for row in pruning_table(ds, by):
        pruned = prune(ds, **{f"min_{by}": row.threshold})
        agrees_with_itself(pruned)
        assert len(pruned.class_names) == row.classes and len(pruned) == row.images
        assert sum(int((~s.crowd).sum()) for s in pruned) == row.instances


@given(pictures)
def test_counts_are_those_of_the_samples(toy, pictures):
    ds = toy(pictures, NAMES)
    images, instances = class_counts(ds)
    for i, _ in enumerate(NAMES, 1):
        each = [sum(c == i and not crowd for c, crowd in p) for p in pictures]
        assert instances[i - 1] == sum(each) and images[i - 1] == sum(n > 0 for n in each)


def test_pruning_by_both_thresholds_and_keeping_the_empty(toy):
    ds = toy([[(1, False)] * 3, [(2, False)], [(2, False)], []], NAMES)
    assert prune(ds, min_images=2).class_names == ("wholemeal",)
    assert prune(ds, min_instances=3).class_names == ("white",)
    assert len(prune(ds, min_images=2)) == 2 and len(prune(ds, 2, keep_empty=True)) == 4
    with pytest.raises(LabkitError, match="no class would be left"):
        prune(ds, min_images=2, min_instances=3)
    with pytest.raises(LabkitError, match="min_images, min_instances"):
        prune(ds)
    with pytest.raises(LabkitError, match="'area'"):
        pruning_table(ds, by="area")


def test_the_table_has_a_row_where_it_changes_or_where_asked(toy):
    ds = toy([[(1, False)] * 3, [(1, False), (2, False)], [(3, True)]], NAMES)
    assert pruning_table(ds) == [(1, 2, 2, 5), (2, 1, 2, 4)]
    assert pruning_table(ds, "instances", [0, 4, 5]) == [(0, 4, 2, 5), (4, 1, 2, 4), (5, 0, 0, 0)]
    assert pruning_table(toy([[]])) == []


def test_pictures_without_objects_are_dropped_on_request_only(toy):
    ds = toy([[], [(1, True)], [(1, False), (2, True)]], NAMES)
    assert drop_empty(ds).image_ids == (3,) and len(keep_classes(ds, ["tea"])) == 3
    assert len(drop_empty(ds.subset([]))) == 0
