"""Training: settings, schedules, the loop around `model.fit`, and what it leaves on disk."""

from labkit.training.checkpoints import load_model
from labkit.training.fit_to_data import fit_to_data
from labkit.training.history import History
from labkit.training.settings import TrainSettings
from labkit.training.train import train

__all__ = ["History", "TrainSettings", "fit_to_data", "load_model", "train"]
