"""--data: what lies there, whatever its format and its splits, or what the catalogue has."""

import json

import numpy as np
import pytest
from PIL import Image

from labkit import cli
from labkit.commands.run_data import data_options
from labkit.commands.sources import (
    chosen_data,
    image_files,
    is_drawn,
    load_by_name,
    preset_for,
    training_data,
    validation_data,
)
from labkit.data import CocoDataset, ViaDataset, VocDataset, save_label_maps, save_via, shapes
from labkit.data import catalogue as datasets
from labkit.data.catalogue import CATALOGUE, Archive
from labkit.errors import LabkitError, MissingFileError


def labkit(capsys, *argv):
    status = cli.main([str(word) for word in argv])
    out, err = capsys.readouterr()
    return status, out, err


@pytest.fixture
def coco(tmp_path):
    """A folder as COCO's own: annotations/instances_<split>.json beside <split>/."""
    for seed, split in enumerate(("train", "val"), 1):
        ds = shapes(1 + seed, 64, seed=seed)
        ds.save_coco(
            tmp_path / "mine" / "annotations" / f"instances_{split}.json", tmp_path / "mine" / split
        )
    return tmp_path / "mine"


# ---- what --data means ---------------------------------------------------------------------------


def test_a_folder_with_splits_is_trained_on_one_and_measured_on_the_other(coco):
    choice = {"data": str(coco)}
    assert len(chosen_data(choice, "train")) == 2
    assert len(validation_data(choice)) == len(chosen_data(choice, "val")) == 3
    assert len(chosen_data(choice | {"split": "train"}, "val")) == 2
    with pytest.raises(LabkitError, match='no split "test"; there are: "train", "val"'):
        chosen_data(choice | {"split": "test"}, "val")


def test_a_file_is_taken_as_it_is_and_never_measured_on_itself(coco):
    for split, count in (("train", 2), ("val", 3)):
        choice = {"data": str(coco / "annotations" / f"instances_{split}.json")}
        assert len(chosen_data(choice, "train")) == len(chosen_data(choice, "val")) == count
        assert validation_data(choice) is None


def test_a_folder_of_one_piece(tmp_path):
    save_via(shapes(2, 64), tmp_path / "val")
    choice = {"data": str(tmp_path / "val")}
    assert type(chosen_data(choice, "train")) is ViaDataset
    assert validation_data(choice) is None and len(chosen_data(choice, "val")) == 2


def test_without_a_validation_split_nothing_is_measured_on_training_pictures(coco):
    for path in coco.rglob("*val*"):
        path.rename(path.with_name(path.name.replace("val", "test")))
    assert validation_data({"data": str(coco)}) is None
    with pytest.raises(LabkitError, match="the splits train, test, of which none.*--split"):
        chosen_data({"data": str(coco)}, "val")
    assert len(chosen_data({"data": str(coco), "split": "test"}, "val")) == 3


def test_pictures_in_training_and_validation_are_named(coco, capsys):
    folder, files = str(coco / "train"), coco / "annotations"
    choice = {"annotations": str(files / "instances_train.json"), "images": folder}
    choice |= {"val_annotations": choice["annotations"], "val_images": folder}
    training_data(choice)
    assert "2 of 2 validation pictures have the same content" in capsys.readouterr().err
    choice["val_annotations"] = str(files / "instances_val.json")
    training_data(choice | {"val_images": str(coco / "val")})
    assert capsys.readouterr().err == ""


def test_annotations_and_images_may_be_of_any_format(tmp_path):
    maps = save_label_maps(shapes(2, 64, classes=["star"], max_objects=1), tmp_path)
    choice = {"annotations": str(maps), "images": str(tmp_path / "images")}
    assert len(chosen_data(choice, "train")) == 2
    with pytest.raises(LabkitError, match="--split goes with --data"):
        chosen_data(choice | {"split": "val"}, "val")


def test_what_lies_there_goes_before_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert is_drawn("shapes") and not is_drawn("nuclei") and not is_drawn(None)
    ds = shapes(2, 64)
    ds.save_coco("shapes/a.json", "shapes/images")
    assert not is_drawn("shapes")
    assert type(load_by_name("shapes", "train")) is CocoDataset and is_drawn("digits")


def test_drawn_pictures_are_of_the_size_asked_for():
    train, val = (chosen_data({"data": "digits", "image_size": 96}, p) for p in ("train", "val"))
    assert train.image_info(0)["height"] == 96 and (len(train), len(val)) == (4000, 100)
    assert len(validation_data({"data": "shapes"})) == 100
    assert chosen_data({"data": "shapes"}, "val").image_info(0)["width"] == 128


# ---- the catalogue -------------------------------------------------------------------------------


def voc_in_the_catalogue(monkeypatch, folder, parts):
    monkeypatch.setenv("LABKIT_DATA", str(folder))
    entry = CATALOGUE["nuclei"]
    values = np.zeros((40, 40), np.uint8)
    values[3:20, 5:30] = 1
    for name, mode in (
        ("JPEGImages", "RGB"),
        *((f"Segmentation{k}", "L") for k in ("Object", "Class")),
    ):
        place = folder / "nuclei" / "train" / name
        place.mkdir(parents=True)
        Image.fromarray(values).convert(mode).save(place / "a.png")
    splits = {part: datasets.Split("train") for part in parts}
    changed = datasets.Entry("nuclei", "", "", "", "nuclei", entry.archives, splits)
    monkeypatch.setitem(CATALOGUE, "nuclei", changed)


@pytest.mark.parametrize("parts", [("train",), ("train", "val")])
def test_a_name_of_the_catalogue(monkeypatch, tmp_path, parts):
    voc_in_the_catalogue(monkeypatch, tmp_path, parts)
    monkeypatch.chdir(tmp_path / "nuclei")  # here is no folder "nuclei"
    choice = {"data": "nuclei"}
    assert type(chosen_data(choice, "train")) is VocDataset
    assert (validation_data(choice) is None) == ("val" not in parts)
    assert len(chosen_data(choice, "val")) == 1
    with pytest.raises(LabkitError, match="no 'test'"):
        chosen_data(choice | {"split": "test"}, "val")


def test_without_a_network_it_is_one_sentence(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("LABKIT_DATA", str(tmp_path))
    archive = Archive("http://127.0.0.1:9/stage1_train.zip", "train")  # nobody listens there
    entry = datasets.Entry("nuclei", "", "", "", "nuclei", (archive,), CATALOGUE["nuclei"].splits)
    monkeypatch.setitem(CATALOGUE, "nuclei", entry)
    for argv in (["train", "--run", tmp_path / "r", "--data"], ["inspect"]):
        status, _, err = labkit(capsys, *argv, "nuclei")
        progress, sentence = err.splitlines()
        assert status == 2 and progress == f"downloading {archive.address}"
        assert sentence.startswith(f"labkit {argv[0]}: ") and archive.address in sentence
        assert str(tmp_path / "nuclei" / "stage1_train.zip") in sentence
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize(
    "name, words",
    [
        ("shaeps", "did you mean shapes"),
        ("photos/mine", "no such file or folder"),
        ("qqq", "there are: shapes, digits"),
    ],
)
def test_neither_a_path_nor_a_name(name, words):
    with pytest.raises(MissingFileError, match=words):
        chosen_data({"data": name}, "train")
    with pytest.raises(MissingFileError, match=words):
        validation_data({"data": name})


# ---- through the command -------------------------------------------------------------------------


class Reached(Exception):
    """Training would begin here."""


def test_the_cache_reaches_training_and_a_resumed_run_remembers_it(coco, tmp_path, monkeypatch):
    from labkit import training

    asked = []

    def train(model, dataset, run_dir, settings, *, validation, cache, **_):
        asked.append((cache, len(dataset), len(validation)))
        raise Reached

    monkeypatch.setattr(training, "train", train)
    monkeypatch.chdir(tmp_path)
    argv = ["train", "--data", "mine", "--run", "run", "--image-size", "64"]
    with pytest.raises(Reached):
        cli.main([*argv, "--cache", "kept"])
    with pytest.raises(Reached):
        cli.main(argv)
    assert asked == [(str(tmp_path / "kept"), 2, 3), (None, 2, 3)]

    args = cli.build_parser().parse_args(["train", "--run", "run", "--resume"])
    choice = {"data": str(coco), "cache": str(tmp_path / "kept")}
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "data.json").write_text(json.dumps(choice))
    assert data_options(args, tmp_path / "run") == choice
    args.cache = "other"  # speed may change; the data may not
    assert data_options(args, tmp_path / "run")["cache"] == str(tmp_path / "other")


@pytest.mark.slow  # three models are built and compiled
def test_train_and_evaluate_on_a_folder(capsys, coco, tmp_path, monkeypatch):
    """With a cache: it fills, a resumed run remembers it, and no reading is left to do."""
    run, cache = tmp_path / "run", tmp_path / "cache"
    monkeypatch.chdir(coco.parent)
    small = ("--image-size", 64, "--batch-size", 2, "--set", "checkpoint_every=1")
    status, out, err = labkit(
        capsys, "train", "--data", "mine", "--run", run, "--steps", 2, "--cache", "cache", *small
    )
    assert status == 0, err
    assert "CocoDataset(2 images" in out and len(list(cache.rglob("*.npz"))) == 2
    metrics = json.loads((run / "metrics.json").read_text())
    assert 0 <= metrics["segm"]["AP"] <= 1  # the validation split was found

    monkeypatch.chdir(tmp_path / "run")  # elsewhere: the run knows where its data are
    for path in (coco / "train").iterdir():
        path.write_bytes(b"")  # pictures are read from the cache, or not at all
    (run / "model.weights.h5").unlink()
    checkpoint = sorted((run / "checkpoints").iterdir())
    assert len(checkpoint) == 2
    for file in checkpoint[1].iterdir():
        file.unlink()
    checkpoint[1].rmdir()  # as if killed after the first step
    status, _, err = labkit(capsys, "train", "--run", run, "--resume")
    assert status == 0, err
    assert (run / "model.weights.h5").exists()

    status, out, err = labkit(capsys, "evaluate", "--weights", run, "--data", coco, "--json")
    assert status == 0 and json.loads(out)["images"] == 3, err


def test_pictures_of_a_folder_are_those_that_every_reader_takes(tmp_path):
    for name in ("b.TIFF", "a.webp", "c.txt", ".hidden.png"):
        (tmp_path / name).write_bytes(b"")
    assert [p.name for p in image_files([str(tmp_path)])] == ["a.webp", "b.TIFF"]
    assert image_files([str(tmp_path / "c.txt")]) == [tmp_path / "c.txt"]  # named, so it is meant
    with pytest.raises(LabkitError, match="no pictures there; these count: .*webp"):
        (tmp_path / "empty").mkdir()
        image_files([str(tmp_path / "empty")])


@pytest.mark.parametrize(
    "name, preset",
    [
        ("shapes", "tiny"),
        ("digits", "tiny"),
        ("collage", "lite0_fpn"),
        ("balloon", "lite0_fpn"),
        ("my-photos/", "lite0_fpn"),
        (None, "lite0_fpn"),  # --annotations and --images
    ],
)
def test_photographs_get_the_pretrained_preset_and_drawings_the_small_one(name, preset):
    assert preset_for(name) == preset


def test_a_folder_counts_whatever_its_name(tmp_path, monkeypatch):
    (tmp_path / "shapes").mkdir()
    monkeypatch.chdir(tmp_path)
    assert preset_for("shapes") == "lite0_fpn"


def test_wildcards_that_the_shell_left_are_expanded(tmp_path):
    for name in ("b.png", "a.png", "[c].png", "d.txt"):
        (tmp_path / name).touch()
    assert image_files([str(tmp_path / "?.png")]) == [tmp_path / "a.png", tmp_path / "b.png"]
    assert image_files([str(tmp_path / "[c].png")]) == [tmp_path / "[c].png"]  # a file of that name
    with pytest.raises(LabkitError, match=r"x\*.png: there is no such file"):
        image_files([str(tmp_path / "x*.png")])
