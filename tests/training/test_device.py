"""The device that a training runs on is named, and a GPU that it does not use."""

import os
import subprocess
import sys
from types import SimpleNamespace

import pytest
import tensorflow as tf

from labkit.commands.info import describe_installation
from labkit.models import registry
from labkit.models.config import Config
from labkit.training import device
from labkit.training.device import announce_device, describe_devices, unusable_gpu


@pytest.fixture(autouse=True)
def no_gpu(monkeypatch, tmp_path):
    """A machine without a GPU, whatever this one has."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(device, "NVIDIA_FILES", (tmp_path / "nvidia0", tmp_path / "gpus"))
    monkeypatch.setattr(device.shutil, "which", lambda program: None)
    monkeypatch.setattr(device.sys, "platform", "linux")
    tensorflow_has(monkeypatch)


def tensorflow_has(monkeypatch, *names: str) -> None:
    """TensorFlow sees GPUs of these models."""
    gpus = [SimpleNamespace(model=name) for name in names]
    details = {"get_device_details": lambda gpu: {"device_name": gpu.model}}
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: gpus)
    monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind: gpus)
    monkeypatch.setattr(tf.config, "experimental", SimpleNamespace(**details))


def nvidia_smi_says(monkeypatch, tmp_path, text: str, status: int = 0) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text(f"#!/bin/sh\necho '{text}'\nexit {status}\n", encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setattr(device.shutil, "which", {"nvidia-smi": str(program)}.get)


@pytest.mark.parametrize("cores, words", [({0, 1}, "2 CPU cores"), ({5}, "1 CPU core")])
def test_cpu_cores(monkeypatch, capsys, cores, words):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: cores, raising=False)
    announce_device()
    assert capsys.readouterr() == (f"Training on {words} (float32).\n", "")


def test_cpu_cores_where_the_system_has_no_affinity(monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    assert describe_devices() == "6 CPU cores"


@pytest.mark.parametrize(
    "names, replicas, words",
    [
        (["NVIDIA H100"], 1, "GPU: NVIDIA H100"),
        (["NVIDIA H100"] * 2, 2, "2 GPUs: NVIDIA H100"),
        (["NVIDIA L4", "NVIDIA H100"], None, "2 GPUs: NVIDIA H100, NVIDIA L4"),
        (["NVIDIA H100"] * 4, 1, "GPU: NVIDIA H100 (3 more idle: see make_strategy)"),
    ],
)
def test_gpus(monkeypatch, names, replicas, words):
    tensorflow_has(monkeypatch, *names)
    assert describe_devices(replicas) == words


def test_a_gpu_and_its_precision_are_announced(monkeypatch, tmp_path, capsys):
    tensorflow_has(monkeypatch, "NVIDIA H100")
    device.NVIDIA_FILES[0].touch()
    announce_device("mixed_float16")
    assert capsys.readouterr() == ("Training on GPU: NVIDIA H100 (mixed_float16).\n", "")


@pytest.mark.parametrize("number", [0, 1])
def test_a_gpu_that_tensorflow_cannot_use_is_named_with_the_remedy(capsys, number):
    device.NVIDIA_FILES[number].touch()
    announce_device()
    out, err = capsys.readouterr()
    assert "CPU core" in out and err.startswith("Warning: this machine has an NVIDIA GPU that ")
    for remedy in ('pip install "labkit[gpu]"', "tensorflow[and-cuda]", "EXTRAS=lab,dev,gpu make"):
        assert remedy in err
    assert err.count("\n") == 1


def test_on_windows_the_remedy_is_wsl(monkeypatch, tmp_path):
    monkeypatch.setattr(device.sys, "platform", "win32")
    nvidia_smi_says(monkeypatch, tmp_path, "GPU 0: NVIDIA GeForce RTX 3060 (UUID: GPU-1)")
    assert "WSL2" in unusable_gpu() and "pip install" not in unusable_gpu()


@pytest.mark.skipif(sys.platform == "win32", reason="a shell script")
def test_nvidia_smi_is_asked_where_there_are_no_files(monkeypatch, tmp_path):
    nvidia_smi_says(monkeypatch, tmp_path, "GPU 0: NVIDIA L4 (UUID: GPU-1)")
    assert "NVIDIA GPU" in unusable_gpu()
    nvidia_smi_says(monkeypatch, tmp_path, "No devices found.", 6)
    assert unusable_gpu() is None


def test_an_nvidia_smi_that_hangs_or_cannot_run_says_nothing(monkeypatch, tmp_path):
    monkeypatch.setattr(device.shutil, "which", lambda program: str(tmp_path / "is not there"))
    assert unusable_gpu() is None

    def hang(command, timeout, **options):
        raise subprocess.TimeoutExpired(command, timeout)

    monkeypatch.setattr(device.subprocess, "run", hang)
    assert unusable_gpu() is None


@pytest.mark.parametrize("value, warned", [("", False), ("-1", False), ("0", True)])
def test_who_hides_the_gpu_knows_it(monkeypatch, value, warned):
    device.NVIDIA_FILES[0].touch()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", value)
    assert bool(unusable_gpu()) is warned


def test_info_tells_the_same(monkeypatch):
    monkeypatch.setattr(registry, "presets", lambda: {"tiny": Config.preset("tiny")})
    device.NVIDIA_FILES[0].touch()
    monkeypatch.setattr("labkit.commands.info.import_tensorflow", lambda: tf)
    assert describe_installation(full=True)["devices"] == [describe_devices(), unusable_gpu()]
