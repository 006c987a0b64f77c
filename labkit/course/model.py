"""A trained network for the notebooks that need one."""

from pathlib import Path

from labkit.data import shapes
from labkit.models.config import Config
from labkit.models.mask_rcnn import MaskRCNN
from labkit.training import TrainSettings, load_model, train

QUICK_STEPS = 300


def trained_model(runs="../runs") -> MaskRCNN:
    """The model of `make demo` (runs/demo), else that of notebook 00 (runs/tour).

    Where there is neither, a quick one is trained into runs/tour first: a minute or two on two CPU
    cores. It is worse, and enough to see how things work. runs: seen from the notebook.
    """
    runs = Path(runs)
    for name in ("demo", "tour"):
        if (runs / name / "model.weights.h5").exists():
            return load_model(runs / name)
    print("There is no runs/demo yet, so here is a QUICK model. For a better one: make demo.")
    data = shapes(2000, size=128, seed=0)
    model = MaskRCNN(Config.preset("tiny", max_instances=data.max_instances), data.class_names)
    settings = TrainSettings.preset("tiny", steps=QUICK_STEPS)
    train(model, data, runs / "tour", settings, resume=True)
    return model
