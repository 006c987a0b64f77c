"""Several replicas learn what one process learns, and a lost worker costs little.

Replicas need processes of their own: the devices of a process, and who its peers are, are settled
before TensorFlow computes anything. On the loopback, with free ports; whoever hangs is killed.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest

from labkit.data import shapes
from labkit.models.mask_rcnn import MaskRCNN
from labkit.models.mask_rcnn_health import SIGNS
from labkit.models.registry import build_detector, name_of
from labkit.models.yolact import YOLACT
from labkit.ops import losses
from labkit.training import History, TrainSettings, train
from labkit.weights.runs import latest_checkpoint, load_model, read_run

# SGD, whose steps are as precise as its gradients. Adam divides by their size: the sign of what
# ought to be zero, which is the order of a sum's terms, moves a weight as far as anything does.
SETTINGS = {
    "steps": 3,
    "batch_size": 4,
    "canvas": (64, 64),
    "warmup_steps": 0,
    "checkpoint_every": 2,
    "optimizer": "sgd",
    "learning_rate": 0.02,
    # On a CPU several threads add up the gradient of crop_and_resize without a lock, and lose an
    # addition now and then (TensorFlow's issue 42033): one run in three differed by that alone.
    "deterministic": True,
}
LOSSES = ("total", *losses.LOSS_NAMES)

PROGRAM = """
    import json, sys, time

    options = json.loads(sys.argv[1])
    import keras
    import tensorflow as tf

    if options["kind"] == "mirrored":
        cpu = tf.config.list_physical_devices("CPU")[0]
        two = [tf.config.LogicalDeviceConfiguration()] * 2
        tf.config.set_logical_device_configuration(cpu, two)
    from labkit.data import shapes
    from labkit.data.pipeline import BatchPlan, Batches
    from labkit.errors import LabkitError
    from labkit.models.registry import detector_of_run
    from labkit.training import TrainSettings, train
    from labkit.training.distribution import Team, make_strategy

    strategy = make_strategy(options["kind"])
    data = shapes(5, 64, seed=3)
    with strategy.scope():
        config, detector = detector_of_run(options["model"])
        model = detector(config, data.class_names)

    def run(**changes):
        settings = TrainSettings.from_dict(options["settings"] | changes)
        pause = keras.callbacks.LambdaCallback(
            on_train_batch_end=lambda batch, logs: time.sleep(options["pause"]))
        return train(model, data, options["folder"], settings, verbose=False,
                     validation=data[:2] if settings.validate_losses_every else None,
                     resume=options["resume"], callbacks=[pause] * bool(options["pause"]))

    def refused(work):
        try:
            work()
        except LabkitError as error:
            return str(error)
        return "not refused"
"""
TRAIN = """
    history = run()
    weight = model.trainable_variables[-2].numpy()
    said = {"rows": history.rows, "vitals": history.vitals, "weight": weight.tolist(),
            "left_out": history.left_out}
    if not options["resume"]:
        said["again"] = refused(run)
    print(json.dumps(said))
"""


def start(kind: str, config, folder, body: str = TRAIN, environment=None, **options):
    """A process that runs PROGRAM and then `body`."""
    options = {
        "kind": kind,
        "model": {"detector": name_of(config), "config": config.to_dict()},
        "folder": str(folder),
        "resume": False,
        "pause": 0,
        "settings": SETTINGS,
    } | options
    program = textwrap.dedent(PROGRAM) + textwrap.dedent(body)
    return subprocess.Popen(
        [sys.executable, "-c", program, json.dumps(options)],
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | (environment or {}),
    )


def clusters(count: int) -> list[dict]:
    """What TF_CONFIG says to each of the workers on free ports of this machine, the chief first."""
    sockets = [socket.socket() for _ in range(count)]
    for s in sockets:
        s.bind(("localhost", 0))
    hosts = [f"localhost:{s.getsockname()[1]}" for s in sockets]
    for s in sockets:
        s.close()
    return [
        {"cluster": {"worker": hosts}, "task": {"type": "worker", "index": i}} for i in range(count)
    ]


def start_workers(count: int, config, folder, **options) -> list:
    """A process for each worker, the chief first."""
    return [
        start("workers", config, folder, environment={"TF_CONFIG": json.dumps(d)}, **options)
        for d in clusters(count)
    ]


def finished(processes, timeout: float = 500) -> list:
    """What each process printed; if one fails or does not end, all are killed."""
    deadline, outputs = time.monotonic() + timeout, []
    try:
        for process in processes:
            output, errors = process.communicate(timeout=max(deadline - time.monotonic(), 1))
            assert process.returncode == 0, errors[-3000:]
            outputs.append(json.loads(output.splitlines()[-1]))
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    return outputs


def trained_alone(config, folder, settings=SETTINGS):
    """(model, history) of one process without a strategy: this one."""
    data = shapes(5, 64, seed=3)
    model = build_detector(config, data.class_names)
    settings = TrainSettings.from_dict(settings)
    validation = data[:2] if settings.validate_losses_every else None
    return model, train(model, data, folder, settings, validation=validation, verbose=False)


def assert_same_losses(rows, expected, rtol=1e-5, names=LOSSES):
    # 1e-7 in the absolute: a box loss of 1e-4 is a difference of coordinates of 64 pixels, which
    # have no more digits.
    for name in (*names, "lr"):
        np.testing.assert_allclose(
            [r[name] for r in rows], [r[name] for r in expected], rtol, atol=1e-7, err_msg=name
        )


def assert_same_vitals(vitals, expected, signs=SIGNS):
    for name in (*signs, "gradient"):
        # 1e-4: the norm of a gradient is a sum of squares of many small numbers
        np.testing.assert_allclose(
            [v[name] for v in vitals], [v[name] for v in expected], 1e-4, err_msg=name
        )


# --- the same losses -------------------------------------------------------------------


def test_two_workers_lose_what_one_process_loses(micro_config, tmp_path):
    """One training in two processes: its losses, its vital signs, and who writes what."""
    workers = start_workers(2, micro_config, tmp_path / "two")
    model, alone = trained_alone(micro_config, tmp_path / "one")
    chief, other = finished(workers)
    assert_same_losses(chief["rows"], alone.rows)
    assert_same_vitals(chief["vitals"], alone.vitals)
    assert other["rows"] == chief["rows"]  # they sum the same numbers
    assert other["weight"] == chief["weight"]
    np.testing.assert_allclose(chief["weight"], model.trainable_variables[-2], 1e-4, atol=1e-6)
    assert chief["left_out"] == other["left_out"] == alone.left_out
    assert History.load(tmp_path / "two").rows == chief["rows"]
    record = read_run(tmp_path / "two")
    assert record["distribution"] == {"kind": "workers", "workers": 2, "replicas": 2}
    for found in (chief, other):  # what the chief finds in the folder, all are told
        assert "already holds a run" in found["again"]
    names = [sorted(p.name for p in (tmp_path / n).rglob("*")) for n in ("one", "two")]
    assert names[0] == names[1]


EVERYTHING = {
    "accumulate": 2,
    "steps": 4,
    "ema": 0.9,
    "clip_norm": 0.5,
    "weight_decay": 1e-3,
    "validate_losses_every": 2,
    "best_by": "total",
    "schedule": "plateau",
    "patience": 2,
    "validate_every": 4,
    "film": 1,
    "stages": [{"trains": "heads", "steps": 2}, {"trains": "all", "steps": 2}],
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["mirrored", "workers"])
def test_with_everything_that_looks_at_a_whole_batch(kind, micro_config, tmp_path):
    """Batch norm that trains, class weights, clipping, accumulation, averages, stages, plateaus.

    1e-4: Keras takes a variance over replicas as a mean of squares less the square of the mean,
    which has fewer digits than the two passes of one process. So that two proposals which are as
    good as tied cannot change places, and one of them be sampled for the other, all are sampled.
    """
    names = shapes(5, 64, seed=3).class_names
    every = 16 * 16 * 3 + 8 * 8 * 3 + 4 * 4 * 3 + 2 * 2 * 3 + 3  # anchors of 64 px
    config = micro_config.replace(
        heads_batch_norm=True,
        box_convs=(8,),
        rpn_nms_iou=1.0,
        proposals_before_nms_train=every,
        proposals_train=every,
        roi_samples=every + 16,
        class_weights=(0.5, *range(1, len(names) + 1)),
    )
    settings = SETTINGS | EVERYTHING
    started = {
        "mirrored": lambda: [start("mirrored", config, tmp_path / "two", settings=settings)],
        "workers": lambda: start_workers(2, config, tmp_path / "two", settings=settings),
    }
    processes = started[kind]()
    model, alone = trained_alone(config, tmp_path / "one", settings)
    assert_same_losses(finished(processes)[0]["rows"], alone.rows, rtol=1e-4)
    found = History.load(tmp_path / "two")
    assert_same_losses(found.rows, alone.rows, rtol=1e-4)
    for row, expected in zip(found.validation_losses, alone.validation_losses, strict=True):
        np.testing.assert_allclose(row["total"], expected["total"], 1e-4)
    assert [row["step"] for row in found.validation] == [4]
    names = [sorted(p.name for p in (tmp_path / n).rglob("*")) for n in ("one", "two")]
    assert names[0] == names[1]
    for which in ("last", "best"):
        stored = load_model(tmp_path / "two", which)
        expected = load_model(tmp_path / "one", which)
        for mine, theirs in zip(stored.weights, expected.weights, strict=True):
            np.testing.assert_allclose(
                mine.numpy(), theirs.numpy(), 1e-3, atol=1e-5, err_msg=mine.path
            )


@pytest.mark.slow
def test_two_devices_lose_what_one_process_loses(micro_config, tmp_path):
    process = start("mirrored", micro_config, tmp_path / "two")
    _, alone = trained_alone(micro_config, tmp_path / "one")
    (found,) = finished([process])
    assert_same_losses(found["rows"], alone.rows)
    assert_same_vitals(found["vitals"], alone.vitals)
    record = read_run(tmp_path / "two")
    assert record["distribution"] == {"kind": "mirrored", "workers": 1, "replicas": 2}


@pytest.mark.slow
def test_yolact_on_two_devices_loses_what_one_process_loses(micro_yolact, tmp_path):
    process = start("mirrored", micro_yolact, tmp_path / "two")
    _, alone = trained_alone(micro_yolact, tmp_path / "one")
    (found,) = finished([process])
    assert_same_losses(found["rows"], alone.rows, names=("total", *YOLACT.LOSSES))
    assert_same_vitals(found["vitals"], alone.vitals, signs=YOLACT.SIGNS)


REFUSED = """
    def priority():
        return model.priority([2, 5], 3, 0)

    mine = strategy.gather(strategy.run(priority), axis=0).numpy()
    said = {"priority": mine.tolist(),
            "odd": refused(lambda: run(batch_size=3)), "small": refused(lambda: run(batch_size=1))}
    with strategy.scope():
        said["inside"] = refused(run)
        model.compile("sgd")
    batches = Batches(data, model.config, BatchPlan(4, (64, 64))).tf_dataset(1)
    said["fit"] = refused(lambda: model.fit(batches, verbose=0))
    print(json.dumps(said))
"""


def test_what_cannot_be_shared_is_refused_and_samples_are_rows(micro_config, tmp_path):
    (found,) = finished([start("mirrored", micro_config, tmp_path / "run", REFUSED)])
    assert found["odd"] == (
        "batch_size is 3, of all 2 replicas together: make it a multiple of 2, so that each gets "
        "the same share."
    )
    assert found["small"].startswith("batch_size is 1, of all 2 replicas together")
    assert "outside of `with strategy.scope():`" in found["inside"]
    assert "MaskRCNN.fit: Keras would take each replica's losses" in found["fit"]
    assert not (tmp_path / "run").exists()
    whole = MaskRCNN(micro_config, ["a"]).priority([4, 5], 3, 0)
    np.testing.assert_array_equal(np.float32(found["priority"]), whole.numpy())


@pytest.mark.slow
def test_two_workers_of_the_command_line_leave_one_run(tmp_path):
    """`labkit train --distribute workers`, started twice: the chief tells and writes."""
    folder = tmp_path / "run"
    program = "import sys; from labkit.cli import main; sys.exit(main(sys.argv[1:]))"
    command = [
        sys.executable,
        "-c",
        program,
        "train",
        "--distribute",
        "workers",
        "--data",
        "shapes",
        "--steps",
        "3",
        "--batch-size",
        "2",
        "--run",
        str(folder),
    ]
    workers = [
        subprocess.Popen(
            command,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=os.environ | {"TF_CONFIG": json.dumps(described)},
        )
        for described in clusters(2)
    ]
    try:
        told = [worker.communicate(timeout=500) for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
    assert [worker.returncode for worker in workers] == [0, 0], told[0][1][-2000:]
    assert "3 steps of 2" in told[0][0] and "AP" in told[0][0]
    assert "steps" not in told[1][0]
    assert read_run(folder)["distribution"]["workers"] == 2
    assert len(History.load(folder).rows) == 3
    assert load_model(folder).class_names


# --- a worker that dies ----------------------------------------------------------------


KILLED = SETTINGS | {"steps": 9, "checkpoint_every": 3, "deterministic": True}


@pytest.fixture(scope="module")
def undisturbed(micro_config, tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    return finished(start_workers(2, micro_config, folder, settings=KILLED))[0]["rows"]


@pytest.mark.slow
@pytest.mark.parametrize("victim", [1, 0])  # the chief may die, too
def test_a_killed_worker_costs_the_steps_since_the_checkpoint(
    victim, undisturbed, micro_config, tmp_path
):
    """SIGKILL for one; the other ends in a sentence; both come back and go on as if nothing was."""
    workers = start_workers(2, micro_config, tmp_path, settings=KILLED, pause=0.3)
    survivor = workers[1 - victim]
    try:
        deadline = time.monotonic() + 400
        while not latest_checkpoint(tmp_path) and time.monotonic() < deadline:
            time.sleep(0.01)
        workers[victim].send_signal(signal.SIGKILL)
        _, errors = survivor.communicate(timeout=200)
    finally:
        for worker in workers:
            worker.kill()
            worker.communicate()
    assert survivor.returncode != 0
    assert "LabkitError: Another worker is gone" in errors, errors[-3000:]
    step = int(latest_checkpoint(tmp_path).name[5:])
    assert 3 <= step < 9, "the kill came before a checkpoint or after the last"
    resumed = start_workers(2, micro_config, tmp_path, settings=KILLED, resume=True)
    again = finished(resumed)[0]["rows"]
    assert [row["step"] for row in again] == list(range(1, 10))
    assert_same_losses(again, undisturbed)
    assert History.load(tmp_path).rows == again
