"""`labkit report`: which runs on which data, and what the page is called."""

import json
from pathlib import Path

import pytest

from labkit.cli import main
from labkit.commands.report import short_names
from labkit.errors import LabkitError

BOX = {"image_id": 1, "category_id": 1, "bbox": [2, 2, 10, 10]}


@pytest.fixture
def files(tmp_path):
    """truth.json and two results, a/found.json and b/found.json."""
    truth = {
        "images": [{"id": 1, "height": 20, "width": 20}],
        "annotations": [BOX],
        "categories": [{"id": 1, "name": "cell"}],
    }
    (tmp_path / "truth.json").write_text(json.dumps(truth))
    for folder, score in (("a", 0.9), ("b", 0.4)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "found.json").write_text(json.dumps([{**BOX, "score": score}]))
    return tmp_path


def test_files_of_results_side_by_side(files, capsys):
    results = [str(files / folder / "found.json") for folder in "ab"]
    out = files / "page.html"
    options = ["--annotations", str(files / "truth.json"), "--out", str(out), "--title", "A & B"]
    assert main(["report", *results, *options]) == 0
    page = out.read_text(encoding="utf-8")
    assert "A &amp; B</h1>" in page and "a/found" in page and "b/found" in page
    assert str(out) in capsys.readouterr().out


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["a/found.json"], "say on which data"),
        (["a/found.json", "a/found.json", "--annotations", "truth.json"], "named twice"),
        (["none.json", "--annotations", "truth.json"], "none.json: there is no such file"),
        (["a/found.json", "--annotations", "none.json"], "none.json: there is no such file"),
        (["runs/x", "--annotations", "truth.json"], "--images"),
        (["a/found.json", "--annotations", "truth.json", "--data", "shapes"], "leave out --data"),
        (["a/found.json", "--annotations", "truth.json", "--split", "val"], "and --split"),
    ],
)
def test_mistakes_are_one_sentence(files, capsys, monkeypatch, argv, message):
    monkeypatch.chdir(files)
    assert main(["report", *argv, "--out", "page.html"]) == 2
    assert message in capsys.readouterr().err
    assert not Path("page.html").exists()


def test_runs_are_named_by_the_shortest_ends_that_tell_them_apart():
    assert short_names(["runs/first", "runs/second/"]) == ["first", "second"]
    assert short_names(["x/run", "y/run"]) == ["x/run", "y/run"]
    assert short_names(["a/found.json", "b.json"]) == ["found", "b"]
    with pytest.raises(LabkitError, match="named twice"):
        short_names(["runs/a", "runs/../runs/a"])


def test_a_run_and_its_file_of_results_are_two_sources():
    assert short_names(["runs/a", "runs/a.json"]) == ["a", "a.json"]
    assert short_names(["runs/a.json", "b.json", "runs/a"]) == ["a.json", "b", "a"]
    assert short_names(["x/a.json", "y/a"]) == ["x/a", "y/a"]
    with pytest.raises(LabkitError, match="named twice"):
        short_names(["runs/a.json", "runs/a", "runs/../runs/a.json"])


def test_the_folder_of_the_page_is_made_or_refused_before_the_work(files, capsys, monkeypatch):
    monkeypatch.chdir(files)
    argv = ["report", "a/found.json", "--annotations", "truth.json", "--out"]
    assert main([*argv, "made/on the way/page.html"]) == 0
    assert Path("made/on the way/page.html").exists()
    monkeypatch.setattr("labkit.commands.report.evaluate_results_file", None)
    assert main([*argv, "truth.json/page.html"]) == 2
    assert "truth.json" in capsys.readouterr().err
