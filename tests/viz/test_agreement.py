"""Truth against prediction in one picture, and galleries."""

import numpy as np
import pytest
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.colors import to_hex

import labkit
from labkit.errors import LabkitError
from labkit.evaluation import compare
from labkit.evaluation.per_image import image_scores, worst_images
from labkit.viz import draw_agreement, show, worst_gallery
from labkit.viz.agreement import AGREED, FALSE_POSITIVE, MISSED

TRUTH = {
    "images": [{"id": 7, "height": 60, "width": 80}],
    "categories": [{"id": 1, "name": "$cat"}],
    "annotations": [
        {"image_id": 7, "category_id": 1, "bbox": box, "iscrowd": 0}
        for box in ([5, 5, 20, 20], [50, 5, 20, 20])
    ],
}
FOUND = [
    {"image_id": 7, "category_id": 1, "bbox": box, "score": score}
    for box, score in (([5, 5, 20, 20], 0.9), ([5, 35, 20, 20], 0.8), ([50, 35, 9, 9], 0.2))
]


def test_what_agrees_what_is_missed_and_what_is_false():
    figure = draw_agreement(compare(TRUTH, FOUND), 7, np.zeros((60, 80, 3), np.uint8))
    words = [text.get_text() for text in figure.axes[0].texts]
    assert words == [r"\$cat 0.90, IoU 1.00", r"missed: \$cat", r"false positive: \$cat 0.80"]
    edges = [to_hex(edge) for edge in figure.axes[0].collections[-1].get_edgecolors()]
    assert edges == [color.lower() for color in (AGREED, MISSED, FALSE_POSITIVE)]
    weak = draw_agreement(compare(TRUTH, FOUND), 7, score_threshold=0.1)
    assert len(weak.axes[0].texts) == 4
    with pytest.raises(LabkitError, match="no image 8 among the 1"):
        draw_agreement(compare(TRUTH, FOUND), 8)


def test_a_gallery_of_the_worst_with_and_without_pictures(edge_comparison):
    rows = worst_images(image_scores(edge_comparison), "missed", 4)
    figure = worst_gallery(edge_comparison, rows, title="most missed")
    shown = [ax.get_title(loc="left") for ax in figure.axes if ax.axison]
    assert len(shown) == 4 and shown[0].startswith(f"image {rows[0].image_id}\n")
    assert show(figure, alt="worst").png
    with pytest.raises(LabkitError, match="no images are chosen"):
        worst_gallery(edge_comparison, [])


def test_the_gallery_names_pictures_as_the_data_set_does():
    data = labkit.shapes(3, 64, seed=0)
    comparison = compare(data.to_coco(), [])
    figure = worst_gallery(comparison, image_scores(comparison)[:1], data)
    name = data.image_info(0)["file_name"]
    objects = len(data[0])
    assert data[0].name == name  # as the explorer says
    words = figure.axes[0].get_title(loc="left")
    assert words == f"{name}\n0 of {objects} found, 0 false positives, F1 0.00"


def test_a_window_shows_only_what_reaches_into_it():
    comparison = compare(TRUTH, FOUND)
    image = np.arange(60 * 80 * 3).reshape(60, 80, 3).astype(np.uint8)
    ax = draw_agreement(comparison, 7, image, window=(0, 40, 30, 80)).axes[0]
    assert [text.get_text() for text in ax.texts] == [r"missed: \$cat"]
    np.testing.assert_array_equal(ax.images[0].get_array(), image[:30, 40:])
    corners = ax.collections[-1].get_paths()[0].vertices
    np.testing.assert_allclose((corners.min(axis=0), corners.max(axis=0)), ((10, 5), (30, 25)))


def test_a_cropped_gallery_shows_where_most_errors_are():
    comparison = compare(TRUTH, FOUND)
    rows = image_scores(comparison, score_threshold=0.1)
    figure = worst_gallery(comparison, rows, score_threshold=0.1, crop=45)
    drawn = figure.axes[0]
    assert drawn.images[0].get_array().shape[:2] == (45, 45)
    # The missed object and the small false positive below it; not both false positives.
    assert len(drawn.texts) == 2 and rows[0].in_words == "1 of 2 found, 2 false positives"
    whole = worst_gallery(comparison, rows, crop=500).axes[0]
    assert whole.images[0].get_array().shape[:2] == (60, 80)
    right = image_scores(compare(TRUTH, []))  # nothing found: the window is around an object
    assert worst_gallery(compare(TRUTH, []), right, crop=30).axes[0].texts


def test_one_false_positive_is_in_the_singular():
    assert image_scores(compare(TRUTH, FOUND))[0].in_words == "1 of 2 found, 1 false positive"


def test_outlines_of_many_objects_have_no_boxes_over_them():
    data = labkit.shapes(1, 128, seed=0)
    truth = data.to_coco()
    found = [
        {k: a[k] for k in ("image_id", "category_id", "bbox", "segmentation")} | {"score": 0.9}
        for a in truth["annotations"]
    ]
    few = draw_agreement(compare(truth, found), data.image_ids[0]).axes[0]
    assert any(isinstance(c, PolyCollection) for c in few.collections)
    many = draw_agreement(compare(truth, found * 30), data.image_ids[0]).axes[0]
    assert all(isinstance(c, LineCollection) for c in many.collections)


def test_an_image_with_nothing(nothing):
    assert show(draw_agreement(nothing, 1), alt="empty").png
