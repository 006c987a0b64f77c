"""Pictures of a data set: every class readable, whatever the names, nothing drawn for nothing."""

import numpy as np
import pytest
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.figure import Figure

from labkit.data.classes import pruning_table
from labkit.data.dataset import Dataset
from labkit.data.sample import make_sample
from labkit.errors import LabkitError
from labkit.viz import box_sizes, class_bars, contact_sheet, pruning_curve, show
from labkit.viz.dataset import description_html, draw_truth, words_of_classes, words_of_sizes


class Strips(Dataset):
    """Picture i holds an instance of each of the first i + 1 classes; picture 2 cannot be read."""

    category_ids = ()
    problems = ()

    def __init__(self, names, count=4):
        self.class_names, self.count = tuple(names), count
        self.category_ids = tuple(range(1, len(names) + 1))

    def __len__(self):
        return self.count

    def image_info(self, index):
        return {"id": index + 1, "file_name": f"$pic_{index}.png", "height": 40, "width": 60}

    def read(self, index):
        if index == 2 and self.broken:
            raise LabkitError("$pic_2.png is damaged.")
        n = min(index + 1, len(self.class_names), 10)
        masks = np.zeros((n, 40, 60), bool)
        for i in range(n):
            masks[i, 4 * i : 4 * i + 3, 2 : 10 + 5 * i] = True
        return make_sample(
            np.full((40, 60, 3), 120, np.uint8),
            masks,
            range(1, n + 1),
            image_id=index + 1,
            name="x",
            crowd=[i == 3 for i in range(n)],
        )

    broken = False


def drawn(figure):
    return show(figure, alt="test", dpi=50).png


@pytest.mark.parametrize("count", [1, 4, 46, 47, 91, 273])
def test_every_class_has_a_row_that_can_be_read(count):
    found = Strips([f"$class_{i} with a name" for i in range(count)]).describe()
    figure = class_bars(found)
    assert drawn(figure)
    labels = [t for ax in figure.axes for t in ax.get_yticklabels()]
    assert len(labels) == count and all(t.get_text().strip() for t in labels)
    high, rows = figure.get_size_inches()[1], max(len(ax.get_yticks()) for ax in figure.axes)
    assert high / (rows + 4) * 72 > 8  # points a row, for names of 8
    assert f"{count} class{'es' if count > 1 else ''}, most" in words_of_classes(found)


def test_a_single_class_has_no_bars():
    assert description_html(Strips(["a"]).describe()).count("<img") == 1
    assert description_html(Strips(["a", "b"]).describe()).count("<img") == 2
    assert "1 class:" in repr(Strips(["a"])) and "2 classes:" in repr(Strips(["a", "b"]))


def test_box_sizes_show_boxes_and_both_kinds_of_anchors():
    found = Strips(["a", "b", "c", "d"]).describe()
    figure = box_sizes(found)
    assert drawn(figure)
    ax = figure.axes[0]
    offsets = [c.get_offsets() for c in ax.collections]
    np.testing.assert_allclose(offsets[0], found.resized_sides[:, ::-1])
    assert len(offsets[1]) == 15 and ax.get_xscale() == ax.get_yscale() == "log"
    assert len(offsets) == 2 + (found.suggested != found.anchors)
    np.testing.assert_allclose(np.prod(offsets[1][:3], axis=1), 12**2, rtol=1e-5)
    assert "no anchor of tiny" in words_of_sizes(found)


def test_a_sheet_of_samples_survives_a_broken_picture():
    ds = Strips(["a", "b", "c", "d"])
    ds.broken = True
    figure = contact_sheet(ds, columns=3)
    assert drawn(figure)
    titles = [ax.get_title(loc="left") for ax in figure.axes]
    assert titles[1].endswith(": 2") and len([t for t in titles if t]) == 4
    assert "damaged" in figure.axes[2].texts[0].get_text()
    assert figure.axes[3].collections[-1].get_linestyles()[-1][1] is not None  # a dashed crowd
    assert len(contact_sheet(ds, [3]).axes) == 1
    names = [t.get_text() for t in figure.axes[3].texts]
    assert names == ["a", "b", "c", "d"]  # few enough for all
    with pytest.raises(LabkitError, match="no pictures"):
        contact_sheet(ds, [])


def test_in_a_crowd_the_largest_of_a_class_is_named():
    masks = np.zeros((8, 40, 60), bool)
    for i in range(8):
        masks[i, 5 * i : 5 * i + 4, 2 : 6 + 5 * i] = True
    sample = make_sample(np.zeros((40, 60, 3), np.uint8), masks, [1, 2] * 4, image_id=1, name="x")
    ax = Figure(figsize=(3, 2)).subplots()
    draw_truth(ax, sample, ["a", "b"])
    assert [t.get_text() for t in ax.texts] == ["a", "b"]


def test_boxes_do_not_hide_outlines_of_one_class():
    sample = Strips(["a", "b"]).read(1)
    kinds = []
    for names in (["a", "b"], ["a"]):
        ax = Figure(figsize=(3, 2)).subplots()
        draw_truth(ax, sample, names)
        kinds.append({type(c) for c in ax.collections})
    assert kinds == [{LineCollection, PolyCollection}, {LineCollection}]


def test_the_same_seed_chooses_the_same_pictures():
    ds = Strips(["a"], count=40)
    first, again, other = (
        [ax.get_title(loc="left") for ax in contact_sheet(ds, count=3, seed=s).axes]
        for s in (1, 1, 2)
    )
    assert first == again != other and len(first) == 3


def test_pruning_curves_start_with_everything():
    rows = pruning_table(Strips(["a", "b", "c", "d"]))
    figure = pruning_curve(rows)
    assert drawn(figure)
    for line in figure.axes[0].lines:
        assert line.get_ydata()[0] == 1 and (np.diff(line.get_ydata()) <= 0).all()
    with pytest.raises(LabkitError, match="no rows"):
        pruning_curve([])
