"""Detections: sorting, selecting, pasting one at a time, COCO entries, and its picture."""

import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from labkit.errors import LabkitError
from labkit.models import detections as module
from labkit.models.detections import Detections

NAMES = ("disc", "square", "ring")


def masks_of(boxes, height=40, width=60):
    masks = np.zeros((len(boxes), height, width), bool)
    for mask, (y1, x1, y2, x2) in zip(masks, boxes, strict=True):
        mask[y1:y2, x1:x2] = True
    return masks


def three(**changes):
    boxes = [(2, 3, 10, 20), (5, 30, 25, 50), (20, 4, 38, 18)]
    fields = {
        "boxes": boxes,
        "scores": [0.3, 0.9, 0.6],
        "class_ids": [1, 2, 3],
        "masks": masks_of(boxes),
        "class_names": NAMES,
        "image_size": (40, 60),
        "image_id": 7,
    }
    fields.update(changes)
    return Detections(**fields)


def none(**changes):
    return three(
        boxes=np.zeros((0, 4)),
        scores=[],
        class_ids=[],
        masks=np.zeros((0, 40, 60), bool),
        **changes,
    )


def test_the_best_score_comes_first_and_everything_moves_along():
    found = three()
    assert found.scores.tolist() == pytest.approx([0.9, 0.6, 0.3])
    assert found.names == ["square", "ring", "disc"]
    assert found.boxes[0].tolist() == [5, 30, 25, 50]
    assert found.masks[0, 10, 40] and not found.masks[1, 10, 40]
    assert found.boxes.dtype == found.scores.dtype == np.float32
    assert found.class_ids.dtype == np.int32


def test_equal_scores_keep_their_order():
    assert three(scores=[0.5, 0.5, 0.5]).names == ["disc", "square", "ring"]


def test_every_kind_of_index_gives_detections():
    found = three()
    assert found[0].names == ["square"]
    assert found[-1].names == ["disc"]
    assert found[:2].names == ["square", "ring"]
    assert found[found.scores > 0.5].names == ["square", "ring"]
    assert found[np.array([2, 0])].names == ["square", "disc"]  # sorted by score again
    assert len(found[[]]) == 0
    assert [one.names[0] for one in found] == ["square", "ring", "disc"]
    assert found[0].masks.shape == (1, 40, 60)
    assert found[0].image_id == 7
    with pytest.raises(IndexError):
        found[3]


def test_filter_by_score_class_and_area():
    found = three()
    assert found.filter(min_score=0.6).names == ["square", "ring"]
    assert found.filter(classes="ring").names == ["ring"]
    assert found.filter(classes=["ring", 1]).names == ["ring", "disc"]
    assert found.filter(min_area=200).names == ["square", "ring"]
    assert found.filter(min_score=0.95, classes=2, min_area=1).names == []
    with pytest.raises(LabkitError, match="no class 'cat'; the classes are disc, square, ring"):
        found.filter(classes="cat")
    with pytest.raises(LabkitError, match="no class 0"):
        found.filter(classes=0)


def test_small_grids_are_pasted_only_when_asked_and_one_at_a_time(monkeypatch):
    pasted = []

    def spy(prob, box, *size_and_more, **options):
        pasted.append(box)
        return paste(prob, box, *size_and_more, **options)

    paste = module.paste_window
    monkeypatch.setattr(module, "paste_window", spy)
    found = three(masks=None, mask_probs=np.ones((3, 28, 28)))
    assert pasted == []
    rles = found.rles()
    next(rles)
    assert len(pasted) == 1
    assert len(list(rles)) == 2 and len(pasted) == 3
    assert found.areas.tolist() == [400, 252, 136]
    assert found.masks.shape == (3, 40, 60)
    assert found.masks is found.masks and len(pasted) == 9  # kept


def test_one_at_a_time_gives_the_same_masks():
    probs = np.random.default_rng(0).random((3, 28, 28))
    found = three(masks=None, mask_probs=probs)
    for one, mask in zip(found.each_mask(), found.masks, strict=True):
        np.testing.assert_array_equal(one, mask)
    for name in ("exact", "integer"):
        assert three(masks=None, mask_probs=probs, paste=name).masks.any()


@pytest.mark.parametrize("paste", ["exact", "integer", "in_box", None])
def test_masks_of_a_smaller_copy_cover_the_same_places(paste):
    """To draw a large photo, masks are pasted in the size of the drawing."""
    boxes = [(2, 4, 10, 20), (6, 30, 24, 50), (20, 4, 38, 18)]
    how = {"masks": masks_of(boxes)}
    if paste:
        how = {"masks": None, "mask_probs": np.ones((3, 28, 28)), "paste": paste}
    found = three(boxes=boxes, **how)
    for mask, (window, top, left), (y1, x1, y2, x2) in zip(
        found.each_mask((20, 30)), found.each_window((20, 30)), found.boxes / 2, strict=True
    ):
        inside = np.zeros((20, 30), bool)
        inside[int(y1) : int(y2), int(x1) : int(x2)] = True
        if paste == "integer":  # torchvision's rounding makes boxes a pixel larger
            assert mask[inside].all() and mask.sum() <= (y2 - y1 + 2) * (x2 - x1 + 2)
        else:
            np.testing.assert_array_equal(mask, inside)
        assert window.sum() == mask.sum() == mask[top:, left:][: len(window)].sum()


def test_a_picture_in_a_file_is_read_when_it_is_drawn(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pixels = np.full((40, 60, 3), 90, np.uint8)
    Image.fromarray(pixels).save("photo.png")
    found = three(image="photo.png")
    monkeypatch.chdir("/")
    np.testing.assert_array_equal(found[:1].image, pixels)
    Image.fromarray(pixels[:30]).save(tmp_path / "photo.png")
    with pytest.raises(LabkitError, match="the image is 30 x 60 pixels"):
        _ = found.image
    (tmp_path / "photo.png").unlink()
    with pytest.warns(UserWarning, match="photo.png.*drawn on grey"):
        figure = found.plot()
    assert (figure.axes[0].images[0].get_array()[0, 0] == 235).all()


def test_a_mask_in_its_box_never_leaves_it_and_may_fill_it():
    """Zeros around a grid pull the outermost pixels down, but not below the least of its cells."""
    half = np.tile(np.linspace(0, 1, 28), (28, 1))
    probs = np.stack([np.full((28, 28), 0.6), half, np.zeros((28, 28))])
    boxes = [[2, 3, 38, 59], [20, 30, 40, 50], [0, 0, 5, 5]]
    found = {
        name: three(boxes=boxes, masks=None, mask_probs=probs, paste=name, scores=[3, 2, 1])
        for name in ("exact", "in_box")
    }
    filled, ramp, nothing = found["in_box"].masks
    assert filled.sum() == 36 * 56 == filled[2:38, 3:59].sum()
    assert found["exact"].masks[0].sum() < 36 * 56
    np.testing.assert_array_equal(ramp, found["exact"].masks[1])  # elsewhere the two are one
    assert not nothing.any()


def test_coco_entries():
    found = three()
    first = found.to_coco()[0]
    assert first["image_id"] == 7
    assert first["category_id"] == 2
    assert first["bbox"] == [30.0, 5.0, 20.0, 20.0]
    assert first["score"] == pytest.approx(0.9)
    json.dumps(found.to_coco())
    np.testing.assert_array_equal(coco_mask.decode(first["segmentation"]), found.masks[0])
    assert [r["category_id"] for r in found.to_coco(9, [5, 90, 3])] == [90, 3, 5]
    assert [r["category_id"] for r in found.to_coco(9, {"ring": 4, "disc": 8})] == [4, 8]
    assert none().to_coco() == []


def test_the_category_ids_of_the_data_are_kept():
    found = three(category_ids=(7, 9, 40))
    assert [r["category_id"] for r in found[:2].to_coco()] == [9, 40]
    assert [r["category_id"] for r in found.to_coco(category_ids=[5, 90, 3])] == [90, 3, 5]
    with pytest.raises(LabkitError, match="2 category_ids for 3 classes"):
        three(category_ids=[1, 2])


def test_coco_entries_need_an_image_id_and_an_id_per_class():
    with pytest.raises(LabkitError, match="carry no image id"):
        three(image_id=None).to_coco()
    with pytest.raises(LabkitError, match="2 category_ids for 3 classes"):
        three().to_coco(category_ids=[1, 2])


def test_the_dict_has_masks_last():
    result = three(rpn_boxes=np.ones((5, 4)), rpn_scores=np.ones(5)).to_dict()
    assert list(result) == ["rois", "class_ids", "scores", "masks", "rpn_boxes", "rpn_scores"]
    assert result["masks"].shape == (40, 60, 3)
    assert result["rpn_boxes"].shape == (5, 4)
    assert none().to_dict()["masks"].shape == (40, 60, 0)


def test_without_masks_boxes_are_enough():
    found = three(masks=None)
    assert not found.has_masks
    assert found.areas.tolist() == [400, 252, 136]
    assert "segmentation" not in found.to_coco()[0]
    found.plot()
    with pytest.raises(LabkitError, match="no masks"):
        _ = found.masks


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scores": [0.5, 0.5]}, "scores has 2 entries and boxes has 3"),
        ({"scores": [0.5, np.nan, 0.5]}, r"scores\[1\] is not a finite number"),
        ({"boxes": [[0, 0, 1, 1], [0, 0, 1, np.inf], [0] * 4]}, r"boxes\[1\] is not a finite"),
        ({"class_ids": [1, 0, 2]}, r"class_ids\[1\] is 0"),
        ({"class_ids": [1, 2, 4]}, r"class_ids\[2\] is 4, but there are 3 class names"),
        ({"masks": np.zeros((3, 28, 28), bool)}, "mask_probs"),
        ({"image": np.zeros((50, 60, 3), np.uint8)}, "image is 50 x 60 pixels"),
    ],
)
def test_what_does_not_fit_together_is_named(changes, message):
    with pytest.raises(LabkitError, match=message):
        three(**changes)


def test_the_text_is_a_short_table():
    lines = repr(three()).splitlines()
    assert lines[0] == "Detections: 3 objects in image 7 (40 × 60 pixels)"
    assert lines[2].split() == ["0.900", "square", "5.0", "30.0", "25.0", "50.0"]
    many = three(boxes=np.ones((30, 4)), scores=np.ones(30), class_ids=np.ones(30), masks=None)
    assert repr(many).endswith("… and 18 more")
    assert "0 objects" in repr(none())


def test_the_notebook_shows_a_picture_with_alternative_text():
    bundle = three(image=np.zeros((40, 60, 3), np.uint8))._repr_mimebundle_()
    assert set(bundle) == {"text/html", "text/plain"}  # the picture is in the HTML, once
    assert 'alt="3 objects in image 7 (40 × 60 pixels): square 0.90' in bundle["text/html"]
    assert bundle["text/plain"].startswith("Detections: 3")
    assert "<img" in none()._repr_mimebundle_()["text/html"]


def test_class_names_cannot_break_out_of_the_html():
    bad = '<script>alert("x")</script>'
    html = three(class_names=(bad, bad, "$ring_{"))._repr_mimebundle_()["text/html"]
    assert "<script" not in html
    assert "&lt;script&gt;alert(&quot;x&quot;)" in html


def test_a_machine_without_matplotlib_shows_the_table(monkeypatch):
    monkeypatch.setitem(sys.modules, "labkit.viz.show", None)
    assert set(three()._repr_mimebundle_()) == {"text/plain"}


def test_importing_it_loads_no_matplotlib():
    code = "import sys, labkit.models.detections; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_save_writes_a_picture(tmp_path):
    three(image=np.zeros((40, 60, 3), np.uint8)).save(tmp_path / "found.png")
    assert (tmp_path / "found.png").read_bytes()[:4] == b"\x89PNG"


def test_names_with_control_characters_are_escaped():
    bad = three(class_names=("disc", "\x1b[31mred\nring", "ring"))
    for text in (repr(bad), bad.describe(), bad._repr_mimebundle_()["text/plain"]):
        assert "\x1b" not in text and r"\x1b[31mred\nring" in text
    assert bad.names[0] == "\x1b[31mred\nring"  # only what is shown is escaped
