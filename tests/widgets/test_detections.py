"""explore_detections: its matching is labkit's, and its details of an object are right."""

from types import SimpleNamespace

import numpy as np
import pytest
import traitlets

import labkit
from labkit.data import shapes
from labkit.data.dataset import Dataset
from labkit.data.sample import make_sample
from labkit.errors import LabkitError
from labkit.evaluation import compare
from labkit.evaluation.per_image import agreement
from labkit.ops.coco_masks import decode_segmentation
from labkit.widgets import explore_detections
from labkit.widgets.detections import AT_ONCE, _bars
from labkit.widgets.explorer import script

CLASSES = ("cat", "dog", "<b>bird</b>")


class Scenes(Dataset):
    """Two grey pictures of 40 x 60; the objects are boxes. The second picture is empty."""

    class_names, category_ids, problems = CLASSES, (7, 3, 5), []
    boxes = [(2, 2, 12, 12), (2, 20, 12, 30), (20, 2, 32, 14), (20, 30, 36, 56)]
    class_ids, crowd = [1, 1, 2, 3], [False, False, False, True]

    def __len__(self):
        return 2

    def image_info(self, index):
        return {"id": 10 + index, "file_name": f"{index}.png", "height": 40, "width": 60}

    def read(self, index):
        boxes = self.boxes if index == 0 else []
        masks = np.zeros((len(boxes), 40, 60), bool)
        for mask, (y1, x1, y2, x2) in zip(masks, boxes, strict=True):
            mask[y1:y2, x1:x2] = True
        return make_sample(
            np.full((40, 60, 3), 128, np.uint8),
            masks,
            self.class_ids[: len(boxes)],
            image_id=10 + index,
            name=f"<i>{index}</i>",
            crowd=self.crowd[: len(boxes)],
        )


# (class id, box, score): right, a duplicate, a wrong class, too loose, alone, in the crowd, weak
FOUND = [
    (1, (2, 2, 12, 12), 0.9),
    (1, (2, 2, 12, 11), 0.8),
    (3, (2, 20, 12, 30), 0.7),
    (2, (20, 8, 32, 20), 0.65),
    (2, (2, 45, 10, 55), 0.6),
    (3, (22, 32, 30, 40), 0.55),
    (1, (2, 21, 12, 30), 0.3),
]


@pytest.fixture(scope="module")
def data():
    return Scenes()


@pytest.fixture(scope="module")
def results(data):
    ids = dict(enumerate(data.category_ids, 1))
    return [
        {
            "image_id": 10,
            "category_id": ids[c],
            "score": s,
            "bbox": [x1, y1, x2 - x1, y2 - y1],
            "segmentation": labkit.ops.coco_masks.encode_rle(_box_mask(y1, x1, y2, x2)),
        }
        for c, (y1, x1, y2, x2), s in FOUND
    ]


def _box_mask(y1, x1, y2, x2):
    mask = np.zeros((40, 60), bool)
    mask[y1:y2, x1:x2] = True
    return mask


@pytest.fixture
def w(data, results):
    return explore_detections(results, data)


def test_it_matches_as_labkit_does(w, data, results):
    pairs = compare(data, results).images[0]
    for score in (0.0, 0.3, 0.6, 1.0):
        for iou in (0.05, 0.5, 0.95, 1.0):
            w.score, w.iou = score, iou
            truth = agreement(pairs, iou_threshold=iou, score_threshold=score)
            assert [(g, d) for g, d, _ in w.sorted_out["agreed"]] == truth.agreed
            assert w.sorted_out["missed"] == truth.missed
            assert w.sorted_out["false_positives"] == truth.false_positives
            for g, d, overlap in w.sorted_out["agreed"]:
                assert overlap == pytest.approx(pairs.overlaps[d, g], abs=1e-3)


def test_counts_precision_and_recall(w):
    # 0.9 agrees; the duplicate, the wrong class, the loose and the lonely one are false positives.
    assert w.values == {
        "agreed": 1,
        "missed": 2,
        "false_positives": 4,
        "precision": 0.2,
        "recall": pytest.approx(1 / 3),
    }
    w.score = 0.3
    assert w.values["agreed"] == 2 and w.values["missed"] == 1
    w.score = 1.0
    assert np.isnan(w.values["precision"]) and w.values["recall"] == 0


def test_classes_that_are_off_are_neither_right_nor_wrong(w):
    w.classes = ["dog"]
    assert w.values["agreed"] == 0 and w.values["missed"] == 1 and w.values["false_positives"] == 2
    w.classes = []
    assert w.sorted_out == {"agreed": [], "missed": [], "false_positives": []}
    assert np.isnan(w.values["precision"]) and np.isnan(w.values["recall"])
    w.chosen = "found 0"
    assert "its class is switched off" in w.detail["fate"]


@pytest.mark.parametrize(
    "d, words",
    [
        (0, "matches object 0, IoU 1.00"),
        (1, "a duplicate"),
        (2, "which is of class cat"),
        (3, "too little (IoU 0.33)"),
        (4, "no object overlaps it enough"),
        (5, "in a crowd"),
        (6, "not shown: its score is below"),
    ],
)
def test_why(w, d, words):
    w.chosen = f"found {d}"
    assert words in w.detail["fate"]


def test_an_object_names_the_detection_that_found_it_or_is_nearest(w):
    w.chosen = "object 0"
    assert "found by detection 0, IoU 1.00" in w.detail["fate"]
    w.chosen = "object 2"
    assert w.detail["fate"].startswith("missed; overlapped most by detection 3, dog 0.65, IoU 0.33")
    w.iou = 0.3
    assert "found by detection 3" in w.detail["fate"]  # updated when a threshold moves
    w.chosen = "object 3"
    assert "a crowd" in w.detail["fate"]


def test_results_have_the_mask_in_its_box_and_no_roi(w):
    assert w.chosen == "found 0" and w.detail["roi"] is None
    assert (
        w.detail["bars"] == [["cat", 0.9]]
        and "the RoI and the probabilities of the other classes are not known" in w.detail["note"]
    )
    # At the corners, interpolation mixes in what lies around the box.
    np.testing.assert_array_equal(np.array(w.detail["mask"])[1:-1, 1:-1], 1)


def test_outlines_fill_the_masks(w, data):
    """The even-odd filled path of the browser is the mask, pixel for pixel."""
    for shape, mask in zip(w.scene["objects"], data[0].masks, strict=True):
        corners = [[float(v) for v in p.split()] for p in shape["path"][1:-1].split("L")]
        polygon = [v for corner in corners for v in corner]
        np.testing.assert_array_equal(decode_segmentation([polygon], 40, 60), mask)


def test_boxes_without_masks(data, results):
    boxes = [{k: v for k, v in r.items() if k != "segmentation"} for r in results]
    w = explore_detections(boxes, data)
    assert w.detail["mask"] is None and w.scene["found"][0]["path"] == "M2.0 2.0H12.0V12.0H2.0Z"
    assert "no mask" in w.draw()[0].axes[-1].get_title(loc="left")


def test_another_picture_has_its_own_shapes(w):
    w.chosen = "found 3"
    w.image = 1
    assert w.chosen == "" and w.detail == {} and w.scene["found"] == [] == w.scene["objects"]
    assert w.values["agreed"] == 0 and "0 matched" in w.draw()[1]
    w.image = 0
    assert w.chosen == "found 0"


@pytest.mark.parametrize(
    "name, value",
    [
        ("image", 2),
        ("image", -1),
        ("score", 1.1),
        ("iou", 0.0),
        ("classes", ["cow"]),
        ("chosen", "found 7"),
        ("chosen", "object x"),
        ("chosen", "found -1"),
        ("chosen", "cat 0"),
        ("chosen", "found"),
        ("chosen", "found ²"),
    ],
)
def test_bad_input_is_refused(w, name, value):
    before = getattr(w, name)
    with pytest.raises(traitlets.TraitError, match=name):
        setattr(w, name, value)
    assert getattr(w, name) == before


def test_data_and_places_that_are_not_there(data, results):
    with pytest.raises(LabkitError, match="has no images"):
        explore_detections(results, data[:0])
    with pytest.raises(LabkitError, match="from 0 to 1"):
        explore_detections(results, data, image=2)


def test_names_from_data_are_not_markup(w):
    w.score = 0.5
    w.chosen = "object 3"
    assert "<b>bird</b>" in w.detail["title"]  # JavaScript makes text of it, never HTML
    html = w.picture().mimebundle()["text/html"]
    assert "<b>" not in html and "<i>" not in html


# --- with a model ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pictures():
    return shapes(3, size=64, seed=3)


@pytest.fixture(scope="module")
def model(pictures):
    """A network that was never trained, and counts how many pictures it looked at."""
    config = labkit.Config.preset("tiny", score_threshold=0.0, detections=12, proposals=30)
    network = labkit.MaskRCNN(config, pictures.class_names)
    looks = []

    def trace(image):
        looks.append(image)
        return network.trace(image)

    return SimpleNamespace(trace=trace, class_names=network.class_names, looks=looks)


@pytest.fixture(scope="module")
def explored(model, pictures):
    return explore_detections(model, pictures, score=0.0)


def test_a_detection_s_roi_probabilities_and_mask_are_the_trace_s(explored, model, pictures):
    trace = model.trace(pictures[0].image)
    found, names = trace.detections, {"background", *model.class_names}
    for d in range(len(found)):
        explored.chosen = f"found {d}"
        detail = explored.detail
        assert dict(detail["bars"])[found.names[d]] == pytest.approx(found.scores[d], abs=1e-3)
        assert {name for name, _ in detail["bars"]} == names
        assert sum(p for _, p in detail["bars"]) == pytest.approx(1, abs=1e-3)
        same = np.isclose(trace.in_image(trace.boxes), found.boxes[d], atol=0.01).all(axis=1)
        (row,) = np.flatnonzero(same & (trace.classes == found.class_ids[d]))
        np.testing.assert_allclose(detail["mask"], trace.masks[row], atol=0.0051)  # two digits
        assert detail["roi"] in trace.in_image(trace.rois).tolist()


def test_an_object_shows_the_roi_that_covers_it_best(explored, model, pictures):
    explored.chosen = "object 0"
    trace = model.trace(pictures[0].image)
    rois, box = trace.in_image(trace.rois), pictures[0].boxes[:1]
    overlap = labkit.iou(rois, box).numpy()[:, 0]
    assert explored.detail["roi"] == rois[overlap.argmax()].tolist()
    assert f"{overlap.max():.2f}" in explored.detail["note"]


def test_many_classes_share_the_last_bar():
    heads = SimpleNamespace(
        class_names=[str(i) for i in range(91)],
        probabilities=np.random.default_rng(0).dirichlet(np.ones(91), 1),
    )
    bars = _bars(heads, 0)
    assert len(bars) == 7 and bars[-1][0] == "85 others"
    assert sum(p for _, p in bars) == pytest.approx(1, abs=1e-3)  # each is rounded to four digits


def test_detection_in_few_images_is_done_in_advance_and_once(model, pictures):
    model.looks.clear()
    explorer = explore_detections(model, pictures)
    assert len(model.looks) == 3 <= AT_ONCE
    explorer.image = 2
    explorer.image = 0
    assert len(model.looks) == 3
    many = shapes(AT_ONCE + 1, size=64, seed=3)
    model.looks.clear()
    explorer = explore_detections(model, many)
    assert len(model.looks) == 1
    explorer.image = AT_ONCE
    assert len(model.looks) == 2


def test_the_picture_says_what_it_shows(explored):
    explored.chosen = "found 0"
    figure, alt = explored.draw()
    found = explored.values
    assert f"{found['agreed']} matched, {found['missed']} missed" in alt
    assert explored.detail["title"] in alt and len(figure.axes) == 3


def labels(explorer) -> list[str]:
    return [text.get_text() for text in explorer.draw()[0].axes[0].texts]


def test_a_single_class_is_named_at_the_chosen_one_only(model):
    w = explore_detections(model, shapes(1, size=64, seed=3), score=0.0)
    assert len(labels(w)) > 1
    stars = shapes(1, size=64, seed=3, classes=["star"])
    found = [
        {k: a[k] for k in ("image_id", "category_id", "bbox", "segmentation")} | {"score": 0.9}
        for a in stars.to_coco()["annotations"]
    ]
    w = explore_detections(found, stars)
    assert labels(w) == ["star 0.90"]
    w.chosen = "object 0"
    assert labels(w) == ["object 0: star"]
    w.chosen = ""
    assert labels(w) == []
    title = w.draw()[0].axes[0].get_title(loc="left")
    assert title.startswith(f"{stars[0].name}\n") and "0 false positives" in title


def test_the_javascript_parses(parses):
    parses(script("detections.js"))
