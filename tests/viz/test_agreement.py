"""Truth against prediction in one picture, and galleries."""

import numpy as np
import pytest
from matplotlib.colors import to_hex

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
    assert len(shown) == 4 and shown[0].startswith(f"image {rows[0].image_id}: ")
    assert show(figure, alt="worst").png
    with pytest.raises(LabkitError, match="no images are chosen"):
        worst_gallery(edge_comparison, [])


def test_an_image_with_nothing(nothing):
    assert show(draw_agreement(nothing, 1), alt="empty").png
