"""explore_fast_nms: what it keeps is what labkit's two kinds of NMS keep, also in the browser."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.errors import LabkitError
from labkit.widgets import explore_fast_nms, explorer
from labkit.widgets.explorer import script

STATIC = Path(explorer.__file__).parent / "static"


def test_the_default_scene_shows_what_its_caption_asks():
    w = explore_fast_nms()
    assert w.values["only_ordinary"] == []
    w.iou_threshold = 0.4
    # The third box of the chain overlaps only the second, which is suppressed itself.
    assert w.values["ordinary"] == [0, 4, 2, 6] and w.values["only_ordinary"] == [2]
    w.score_threshold = 0.85
    assert w.values["ordinary"] == w.values["fast"] == [0, 4]
    assert "ordinary NMS keeps 2, Fast NMS 2" in w.draw()[1]
    assert w.picture().png.startswith(b"\x89PNG")


@pytest.fixture(scope="module")
def js():
    engine = pytest.importorskip("py_mini_racer").MiniRacer()
    own = (STATIC / "fast_nms.js").read_text("utf-8").partition("function render")[0]
    engine.eval((STATIC / "geometry.js").read_text("utf-8") + own)

    def run(name, *args):
        return json.loads(
            engine.eval(f"JSON.stringify({name}({', '.join(map(json.dumps, args))}))")
        )

    return run


box = st.tuples(*[st.integers(0, 12)] * 2, *[st.integers(1, 12)] * 2)


@settings(max_examples=30, deadline=None)
@given(
    rows=st.lists(box, max_size=8),
    order=st.permutations(range(8)),
    threshold=st.sampled_from([0.0, 0.21, 0.52, 1.0]),
)
def test_the_browser_keeps_what_labkit_keeps(js, rows, order, threshold):
    boxes = [[y, x, y + h, x + w] for y, x, h, w in rows]
    scores = [(1 + order[i]) / 10 for i in range(len(boxes))]
    w = explore_fast_nms(boxes, scores, iou_threshold=threshold, score_threshold=0.25)
    for name, kind in (("ordinaryNms", "ordinary"), ("fastNms", "fast")):
        assert js(name, boxes, scores, threshold, 0.25) == w.values[kind]


def test_bad_input_is_refused():
    with pytest.raises(LabkitError, match="boxes and scores together"):
        explore_fast_nms(boxes=[[0, 0, 1, 1]])
    with pytest.raises(LabkitError, match="give each box one score"):
        explore_fast_nms([[0, 0, 1, 1]], [0.5, 0.6])


def test_no_boxes_at_all():
    w = explore_fast_nms([], [])
    assert w.values == {"ordinary": [], "fast": [], "only_ordinary": []}
    assert w.picture().png.startswith(b"\x89PNG")


def test_the_javascript_parses(parses):
    parses(script("geometry.js", "fast_nms.js"))
