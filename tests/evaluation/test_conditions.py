"""AP against size, occlusion and crowding."""

from pathlib import Path

import pytest

from labkit.errors import LabkitError
from labkit.evaluation import compare, evaluate_results
from labkit.evaluation.conditions import CONDITIONS, under_condition

GOLDEN = Path(__file__).parents[1] / "golden"
INFINITY = float("inf")


@pytest.mark.parametrize("kind", ["bbox", "segm"])
def test_by_size_it_is_cocos_ap_of_small_medium_and_large(kind):
    paths = GOLDEN / "coco_main_gt.json", GOLDEN / "coco_main_dt.json"
    coco = getattr(evaluate_results(*paths, iou_thresholds=[0.5]), kind)
    found = under_condition(compare(*paths, iou_type=kind), "size", edges=(0, 32, 96, INFINITY))
    # COCO's ranges include both ends, these the lower one: no object here lies on a boundary
    assert found.ap == pytest.approx([coco["APs"], coco["APm"], coco["APl"]], abs=1e-12)
    assert found.recall == pytest.approx([coco["ARs"], coco["ARm"], coco["ARl"]], abs=1e-12)


def test_occlusion_and_crowding_of_objects_and_of_detections(compared):
    # two that overlap by 1/3, one that only touches the second, one alone; a crowd is no neighbour
    boxes = [(0, 0, 20, 20), (10, 0, 20, 20), (29, 0, 20, 20), (0, 60, 20, 20)]
    objects = [(1, 1, box) for box in boxes] + [(1, 1, (0, 50, 90, 50), True)]
    alarm = (5, 5, 20, 20)  # overlaps the first two
    comparison = compared(objects, [(1, 1, alarm, 0.9)])
    pairs = comparison.images[0]
    occluded, alarm_occluded = CONDITIONS["occlusion"].measure(comparison, pairs)
    assert occluded[:4] == pytest.approx([1 / 3, 1 / 3, 20 / 780, 0])
    assert alarm_occluded == pytest.approx([15 * 15 / (800 - 15 * 15)])
    crowded, alarm_crowded = CONDITIONS["crowding"].measure(comparison, pairs)
    assert crowded[:4].tolist() == [1, 2, 1, 0] and alarm_crowded.tolist() == [1]


def test_objects_found_only_where_they_are_alone(compared):
    boxes = [(0, 0, 20, 20), (5, 0, 20, 20), (60, 60, 20, 20)]  # two that overlap by 0.6
    found = [(1, 1, boxes[0], 0.9), (1, 1, boxes[2], 0.8)]
    comparison = compared([(1, 1, box) for box in boxes], found)
    result = under_condition(comparison, "occlusion")
    assert result.objects.tolist() == [1, 0, 0, 0, 2]
    assert result.ap[0] == 1 and result.ap[-1] == pytest.approx(51 / 101)
    assert result.recall[[0, -1]].tolist() == [1, 1 / 2]
    assert (result.ap[1:-1] == -1).all()
    crowding = under_condition(comparison, "crowding")
    assert crowding.objects.tolist() == [1, 2, 0, 0, 0]


@pytest.mark.parametrize("name", CONDITIONS)
def test_each_object_is_in_one_range_and_nothing_at_all_in_none(name, compared):
    comparison = compare(GOLDEN / "coco_edge_gt.json", GOLDEN / "coco_edge_dt.json")
    result = under_condition(comparison, name)
    assert result.objects.sum() == comparison.object_counts().sum()
    assert len(result.condition.range_names()) == len(result.ap)
    nothing = under_condition(compared([], []), name)
    assert not nothing.objects.any() and set(nothing.ap) == set(nothing.recall) == {-1}


def test_ranges_are_named():
    assert CONDITIONS["size"].range_names()[0] == "0 to 16"
    assert CONDITIONS["crowding"].range_names() == ["0", "1", "2", "3 to 4", "5 and more"]
    with pytest.raises(LabkitError, match="'colour' is none of size, occlusion, crowding"):
        under_condition(None, "colour")
    with pytest.raises(LabkitError, match="must rise"):
        under_condition(None, "size", edges=(0, 5, 5))
