"""A trained network for the notebooks that need one."""

from pathlib import Path

from labkit.data import shapes
from labkit.models.config import Config
from labkit.models.detector import Detector
from labkit.models.registry import build_detector
from labkit.training import TrainSettings, train
from labkit.weights.runs import load_model

QUICK_STEPS = 300


def trained_model(runs="../runs") -> Detector:
    """The model of `make demo` (runs/demo), else that of notebook 00 (runs/tour).

    If there is neither, a quick one is trained into runs/tour first: a minute or two on two CPU
    cores. It is less accurate, but good enough to see how things work.

    Args:
        runs: the folder of runs, relative to the notebook.
    """
    runs = Path(runs)
    for name in ("demo", "tour"):
        if (runs / name / "model.weights.h5").exists():
            return load_model(runs / name)
    print("There is no runs/demo yet, so here is a QUICK model. For a better one: make demo.")
    data = shapes(2000, size=128, seed=0)
    model = build_detector(
        Config.preset("tiny", max_instances=data.max_instances), data.class_names
    )
    settings = TrainSettings.preset("tiny", steps=QUICK_STEPS)
    train(model, data, runs / "tour", settings, resume=True)
    return model
