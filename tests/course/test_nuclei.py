"""The exercises of notebook 08 teach what labkit itself does."""

import numpy as np
import pytest
from PIL import Image

from labkit.course.exercises import nuclei
from labkit.data import load_dataset, shapes
from labkit.evaluation import compare, evaluate_results
from labkit.evaluation.thresholds import pooled, threshold_curves
from labkit.models.config import Config
from labkit.training import TrainSettings, fit_to_data


@pytest.mark.parametrize("size, smallest, largest", [(64, 8, 10), (96, 10, 30), (160, 40, 90)])
def test_anchor_sizes_are_those_of_fit_to_data(size, smallest, largest):
    data = shapes(12, size, seed=size, min_size=smallest, max_size=largest)
    config = Config.preset("tiny", image_min_side=size, image_max_side=size)
    fitted, _, _ = fit_to_data(config, TrainSettings(), data)
    boxes = np.concatenate([data.labels(i).boxes for i in range(len(data))])
    assert nuclei.ANCHOR_SIZES.reference(boxes).tolist() == list(fitted.anchor_sizes)


def test_masks_of_map_are_those_of_the_reader(tmp_path):
    label_map = nuclei._drawn_map(np.random.default_rng(3), [1, 4, 900])
    for name, picture in (("maps", label_map.astype(np.uint16)), ("images", np.uint8(label_map))):
        (tmp_path / name).mkdir()
        Image.fromarray(picture).save(tmp_path / name / "a.png")
    (sample,) = load_dataset(tmp_path / "maps", format="label_maps", images=tmp_path / "images")
    np.testing.assert_array_equal(nuclei.MASKS_OF_MAP.reference(label_map), sample.masks)


@pytest.mark.parametrize("limit", [1, 2, 100])
def test_the_ceiling_is_reached_by_a_perfect_model(limit):
    """The truth itself as results: what COCO then calls recall is the ceiling."""
    truth = shapes(6, 64, seed=5, classes=["star"]).to_coco()
    results = [a | {"score": 1.0} for a in truth["annotations"]]
    evaluation = evaluate_results(truth, results, max_dets=limit)
    counts = np.bincount([a["image_id"] for a in truth["annotations"]])
    ceiling = nuclei.RECALL_CEILING.reference(counts, limit)
    assert evaluation.segm[f"AR{limit}"] == pytest.approx(ceiling)
    assert (ceiling == 1) == (limit == 100)


def test_the_counting_threshold_is_a_point_of_labkits_curve():
    """What is counted at it, over all pictures, is what the curve of thresholds shows."""
    truth = shapes(6, 64, seed=7, classes=["star"]).to_coco()
    rng = np.random.default_rng(0)
    results = [a | {"score": float(rng.uniform(0.1, 1))} for a in truth["annotations"] * 2]
    comparison = compare(evaluate_results(truth, results))
    images = [(p.scores, len(p.objects)) for p in comparison.images]
    score = nuclei.COUNTING_THRESHOLD.reference(images)
    point = pooled(threshold_curves(comparison)).at(score)
    counts = np.array([(scores >= score).sum() for scores, _ in images])
    there = np.array([objects for _, objects in images])
    assert point.found + point.false_positives == counts.sum()
    # Every object was found twice, so to count everything is off by as many as there are.
    assert np.abs(counts - there).mean() < there.mean()
