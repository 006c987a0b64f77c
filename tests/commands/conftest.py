"""`labkit train` without a training: what it would be started with."""

import pytest

from labkit import cli, training
from labkit.training.record import prepare_run, run_record


@pytest.fixture
def asked(monkeypatch, tmp_path):
    """The (data, settings, model)s that `training.train` is called with.

    Instead of training, it opens the run and remembers.
    """
    monkeypatch.chdir(tmp_path)
    calls = []

    def train(model, dataset, run_dir, settings, *, validation, resume, callbacks, **_):
        prepare_run(run_dir, run_record(model, dataset, settings, validation), resume)
        for callback in callbacks:
            callback.on_train_begin()
        calls.append((dataset, settings, model))
        raise KeyboardInterrupt  # stopped before the first checkpoint

    monkeypatch.setattr(training, "train", train)
    return calls


@pytest.fixture
def train(asked, capsys):
    """Runs `labkit train --run r` with options; returns what it said on stderr."""

    def command(options: str) -> str:
        status = cli.main(["train", "--run", "r", *options.split()])
        err = capsys.readouterr().err
        if "stopped by Ctrl-C" in err:
            return ""
        assert status == 2 and err.count("\n") == 1
        return err

    return command
