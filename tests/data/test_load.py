"""load_dataset: what it recognises, what it takes of several, and what it says otherwise.

That each format is recognised is tested with its reader. Real data is compared where it is at hand:
in the folder that LABKIT_SHARED names, or in ../shared/data beside the repository.
"""

import json
import os
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from labkit.data import CocoDataset, LabelmeDataset, ViaDataset, load_dataset, save_via, shapes
from labkit.data.load import folder_with, splits, validation_split
from labkit.errors import LabkitError, MissingFileError

ROOT = Path(__file__).resolve().parents[2]
SHARED = Path(os.environ.get("LABKIT_SHARED", ROOT.parent / "shared" / "data"))


@pytest.fixture
def coco(tmp_path):
    """annotations/instances_{train,val}.json, and the pictures in train/ and val/."""
    for split, count in (("train", 3), ("val", 2)):
        ds = shapes(count, 64, seed=count)
        ds.save_coco(tmp_path / "annotations" / f"instances_{split}.json", tmp_path / split)
    return tmp_path


def is_train(ds):
    return type(ds) is CocoDataset and len(ds) == 3 and ds.folder.name == "train"


# ---- where it looks ------------------------------------------------------------------------------


def test_a_whole_data_set_gives_its_training_split(coco):
    for path in (coco, coco / "annotations", coco / "train", str(coco)):
        assert is_train(load_dataset(path))
    for path in (coco / "val", coco / "annotations" / "instances_val.json"):
        assert len(load_dataset(path)) == 2
    for name in ("val", "validation"):
        assert len(load_dataset(coco, split=name)) == 2
    with pytest.raises(LabkitError, match='no split "test"; there are: "train", "val"'):
        load_dataset(coco, split="test")


def test_splits_are_listed_in_the_order_they_are_used(coco):
    assert splits(coco) == ("train", "val") and validation_split(coco) == "val"
    assert splits(coco / "annotations" / "instances_val.json") == ()  # nothing to choose
    source = coco / "annotations" / "instances_val.json"
    source.rename(source.with_name("instances_test2017.json"))
    assert splits(coco) == ("train", "test2017")
    with pytest.raises(MissingFileError, match="nowhere"):
        splits(coco / "nowhere")


def test_splits_in_folders_of_their_own(coco, tmp_path_factory):
    """As Roboflow exports: every split has its json among its pictures."""
    root = tmp_path_factory.mktemp("root")
    for split in ("train", "val"):
        shutil.copytree(coco / split, root / split)
        source = coco / "annotations" / f"instances_{split}.json"
        shutil.copy(source, root / split / "_annotations.coco.json")
    assert is_train(load_dataset(root)) and len(load_dataset(root, split="val")) == 2
    shutil.rmtree(root / "train")
    assert len(load_dataset(root)) == 2


def test_an_only_folder_is_opened(coco, tmp_path_factory):
    outer = tmp_path_factory.mktemp("outer")
    shutil.copytree(coco, outer / "a" / "b")
    assert is_train(load_dataset(outer))


def test_pictures_below_and_beside(coco):
    """The official layout has images/train2017; others have all in one folder."""
    (coco / "images").mkdir()
    (coco / "train").rename(coco / "images" / "train2017")
    (coco / "val").rename(coco / "images" / "val2017")
    for split in ("train", "val"):
        source = coco / "annotations" / f"instances_{split}.json"
        source.rename(source.with_name(f"instances_{split}2017.json"))
    assert load_dataset(coco).folder.name == "train2017"
    assert load_dataset(coco, split="val").folder.name == "val2017"
    assert load_dataset(coco, split="val2017")[0].image.shape == (64, 64, 3)
    assert len(load_dataset(coco / "images" / "val2017")) == 2
    assert len(load_dataset(coco / "images" / "train2017")) == 3


def test_paths_may_be_given(coco):
    ds = load_dataset(coco, images="val", annotations="annotations/instances_val.json")
    assert len(ds) == 2 and ds.folder == coco / "val"
    elsewhere = coco.parent / "elsewhere"
    (coco / "val").rename(elsewhere)
    assert len(load_dataset(coco, images=elsewhere, split="val")) == 2
    shutil.rmtree(elsewhere)


def test_the_folder_with_most_of_the_pictures(tmp_path):
    for folder, names in {"x": "ab", "y": "abc", "val": "abc", "z": ""}.items():
        (tmp_path / folder).mkdir()
        for name in names:
            (tmp_path / folder / f"{name}.png").touch()
    names = ["a.png", "b.png", "c.png", "../secret.png"]
    (tmp_path / "annotations").mkdir()
    assert folder_with(names, tmp_path / "annotations", "val2017") == tmp_path / "val"
    assert folder_with(names, tmp_path / "annotations", "") in (tmp_path / "y", tmp_path / "val")
    assert folder_with(names, tmp_path / "y", "val") == tmp_path / "y"  # the nearest with half
    assert folder_with(names, tmp_path, "") == folder_with(names, tmp_path / "z", "")
    assert folder_with(["none.png"], tmp_path, "") is None
    assert folder_with([], tmp_path, "") is None


# ---- several -------------------------------------------------------------------------------------


def test_several_formats_need_a_word(coco):
    train = coco / "train"
    shutil.copy(coco / "annotations" / "instances_train.json", train)
    shape = {"label": "a", "points": [[1, 1], [9, 9], [1, 9]], "shape_type": "polygon"}
    content = {"shapes": [shape], "imagePath": "000001.png", "imageData": None}
    (train / "000001.json").write_text(json.dumps(content))
    with pytest.raises(LabkitError) as error:
        load_dataset(train)
    assert "several formats fit: labelme (train), coco (instances_train.json)" in str(error.value)
    assert "format=" in str(error.value) and str(error.value).count("\n") == 0
    with pytest.warns(UserWarning, match="not LabelMe's"):
        assert type(load_dataset(train, format="labelme")) is LabelmeDataset
    assert is_train(load_dataset(train, format="coco"))
    assert is_train(load_dataset(train / "instances_train.json"))


def test_the_nearest_decides(coco):
    """COCO for the whole and VIA in each split's folder, as in the balloon data."""
    save_via(shapes(3, 64, seed=3), coco / "train")
    assert is_train(load_dataset(coco)) and type(load_dataset(coco / "train")) is ViaDataset


def test_several_that_are_no_splits_give_the_first_with_a_warning(coco):
    for old, new in (("train", "b_team"), ("val", "a_team")):
        folder = coco / "annotations"
        (folder / f"instances_{old}.json").rename(folder / f"instances_{new}.json")
    with pytest.warns(UserWarning, match='"a_team", "b_team".*"a_team" was taken'):
        assert len(load_dataset(coco)) == 2
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(load_dataset(coco, split="b_team")) == 3


def test_of_cocos_own_files_the_instances(coco):
    content = json.loads((coco / "annotations" / "instances_train.json").read_text())
    content["annotations"] = content["annotations"][:1]
    (coco / "annotations" / "person_keypoints_train.json").write_text(json.dumps(content))
    captions = {"images": content["images"], "annotations": [{"caption": "a dog"}]}
    (coco / "annotations" / "captions_train.json").write_text(json.dumps(captions))
    assert load_dataset(coco).max_instances > 1


# ---- errors: one sentence ------------------------------------------------------------------------


def test_nothing_is_there(tmp_path):
    with pytest.raises(MissingFileError, match="check the path"):
        load_dataset(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.json").write_text('{"a": 1}')
    for path, words in (
        (tmp_path / "empty", "looked for coco, panoptic, via, labelme, voc"),
        (tmp_path / "notes.json", "neither COCO's"),
    ):
        with pytest.raises(LabkitError, match=words) as error:
            load_dataset(path)
        assert str(path) in str(error.value) and "format=NAME." in str(error.value)
    (tmp_path / "notes.json").write_text("{")
    with pytest.raises(LabkitError, match="not json"):
        load_dataset(tmp_path / "notes.json")


def test_a_format_that_is_named_says_what_it_lacks(tmp_path):
    with pytest.raises(LabkitError, match="There is no format 'tfrecord'; choose one of coco,"):
        load_dataset(tmp_path, format="tfrecord")
    lacks = {
        "coco": "no json file of the format coco",
        "voc": "JPEGImages",
        "labelme": "no json file",
        "cityscapes": "leftImg8bit",
        "mask_folders": "images and masks",
        "label_maps": "images=",
    }
    for name, words in lacks.items():
        with pytest.raises(LabkitError, match=words):
            load_dataset(tmp_path, format=name)
    (tmp_path / "a.json").write_text('{"b": 2}')
    with pytest.raises(LabkitError, match='a.json: "images" is missing'):
        load_dataset(tmp_path, format="coco")


def test_options_are_those_of_the_format(coco):
    with pytest.raises(LabkitError, match="The format coco has no option 'stuff'; it has: boxes"):
        load_dataset(coco, stuff="skip")
    path = save_via(shapes(1, 64), coco / "via")
    with pytest.raises(LabkitError, match="it has: class_attribute, class_names"):
        load_dataset(path, stuff="skip")


def test_missing_pictures(coco):
    shutil.rmtree(coco / "train")
    with pytest.raises(MissingFileError, match=r'"000001.png"\).*images=FOLDER') as error:
        shutil.rmtree(coco / "val")
        load_dataset(coco)
    assert "instances_train.json" in str(error.value)


def test_strict_is_handed_on(coco):
    path = coco / "annotations" / "instances_train.json"
    content = json.loads(path.read_text())
    content["annotations"][0]["category_id"] = 99
    path.write_text(json.dumps(content))
    with pytest.warns(UserWarning, match="category_id 99"):
        assert len(load_dataset(coco)) == 3
    with pytest.raises(LabkitError, match="category_id 99"):
        load_dataset(coco, strict=True)


def test_labkit_knows_the_name():
    import labkit

    assert labkit.load_dataset is load_dataset


# ---- real data -----------------------------------------------------------------------------------


def shared(name):
    if not (SHARED / name).is_dir():
        pytest.skip(f"{SHARED / name} is not among the data at hand (LABKIT_SHARED names another)")
    return SHARED / name


FOLDERS = {
    "balloon": (61, "CocoDataset"),
    "balloon/train": (61, "ViaDataset"),
    "balloon/val": (13, "ViaDataset"),
    "balloon/orig": (4, "ViaDataset"),
    "nuclei": (360, "CocoDataset"),
    "nuclei/val": (40, "CocoDataset"),
    "nuclei/orig_dsb_layout": (6, "MaskFolderDataset"),
    "nuclei/val_labelmaps16": (40, "LabelMapDataset"),
    "tiny_coco": (50, "CocoDataset"),
    "tiny_coco/orig_annotations": (50, "CocoDataset"),
    "tiny_coco/val": (50, "CocoDataset"),
    "labelme_voc": (3, "CocoDataset"),
    "labelme_voc/images": (3, "CocoDataset"),
    "labelme_voc/orig_coco": (3, "CocoDataset"),
    "labelme_voc/orig_coco/JPEGImages": (3, "CocoDataset"),
    "labelme_voc/orig_labelme": (3, "LabelmeDataset"),
    "labelme_voc/orig_labelme_tutorial": (1, "LabelmeDataset"),
    "labelme_voc/orig_voc": (3, "VocDataset"),
    "labelme_voc/orig_voc2012_real": (1, "VocDataset"),
    "labelme_voc/orig_voc/SegmentationClass": (3, "VocDataset"),
}


@pytest.mark.parametrize("name", FOLDERS)
def test_real_folders_load_by_their_path_alone(name):
    path = shared(name)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", ".* problem")
        warnings.filterwarnings("ignore", ".*several data sets")
        ds = load_dataset(path)
    count, kind = FOLDERS[name]
    assert (len(ds), type(ds).__name__) == (count, kind)
    assert ds.problems == [] and len(ds[0].masks) > 0


def _rles(masks):
    return coco_mask.encode(np.asfortranarray(masks.transpose(1, 2, 0), np.uint8))


def best_ious(a, b, stem=lambda name: Path(name).stem):
    """For every instance of `a` the IoU with its best match in `b`; both have the same pictures."""
    where = {stem(b.image_info(i)["file_name"]): i for i in range(len(b))}
    ious, same_class = [], True
    for sample in a:
        other = b[where[stem(sample.name)]]
        assert len(sample) == len(other) and sample.masks.shape == other.masks.shape
        each_iou = coco_mask.iou(_rles(sample.masks), _rles(other.masks), [0] * len(other))
        for each, class_id in zip(each_iou, sample.class_ids, strict=True):
            ious.append(each.max())
            name = b.class_names[other.class_ids[each.argmax()] - 1]
            same_class &= len(a.class_names) == 1 or a.class_names[class_id - 1] == name
    assert same_class
    return np.array(ious)


FORMS = {
    # two forms of the same data: split of the second, instances, least IoU, mean IoU
    "labelme_voc/orig_labelme": ("labelme_voc", "labelme", 12, 0.998, 0.9999),  # 2 decimals
    "labelme_voc/orig_voc": ("labelme_voc", "voc", 12, 1, 1),
    "labelme_voc/orig_voc2012_real": ("labelme_voc", "voc2012", 2, 1, 1),
    "labelme_voc/orig_coco": ("labelme_voc/orig_labelme", None, 12, 1, 1),
    "balloon/train": ("balloon", "train", 255, 0.88, 0.985),  # VIA's pixels are whole
    "balloon/val": ("balloon", "val", 50, 0.92, 0.979),
    "nuclei/val_labelmaps16": ("nuclei", "val", 1942, 0.80, 0.999),  # maps hold no overlap
}


@pytest.mark.parametrize("name", FORMS)
def test_two_forms_of_the_same_data_agree(name, record_property):
    other, split, count, least, mean = FORMS[name]
    ious = best_ious(load_dataset(shared(name)), load_dataset(shared(other), split=split))
    record_property("iou", f"{len(ious)} instances, least {ious.min():.4f}, mean {ious.mean():.5f}")
    print(f"{name}: {len(ious)} instances, IoU least {ious.min():.4f}, mean {ious.mean():.5f}")
    assert len(ious) == count and ious.min() >= least and ious.mean() >= mean


def test_the_bowls_layout_agrees_with_coco():
    ds = load_dataset(shared("nuclei/orig_dsb_layout"))
    coco = load_dataset(shared("nuclei"), split="val")
    ious = best_ious(ds, coco, stem=lambda name: Path(name).stem[:16])
    assert len(ious) == 158 and (ious == 1).all()


def test_the_picture_in_labelmes_json(tmp_path):
    sample = load_dataset(shared("labelme_voc/orig_labelme_tutorial"))[0]
    stored = Image.open(SHARED / "labelme_voc/orig_labelme_tutorial/apc2016_obj3.jpg")
    assert sample.image.shape == (907, 1210, 3) and stored.size == (1210, 907)


def test_coco_s_json_that_lacks_a_part_is_named(tmp_path):
    (tmp_path / "ann.json").write_text(json.dumps({"images": [], "annotations": []}))
    with pytest.raises(LabkitError, match=r"ann\.json is json, but neither COCO's \(with"):
        load_dataset(tmp_path)
