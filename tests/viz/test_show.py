"""A figure in a notebook: alternative text, opaque white, no global state."""

import io
import subprocess
import sys

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image
from sklearn.datasets import load_sample_image

from labkit.viz import save, show


def plain_figure():
    figure = Figure(figsize=(2, 1))
    figure.subplots().plot([1, 2])
    return figure


def test_the_image_has_alternative_text_and_nothing_breaks_out_of_it():
    picture = show(plain_figure(), alt='a "<script>" line')
    assert 'alt="a &quot;&lt;script&gt;&quot; line"' in picture._repr_html_()
    assert set(picture._repr_mimebundle_()) == {"text/html", "image/png", "text/plain"}
    assert repr(picture).startswith("Picture: a ")


def test_a_figure_without_words_is_refused():
    with pytest.raises(ValueError, match="alt is empty"):
        show(plain_figure(), alt=" ")


def test_a_palette_makes_photographs_small_and_leaves_them_as_they_look():
    figure = Figure(figsize=(6, 4))
    figure.add_axes((0, 0, 1, 1)).imshow(load_sample_image("china.jpg"))
    whole, small = (show(figure, alt="china", dpi=80, palette=p).png for p in (False, True))
    assert len(small) < 0.4 * len(whole)
    one, other = (
        np.asarray(Image.open(io.BytesIO(png)).convert("RGB"), float) for png in (whole, small)
    )
    assert one.shape == other.shape and np.abs(one - other).mean() < 4


def test_the_ground_is_opaque_white(tmp_path):
    figure = plain_figure()
    figure.set_facecolor("none")
    image = Image.open(io.BytesIO(show(figure, alt="line", dpi=100).png))
    assert image.size == (200, 100)
    assert np.asarray(image.convert("RGBA"))[0, 0].tolist() == [255, 255, 255, 255]
    save(figure, tmp_path / "figure.png")
    show(figure, alt="line").save(tmp_path / "picture.png")
    assert Image.open(tmp_path / "figure.png").size == Image.open(tmp_path / "picture.png").size


def test_pyplot_is_never_loaded():
    code = "import sys, labkit.viz; sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
