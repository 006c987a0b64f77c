"""One picture: everything is drawn, at the right place, whatever the input."""

import io

import numpy as np
import pytest
from PIL import Image

from labkit.models.detections import Detections
from labkit.viz import draw_detections, draw_instances, instance_color, show
from labkit.viz.colors import INSTANCES, ink_on
from labkit.viz.labels import MANY, plain_text


def texts_of(figure):
    return [text.get_text() for text in figure.axes[0].texts]


def collections_of(figure):
    return [type(c).__name__ for c in figure.axes[0].collections]


def pixels(figure):
    png = show(figure, alt="test").png
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


def scene(count=3, size=(60, 80), seed=0):
    rng = np.random.default_rng(seed)
    boxes = np.zeros((count, 4), np.float32)
    masks = np.zeros((count, *size), bool)
    for i in range(count):
        y, x = rng.integers(0, size[0] - 12), rng.integers(0, size[1] - 12)
        boxes[i] = y, x, y + 10, x + 12
        masks[i, y : y + 10, x : x + 12] = True
    image = rng.integers(0, 255, (*size, 3)).astype(np.uint8)
    return image, boxes, masks


def test_boxes_masks_labels_and_scores_are_drawn():
    image, boxes, masks = scene()
    figure = draw_instances(image, boxes, masks, ["a", "b", "c"], [0.5, 0.25, 1])
    assert texts_of(figure) == ["a 0.50", "b 0.25", "c 1.00"]
    halos, rectangles = figure.axes[0].collections[-2:]
    assert len(rectangles.get_paths()) == len(halos.get_paths()) == 3  # each over its white halo
    (x1, y1), (x2, y2) = rectangles.get_paths()[0].get_extents().get_points()
    assert (y1, x1, y2, x2) == tuple(boxes[0])


def test_truth_is_dashed_and_prediction_solid():
    image, boxes, masks = scene(2)
    figure = draw_instances(image, boxes, masks, dashed=[True, False])
    (_, dashes), (_, solid) = figure.axes[0].collections[-1].get_linestyles()
    assert dashes is not None and solid is None


def test_a_mask_tints_its_own_pixels_only():
    image = np.full((40, 40, 3), 100, np.uint8)
    mask = np.zeros((1, 40, 40), bool)
    mask[0, 10:20, 5:30] = True
    figure = draw_instances(image, np.zeros((0, 4)), mask, colors=[])
    painted = figure.axes[0].images[0].get_array()
    assert (painted == 100).all()  # no colour given, nothing tinted
    figure = draw_instances(image, [[10, 5, 20, 30]], mask, colors=["#000000"])
    painted = figure.axes[0].images[0].get_array()
    np.testing.assert_array_equal((painted < 100).all(axis=-1), mask[0])
    assert (image == 100).all()  # the picture given is left alone


def test_an_outline_runs_along_the_edge_of_the_pixels():
    image = np.zeros((40, 40, 3), np.uint8)
    mask = np.zeros((1, 40, 40), bool)
    mask[0, 10:20, 0:30] = True  # touches the border of the picture
    figure = draw_instances(image, [[10, 0, 20, 30]], mask)
    points = np.concatenate(figure.axes[0].collections[0].get_segments())
    assert points.min(axis=0).tolist() == [0, 10]
    assert points.max(axis=0).tolist() == [30, 20]


def test_a_large_picture_is_painted_in_a_smaller_copy():
    image = np.zeros((2000, 3200, 3), np.uint8)
    mask = np.zeros((1, 2000, 3200), bool)
    mask[0, 1000:1500, 400:1600] = True
    figure = draw_instances(image, [[1000, 400, 1500, 1600]], mask)
    painted = figure.axes[0].images[0]
    assert painted.get_array().shape == (1000, 1600, 3)
    assert painted.get_extent() == [0, 3200, 2000, 0]  # places are still pixels of the picture
    np.testing.assert_array_equal(painted.get_array().any(axis=-1), mask[0, ::2, ::2])
    points = np.concatenate(figure.axes[0].collections[0].get_segments())
    assert points.min(axis=0).tolist() == [400, 1000]
    assert points.max(axis=0).tolist() == [1600, 1500]


@pytest.mark.parametrize("size", [(1, 1), (3, 900), (900, 3), (64, 64)])
def test_any_size_of_picture_can_be_drawn(size):
    image = np.zeros((*size, 3), np.uint8)
    figure = draw_instances(image, [[0, 0, *size]], np.ones((1, *size), bool), ["thing"], [0.5])
    assert pixels(figure).size


def test_nothing_and_empty_masks():
    image = np.zeros((20, 20, 3), np.uint8)
    draw_instances(image, np.zeros((0, 4)))
    pixels(draw_instances(image, [[0, 0, 0, 0]], np.zeros((1, 20, 20), bool), ["gone"]))


def test_labels_avoid_each_other_and_stay_inside():
    image, _, _ = scene(size=(200, 300))
    boxes = np.tile([[50, 60, 120, 160]], (4, 1)).astype(np.float32)
    figure = draw_instances(image, boxes, labels=["one", "two", "three", "four"])
    pixels(figure)
    boxes = [text.get_window_extent() for text in figure.axes[0].texts]
    for i, first in enumerate(boxes):
        for second in boxes[i + 1 :]:
            assert not first.overlaps(second)


def test_of_very_many_labels_those_without_a_place_are_left_out():
    image, boxes, masks = scene(200)
    figure = draw_instances(image, boxes, masks, ["thing"] * 200)
    assert MANY < 200 and 0 < len(figure.axes[0].texts) < 200


@pytest.mark.parametrize("name", ["$", "$x_{", "_hidden", "a\nb", "<b>", "\\frac", "{}%", "日本"])
@pytest.mark.filterwarnings("ignore:Glyph")
def test_any_name_can_be_drawn(name):
    image, boxes, masks = scene(1)
    pixels(draw_instances(image, boxes, masks, [name], title=name))


def test_long_names_are_shortened():
    assert plain_text("x" * 40, 10) == "x" * 9 + "…"
    assert plain_text("a/b/c/photo.jpg", 10, keep="end") == "…photo.jpg"
    assert plain_text("photo.jpg", 10) == "photo.jpg"


def detections(names, class_ids, image=None):
    _, boxes, masks = scene(len(class_ids))
    return Detections(
        boxes,
        np.linspace(0.9, 0.5, len(class_ids)),
        class_ids,
        masks=masks,
        class_names=names,
        image_size=(60, 80),
        image=image,
    )


def colors_of(figure):
    return list(map(tuple, figure.axes[0].collections[-1].get_edgecolors()))


def test_classes_have_their_colours_and_a_lone_class_a_colour_for_each_object():
    a, b, c = colors_of(draw_detections(detections(("x", "y"), [1, 2, 1])))
    assert a == c != b
    a, b, c = colors_of(draw_detections(detections(("x",), [1, 1, 1])))
    assert len({a, b, c}) == 3
    a, b, c = colors_of(draw_detections(detections(("x",), [1, 1, 1]), color_by="class"))
    assert a == b == c
    with pytest.raises(ValueError, match="color_by"):
        draw_detections(detections(("x",), [1]), color_by="score")


def test_no_detections_say_so():
    figure = draw_detections(detections(("x",), []))
    assert figure.axes[0].get_title(loc="left") == "no detections"


def test_labels_can_be_read_on_every_colour():
    assert ink_on("#ffffff") == "black" and ink_on("#000000") == "white"
    assert [instance_color(i) for i in range(11)] == [*INSTANCES, INSTANCES[0]]


def test_outlines_can_do_without_boxes():
    image, boxes, masks = scene()
    assert collections_of(draw_instances(image, boxes, masks)) == [
        "LineCollection",
        "PolyCollection",
        "PolyCollection",
    ]
    bare = draw_instances(image, boxes, masks, with_boxes=False)
    assert collections_of(bare) == ["LineCollection"] * 2  # with a halo
    halo, lines = (c.get_linewidths()[0] for c in bare.axes[0].collections)
    assert halo > lines
    # Without masks there is nothing else to draw.
    assert "PolyCollection" in collections_of(draw_instances(image, boxes, with_boxes=False))


def test_empty_labels_take_no_place_of_others():
    boxes = np.float32([[20, 20, 40, 40]] * 40)
    image = np.zeros((60, 80, 3), np.uint8)
    assert texts_of(draw_instances(image, boxes, labels=[""] * 39 + ["cat"])) == ["cat"]


def test_many_detections_of_one_class_show_their_scores_only():
    def drawn(count, classes, **options):
        image, boxes, masks = scene(count)
        found = Detections(
            boxes,
            np.full(count, 0.5),
            np.ones(count, int),
            class_names=classes,
            image_size=(60, 80),
            masks=masks,
            image=image,
        )
        return set(texts_of(draw_detections(found, **options)))

    assert drawn(3, ["cat"]) == {"cat 0.50"}
    assert drawn(20, ["cat"]) == drawn(3, ["cat"], names=False) == {"0.50"}
    assert drawn(20, ["cat", "dog"]) == drawn(20, ["cat"], names=True) == {"cat 0.50"}
