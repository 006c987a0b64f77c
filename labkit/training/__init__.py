"""Training: stages, schedules, the loop around `model.fit`, and what it leaves on disk."""

from labkit.io.history import History
from labkit.training.diagnosis import diagnose
from labkit.training.distribution import make_strategy
from labkit.training.film import read_film
from labkit.training.fit_to_data import fit_to_data
from labkit.training.recipes import recipe
from labkit.training.settings import TrainSettings
from labkit.training.stages import Stage
from labkit.training.train import train

__all__ = [
    "History",
    "Stage",
    "TrainSettings",
    "diagnose",
    "fit_to_data",
    "make_strategy",
    "read_film",
    "recipe",
    "train",
]
