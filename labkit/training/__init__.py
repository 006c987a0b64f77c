"""Training: settings, schedules, the loop around `model.fit`, and what it leaves on disk."""

from labkit.training.checkpoints import load_model
from labkit.training.history import History
from labkit.training.settings import TrainSettings
from labkit.training.train import train

__all__ = ["History", "TrainSettings", "load_model", "train"]
