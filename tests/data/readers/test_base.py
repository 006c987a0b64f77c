"""What all readers do alike: sizes, late problems, strictness."""

import warnings

import numpy as np
import pytest
from PIL import Image

from labkit.data.readers.base import (
    Instances,
    PictureDataset,
    check_size,
    problem_sentence,
    read_sized,
)
from labkit.errors import LabkitError, MissingFileError
from labkit.io.data_files import Unusable


class Squares(PictureDataset):
    """Pictures with a square, an instance without a pixel, and a crowd."""

    class_names, category_ids = ("a", "b"), (4, 9)

    def __init__(self, folder, names, **options):
        super().__init__("Squares", folder, **options)
        for number, name in enumerate(names, 100):
            try:
                self._pictures.append(self._find_picture(name, number))
            except Unusable as error:
                self._problem(f"{name} {error}.")
        self._warn_of_problems()

    def instances(self, index):
        masks = np.zeros((3, *self._pictures[index].size), bool)
        masks[0, 2:6, 3:9] = masks[2, 8:, :5] = True
        return Instances(masks, [1, 2, 2], ["first", "second", "third"], [False, False, True])


@pytest.fixture
def folder(tmp_path):
    Image.new("RGB", (20, 12), (1, 2, 3)).save(tmp_path / "a.png")
    return tmp_path


def test_instances_without_a_pixel_are_left_out_and_named_once(folder):
    ds = Squares(folder, ["a.png"])
    for _ in range(2):
        sample = ds[0]
        assert sample.class_ids.tolist() == [1, 2] and sample.crowd.tolist() == [False, True]
        assert sample.boxes.tolist() == [[2, 3, 6, 9], [8, 0, 12, 5]]
    assert ds.problems == ['Squares: "a.png": second covers no pixel; it is left out.']
    labels = ds.labels(0)
    assert labels.class_ids.tolist() == [1, 2] and labels.crowd.tolist() == [False, True]
    assert labels.boxes.tolist() == sample.boxes.tolist()
    assert ds.box_sizes(0).tolist() == [[4, 6]] and ds.instance_limit(0) == 2
    with pytest.raises(LabkitError, match="second covers no pixel"):
        Squares(folder, ["a.png"], strict=True)[0]


@pytest.mark.parametrize(
    "parts, said, error",
    [
        (
            ("a.json: it has no area", "the annotation is left out"),
            "a.json: it has no area; the annotation is left out.",
            "a.json: it has no area.",
        ),
        (
            ("a: 2 boxes", "they are left out, so a model learns less", "Draw."),
            "a: 2 boxes; they are left out, so a model learns less. Draw.",
            "a: 2 boxes. Draw.",
        ),
        (
            ("a.json: names are equal", "", "Rename one."),
            "a.json: names are equal. Rename one.",
            "a.json: names are equal. Rename one.",
        ),
    ],
)
def test_where_loading_stops_nothing_is_left_out(parts, said, error):
    assert problem_sentence(*parts) == said
    with pytest.raises(LabkitError) as caught:
        problem_sentence(*parts, strict=True)
    assert str(caught.value) == error


def test_labels_are_the_callers_own(folder):
    ds = Squares(folder, ["a.png"])
    ds.labels(0).class_ids[:] = 7
    assert ds.labels(0).class_ids.tolist() == [1, 2]


def test_facts(folder):
    ds = Squares(folder, ["a.png"])
    assert ds.image_info(-1) == {"id": 100, "file_name": "a.png", "height": 12, "width": 20}
    assert [a["category_id"] for a in ds.to_coco()["annotations"]] == [4, 9]
    with pytest.raises(IndexError):
        ds.image_info(1)


def test_one_warning_for_all_that_was_left_out(folder):
    with pytest.warns(UserWarning, match=r"2 problems, the first: ../c.png .* in the data set's"):
        assert len(Squares(folder, ["../c.png", "a.png", "b.png"])) == 1
    with pytest.warns(UserWarning, match=r": 1 problem: b.png") as said:
        Squares(folder, ["a.png", "b.png"])
    assert said[0].filename == __file__  # the line of whoever made the data set
    with pytest.raises(LabkitError, match="No image remains"):
        Squares(folder, ["b.png"])
    with pytest.raises(LabkitError, match="not inside"):
        Squares(folder, ["../c.png", "a.png"], strict=True)
    with pytest.raises(MissingFileError):
        Squares(folder / "none", [])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(Squares(folder, [])) == 0


def test_links_out_of_the_folder_are_refused(folder, tmp_path_factory):
    secret = tmp_path_factory.mktemp("secret") / "s.png"
    (folder / "a.png").rename(secret)
    (folder / "a.png").symlink_to(secret)
    with pytest.raises(LabkitError, match="leads out"):
        Squares(folder, ["a.png"])
    with pytest.raises(LabkitError, match="leads out"):
        read_sized(folder, folder / "a.png", (12, 20), "x.json")


def test_sizes(monkeypatch):
    check_size(1, 80_000_000)
    for height, width in ((0, 5), (5, -1), (10**9, 10**9), (1, 80_000_001)):
        with pytest.raises(LabkitError):
            check_size(height, width)
    monkeypatch.setattr("labkit.io.images.MAX_PIXELS", 80_000_001)
    check_size(1, 80_000_001)


def test_a_picture_of_another_size(folder):
    assert read_sized(folder, folder / "a.png", (12, 20), "x.json").shape == (12, 20, 3)
    with pytest.raises(LabkitError, match=r"a.png has 12 x 20 .* but x.json says 20 x 12"):
        read_sized(folder, folder / "a.png", (20, 12), "x.json")
