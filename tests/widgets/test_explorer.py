"""Explorer: the parts that all explorers share."""

import base64
import io
import re

import numpy as np
import pytest
import traitlets
from PIL import Image

from labkit.viz import colors
from labkit.widgets import explorer
from labkit.widgets.explorer import Box, Boxes, Explorer, data_url, opened, script, style


class Holder(traitlets.HasTraits):
    box = Box([0.0, 0.0, 1.0, 1.0])
    pair = Boxes([[0, 0, 1, 1], [0, 0, 1, 1]], count=2)
    any_number = Boxes([])


@pytest.mark.parametrize(
    "given",
    [
        [1, 2, 3, 4],
        (1.0, 2.0, 3.0, 4.0),
        np.float32([1, 2, 3, 4]),
        [1, 2, 1, 2],
    ],
)
def test_a_box_is_kept_as_plain_numbers(given):
    holder = Holder(box=given)
    assert holder.box == [float(v) for v in given]
    assert all(type(v) is float for v in holder.box)  # what JSON can carry to the browser


def test_a_tensor_is_a_box():
    tf = pytest.importorskip("tensorflow")
    assert Holder(box=tf.constant([1.0, 2, 3, 4])).box == [1, 2, 3, 4]


@pytest.mark.parametrize(
    "given",
    [
        [1, 2, 3],
        [3, 2, 1, 4],
        [1, 4, 3, 2],
        [0, 0, np.nan, 1],
        [0, 0, np.inf, 1],
        "box",
        None,
        [[1, 2, 3, 4]],
        [1, 2, "x", 4],
    ],
)
def test_what_is_no_box_is_refused_in_words(given):
    with pytest.raises(traitlets.TraitError, match=r"y1 <= y2 and x1 <= x2"):
        Holder(box=given)


def test_several_boxes_are_a_list_of_lists():
    holder = Holder(any_number=np.zeros((0, 4)), pair=np.float32([[1, 2, 3, 4], [5, 6, 7, 8]]))
    assert holder.any_number == [] and holder.pair == [[1, 2, 3, 4], [5, 6, 7, 8]]
    holder.any_number = [[0, 0, 2, 2]] * 3
    assert len(holder.any_number) == 3
    holder.any_number = []
    assert holder.any_number == []


@pytest.mark.parametrize("given", [[], [[0, 0, 1, 1]], [[0, 0, 1, 1], [1, 1, 0, 0]], [1, 2, 3, 4]])
def test_the_wrong_number_of_boxes_is_refused(given):
    with pytest.raises(traitlets.TraitError, match="2 boxes"):
        Holder(pair=given)


def test_a_small_picture_survives_its_address_to_the_pixel():
    image = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    url = data_url(image)
    assert url.startswith("data:image/png;base64,")
    np.testing.assert_array_equal(opened(url), image)


def test_a_large_picture_is_a_jpeg_of_the_same_size():
    url = data_url(np.full((300, 400, 3), 90, np.uint8))
    assert url.startswith("data:image/jpeg;base64,")
    assert np.abs(opened(url).astype(int) - 90).max() <= 2  # JPEG rounds even a plain grey
    assert opened(url).shape == (300, 400, 3)


def test_the_style_has_labkit_s_colours_and_no_gaps():
    sheet = style()
    assert colors.TRUTH in sheet and colors.PREDICTION in sheet
    assert not re.findall(r"\$\w+", sheet)


def test_nothing_is_fetched_from_a_network():
    for path in (explorer._STATIC).iterdir():
        text = path.read_text("utf-8").replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?://|@import|import\(", text), path.name


def test_texts_become_text_and_never_markup():
    for path in (explorer._STATIC).glob("*.js"):
        text = path.read_text("utf-8")
        assert "innerHTML" not in text and "insertAdjacentHTML" not in text, path.name
        assert not re.search(r"\beval\(|new Function", text), path.name


def test_what_all_share_parses(parses):
    parses(script("geometry.js") + "\nexport default { render };")


def test_an_explorer_must_be_able_to_draw_itself():
    with pytest.raises(NotImplementedError, match="Explorer"):
        Explorer().draw()


def test_a_page_without_a_kernel_gets_the_picture():
    from labkit.widgets import explore_iou

    bundle, _ = explore_iou()._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in bundle
    assert "<img alt=" in bundle["text/html"]
    picture = Image.open(io.BytesIO(base64.b64decode(bundle["image/png"])))
    assert min(picture.size) > 200
