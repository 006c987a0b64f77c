"""`labkit demo`: a training from start to figures, and a folder that is not its own."""

import json

import pytest

from labkit import cli
from labkit.commands.demo import remove_earlier_demo
from labkit.errors import LabkitError


def test_only_an_earlier_demo_is_replaced(tmp_path, capsys):
    out = tmp_path / "demo"
    remove_earlier_demo(out)
    (out / "figures").mkdir(parents=True)
    for name in ("run.json", "history.csv", "model.weights.h5.part"):
        (out / name).write_text("earlier")
    (out / "notes.txt").write_text("mine")
    assert cli.main(["demo", "--out", str(out)]) == 2
    assert "holds notes.txt, which no demo wrote" in capsys.readouterr().err
    with pytest.raises(LabkitError, match=r"notes\.txt"):
        remove_earlier_demo(out)
    assert (out / "run.json").exists()
    (out / "notes.txt").unlink()
    remove_earlier_demo(out)
    assert not out.exists()


@pytest.mark.slow  # a model is built, trained and measured
def test_a_demo_can_be_repeated(tmp_path, capsys):
    argv = ["demo", "--out", str(tmp_path / "demo"), "--steps", "1", "--images", "8"]
    for _ in range(2):
        assert cli.main([*argv, "--unseen", "3"]) == 0
        assert "Measuring it on 3 pictures" in capsys.readouterr().out
    metrics = json.loads((tmp_path / "demo" / "metrics.json").read_text())
    assert metrics["images"] == 3 and metrics["steps"] == 1
    assert (tmp_path / "demo" / "figures" / "losses.png").exists()
