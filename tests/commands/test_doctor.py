"""`labkit doctor`: findings become words, JSON and an exit status."""

import json

from labkit import cli
from labkit.training import History, TrainSettings
from labkit.training.checkpoints import save_run


def written(folder, loss_at_end: float) -> None:
    """A run of 100 steps whose loss goes from 3 to a number, all classes of the data in it."""
    losses = [3.0 + (loss_at_end - 3.0) * i / 99 for i in range(100)]
    rows = [
        {
            "step": i,
            "stage": 1,
            "lr": 1e-3,
            "total": total,
            "objectness": total / 2,
            "rpn_box": 0.0,
            "class": total / 2,
            "box": 0.0,
            "mask": 0.0,
        }
        for i, total in enumerate(losses, 1)
    ]
    History(rows).save(folder)
    save_run(
        folder,
        {
            "config": {"loss_weights": [1, 1, 1, 1, 1]},
            "class_names": ["a"],
            "settings": TrainSettings(steps=100).to_dict(),
            "images": 9,
        },
    )


def test_a_finding_is_printed_and_the_status_says_so(tmp_path, capsys):
    written(tmp_path, 3.0)
    assert cli.main(["doctor", str(tmp_path)]) == 1
    out = capsys.readouterr().out
    assert "1 finding" in out and "the loss never falls" in out and "remedy:" in out
    assert cli.main(["doctor", str(tmp_path), "--json"]) == 1
    (finding,) = json.loads(capsys.readouterr().out)["findings"]
    assert finding["name"] == "the loss never falls"


def test_a_healthy_run(tmp_path, capsys):
    written(tmp_path, 0.5)
    assert cli.main(["doctor", str(tmp_path)]) == 0
    assert "no finding" in capsys.readouterr().out


def test_no_run_is_one_sentence(tmp_path, capsys):
    assert cli.main(["doctor", str(tmp_path / "nothing")]) == 2
    assert "run.json does not exist" in capsys.readouterr().err
