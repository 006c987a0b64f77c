"""`labkit evaluate`: what AP is measured at."""

import json
from pathlib import Path

import pytest

from labkit.cli import main

GOLDEN = Path(__file__).parents[1] / "golden"
FILES = [
    "--annotations",
    str(GOLDEN / "coco_edge_gt.json"),
    "--results",
    str(GOLDEN / "coco_edge_dt.json"),
]


def test_iou_thresholds_and_areas_by_option(capsys):
    options = ["--iou-thresholds", "0.3,0.5", "--area", "tiny=0-400", "--area", "huge=40000-"]
    assert main(["evaluate", *FILES, *options, "--json"]) == 0
    numbers = json.loads(capsys.readouterr().out)
    assert list(numbers["by_iou"]["segm"]) == ["AP30", "AP50"]
    assert {"APtiny", "APhuge", "ARtiny"} <= set(numbers["bbox"]) and "APs" not in numbers["bbox"]


def test_by_default_they_are_cocos(capsys):
    assert main(["evaluate", *FILES, "--json"]) == 0
    numbers = json.loads(capsys.readouterr().out)
    assert len(numbers["bbox"]) == 12 and len(numbers["by_iou"]["bbox"]) == 10


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--area", "tiny=0-4", "--area", "tiny=4-9"], "same name"),
        (["--iou-thresholds", "0"], "above 0"),
    ],
)
def test_mistakes_are_one_sentence(capsys, options, message):
    assert main(["evaluate", *FILES, *options]) == 2
    assert message in capsys.readouterr().err


def test_the_results_folder_is_made_after_the_numbers_are_printed(capsys, tmp_path):
    results = tmp_path / "made" / "results.json"
    assert main(["evaluate", *FILES, "--save-results", str(results)]) == 0
    assert json.loads(results.read_text())
    (tmp_path / "file").touch()
    assert main(["evaluate", *FILES, "--save-results", str(tmp_path / "file" / "r.json")]) == 2
    out, err = capsys.readouterr()
    assert out.count("the COCO score") == 2 and err.count("\n") == 1
