"""Comparisons to draw."""

from pathlib import Path

import pytest

from labkit.evaluation import compare

GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.fixture(scope="session")
def edge_comparison():
    """Masks, crowds, images without anything, and c90, a class without objects."""
    return compare(GOLDEN / "coco_edge_gt.json", GOLDEN / "coco_edge_dt.json")


@pytest.fixture(scope="session")
def nothing():
    """Two classes, one image, no object and no detection."""
    truth = {
        "images": [{"id": 1, "height": 20, "width": 20}],
        "annotations": [],
        "categories": [{"id": 1, "name": "$a"}, {"id": 2, "name": "_b"}],
    }
    return compare(truth, [])
