"""COCO numbers: equal to pycocotools' own, also for other limits, and with little memory."""

import copy
import itertools
import json
import weakref
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from labkit.data.dataset import Dataset
from labkit.data.sample import make_sample
from labkit.errors import LabkitError
from labkit.evaluation import evaluate, evaluate_results
from labkit.models.detections import Detections
from labkit.ops.coco_masks import encode_rle

GOLDEN = Path(__file__).parents[1] / "golden"
NUMBERS = "AP AP50 AP75 APs APm APl AR1 AR10 AR100 ARs ARm ARl".split()


def golden(name):
    return GOLDEN / f"coco_{name}_gt.json", GOLDEN / f"coco_{name}_dt.json"


# ------------------------------------------------------------------ pycocotools' own numbers


@pytest.mark.parametrize("name", ["main", "edge"])
def test_the_twelve_numbers_and_the_curves_are_those_of_pycocotools(name):
    evaluation = evaluate_results(*golden(name))
    stats = json.loads((GOLDEN / "coco_stats.json").read_text())[f"coco_{name}"]
    arrays = np.load(GOLDEN / f"coco_{name}.npz")
    for kind in ("bbox", "segm"):
        numbers = getattr(evaluation, kind)
        assert list(numbers) == NUMBERS
        np.testing.assert_allclose(list(numbers.values()), stats[kind], rtol=0, atol=1e-12)
        curves = evaluation.curves[kind]
        np.testing.assert_array_equal(curves.precision, arrays[f"{kind}_precision"][..., 0, 2])
        np.testing.assert_array_equal(curves.scores, arrays[f"{kind}_scores"][..., 0, 2])
        np.testing.assert_array_equal(curves.recall, arrays[f"{kind}_recall"][..., 0, 2])
        np.testing.assert_array_equal(
            curves.at(0.5).T, arrays[f"{kind}_precision_iou50_all_max100"]
        )


def test_the_mean_of_a_curve_is_its_ap():
    evaluation = evaluate_results(*golden("edge"))
    curves = evaluation.curves["segm"]
    assert curves.mean_at(None).mean() == pytest.approx(evaluation.segm["AP"])
    assert curves.mean_at(0.75).mean() == pytest.approx(evaluation.segm["AP75"])
    for k, name in enumerate(evaluation.class_names):
        assert curves.at(None)[:, k].mean() == pytest.approx(
            evaluation.per_class[name]["segm"]["AP"]
        )


def test_the_input_is_left_as_it_was_and_nothing_is_printed(capsys):
    truth, results = (json.loads(path.read_text()) for path in golden("main"))
    before = copy.deepcopy((truth, results))
    from_dicts = evaluate_results(truth, results)
    assert (truth, results) == before
    assert capsys.readouterr() == ("", "")
    assert from_dicts.to_dict() == evaluate_results(*golden("main")).to_dict()


def test_categories_keep_the_order_of_the_file():
    truth, results = (json.loads(path.read_text()) for path in golden("main"))
    usual = evaluate_results(truth, results)
    truth["categories"].reverse()
    turned = evaluate_results(truth, results)
    assert turned.class_names == usual.class_names[::-1]
    assert turned.per_class == usual.per_class
    np.testing.assert_array_equal(
        turned.curves["bbox"].precision[..., ::-1], usual.curves["bbox"].precision
    )


# ------------------------------------------------------------------ small made-up cases


def rectangle(y, x, height, width, size=(60, 80)):
    mask = np.zeros(size, bool)
    mask[y : y + height, x : x + width] = True
    return mask


def coco_truth(annotations, images=2, categories=("disc", "ring"), size=(60, 80)):
    return {
        "images": [{"id": i + 10, "height": size[0], "width": size[1]} for i in range(images)],
        "categories": [{"id": 3 * i + 2, "name": name} for i, name in enumerate(categories)],
        "annotations": annotations,
    }


def entry(mask, image_id=10, category_id=2, **more):
    ys, xs = np.nonzero(mask)
    box = [xs.min(), ys.min(), np.ptp(xs) + 1, np.ptp(ys) + 1]
    return {
        "image_id": image_id,
        "category_id": category_id,
        "bbox": [float(v) for v in box],
        "segmentation": encode_rle(mask),
        **more,
    }


def test_an_object_whose_annotation_id_is_0_can_be_found():
    mask = rectangle(5, 5, 20, 20)
    truth = coco_truth([entry(mask, id=0, iscrowd=0, area=400)])
    evaluation = evaluate_results(truth, [entry(mask, score=0.9)])
    assert evaluation.bbox["AP"] == evaluation.segm["AP"] == pytest.approx(1.0)


def test_missing_iscrowd_area_bbox_and_ids_are_filled_in():
    mask = rectangle(5, 5, 20, 20)
    annotation = entry(mask)
    del annotation["bbox"]
    evaluation = evaluate_results(coco_truth([annotation]), [entry(mask, score=0.9)])
    assert evaluation.bbox["APs"] == evaluation.segm["APs"] == pytest.approx(1.0)
    assert evaluation.segm["APm"] == -1


def test_no_results_are_zero_and_not_a_crash():
    evaluation = evaluate_results(coco_truth([entry(rectangle(5, 5, 20, 20))]), [])
    assert evaluation.bbox["AP"] == evaluation.segm["AP"] == 0
    assert evaluation.per_class["ring"]["segm"]["AP"] == -1
    str(evaluation)


def test_no_ground_truth_at_all_is_minus_one():
    truth = coco_truth([])
    for results in ([], [entry(rectangle(5, 5, 20, 20), score=0.9)]):
        evaluation = evaluate_results(truth, results)
        assert set(evaluation.segm.values()) == {-1.0}
        assert "–" in str(evaluation)
        json.loads(evaluation.to_json())


def test_a_detection_in_a_crowd_is_neither_right_nor_wrong():
    crowd, inside, other = (
        rectangle(0, 0, 50, 40),
        rectangle(10, 10, 10, 10),
        rectangle(0, 50, 20, 20),
    )
    truth = coco_truth([entry(crowd, iscrowd=1), entry(other)])
    evaluation = evaluate_results(truth, [entry(inside, score=0.9), entry(other, score=0.5)])
    assert evaluation.segm["AP"] == pytest.approx(1.0)
    assert (evaluation.objects, evaluation.crowds) == (1, 1)


def test_masks_are_sized_by_their_own_area():
    # a ring of 1,000 pixels in a box of 2,500: small as a mask, medium as a box
    ring = rectangle(0, 0, 50, 50) & ~rectangle(6, 6, 38, 39)
    assert ring.sum() < 32**2
    truth = coco_truth([entry(ring, area=int(ring.sum()))])
    evaluation = evaluate_results(truth, [entry(ring, score=0.9)])
    assert evaluation.segm["APs"] == pytest.approx(1.0)
    assert evaluation.segm["APm"] == -1


@pytest.mark.parametrize(
    ("max_dets", "third", "found"), [(100, "AR100", 100 / 150), (500, "AR500", 1.0)]
)
def test_crowded_pictures_need_a_higher_limit(max_dets, third, found):
    masks = [rectangle(4 * (i // 15), 4 * (i % 15), 3, 3) for i in range(150)]
    truth = coco_truth([entry(mask) for mask in masks])
    results = [entry(mask, score=1 - i / 1000) for i, mask in enumerate(masks)]
    evaluation = evaluate_results(truth, results, max_dets=max_dets)
    assert evaluation.segm[third] == pytest.approx(found)
    assert evaluation.segm["AP"] == pytest.approx(found, abs=0.01)  # 101 steps of recall
    assert evaluation.segm["AR10"] == pytest.approx(10 / 150)
    assert third in str(evaluation)


def test_a_limit_below_ten():
    truth = coco_truth([entry(rectangle(5, 5, 20, 20))])
    evaluation = evaluate_results(truth, [], max_dets=5)
    assert [key for key in evaluation.segm if key.startswith("AR")][:2] == ["AR1", "AR5"]
    with pytest.raises(LabkitError, match="max_dets is 0"):
        evaluate_results(truth, [], max_dets=0)


def test_boxes_alone_are_evaluated_and_the_missing_masks_noted():
    truth, results = (json.loads(path.read_text()) for path in golden("main"))
    for result in results:
        del result["segmentation"]
    for annotation in truth["annotations"]:
        annotation["segmentation"] = []  # what tools that draw boxes write
    evaluation = evaluate_results(truth, results)
    assert evaluation.segm is None
    assert evaluation.bbox == evaluate_results(*golden("main")).bbox
    assert "Masks were not evaluated" in str(evaluation)
    with pytest.raises(LabkitError, match="masks cannot be evaluated"):
        evaluate_results(truth, results, iou_types=["segm"])
    with pytest.raises(LabkitError, match="iou_types"):
        evaluate_results(truth, results, iou_types=["keypoints"])


def test_results_written_twice_are_noted():
    mask = rectangle(5, 5, 20, 20)
    results = [entry(mask, score=0.9)] * 2
    evaluation = evaluate_results(coco_truth([entry(mask)]), results)
    assert "1 of 2 results repeat an earlier one exactly (the first is entry 1)" in str(evaluation)


# ------------------------------------------------------------------ thresholds and sizes by choice


def test_ap_at_each_threshold_one_by_one():
    evaluation = evaluate_results(*golden("main"))
    stored = np.load(GOLDEN / "coco_main.npz")
    for kind in ("bbox", "segm"):
        by_iou = evaluation.curves[kind].ap_by_iou()
        assert list(by_iou) == [f"AP{iou}" for iou in range(50, 100, 5)]
        precision = stored[f"{kind}_precision"][..., 0, 2]
        for t, value in enumerate(by_iou.values()):
            assert value == precision[t][precision[t] > -1].mean()
        numbers = getattr(evaluation, kind)
        assert by_iou["AP75"] == numbers["AP75"]
        assert np.mean(list(by_iou.values())) == pytest.approx(numbers["AP"])
        for k, name in enumerate(evaluation.class_names):
            own = evaluation.per_class[name][kind]
            assert own["AP95"] == pytest.approx(precision[9, :, k].mean())
            assert {"APs", "APm", "APl", "AR100"} <= set(own)
    assert evaluation.to_dict()["by_iou"]["segm"]["AP55"] == by_iou["AP55"]


def test_other_iou_thresholds_and_areas():
    usual = evaluate_results(*golden("main"))
    ranges = {"small": (0, 32**2), "rest": (32**2, 1e10), "none": (0, 0.5)}
    chosen = evaluate_results(*golden("main"), iou_thresholds=[0.3, 0.75], area_ranges=ranges)
    assert list(chosen.segm) == [
        "AP",
        "AP75",
        "APsmall",
        "APrest",
        "APnone",
        "AR1",
        "AR10",
        "AR100",
        "ARsmall",
        "ARrest",
        "ARnone",
    ]
    assert chosen.segm["AP75"] == usual.segm["AP75"] and chosen.segm["APnone"] == -1
    by_iou = chosen.curves["segm"].ap_by_iou()
    assert list(by_iou) == ["AP30", "AP75"] and by_iou["AP30"] >= usual.segm["AP50"]
    assert "mean over IoU 0.3, 0.75" in str(chosen)
    assert "objects of 0 to 1024 pixels" in chosen._repr_html_()
    same = evaluate_results(*golden("main"), area_ranges={"s": (0, 32**2)})
    assert same.bbox["APs"] == usual.bbox["APs"] and "APm" not in same.bbox
    at_one = evaluate_results(*golden("main"), iou_thresholds=[0.5]).bbox
    assert at_one["AP"] == at_one["AP50"] == usual.bbox["AP50"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"iou_thresholds": []}, r"iou_thresholds is \[\]"),
        ({"iou_thresholds": [0.5, 1.5]}, "above 0 and up to 1"),
        ({"area_ranges": {"x": (5, 5)}}, "'x' goes from 5 to 5"),
        ({"area_ranges": {"50": (0, 5)}}, "'50' stands after AP, so it must begin with a letter"),
        ({"area_ranges": {"": (0, 5)}}, "'' stands after AP"),
    ],
)
def test_options_out_of_range_are_named(options, message):
    with pytest.raises(LabkitError, match=message):
        evaluate_results(*golden("edge"), **options)


# ------------------------------------------------------------------ a model on a data set


class Squares(Dataset):
    """`count` pictures; picture i holds i % 3 rectangles."""

    def __init__(self, count=7, names=("disc", "ring"), ids=(2, 5), image_ids=None):
        self.count, self.class_names, self.category_ids = count, names, ids
        self.problems = []
        self.ids = image_ids or [100 + 3 * i for i in range(count)]

    def __len__(self):
        return self.count

    def image_info(self, index):
        return {"id": self.ids[index], "file_name": f"{index}.png", "height": 60, "width": 80}

    def read(self, index):
        masks = [rectangle(5 + 2 * k, 5 + 30 * k, 20, 20) for k in range(index % 3)]
        image = np.full((60, 80, 3), index, np.uint8)  # a picture tells its number
        return make_sample(
            image,
            np.array(masks).reshape(-1, 60, 80),
            [1 + k for k in range(index % 3)],
            image_id=self.ids[index],
            name=f"squares/{index}",
        )


class Perfect:
    """Finds everything in Squares, whatever the order of its own classes."""

    def __init__(self, names=("disc", "ring")):
        self.class_names, self.data = names, Squares(300)
        self.options, self.batches, self.alive = [], [], weakref.WeakSet()
        self.most_alive = 0

    def detect(self, images, **options):
        self.options.append(options)
        self.batches.append(len(images))
        self.most_alive = max(self.most_alive, len(self.alive))
        found = [self._one(self.data[int(image[0, 0, 0])]) for image in images]
        self.alive.update(found)
        return found

    def _one(self, sample):
        names = [("disc", "ring")[i - 1] for i in sample.class_ids]
        return Detections(
            sample.boxes,
            np.full(len(sample), 0.9),
            [self.class_names.index(name) + 1 for name in names],
            masks=sample.masks,
            class_names=self.class_names,
            image_size=(60, 80),
            image=sample.image,
        )


def test_a_perfect_model_has_an_ap_of_one():
    evaluation = evaluate(Perfect(), Squares())
    assert evaluation.bbox["AP"] == evaluation.segm["AP"] == pytest.approx(1.0)
    assert evaluation.images == 7
    assert {result["image_id"] for result in evaluation.results} <= set(Squares().image_ids)
    assert {result["category_id"] for result in evaluation.results} == {2, 5}
    json.dumps(evaluation.results + evaluation.coco_gt["annotations"])
    again = evaluate_results(evaluation.coco_gt, evaluation.results)
    assert again.to_dict() == evaluation.to_dict()


def test_classes_are_matched_by_name():
    assert evaluate(Perfect(("ring", "disc")), Squares()).segm["AP"] == pytest.approx(1.0)


def test_capitals_do_not_matter():
    evaluation = evaluate(Perfect(("ring", "disc")), Squares(names=("DISC", "Ring")))
    assert evaluation.segm["AP"] == pytest.approx(1.0) and not evaluation.notes


def test_a_model_that_knows_more_or_less_is_measured_on_what_both_know():
    only_disc = Squares(names=("disc", "square"), ids=(2, 9))
    evaluation = evaluate(Perfect(("ring", "square", "disc", "N/A 4")), only_disc)
    assert evaluation.per_class["disc"]["segm"]["AP"] == pytest.approx(1.0)
    notes = " ".join(evaluation.notes)
    assert "2 detections of classes that the data set does not have" in notes
    assert (
        "does not have (ring), which are not evaluated" in notes
    )  # a slot without use is no class


def test_objects_of_a_class_that_the_model_does_not_know_are_missed():
    evaluation = evaluate(Perfect(), Squares(names=("square", "ring")))
    assert evaluation.per_class["ring"]["segm"]["AP"] == pytest.approx(1.0)
    assert evaluation.per_class["square"]["segm"]["AP"] == 0
    assert evaluation.notes[0] == (
        "The model does not know square: objects of these classes count as missed."
    )


def test_a_model_of_other_classes_altogether_is_no_measure():
    with pytest.raises(
        LabkitError, match=r"none of the data set's classes \(car, bus\); it knows d"
    ):
        evaluate(Perfect(), Squares(names=("car", "bus")))


def test_few_images_and_few_detections_are_in_memory():
    model, calls = Perfect(), []
    evaluate(model, Squares(30), progress=lambda *call: calls.append(call))
    assert max(model.batches) == 4 and sum(model.batches) == 30
    assert model.most_alive <= 4  # only those of the batch before
    assert calls[0] == (4, 30) and calls[-1] == (30, 30)


def test_what_the_model_is_asked_for():
    model = Perfect()
    evaluate(model, Squares(2))
    evaluate(model, Squares(2), max_dets=500, score_threshold=0.01)
    assert model.options == [{}, {"score_threshold": 0.01, "max_detections": 500}]
    model.config = SimpleNamespace(detections=600)  # it finds more by itself: so many stay
    evaluate(model, Squares(2), max_dets=500)
    assert model.options[-1] == {"max_detections": 600}


def test_progress_is_quiet_where_nobody_looks(capsys):
    evaluate(Perfect(), Squares(2), progress=True)
    assert capsys.readouterr() == ("", "")


def test_progress_of_what_takes_long(capsys, monkeypatch):
    seconds = itertools.count(step=15)
    monkeypatch.setattr("tqdm.std.time", lambda: float(next(seconds)))
    evaluate(Perfect(), Squares(30), progress=False)
    assert capsys.readouterr() == ("", "")
    evaluate(Perfect(), Squares(30))
    out, err = capsys.readouterr()
    lines = err.splitlines()
    assert out == "" and len(lines) > 2 and "\r" not in err
    assert all(line.startswith("evaluating: ") for line in lines) and " 30/30 [" in lines[-1]


def test_an_empty_data_set_and_image_ids_used_twice_are_named():
    with pytest.raises(LabkitError, match="the data set has no images"):
        evaluate(Perfect(), Squares(0))
    with pytest.raises(LabkitError, match=r"images\[1\]: id 5 was used by an earlier image"):
        evaluate(Perfect(), Squares(2, image_ids=[5, 5]))
