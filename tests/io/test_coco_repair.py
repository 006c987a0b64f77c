"""Entries written oddly become what COCO writes; what has no single meaning is refused."""

import copy

import pytest

from labkit.io import coco_repair
from labkit.io.coco_repair import (
    FLAT,
    LISTED,
    PARTS,
    POINTS,
    Seen,
    category_name,
    crowd_flag,
    has_mask,
    image_side,
    repair_annotation,
    repair_segmentation,
    without_empty_parent,
)
from labkit.io.data_files import Unusable
from labkit.io.repairs import Repairs

GOOD = [10, 10, 40, 10, 40, 40, 10, 40]
CORNERS = [[10, 10], [40, 10], [40, 40], [10, 40]]
RLE = {"size": [6, 8], "counts": [10, 6, 32]}


def repaired(segmentation):
    """The repaired segmentation, and the kinds of repairs."""
    kinds, before = [], copy.deepcopy(segmentation)
    result = repair_segmentation(segmentation, lambda kind, detail: kinds.append(kind))
    assert repr(segmentation) == repr(before)  # what is given is not changed
    return result, kinds


@pytest.mark.parametrize("segmentation", [[GOOD], [GOOD, [1, 1, 9, 1, 9, 9.5]], RLE, [], None, "x"])
def test_what_needs_no_repair_is_the_same_object(segmentation):
    result, kinds = repaired(segmentation)
    assert result is segmentation and kinds == []


@pytest.mark.parametrize(
    "segmentation, kind",
    [
        (GOOD, FLAT),
        (CORNERS, POINTS),
        ([CORNERS], POINTS),
        ([[{"x": x, "y": y} for x, y in CORNERS]], POINTS),
        ([{"x": x, "y": y} for x, y in CORNERS], POINTS),
    ],
)
def test_other_ways_to_write_one_polygon(segmentation, kind):
    assert repaired(segmentation) == ([GOOD], [kind])


def test_run_lengths_in_a_list():
    assert repaired([RLE]) == (RLE, [LISTED])


@pytest.mark.parametrize(
    "part",
    [
        [],
        None,
        [45, 10],
        [45, 10, 50, 12],
        [45, 10, 50, 12, 55, 20, 1],
        [45, 10, 50, 10, 55, 10],
        [0.1, 0.1, 0.2, 0.2, 0.3, 0.3],
        [5, 5, 5, 5, 5, 5],
        [float("nan")] * 6,
        [1, 2, 3, 4, 5, float("inf")],
        ["1", "2", "3", "4", "5", "6"],
        {"counts": []},
        7,
    ],
    ids=str,
)
def test_a_part_without_an_area_is_skipped_and_the_rest_kept(part):
    for parts in ([GOOD, part], [part, GOOD]):
        assert repaired(parts) == ([GOOD], [PARTS])
    assert repaired([part, GOOD, part, GOOD]) == ([GOOD, GOOD], [PARTS, PARTS])


@pytest.mark.parametrize(
    "segmentation, words",
    [
        ([[]], "empty list"),
        ([[], None], "empty list"),
        ([[1, 2, 3, 4]], "has 4 numbers"),
        ([["1", "2", "3", "4", "5", "6"]], "not a list of finite numbers"),
        ([[1, 2, 3, 4, 5, float("nan")]], "not a list of finite numbers"),
        ([[10**400] * 6], "not a list of finite numbers"),
        ([7, "x"], "not a list of numbers"),
    ],
)
def test_a_segmentation_of_which_nothing_remains(segmentation, words):
    with pytest.raises(Unusable, match=words):
        repaired(segmentation)


def test_corners_on_one_line_are_left_to_filling():
    """pycocotools decides whether such an outline covers a pixel."""
    line = [[1, 1, 5, 5, 9, 9]]
    assert repaired(line) == (line, [])


@pytest.mark.parametrize(
    "value, flag",
    [(0, 0), (1, 1), (False, 0), (True, 1), (None, 0), ("0", 0), ("1", 1), (1.0, 1), ("False", 0)],
)
def test_crowd_flags(value, flag):
    repairs = Repairs()
    entry = {"segmentation": [GOOD], "iscrowd": value}
    assert repair_annotation(entry, lambda: "a", repairs)["iscrowd"] == flag
    assert entry["iscrowd"] is value
    assert len(repairs) == (not isinstance(value, (bool, int)))


@pytest.mark.parametrize("value", [2, -1, 0.5, "yes", [], {}, [0]])
def test_what_is_no_crowd_flag(value):
    with pytest.raises(Unusable, match="not 0 or 1"):
        crowd_flag(value, lambda: "a", Repairs())


@pytest.mark.parametrize(
    "value, side",
    [(60, 60), (60.0, 60), ("60", 60), ("60.0", 60), (10**9, 10**9)]
    + [(value, None) for value in (0, -1, -1.0, "0", "-1", None, "unknown", True, 6.5, [6], ...)],
)
def test_sides_of_pictures(value, side):
    repairs = Repairs()
    entry = {} if value is ... else {"height": value}
    assert image_side(entry, "height", "images[0]", repairs) == side
    assert repairs.total == (side is not None and type(value) is not int)


def test_category_names():
    repairs = Repairs()
    assert category_name({"name": 1}, "c", repairs) == "1"
    assert category_name({"name": 1.5}, "c", repairs) == "1.5"
    assert category_name({"name": "1"}, "c", repairs) == "1" and repairs.total == 2
    assert [category_name(e, "c", repairs) for e in ({}, {"name": None}, {"name": True})] == [
        *[None] * 3
    ]


# ---- Roboflow's parent ---------------------------------------------------------------------------

FRUIT = [
    {"id": 0, "name": "fruit", "supercategory": "none"},
    {"id": 1, "name": "apple", "supercategory": "fruit"},
    {"id": 2, "name": "pear", "supercategory": "fruit"},
]


def kept(categories, annotations) -> list[str]:
    return [c["name"] for c in without_empty_parent(categories, annotations, Repairs())]


def test_the_empty_parent_is_left_out():
    repairs = Repairs()
    assert without_empty_parent(FRUIT, [{"category_id": 1}], repairs) == FRUIT[1:]
    assert repairs.total == 1 and '"fruit", id 0' in repairs[0]


def test_categories_that_are_no_empty_parent_are_kept():
    everything = ["fruit", "apple", "pear"]
    assert kept(FRUIT, [{"category_id": 0}]) == everything  # an annotation uses it
    assert kept(FRUIT, [{"category_id": "0"}]) == everything
    assert kept(FRUIT, []) == everything  # nothing says that it is empty
    person = [{"id": 1, "name": "person", "supercategory": "person"}]  # as in COCO
    assert kept(person, [{"category_id": 2}]) == ["person"]
    deep = [FRUIT[0] | {"supercategory": "food"}, *FRUIT[1:]]  # a class within a hierarchy
    assert kept(deep, [{"category_id": 1}]) == everything
    assert kept(FRUIT[:1], [{"category_id": 1}]) == ["fruit"]


# ---- annotations among each other ----------------------------------------------------------------


def annotation(**changes):
    return {"image_id": 1, "category_id": 1, "segmentation": [GOOD], "iscrowd": 0} | changes


def test_exact_duplicates():
    seen = Seen()
    assert not seen.is_duplicate(annotation(id=1))
    assert seen.is_duplicate(annotation(id=2)) and seen.is_duplicate(annotation())
    assert seen.is_duplicate(annotation(bbox=[1, 2, 3, 4]))  # which its mask contradicts, or not
    for changes in (
        {"image_id": 2},
        {"category_id": 2},
        {"iscrowd": 1},
        {"segmentation": [], "bbox": [1, 2, 3, 4]},
        {"segmentation": [], "bbox": [1, 2, 3, 5]},
        {"segmentation": [GOOD, GOOD]},
        {"segmentation": [[*GOOD[:-1], 39]]},
        {"segmentation": RLE},
        {"segmentation": {"size": [6, 8], "counts": "abc"}},
    ):
        assert not seen.is_duplicate(annotation(**changes))
        assert seen.is_duplicate(annotation(**changes))


def test_repeated_ids_are_taken_off():
    seen, repairs = Seen(), Repairs()
    ids = [
        seen.with_own_id(annotation(id=number), lambda: "a", repairs).get("id")
        for number in (1, 0, 1, 2, "3", 4.0, 0)
    ]
    assert ids == [1, 0, None, 2, None, None, None]
    assert [sentence.rpartition(" (")[0] for sentence in repairs] == [
        coco_repair.REPEATED,
        coco_repair.ODD_IDS,
    ]
    entry = annotation()
    assert seen.with_own_id(entry, lambda: "a", repairs) is entry and repairs.total == 4


def test_boxes_without_a_mask():
    assert has_mask(annotation()) and has_mask(annotation(segmentation=RLE))
    for segmentation in (None, [], [[]], [[], []]):
        assert not has_mask(annotation(segmentation=segmentation))
    assert not has_mask({})
