"""What a run was started on, and whether it is about to be measured on just that."""

import os

import pytest

from labkit.commands.run_data import note_if_seen, refuse_another_size, remember, remembered
from labkit.data import shapes
from labkit.errors import LabkitError


@pytest.fixture
def folder(tmp_path):
    """Annotated pictures of one piece, without splits."""
    there = tmp_path / "photos"
    there.mkdir()
    shapes(2, 64, seed=0).save_coco(there / "annotations.json", there / "images")
    return there


def test_what_is_remembered(tmp_path):
    assert remembered(tmp_path) is None
    remember(tmp_path, {"data": "/photos", "image_size": None})
    assert remembered(tmp_path) == {"data": "/photos", "image_size": None}


def test_drawn_pictures_keep_the_size_that_the_run_began_with(tmp_path):
    """Each data set that is drawn has a size of its own, where no other was asked for."""
    refuse_another_size(128, {"data": "shapes", "image_size": None}, tmp_path)
    refuse_another_size(384, {"data": "collage", "image_size": None}, tmp_path)
    refuse_another_size(512, {"data": "/photos", "image_size": None}, tmp_path)
    with pytest.raises(LabkitError, match="pictures of 384 pixels"):
        refuse_another_size(128, {"data": "collage", "image_size": None}, tmp_path)


def test_a_folder_of_one_piece_is_no_test(folder, tmp_path, capsys):
    remember(tmp_path, {"data": os.path.abspath(folder)})
    note_if_seen(tmp_path, {"data": str(folder)})
    said = capsys.readouterr().err
    assert said.startswith(f"note: {tmp_path} was trained on these very pictures")
    note_if_seen(tmp_path, {"data": "shapes"})  # drawn: others are measured
    note_if_seen(tmp_path / "no run", {"data": str(folder)})
    assert capsys.readouterr().err == ""


def test_of_a_folder_with_splits_another_part_is_measured(tmp_path, capsys):
    for part in ("train", "val"):
        shapes(1, 64, seed=1).save_coco(tmp_path / f"{part}.json", tmp_path / part)
    remember(tmp_path, {"data": str(tmp_path)})
    note_if_seen(tmp_path, {"data": str(tmp_path)})
    note_if_seen(tmp_path, {"data": str(tmp_path), "split": "val"})
    assert capsys.readouterr().err == ""


def test_the_training_part_that_is_asked_for_by_name(tmp_path, capsys):
    for part in ("train2017", "val2017"):
        shapes(1, 64, seed=1).save_coco(tmp_path / f"{part}.json", tmp_path / part)
    remember(tmp_path, {"data": str(tmp_path)})
    for name in ("train", "train2017"):
        note_if_seen(tmp_path, {"data": str(tmp_path), "split": name})
        assert "keep some apart" in capsys.readouterr().err
    note_if_seen(tmp_path, {"data": str(tmp_path), "split": "val2017"})
    assert capsys.readouterr().err == ""


def test_the_training_part_of_the_catalogue(tmp_path, capsys):
    remember(tmp_path, {"data": "shapes"})
    note_if_seen(tmp_path, {"data": "shapes", "split": "val"})
    note_if_seen(tmp_path, {"data": "digits", "split": "train"})
    assert capsys.readouterr().err == ""
    note_if_seen(tmp_path, {"data": "shapes", "split": "train"})
    assert "keep some apart" in capsys.readouterr().err


def test_annotations_that_were_trained_on(tmp_path, capsys):
    train, val = tmp_path / "train.json", tmp_path / "val.json"
    remember(tmp_path, {"annotations": str(train), "val_annotations": str(val)})
    note_if_seen(tmp_path, {"annotations": str(val)})
    assert capsys.readouterr().err == ""
    note_if_seen(tmp_path, {"annotations": os.path.relpath(train)})
    assert "keep some apart" in capsys.readouterr().err
