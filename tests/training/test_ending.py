"""A run that is stopped, or cannot go on, ends at once with a checkpoint and a sentence."""

import errno
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from types import SimpleNamespace

import h5py
import keras
import pytest
from toy_detector import ToyConfig

from labkit.data import CocoDataset, shapes
from labkit.data.cache import fingerprint
from labkit.errors import LabkitError, Stopped
from labkit.io.data_files import read_json, write_json
from labkit.models.registry import DETECTORS, Entry, build_detector
from labkit.training import History, TrainSettings, train
from labkit.training.checkpoints import save_checkpoint
from labkit.training.resuming import open_run
from labkit.training.run_lock import only_one
from labkit.training.stop_request import StopRequest
from labkit.weights.runs import checkpoints_of, damage_of, load_model, read_run, state_of

SETTINGS = TrainSettings(
    steps=4, batch_size=2, canvas=(64, 64), warmup_steps=0, checkpoint_every=2, checkpoints_kept=9
)


@pytest.fixture(scope="module", autouse=True)
def toy():
    """A detector whose step is traced in a second."""
    with pytest.MonkeyPatch.context() as patch:
        entry = Entry("toy_detector:ToyConfig", "toy_detector:ToyDetector")
        patch.setitem(DETECTORS, "toy", entry)
        yield


@pytest.fixture(scope="module")
def data():
    return shapes(5, 64, seed=3)


@pytest.fixture(scope="module")
def model(data, toy):
    return build_detector(ToyConfig(), data.class_names)


@pytest.fixture(scope="module")
def finished(data, model, tmp_path_factory):
    """A complete run with checkpoints of steps 2 and 4."""
    folder = tmp_path_factory.mktemp("runs") / "finished"
    train(model, data, folder, SETTINGS, verbose=False)
    return folder


@pytest.fixture
def run(finished, tmp_path):
    return Path(shutil.copytree(finished, tmp_path / "run"))


class At(keras.callbacks.Callback):
    """Does something after a step, counted from 1 in every fit."""

    def __init__(self, step, act):
        super().__init__()
        self.step, self.act = step, act

    def on_train_batch_end(self, batch, logs=None):
        if batch + 1 == self.step:
            self.act()


def send(number):
    os.kill(os.getpid(), number)


def newest(run) -> int:
    return state_of(checkpoints_of(run)[-1])["step"]


# --- Ctrl-C and SIGTERM -----------------------------------------------------------------


@pytest.fixture(autouse=True)
def heard():
    """Python's own handler of Ctrl-C, which a shell's background jobs lack."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.skipif(os.name == "nt", reason="Windows sends no signals to itself")
@pytest.mark.parametrize(
    "number, name, status", [(signal.SIGINT, "Ctrl-C", 130), (signal.SIGTERM, "SIGTERM", 143)]
)
def test_a_signal_ends_the_run_after_its_step(number, name, status, data, model, tmp_path):
    before = signal.getsignal(number)
    stopper = At(3, lambda: send(number))
    with pytest.raises(Stopped) as stopped:
        train(model, data, tmp_path, SETTINGS, verbose=False, callbacks=[stopper])
    assert stopped.value.status == status
    assert str(stopped.value) == (
        f"Stopped by {name} after step 3. The checkpoint of step 3 is saved: go on with --resume "
        "(or resume=True)."
    )
    assert newest(tmp_path) == 3 and signal.getsignal(number) is before
    if number == signal.SIGINT:
        again = train(model, data, tmp_path, SETTINGS, resume=True, verbose=False)
        assert again["step"] == [1, 2, 3, 4]


@pytest.mark.skipif(os.name == "nt", reason="Windows sends no signals to itself")
def test_a_validation_is_broken_off_and_made_up_for(data, model, tmp_path, monkeypatch):
    """Measuring may take an hour; the checkpoint does not wait for it."""

    def endless(*_, **__):
        send(signal.SIGINT)
        time.sleep(60)  # seconds: a signal that is not heard fails the test

    settings = SETTINGS.replace(steps=3, validate_every=2)
    monkeypatch.setattr(sys.modules[train.__module__], "evaluate", endless)
    with pytest.raises(Stopped, match="after step 2"):
        train(model, data, tmp_path, settings, validation=data[:2], verbose=False)
    scores = {"AP": 0.5, "AP50": 0.5}
    found = SimpleNamespace(bbox=scores, segm=scores, results=[])
    monkeypatch.setattr(sys.modules[train.__module__], "evaluate", lambda *_, **__: found)
    history = train(
        model, data, tmp_path, settings, validation=data[:2], resume=True, verbose=False
    )
    assert [row["step"] for row in history.validation] == [2]
    assert history["step"] == [1, 2, 3]


@pytest.mark.skipif(os.name == "nt", reason="Windows sends no signals to itself")
def test_a_second_signal_does_what_it_did_before(capsys):
    heard = []
    before = signal.signal(signal.SIGTERM, lambda *_: heard.append("second"))
    try:
        with StopRequest() as stop:
            assert not stop and stop.unless_stopped(lambda: 7) == 7
            send(signal.SIGTERM)
            assert stop and not heard
            assert stop.unless_stopped(lambda: 7) is None
            send(signal.SIGTERM)
            assert heard == ["second"]
    finally:
        signal.signal(signal.SIGTERM, before)
    assert "a checkpoint is saved; again, and it ends at once" in capsys.readouterr().err


# --- data -------------------------------------------------------------------------------


def test_a_picture_that_vanishes_ends_the_run_with_its_name(data, model, tmp_path, monkeypatch):
    data.save_coco(tmp_path / "a.json", tmp_path / "images")
    stored = CocoDataset(tmp_path / "a.json", tmp_path / "images")
    run = tmp_path / "run"
    settings = SETTINGS.replace(steps=40)
    gone = At(1, lambda: shutil.rmtree(tmp_path / "images"))
    # nothing is kept in memory, as with more pictures than fit
    monkeypatch.setattr("labkit.data.pipeline.CACHE_BYTES", 0)
    began = time.monotonic()
    with pytest.raises(LabkitError, match=r"(?s)images.*there is no such file.*is saved: go on"):
        train(model, stored, run, settings, verbose=False, callbacks=[gone])
    assert time.monotonic() - began < 120
    assert damage_of(checkpoints_of(run)[-1]) is None and newest(run) >= 1


# --- one at a time ----------------------------------------------------------------------


def test_a_run_is_trained_by_one_process_at_a_time(data, model, run):
    with only_one(run), pytest.raises(LabkitError, match="is being trained by another process"):
        train(model, data, run, SETTINGS, resume=True, verbose=False)
    with only_one(run):  # an error frees it, too
        pass


# --- a full disk ------------------------------------------------------------------------


def no_room(*_):
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_is_a_sentence_and_leaves_no_half_checkpoint(data, model, run, monkeypatch):
    shutil.rmtree(run / "checkpoints" / "step-00000004")
    real = Path.write_bytes
    monkeypatch.setattr(
        Path,
        "write_bytes",
        lambda path, content: no_room() if path.name == "optimizer.npz" else real(path, content),
    )
    with pytest.raises(LabkitError, match="no room is left on its disk.*make room, then resume"):
        train(model, data, run, SETTINGS, resume=True, verbose=False)
    assert [path.name for path in (run / "checkpoints").iterdir()] == ["step-00000002"]
    assert damage_of(run / "checkpoints" / "step-00000002") is None
    monkeypatch.undo()
    again = train(model, data, run, SETTINGS, resume=True, verbose=False)
    assert again["step"] == [1, 2, 3, 4] and newest(run) == 4


@pytest.fixture
def small_disk(tmp_path):
    """A disk of one megabyte, where this process may mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("a small disk can be mounted as root on Linux only")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_on_a_disk_that_is_really_full(data, model, small_disk):
    """HDF5's own writing ended the process here, with a segmentation fault."""
    run, filler = small_disk / "run", small_disk / "filler"

    def fill():
        filler.write_bytes(b"x" * (shutil.disk_usage(small_disk).free - 20_000))

    with pytest.raises(LabkitError, match="no room is left on its disk"):
        train(model, data, run, SETTINGS, verbose=False, callbacks=[At(3, fill)])
    assert [path.name for path in (run / "checkpoints").iterdir()] == ["step-00000002"]
    assert damage_of(run / "checkpoints" / "step-00000002") is None
    assert not list(run.glob("*.part")) and not list(run.glob(".*.part"))
    filler.unlink()
    history = train(model, data, run, SETTINGS, resume=True, verbose=False)
    assert history["step"] == [1, 2, 3, 4] and newest(run) == 4


def test_what_a_killed_process_left_is_removed(run):
    leftovers = [
        run / "checkpoints" / ".step-00000006.part",
        run / "checkpoints" / ".step-00000002.gone",
        run / ".history.csv.123.part",
    ]
    for folder in leftovers:
        folder.mkdir()
        (folder / "half").touch()
    open_run(run, read_run(run), resume=True)
    assert not any(folder.exists() for folder in leftovers)


# --- checkpoints ------------------------------------------------------------------------


def truncated(path):
    path.write_bytes(path.read_bytes()[:-100])


def flipped(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)


def emptied(path):
    path.write_bytes(b"")


@pytest.mark.parametrize("file", ["model.weights.h5", "optimizer.npz", "state.json"])
@pytest.mark.parametrize("harm", [truncated, flipped, emptied, Path.unlink])
def test_of_a_damaged_checkpoint_the_one_before_is_used(file, harm, run, capsys):
    if (file, harm) == ("state.json", flipped):
        harm = emptied  # one letter of a checksum may be another one, and that is found below
    harm(run / "checkpoints" / "step-00000004" / file)
    opened = open_run(run, read_run(run), resume=True)
    assert opened["step"] == 2 and [row["step"] for row in opened["tables"]["rows"]] == [1, 2]
    said = capsys.readouterr().err
    assert file in said and "step-00000002 is used instead" in said
    (run / "model.weights.h5").unlink()
    load_model(run)


def test_where_all_are_damaged_that_is_said(run):
    for checkpoint in checkpoints_of(run):
        emptied(checkpoint / "model.weights.h5")
    with pytest.raises(LabkitError, match="no older checkpoint is intact"):
        open_run(run, read_run(run), resume=True)
    emptied(run / "model.weights.h5")
    with pytest.raises(LabkitError, match=r"model\.weights\.h5 is damaged or incomplete"):
        load_model(run)


def test_the_next_checkpoints_replace_the_damaged_one(data, model, run):
    """Otherwise the damaged one, as the newest, would be kept, and the intact one removed."""
    emptied(run / "checkpoints" / "step-00000004" / "state.json")
    settings = SETTINGS.replace(checkpoints_kept=1, checkpoint_every=1)
    history = train(model, data, run, settings, resume=True, verbose=False)
    assert history["step"] == [1, 2, 3, 4]
    (only,) = checkpoints_of(run)
    assert damage_of(only) is None and only.name == "step-00000004"


def test_weights_have_no_optimizer_in_them(run):
    for path in (run / "model.weights.h5", *run.glob("checkpoints/*/model.weights.h5")):
        with h5py.File(path) as file:
            names = []
            file.visit(names.append)
        assert any("conv2d" in name for name in names)
        assert not any("optimizer" in name for name in names)


def test_an_unsaved_checkpoint_changes_nothing(model, run, monkeypatch):
    monkeypatch.setattr("labkit.training.checkpoints._write", no_room)
    with pytest.raises(OSError):
        save_checkpoint(model, run, 4, keep=1)
    assert [p.name for p in checkpoints_of(run)] == ["step-00000002", "step-00000004"]


# --- data that were changed -------------------------------------------------------------


def test_a_moved_box_is_noticed_and_a_moved_folder_is_not(data, tmp_path):
    def recorded(folder):
        return fingerprint(CocoDataset(folder / "a.json", folder / "images")[1:], places=False)

    (tmp_path / "one").mkdir()
    data.save_coco(tmp_path / "one" / "a.json", tmp_path / "one" / "images")
    first = recorded(tmp_path / "one")
    shutil.move(tmp_path / "one", tmp_path / "two")
    assert recorded(tmp_path / "two") == first
    content = read_json(tmp_path / "two" / "a.json")
    content["annotations"][-1]["bbox"][0] += 1
    write_json(tmp_path / "two" / "a.json", content)
    assert recorded(tmp_path / "two") != first


@pytest.mark.parametrize("was, notes", [("other", 1), (None, 0)])  # an older labkit wrote none
def test_a_resumed_run_says_that_its_data_have_changed(was, notes, run, capsys):
    record = read_run(run)
    stored = record | {"data": was} if was else {k: v for k, v in record.items() if k != "data"}
    write_json(run / "run.json", stored)
    open_run(run, record, resume=True)
    assert capsys.readouterr().err.count("Note: the data are not what") == notes
    assert read_run(run)["data"] == record["data"]


# --- history ----------------------------------------------------------------------------


def harmed(path, harm):
    lines = path.read_text().splitlines(keepends=True)
    return {
        "missing": path.unlink,
        "shorter": lambda: path.write_text("".join(lines[:2])),
        "longer": lambda: path.write_text("".join([*lines, lines[-1].replace("4", "5", 1)])),
        "garbled": lambda: path.write_text("".join([*lines[:3], "\0\0,ä", *lines[3:]])),
        "repeated": lambda: path.write_text("".join([*lines, *lines[2:]])),
        "zeros": lambda: path.write_bytes(b"\0" * 100),
    }[harm]()


@pytest.mark.parametrize(
    "harm, steps, sentence",
    [
        ("missing", [], "lacks 4 of the 4 steps"),
        ("shorter", [1], "lacks 3 of the 4 steps"),
        ("longer", [1, 2, 3, 4], ""),
        ("garbled", [1, 2], "is damaged from line 4 on; the 2 rows before are kept"),
        ("repeated", [1, 2, 3, 4], "is damaged from line 6 on; the 4 rows before are kept"),
        ("zeros", [], "lacks 4 of the 4 steps"),
    ],
)
def test_a_run_begins_where_its_checkpoint_is_whatever_history_says(
    harm, steps, sentence, run, capsys
):
    harmed(run / "history.csv", harm)
    opened = open_run(run, read_run(run), resume=True)
    assert opened["step"] == 4 and [row["step"] for row in opened["tables"]["rows"]] == steps
    assert sentence in capsys.readouterr().err


def test_a_run_goes_on_without_its_history(data, model, run, capsys):
    shutil.rmtree(run / "checkpoints" / "step-00000004")
    (run / "history.csv").unlink()
    history = train(model, data, run, SETTINGS, resume=True, verbose=False)
    assert history["step"] == [3, 4] and newest(run) == 4


def test_a_garbled_history_is_a_sentence_to_whoever_reads_it(run):
    harmed(run / "history.csv", "garbled")
    with pytest.raises(LabkitError, match=r"history\.csv is damaged from line 4 on"):
        History.load(run)


# --- processes of their own -------------------------------------------------------------

PROGRAM = """
    import shutil, sys
    from pathlib import Path
    import keras
    from labkit import cli, training
    from labkit.data import pipeline
    from labkit.models.config import Config

    pipeline.CACHE_BYTES = 0
    folder, train = Path(sys.argv[1]), training.train

    class Gone(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            shutil.rmtree(folder / "images", ignore_errors=True)

    training.train = lambda *args, callbacks=(), **options: train(
        *args, callbacks=[*callbacks, Gone()], **options)
    sys.exit(cli.main(["train", "--annotations", str(folder / "a.json"), "--images",
                       str(folder / "images"), "--run", str(folder / "run"), "--steps", "50",
                       "--image-size", "64", "--batch-size", "2", "--backbone-weights", "none"]))
"""


@pytest.mark.slow
def test_a_process_whose_pictures_are_all_gone_ends(data, tmp_path):
    """It hung in five of seven tries: TensorFlow's workers and Python waited for each other."""
    data.save_coco(tmp_path / "a.json", tmp_path / "images")
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(PROGRAM), str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 2
    assert "there is no such file" in done.stderr and "is saved: go on" in done.stderr
    assert "Traceback" not in done.stderr
