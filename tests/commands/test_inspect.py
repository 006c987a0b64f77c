"""`labkit inspect`: words, JSON, pictures, and one sentence for a mistake."""

import json
import shutil

import pytest

from labkit import cli
from labkit.data import shapes


def labkit(capsys, *argv):
    try:
        status = cli.main([str(word) for word in argv])
    except SystemExit as end:
        status = end.code
    out, err = capsys.readouterr()
    return status, out, err


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    shapes(3, 64, seed=1).save_coco(folder / "all.json", folder / "images")
    return folder


def test_a_json_with_its_pictures(capsys, saved):
    status, out, _ = labkit(capsys, "inspect", saved / "all.json", "--images", saved / "images")
    assert status == 0 and "3, all 64 x 64 px" in out and "anchors of lite0_fpn" in out


def test_a_folder_is_recognised(capsys, saved):
    status, out, _ = labkit(capsys, "inspect", saved, "--preset", "r50_fpn", "--check")
    assert status == 0 and "anchors of r50_fpn" in out and "every picture was read" in out


def test_json_and_nothing_else(capsys, saved):
    status, out, _ = labkit(capsys, "inspect", saved, "--json")
    found = json.loads(out)
    assert status == 0 and found["images"] == 3 and found["problems"] == []


def test_out_gets_pictures_and_the_report(capsys, saved, tmp_path):
    status, out, _ = labkit(capsys, "inspect", saved, "--out", tmp_path / "report")
    names = sorted(p.name for p in (tmp_path / "report").iterdir())
    assert status == 0
    assert names == ["classes.png", "description.json", "samples.png", "sizes.png"]
    assert all(name in out for name in names)
    report = json.loads((tmp_path / "report" / "description.json").read_text())
    assert report["instances"] == sum(len(s) for s in shapes(3, 64, seed=1))


def test_built_in_data(capsys):
    status, out, _ = labkit(capsys, "inspect", "digits", "--json")
    assert status == 0 and len(json.loads(out)["classes"]) == 10


def test_help_has_examples(capsys):
    status, out, _ = labkit(capsys, "inspect", "--help")
    assert status == 0 and "labkit inspect shapes --json" in out


def test_a_truncated_picture_is_found_and_is_the_exit_status(capsys, saved, tmp_path):
    shutil.copytree(saved, tmp_path, dirs_exist_ok=True)
    picture = sorted((tmp_path / "images").iterdir())[1]
    picture.write_bytes(picture.read_bytes()[:-200])
    argv = ["inspect", tmp_path / "all.json", "--images", tmp_path / "images"]
    assert labkit(capsys, *argv)[0] == 0  # it was not read
    status, out, _ = labkit(capsys, *argv, "--check")
    assert status == 1 and f"{picture.name} is damaged" in out
    status, out, _ = labkit(capsys, *argv, "--check", "--json", "--out", tmp_path / "report")
    assert status == 1 and len(json.loads(out)["problems"]) == 1
