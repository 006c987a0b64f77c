"""Missing and broken pictures, and data without an object, are named before the first step."""

import copy

import numpy as np
import pytest
from whole_inputs import COCO, LABELME, PHOTO, png, put

from labkit.data import CocoDataset, load_dataset, merge, shapes
from labkit.data.quick_look import check_before_training, drop_unusable, unusable_pictures
from labkit.errors import LabkitError


@pytest.fixture
def whole(tmp_path):
    for name in "ab":
        put(tmp_path / f"{name}.png", PHOTO)
    return CocoDataset(COCO, tmp_path, strict=True)


def test_whole_data_pass(whole):
    assert unusable_pictures(whole) == {} and drop_unusable(whole) is whole
    check_before_training(whole, validation=whole)
    check_before_training(shapes(2, 64))  # drawn pictures have no files


@pytest.mark.parametrize(
    "damage, words",
    [
        (None, "b.png: there is no such file"),
        (b"", "b.png is not a picture"),
        (b"\x89PNG", "b.png is not a picture"),
        (png(np.zeros((40, 30), np.uint8)), "(height and width are swapped)"),
        (png(np.zeros((31, 40), np.uint8)), "b.png has 31 x 40 pixels (height x width) but"),
    ],
)
@pytest.mark.filterwarnings("ignore:.* pictures is not in")
def test_what_a_header_tells(whole, damage, words):
    (whole.folder / "b.png").unlink()
    if damage is not None:
        put(whole.folder / "b.png", damage)
    wrong = unusable_pictures(whole)
    assert list(wrong) == [1] and words in wrong[1]
    for view in (whole.subset([1]), whole.keep_classes(["cat"]).subset([1]), merge([whole])):
        assert list(unusable_pictures(view).values()) == [wrong[1]]
    assert drop_unusable(whole).image_ids == (1,)
    for data in ({"dataset": whole}, {"dataset": shapes(1, 64), "validation": whole}):
        with pytest.raises(LabkitError) as error:
            check_before_training(**data)
        said = str(error.value)
        assert "1 of 2 " in said and '("b.png")' in said and words in said
        assert "--skip-broken" in said and "drop_unusable()" in said and "\n" not in said
    (whole.folder / "a.png").unlink()
    with pytest.raises(LabkitError, match="None of the 2 pictures"):
        drop_unusable(whole)


def test_links_out_of_the_folder(whole, tmp_path_factory):
    secret = tmp_path_factory.mktemp("else") / "b.png"
    (whole.folder / "b.png").rename(secret)
    (whole.folder / "b.png").symlink_to(secret)
    assert "leads out" in unusable_pictures(whole)[1]


def test_pictures_inside_their_json_have_no_file(tmp_path):
    import base64

    put(tmp_path / "a.json", LABELME | {"imageData": base64.b64encode(PHOTO).decode()})
    assert unusable_pictures(load_dataset(tmp_path)) == {}


@pytest.mark.filterwarnings("ignore:The given annotations")
def test_data_without_an_object_are_refused(whole):
    content = copy.deepcopy(COCO)
    content["annotations"][0]["iscrowd"] = 1
    crowds = CocoDataset(content, whole.folder)
    with pytest.raises(LabkitError, match="no object .*--crowds-as-instances"):
        check_before_training(crowds)
    check_before_training(CocoDataset(content, whole.folder, crowds_as_instances=True))
    content["annotations"][0]["segmentation"] = []
    with pytest.raises(LabkitError, match="no object .* nothing to learn but background"):
        check_before_training(CocoDataset(content, whole.folder))
    check_before_training(
        CocoDataset(content, whole.folder, crowds_as_instances=True, boxes_as_masks=True)
    )
    with pytest.raises(LabkitError, match="nothing to learn but background"):
        check_before_training(whole.subset([1]))
