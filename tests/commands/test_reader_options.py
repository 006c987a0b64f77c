"""What readers take, every command that takes files takes too."""

import argparse
import inspect
import json

import numpy as np
import pytest
from PIL import Image

from labkit.cli import build_parser, main
from labkit.commands.reader_options import READER_OPTIONS, add_reader_options
from labkit.commands.run_data import data_options, remember
from labkit.commands.sources import training_data
from labkit.data.readers.formats import READERS

ELSEWHERE = {"images", "strict", "split", "label"}  # options of load_dataset, or of no person


def keyword_arguments(reader) -> set[str]:
    parameters = inspect.signature(reader).parameters.values()
    return {p.name for p in parameters if p.kind is p.KEYWORD_ONLY}


def test_every_argument_of_a_reader_is_an_option():
    known = set().union(*map(keyword_arguments, READERS.values())) - ELSEWHERE
    assert {option.name for option in READER_OPTIONS} == known | {"format"}


def test_what_was_given_is_kept_by_name():
    parser = argparse.ArgumentParser()
    add_reader_options(parser)
    assert parser.parse_args([]).reader == {}
    words = "--format via --class-attribute kind --class-names a,b --void 255,7 --background 3"
    args = parser.parse_args([*words.split(), "--boxes-as-masks", "--connected-components"])
    assert args.reader == {
        "format": "via",
        "class_attribute": "kind",
        "class_names": ["a", "b"],
        "void": [255, 7],
        "background": 3,
        "boxes_as_masks": True,
        "connected_components": True,
    }
    with pytest.raises(SystemExit):
        parser.parse_args(["--background", "x"])


@pytest.mark.parametrize(
    "command, required",
    [
        ("inspect", ["data"]),
        ("train", ["--run", "x"]),
        ("evaluate", []),
        ("report", ["--out", "x"]),
        ("find-lr", []),
    ],
)
def test_all_commands_have_them(command, required):
    args = build_parser().parse_args([command, *required, "--format", "yolo", "--colour-coded"])
    assert args.reader == {"format": "yolo", "colour_coded": True}


@pytest.fixture
def via(tmp_path):
    """A picture with two region attributes, of which either may hold the class."""
    pixels = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    shape = {"name": "polygon", "all_points_x": [10, 40, 40], "all_points_y": [10, 10, 40]}
    region = {"shape_attributes": shape, "region_attributes": {"kind": "cat", "hidden": "no"}}
    entry = {"filename": "a.png", "size": 1, "regions": [region], "file_attributes": {}}
    (tmp_path / "via.json").write_text(json.dumps({"a.png1": entry}))
    return tmp_path


def test_inspect_uses_them(via, capsys):
    assert main(["inspect", str(via)]) == 2
    assert "--class-attribute NAME" in capsys.readouterr().err
    assert main(["inspect", str(via), "--class-attribute", "kind"]) == 0
    assert "cat" in capsys.readouterr().out
    options = ["--images", str(via), "--format", "via", "--class-attribute", "hidden"]
    assert main(["inspect", str(via / "via.json"), *options]) == 0
    assert "no" in capsys.readouterr().out


@pytest.mark.parametrize(
    "words, message",
    [
        (["--format", "coco"], "The format coco has no option 'class_attribute'"),
        (["--format", "cocoa"], "There is no format 'cocoa'; choose one of coco"),
        (["--connected-components"], "The format via has no option 'connected_components'"),
    ],
)
def test_what_does_not_fit_is_said(via, capsys, words, message):
    assert main(["inspect", str(via), "--class-attribute", "kind", *words]) == 2
    assert message in capsys.readouterr().err


def test_drawn_data_have_none(capsys):
    assert main(["inspect", "shapes", "--class-names", "a"]) == 2
    assert "--class-names goes with files of your own" in capsys.readouterr().err


def test_a_run_remembers_them(via, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    parse = build_parser().parse_args
    start = ["train", "--run", str(run), "--data", str(via)]
    choice = data_options(parse([*start, "--class-attribute", "kind"]), None)
    dataset, validation = training_data(choice)
    assert dataset.class_names == ("cat",) and validation is None
    remember(run, choice)
    again = data_options(parse(["train", "--run", str(run), "--resume"]), run)
    assert training_data(again)[0].class_names == ("cat",)
