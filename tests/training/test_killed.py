"""kill -9 at fifty random moments of a training, each followed by a resume.

Slow: `pytest -m slow -s tests/training/test_killed.py` prints where the kills fell. LABKIT_KILLS
and LABKIT_SEED change how many there are, and when.
"""

import multiprocessing
import os
import random
import shutil
import time
from collections import Counter

import numpy as np
import pytest

from labkit.io.history import History
from labkit.weights.runs import checkpoints_of, damage_of, load_model, state_of

KILLS = int(os.environ.get("LABKIT_KILLS", "50"))
SEED = int(os.environ.get("LABKIT_SEED", "0"))
STEPS, EVERY = 60, 2
PATIENCE = 120  # seconds without a new checkpoint, after which a training counts as hanging

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.name == "nt", reason="Windows has no fork server"),
]


def trained(folder):
    """In a process of its own: the toy detector's training, resumed where it was."""
    from toy_detector import ToyConfig

    from labkit.data import shapes
    from labkit.models.registry import DETECTORS, Entry, build_detector
    from labkit.training import TrainSettings, train

    DETECTORS["toy"] = Entry("toy_detector:ToyConfig", "toy_detector:ToyDetector")
    data = shapes(5, 64, seed=3)
    settings = TrainSettings(
        steps=STEPS,
        batch_size=2,
        canvas=(64, 64),
        warmup_steps=0,
        checkpoint_every=EVERY,
        checkpoints_kept=2,
        ema=0.9,
        deterministic=True,
    )
    model = build_detector(ToyConfig(), data.class_names)
    train(model, data, folder, settings, resume=True, verbose=False)


@pytest.fixture(scope="module")
def start():
    """start(folder) starts a training; TensorFlow is imported once for all of them."""
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["labkit.training", "labkit.data", "toy_detector"])

    def started(folder):
        process = processes.Process(target=trained, args=(folder,), daemon=True)
        process.start()
        return process

    return started


def newest(folder) -> int:
    found = checkpoints_of(folder)
    return int(found[-1].name[5:]) if found else 0


def finish(process, folder) -> None:
    """Wait for the end of a training, which must go on all the time."""
    step, since = newest(folder), time.monotonic()
    while process.is_alive():
        process.join(0.2)
        if newest(folder) != step:
            step, since = newest(folder), time.monotonic()
        if time.monotonic() - since > PATIENCE:
            process.kill()
            pytest.fail(f"hangs at step {step}")
    assert process.exitcode == 0


def kill_at_random(process, folder, rng) -> str:
    """Kill a training, half of the times while it writes checkpoints; returns where it was."""
    before, deadline = newest(folder), time.monotonic() + PATIENCE
    if rng.random() < 0.2:  # anywhere in the first seconds: imports, opening, the first step
        time.sleep(rng.uniform(0, 5))
    else:
        while newest(folder) == before and process.is_alive():
            assert time.monotonic() < deadline, f"hangs at step {before}"
            time.sleep(0.001)
        time.sleep(rng.uniform(0, 0.4))
    process.kill()
    process.join()
    if process.exitcode == 0:
        return "after its end"
    hidden = [path.name for path in (folder / "checkpoints").glob(".step-*")]
    for ending, place in ((".part", "while writing"), (".gone", "while removing")):
        if any(name.endswith(ending) for name in hidden):
            return f"{place} a checkpoint"
    return "between checkpoints" if newest(folder) > before else "before the first checkpoint"


def check_whole(folder) -> None:
    """Every checkpoint that is there is intact, and so is the history."""
    for checkpoint in checkpoints_of(folder):
        assert damage_of(checkpoint) is None
        assert state_of(checkpoint)["step"] == int(checkpoint.name[5:])
    rows = History.load(folder).rows
    assert [row["step"] for row in rows] == list(range(1, len(rows) + 1))
    assert len(rows) >= newest(folder)  # the history is written first


def test_killed_at_random_moments_nothing_is_lost(start, tmp_path, monkeypatch):
    whole = tmp_path / "whole"
    finish(start(whole), whole)
    expected = History.load(whole).rows
    rng, places, steps_again, runs = random.Random(SEED), Counter(), [], 0
    while places.total() < KILLS:
        folder, runs = tmp_path / f"killed-{runs}", runs + 1
        while newest(folder) < STEPS and places.total() < KILLS:
            before = newest(folder)
            places[kill_at_random(start(folder), folder, rng)] += 1
            assert newest(folder) >= before
            if folder.exists():
                check_whole(folder)
                steps_again.append(len(History.load(folder)) - newest(folder))
        finish(start(folder), folder)
        assert History.load(folder).rows == expected  # bit for bit
        names = {path.name for path in folder.rglob("*")}
        assert not any(name.endswith((".part", ".gone")) for name in names)
        assert_same_weights(folder, whole, monkeypatch)
        shutil.rmtree(folder)
    print(f"\n{places.total()} kills in {runs} trainings: {dict(places)}; steps that were written")
    print(f"down and had to be taken again: at most {max(steps_again)}.")


def assert_same_weights(folder, whole, monkeypatch) -> None:
    from labkit.models.registry import DETECTORS, Entry

    entry = Entry("toy_detector:ToyConfig", "toy_detector:ToyDetector")
    monkeypatch.setitem(DETECTORS, "toy", entry)
    for mine, theirs in zip(load_model(folder).weights, load_model(whole).weights, strict=True):
        np.testing.assert_array_equal(mine.numpy(), theirs.numpy(), err_msg=mine.path)
