"""`labkit info --pretrained`; what it says of a run or an installation is tested in test_cli.py."""

import json
import subprocess
import sys

import pytest

from labkit import cli
from labkit.weights.registry import PRETRAINED


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("LABKIT_CACHE", str(tmp_path))
    return tmp_path


def test_pretrained_weights_are_listed(capsys, cache):
    assert cli.main(["info", "--pretrained"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    lines = out.splitlines()
    assert [line.rstrip(":") for line in lines if not line.startswith(" ")] == list(PRETRAINED)
    for words in ("box AP: 47.4", "licence: BSD-3-Clause", "CC BY 4.0", "preset: torchvision_v1"):
        assert words in out
    assert f"  file: {cache}/weights/resnet50-0676ba61.pth" in lines
    assert "  downloaded: False" in lines


def test_pretrained_weights_as_json(capsys):
    assert cli.main(["info", "--pretrained", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert list(facts) == list(PRETRAINED) and facts["coco-r50-fpn"]["mask AP"] == 34.6


def test_a_run_and_pretrained_are_two_questions(capsys):
    assert cli.main(["info", "runs/x", "--pretrained"]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and "not both" in err


@pytest.mark.parametrize("options", [[], ["--pretrained"]])
def test_the_lists_are_there_at_once(options):
    code = (
        "import sys; from labkit import cli\n"
        f"cli.main({['info', *options]})\n"
        "sys.exit('tensorflow' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
