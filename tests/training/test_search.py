"""Hyperband: its rounds, its result, going on after an interruption."""

import json
import os
import socket
import subprocess
import sys
import textwrap

import numpy as np
import pytest

import labkit
from labkit.data import shapes
from labkit.errors import LabkitError
from labkit.training import History
from labkit.training import search as module
from labkit.training.search import SPACE, Trial, search

pytest.importorskip("keras_tuner")


@pytest.fixture
def measured(monkeypatch):
    """In place of trainings: the better the nearer the learning rate is to 3e-3; all are noted."""
    calls = []

    def score(dataset, validation, run_dir, config, settings, metric):
        calls.append((run_dir.name, settings))
        return 1 / (1 + abs(settings.learning_rate / 3e-3 - 1)) + settings.steps * 1e-6

    monkeypatch.setattr(module, "_score", score)
    return calls


def test_the_better_go_on_longer(measured, tmp_path, capsys):
    result = search(None, None, tmp_path, None, shortest=10, longest=90, factor=3)
    steps = [settings.steps for _, settings in measured]
    assert set(steps) == {10, 30, 90} and steps.count(10) > steps.count(90)
    # Of those that began short, a third went on: and the best of them is the best of all.
    assert result.trials == sorted(result.trials, key=lambda t: -t.score)
    assert result.best.learning_rate == result.trials[0].values["learning_rate"]
    assert all(
        SPACE["learning_rate"][0] <= t.values["learning_rate"] <= SPACE["learning_rate"][1]
        for t in result.trials
    )
    promoted = [s.learning_rate for _, s in measured if s.steps == 30]
    assert len(promoted) == len(set(promoted))
    assert "segm_AP" in str(result) and "learning_rate" in str(result)
    assert capsys.readouterr().out.count("trial ") == len(measured)


def test_the_same_seed_tries_the_same(measured, tmp_path):
    rates = []
    for name in "ab":
        search(None, None, tmp_path / name, None, shortest=10, longest=30, verbose=False)
        rates.append([s.learning_rate for _, s in measured])
        measured.clear()
    assert rates[0] == rates[1]


def test_a_finished_search_is_read_again(measured, tmp_path):
    first = search(None, None, tmp_path, None, shortest=10, longest=30, verbose=False)
    count = len(measured)
    again = search(None, None, tmp_path, None, shortest=10, longest=30, verbose=False)
    assert len(measured) == count and again.best == first.best


PROGRAM = """
    import json, sys, time

    from labkit.training import search as module

    mine = []

    def score(dataset, validation, run_dir, config, settings, metric):
        mine.append(run_dir.name)
        time.sleep(0.1)
        return 1 / (1 + abs(settings.learning_rate / 3e-3 - 1))

    module._score = score
    result = module.search(None, None, sys.argv[1], None, shortest=10, longest=30, verbose=False)
    print(json.dumps([mine, [t.name for t in result.trials], result.best.learning_rate]))
"""


@pytest.mark.slow
def test_a_chief_hands_out_and_workers_train(tmp_path):
    """keras-tuner's own way to share a search: three processes, one folder."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    where = {"KERASTUNER_ORACLE_IP": "localhost", "KERASTUNER_ORACLE_PORT": str(port)}
    command = [sys.executable, "-c", textwrap.dedent(PROGRAM), str(tmp_path)]
    processes = [
        subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | where | {"KERASTUNER_TUNER_ID": name},
        )
        for name in ("chief", "worker0", "worker1")
    ]
    try:
        told = [process.communicate(timeout=200) for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0, 0, 0], told
    (idle, every, best), *workers = (json.loads(out.splitlines()[-1]) for out, _ in told)
    assert idle == [] and all(done for done, *_ in workers)
    assert sorted(workers[0][0] + workers[1][0]) == sorted(every)
    assert workers[0][2] == best or workers[1][2] == best


def test_sgd_searches_its_momentum_too(measured, tmp_path):
    settings = labkit.TrainSettings(optimizer="sgd")
    search(None, None, tmp_path, None, settings, shortest=10, longest=30, verbose=False)
    assert len({s.momentum for _, s in measured}) > 1


def test_a_field_that_does_not_exist_is_refused(tmp_path):
    with pytest.raises(LabkitError, match="no field 'rate'"):
        search(None, None, tmp_path, None, space={"rate": (1, 2, "linear")})


def test_one_real_trial(tmp_path):
    data = labkit.shapes(8, size=64, seed=0)
    config = labkit.Config.preset(
        "tiny", image_min_side=64, image_max_side=64, max_instances=data.max_instances
    )
    settings = labkit.TrainSettings.preset("tiny", batch_size=2, canvas=(64, 64))
    result = search(data, data, tmp_path, config, settings, shortest=2, longest=2, verbose=False)
    assert all(isinstance(t, Trial) and t.steps == 2 and 0 <= t.score <= 1 for t in result.trials)
    assert (tmp_path / "runs" / result.trials[0].name / "model.weights.h5").exists()


def test_every_trial_begins_with_the_same_weights(micro_config):
    fresh = module._Fresh(micro_config, shapes(1, 64, seed=0))
    first = fresh()
    before = first.get_weights()
    first.set_weights([w + 1 for w in before])
    assert fresh() is first
    for was, now in zip(before, first.get_weights(), strict=True):
        np.testing.assert_array_equal(was, now)


@pytest.mark.slow
def test_trials_know_nothing_of_one_another(micro_config, tmp_path):
    """The same settings lose the same, bit for bit, though another training lies between.

    In a process of its own, for deterministic operations stay so to its end. Without them sums
    round as threads come, and the signs of Adam's first step make 1e-7 into 1e-2.
    """
    program = """
        import json
        import sys
        from pathlib import Path
        import labkit
        from labkit.training import search

        folder, config = Path(sys.argv[1]), labkit.Config.from_dict(json.loads(sys.argv[2]))
        data = labkit.shapes(4, 64, seed=0)
        fresh = search._Fresh(config, data)
        settings = labkit.TrainSettings(steps=3, batch_size=2, canvas=(64, 64), warmup_steps=0,
                                        deterministic=True)
        for name, rate in (("a", 1e-3), ("b", 1e-2), ("again", 1e-3)):
            settings = settings.replace(learning_rate=rate)
            search._score(data, data, folder / name, fresh, settings, "segm_AP")
    """
    command = [sys.executable, "-c", textwrap.dedent(program), str(tmp_path)]
    done = subprocess.run([*command, micro_config.to_json()], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    losses = {name: History.load(tmp_path / name)["total"] for name in ("a", "b", "again")}
    assert losses["again"] == losses["a"]
    assert abs(losses["b"][-1] - losses["a"][-1]) > 1e-3
