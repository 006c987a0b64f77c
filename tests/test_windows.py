"""What Windows refuses, labkit does not do: a training, its report and a download in a simulation.

Simulated is what differs there for files: a folder cannot be opened, a handle for reading cannot be
flushed, an open file can be neither renamed nor removed, and there is no module `resource`.
"""

import contextlib
import errno
import importlib.util
import io
import json
import os
import shutil
import sys
import zipfile
from pathlib import Path

import filelock
import keras
import pytest

from labkit import cli
from labkit.data import shapes
from labkit.evaluation import evaluate
from labkit.io import whole_file as files
from labkit.io.download import fetch
from labkit.io.unpack import unpack
from labkit.io.whole_file import flush_to_disk, whole_file
from labkit.models.mask_rcnn import MaskRCNN
from labkit.training import History, TrainSettings, train
from labkit.weights.pretrained import from_pretrained
from labkit.weights.runs import latest_checkpoint, load_model

GOLDEN = Path(__file__).parent / "golden"

fcntl = pytest.importorskip("fcntl")
pytestmark = pytest.mark.skipif(
    not Path("/proc/self/fd").exists(), reason="looks into /proc for open files"
)


def refuse_if_open(path) -> None:
    """Raise what Windows does if this process has a file open, or one within a folder."""
    name = os.path.realpath(path)
    for handle in os.listdir("/proc/self/fd"):
        try:
            opened = os.readlink(f"/proc/self/fd/{handle}")
        except OSError:  # that of listdir itself
            continue
        if opened == name or opened.startswith(name + os.sep):
            raise PermissionError(errno.EACCES, "Access is denied", str(path))


@pytest.fixture
def windows(monkeypatch):
    real_open, real_fsync = os.open, os.fsync

    def open_(path, flags, *args, **options):
        if os.path.isdir(path):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return real_open(path, flags, *args, **options)

    def fsync(handle):
        if fcntl.fcntl(handle, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
            raise OSError(errno.EBADF, "Bad file descriptor")
        real_fsync(handle)

    def rename(source, target):
        if os.path.exists(target):
            raise FileExistsError(errno.EEXIST, "File exists", str(source), None, str(target))
        replace(source, target)

    def replace(source, target, real=os.replace):
        refuse_if_open(source)
        refuse_if_open(target)
        if os.path.isdir(target):
            raise PermissionError(errno.EACCES, "Access is denied", str(target))
        real(source, target)

    def unlink(path, *args, real=os.unlink, **options):
        refuse_if_open(path)
        real(path, *args, **options)

    monkeypatch.setattr(shutil, "_use_fd_functions", False)  # rmtree opens no folders there
    for name, simulated in {
        "open": open_,
        "fsync": fsync,
        "rename": rename,
        "replace": replace,
        "unlink": unlink,
        "remove": unlink,
    }.items():
        monkeypatch.setattr(os, name, simulated)
    monkeypatch.setitem(sys.modules, "resource", None)
    # filelock locks with other calls there; those of this system do what the simulation refuses.
    unlocked = lambda run_dir: contextlib.nullcontext()  # noqa: E731
    monkeypatch.setattr(sys.modules["labkit.training.train"], "only_one", unlocked)


def imported_anew(name: str):
    """A copy of a module whose top level has just run."""
    spec = importlib.util.find_spec(name)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_simulation_refuses(windows, tmp_path):
    path, other = tmp_path / "a", tmp_path / "b"
    other.write_text("b")
    with path.open("w") as file, pytest.raises(PermissionError):
        other.replace(path)
    with path.open() as file, pytest.raises(OSError, match="Bad file descriptor"):
        os.fsync(file.fileno())
    with path.open(), pytest.raises(PermissionError):
        path.unlink()
    with pytest.raises(FileExistsError):
        other.rename(path)
    with pytest.raises(PermissionError):
        os.open(tmp_path, os.O_RDONLY)
    with pytest.raises(ImportError):
        import resource  # noqa: F401


class Killed(keras.callbacks.Callback):
    """Ends a run in its second step, before that is saved."""

    def on_train_batch_end(self, batch, logs=None):
        if batch == 1:
            raise KeyboardInterrupt


def test_a_training_saves_resumes_and_reports(windows, micro_config, tmp_path):
    data, run = shapes(4, 64, seed=3), tmp_path / "run"
    settings = TrainSettings(
        steps=2,
        batch_size=2,
        canvas=(64, 64),
        checkpoint_every=1,
        checkpoints_kept=1,
        validate_every=2,
        ema=0.9,
    )
    options = {"validation": data[:2], "cache": tmp_path / "cache", "verbose": False}
    with pytest.raises(KeyboardInterrupt):
        model = MaskRCNN(micro_config, data.class_names)
        train(model, data, run, settings, callbacks=[Killed()], **options)
    assert latest_checkpoint(run).name == "step-00000001"
    model = MaskRCNN(micro_config, data.class_names)
    history = train(model, data, run, settings, resume=True, **options)
    assert [path.name for path in (run / "checkpoints").iterdir()] == ["step-00000002"]
    assert history.rows == History.load(run).rows and len(history) == 2
    load_model(run, "best")
    report = imported_anew("labkit.reports.run")
    evaluation = evaluate(model, data[:2], progress=False)
    written = report.write_report(run, model, history, 1.0, data[:2], evaluation)
    assert all(path.exists() for path in written)
    metrics = json.loads((run / "metrics.json").read_text(encoding="utf-8"))
    assert "peak_rss_mb" not in metrics and metrics["steps"] == 2
    assert not list(tmp_path.rglob("*.part")) and not list(tmp_path.rglob("*.gone"))


def test_elsewhere_the_report_tells_how_much_memory_it_took():
    assert imported_anew("labkit.reports.run").peak_rss_mb() > 50


def test_an_archive_is_fetched_unpacked_and_removed(windows, tmp_path, monkeypatch):
    # filelock knows Windows by itself; here it would take the ways of Unix.
    monkeypatch.setattr(filelock, "FileLock", filelock.SoftFileLock)
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("pictures/a.txt", "a")

    class Response(io.BytesIO):
        status, headers = 200, {"ETag": '"one"'}

    def opener(request, timeout):
        return Response(archive.getvalue())

    path = fetch("https://a.invalid/a.zip", tmp_path / "a.zip", progress=False, opener=opener)
    assert (unpack(path, tmp_path / "unpacked") / "a.txt").read_text() == "a"
    path.unlink()


def test_a_file_that_is_held_for_a_moment_is_waited_for(windows, tmp_path, monkeypatch):
    """A virus scanner, or somebody who reads the table of a run that goes on."""
    path, waited = tmp_path / "history.csv", []
    path.write_text("old")
    reader = path.open()

    def sleep(seconds):
        waited.append(seconds)
        if len(waited) == 3:
            reader.close()

    monkeypatch.setattr(files.time, "sleep", sleep)
    with whole_file(path) as draft:
        draft.write_text("new")
    assert path.read_text() == "new" and len(waited) == 3
    with path.open(), pytest.raises(PermissionError), whole_file(path) as draft:
        draft.write_text("newer")
    assert path.read_text() == "new" and list(tmp_path.iterdir()) == [path]


def test_files_and_folders_are_flushed(windows, tmp_path):
    (tmp_path / "a").write_bytes(b"content")
    flush_to_disk(tmp_path / "a")
    flush_to_disk(tmp_path)
    assert (tmp_path / "a").read_bytes() == b"content"


def test_elsewhere_folders_are_flushed_too(tmp_path, monkeypatch):
    flushed = []
    monkeypatch.setattr(os, "fsync", lambda handle: flushed.append(os.fstat(handle).st_ino))
    (tmp_path / "a").write_bytes(b"content")
    flush_to_disk(tmp_path / "a")
    flush_to_disk(tmp_path)
    assert flushed == [(tmp_path / "a").stat().st_ino, tmp_path.stat().st_ino]


@pytest.mark.parametrize("encoding, area", [("cp437", "32² pixels"), ("cp1250", "32? pixels")])
def test_a_table_is_printed_also_where_characters_are_missing(encoding, area):
    truth, results = GOLDEN / "coco_main_gt.json", GOLDEN / "coco_main_dt.json"
    content = io.BytesIO()
    with contextlib.redirect_stdout(io.TextIOWrapper(content, encoding=encoding)) as stream:
        command = ["evaluate", "--annotations", str(truth), "--results", str(results)]
        assert cli.main(command) == 0
        stream.flush()
    table = content.getvalue().decode(encoding)
    assert f"small objects, area below {area}" in table and "the COCO score" in table


@pytest.mark.parametrize("path", ["runs/mine", r"runs\mine"])
def test_paths_have_either_separator(path):
    with pytest.raises(ValueError, match="there is no such file or folder"):
        from_pretrained(path)
