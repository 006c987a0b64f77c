"""One process needs no peers; several that cannot find one another are told why in a sentence."""

import pytest
import tensorflow as tf

from labkit.cli import main
from labkit.errors import LabkitError
from labkit.models.mask_rcnn import MaskRCNN
from labkit.training import TrainSettings
from labkit.training.distribution import Team, make_strategy


def test_one_process_is_a_team_of_one(micro_config):
    team = Team(MaskRCNN(micro_config, ["a"]))
    assert (team.alone, team.chief, team.workers, team.replicas) == (True, True, 1, 1)
    assert team.gather({"a": 1}) == [{"a": 1}]
    assert team.any(True) and not team.any(False)
    assert team.record() == {}
    team.check(TrainSettings(batch_size=1))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (None, "TF_CONFIG is not set"),
        ("{", "TF_CONFIG does not say"),
        ("[]", "TF_CONFIG does not say"),
        ('{"cluster": {"worker": ["a:1"]}}', "'task'"),
        ('{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 1}}', "IndexError"),
        ('{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 0}}', "too late"),
    ],
)
def test_workers_must_know_one_another(text, sentence, monkeypatch):
    tf.zeros([])  # TensorFlow has begun to compute
    if text is None:
        monkeypatch.delenv("TF_CONFIG", raising=False)
    else:
        monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(LabkitError, match=sentence):
        make_strategy("workers")


def test_an_unknown_kind_is_refused():
    with pytest.raises(LabkitError, match="there is no 'horovod'; there are: mirrored, workers"):
        make_strategy("horovod")


def test_the_command_line_says_it_in_one_sentence(monkeypatch, tmp_path, capsys):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    command = ["train", "--data", "shapes", "--run", str(tmp_path / "run")]
    assert main([*command, "--distribute", "workers"]) == 2
    assert capsys.readouterr().err.startswith("labkit train: TF_CONFIG is not set")
    assert not (tmp_path / "run").exists()
