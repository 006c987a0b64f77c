"""The image results: detections are traced back to the RoIs and masks that they come from."""

from types import SimpleNamespace

import numpy as np
import pytest

import labkit
from labkit.data import shapes
from labkit.errors import LabkitError
from labkit.evaluation import compare, evaluate_results
from labkit.widgets.image_results import from_model, from_results, head_outputs, only_classes


@pytest.fixture(scope="module")
def data():
    return shapes(3, size=64, seed=3)


@pytest.fixture(scope="module", params=["for all classes", "for every class"])
def model(request, data):
    """Never trained: its detections are nonsense, but made of RoIs like any other."""
    options = {"score_threshold": 0.0, "detections": 60, "proposals": 30}
    if request.param == "for every class":
        options |= {"class_agnostic": False, "box_passes": 1}
    return labkit.MaskRCNN(labkit.Config.preset("tiny", **options), data.class_names)


@pytest.fixture(scope="module")
def trace(model, data):
    return model.trace(data[0].image)


def test_each_detection_is_traced_back_to_its_roi_and_mask(model, trace):
    heads = head_outputs(trace, np.arange(len(trace.detections)), model.class_names)
    found = trace.detections
    assert len(found) == 60 and heads.class_names[0] == "background"
    for d, roi in enumerate(heads.roi_of):
        class_id = found.class_ids[d]
        own = trace.refined[roi, 0 if trace.refined.shape[1] == 1 else class_id - 1]
        np.testing.assert_array_equal(trace.in_image(own), found.boxes[d])
        assert heads.probabilities[roi, class_id] == found.scores[d]
    pasted = labkit.ops.pasting.paste_masks(heads.masks, found.boxes, *found.image_size)
    np.testing.assert_array_equal(pasted, found.masks)


def test_some_rows_only_and_none(model, trace):
    every = head_outputs(trace, np.arange(len(trace.detections)), model.class_names)
    some = head_outputs(trace, np.array([4, 1]), model.class_names)
    np.testing.assert_array_equal(some.roi_of, every.roi_of[[4, 1]])
    np.testing.assert_array_equal(some.masks, every.masks[[4, 1]])
    none = head_outputs(trace, np.zeros(0, int), model.class_names)
    assert none.roi_of.shape == (0,) and none.masks.shape == (0, 28, 28)


def test_a_model_that_knows_more_classes(model, data):
    """Detections of classes without truth are left out, and those left keep their own RoIs."""
    fewer = data.drop_classes([data.class_names[0]])
    result = from_model(model, fewer)(0)
    trace = model.trace(data[0].image)
    kept = [i for i, name in enumerate(trace.detections.names) if name != data.class_names[0]]
    assert 0 < len(kept) < len(trace.detections)
    np.testing.assert_allclose(result.pairs.scores, trace.detections.scores[kept], atol=1e-6)
    np.testing.assert_array_equal(
        result.heads.roi_of, head_outputs(trace, np.array(kept), model.class_names).roi_of
    )


def test_a_model_of_other_classes_is_refused(data):
    with pytest.raises(LabkitError, match="knows none of the data set's classes"):
        from_model(SimpleNamespace(class_names=("cat",)), data)


@pytest.fixture
def results(data):
    """The truth itself as results."""
    return [{**a, "score": 0.9} for a in data.to_coco()["annotations"]]


def test_results_of_any_kind(data, results):
    evaluation = evaluate_results(data.to_coco(), results)
    for given in (results, evaluation, compare(data, results)):
        result = from_results(given, data)(1)
        assert result.heads is None and result.name == data[1].name
        np.testing.assert_allclose(result.pairs.overlaps.max(axis=1), 1)
    # What has its own truth may be of more pictures than are shown.
    assert from_results(evaluation, data[1:])(0).pairs.image_id == data.image_ids[1]


def test_results_of_other_pictures_or_classes_are_refused(data, results):
    comparison = compare(data[:1], [r for r in results if r["image_id"] == data.image_ids[0]])
    with pytest.raises(LabkitError, match=f"no image {data.image_ids[1]}"):
        from_results(comparison, data)
    with pytest.raises(LabkitError, match="other classes"):
        from_results(compare(data, results), data.drop_classes([data.class_names[0]]))


def test_only_classes(data, results):
    pairs = compare(data, results).images[0]
    keep = [int(pairs.classes[0])]
    part = only_classes(pairs, keep)
    assert set(part.classes) == set(part.object_classes) == set(keep)
    assert part.overlaps.shape == (len(part.scores), len(part.crowd))
    np.testing.assert_array_equal(part.objects, pairs.objects[pairs.object_classes == keep[0]])
    assert only_classes(pairs, []).overlaps.shape == (0, 0)
