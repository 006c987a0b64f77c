"""Hyperband: many settings trained a little, the better ones longer.

Source: Li et al., "Hyperband: A Novel Bandit-Based Approach to Hyperparameter Optimization" (2018),
as keras-tuner has it (the extra `search`). Several processes share a search, in a folder that all
of them reach, when keras-tuner's own variables name them: KERASTUNER_TUNER_ID is "chief" for one,
which only hands out trials, and another name for each of those that train; KERASTUNER_ORACLE_IP and
KERASTUNER_ORACLE_PORT say where the chief listens.
"""

import math
from dataclasses import dataclass
from pathlib import Path

from labkit.data.dataset import Dataset
from labkit.errors import LabkitError
from labkit.evaluation import evaluate
from labkit.io.data_files import read_json, write_json
from labkit.models.detector import Detector
from labkit.models.detector_config import DetectorConfig
from labkit.models.registry import build_detector
from labkit.training.settings import TrainSettings
from labkit.training.train import train

# What is searched, each as (lowest, highest, "log" or "linear"). The Cityscapes report that this
# course grew from searched rate, momentum and decay; AdamW has no momentum to choose. The bounds
# are labkit's, for `tiny`.
SPACE = {
    "learning_rate": (3e-4, 3e-2, "log"),
    "weight_decay": (1e-6, 1e-2, "log"),
}
SGD_SPACE = {
    "learning_rate": (1e-3, 1e-1, "log"),
    "momentum": (0.5, 0.98, "linear"),
    "weight_decay": (1e-6, 1e-2, "log"),
}


@dataclass(frozen=True, eq=False)
class Trial:
    """One training: the settings that were tried, its steps, and the AP it reached."""

    name: str
    values: dict[str, float]
    steps: int
    score: float


@dataclass(frozen=True, eq=False)
class SearchResult:
    """What a search found: `best`, the settings to train with, and all trials, the best first."""

    best: TrainSettings
    trials: list[Trial]
    metric: str

    def __str__(self) -> str:
        names = list(self.trials[0].values)
        lines = ["  ".join([f"{self.metric:>9}", "steps", *(f"{n:>13}" for n in names)])]
        for trial in self.trials:
            values = (f"{trial.values[n]:13.3g}" for n in names)
            lines.append("  ".join([f"{trial.score:9.3f}", f"{trial.steps:5d}", *values]))
        return "\n".join(lines)


def search(
    dataset: Dataset,
    validation: Dataset,
    folder,
    config: DetectorConfig,
    settings: TrainSettings | None = None,
    *,
    space: dict | None = None,
    shortest: int = 25,
    longest: int = 225,
    factor: int = 3,
    metric: str = "segm_AP",
    seed: int = 0,
    verbose: bool = True,
) -> SearchResult:
    """Search `space` by Hyperband; every trial is a training of its own, measured on `validation`.

    With the defaults these are 23 trainings of 2,175 steps in all: 9 minutes on two CPU cores with
    `tiny` on images of 64 px in batches of 4. If several processes search, the chief's result has
    all trials, a worker's those that had ended.

    Args:
        dataset: what each trial trains on.
        validation: what each trial is measured on.
        folder: where the trials are kept; an interrupted search continues there.
        config: of the model that each trial trains.
        settings: what all trials share; `steps` is decided by the search.
        space: {field: (lowest, highest, "log" or "linear")}; by default SPACE or, for SGD,
            SGD_SPACE.
        shortest: steps of a trial in the first round.
        longest: steps of a trial in the last round.
        factor: from round to round the best 1/factor of the trials continue, with factor times the
            steps. Such a trial starts anew, so that its learning rate follows the schedule of a
            training of that length.
        metric: "segm_AP", "bbox_AP", "segm_AP50" or "bbox_AP50".
        seed: decides which values are tried.
        verbose: print a line for every trial.

    Raises:
        LabkitError: a field does not exist, or keras-tuner is not installed.
    """
    try:
        import keras_tuner
    except ImportError as error:
        raise LabkitError(
            'search needs keras-tuner: pip install "labkit[search]" (or keras-tuner).'
        ) from error
    settings = settings or TrainSettings()
    space = space or (SGD_SPACE if settings.optimizer == "sgd" else SPACE)
    hyperparameters = keras_tuner.HyperParameters()
    for name, (low, high, kind) in space.items():
        settings.replace(**{name: low}), settings.replace(**{name: high})  # are they possible?
        hyperparameters.Float(name, low, high, sampling=kind)
    epochs = factor ** round(math.log(longest / shortest, factor))
    fresh = _Fresh(config, dataset)

    class Search(keras_tuner.Hyperband):
        def run_trial(self, trial, **_):
            values = {name: trial.hyperparameters.get(name) for name in space}
            steps = shortest * int(trial.hyperparameters.values["tuner/epochs"])
            score = _score(
                dataset,
                validation,
                Path(folder) / "runs" / trial.trial_id,
                fresh,
                settings.replace(steps=steps, **values),
                metric,
            )
            if verbose:
                tried = ", ".join(f"{n} {v:.2g}" for n, v in values.items())
                print(
                    f"trial {trial.trial_id}: {steps} steps, {tried}: {metric} {score:.3f}",
                    flush=True,
                )
            return {metric: score}

    tuner = Search(
        objective=keras_tuner.Objective(metric, "max"),
        max_epochs=epochs,
        factor=factor,
        seed=seed + 1,  # keras-tuner takes 0 for none
        hyperparameters=hyperparameters,
        directory=str(folder),
        project_name="search",
    )
    tuner.search(verbose=0)
    trials = _trials(Path(tuner.project_dir), space, shortest)
    best = settings.replace(**trials[0].values)
    return SearchResult(best, trials, metric)


class _Fresh:
    """An untrained model for every trial.

    It is the same model, reset: its traced detection is kept, and tracing takes as long as a short
    trial trains.
    """

    def __init__(self, config: DetectorConfig, dataset: Dataset):
        self.config, self.dataset, self.model = config, dataset, None

    def __call__(self) -> Detector:
        if self.model is None:
            self.model = build_detector(self.config, self.dataset.class_names)
            self.weights = self.model.get_weights()
        self.model.set_weights(self.weights)
        return self.model


def _score(dataset, validation, run_dir: Path, fresh: _Fresh, settings, metric: str) -> float:
    """Train in run_dir, measure on validation; what has been measured there is read again."""
    found = run_dir / "score.json"
    if not found.exists():
        model = fresh()
        train(model, dataset, run_dir, settings, resume=True, verbose=False)
        result = evaluate(model, validation, progress=False)
        scores = {
            f"{kind}_{name}": float(getattr(result, kind)[name])
            for kind in ("bbox", "segm")
            for name in ("AP", "AP50")
        }
        write_json(found, scores)
    return read_json(found)[metric]


def _trials(folder: Path, space, shortest: int) -> list[Trial]:
    """All trials that have ended, the best first.

    They are read from their files: of several processes, the chief may have ended already.
    """
    from keras_tuner.engine.trial import Trial as Stored

    stored = [Stored.load(str(file)) for file in sorted(folder.glob("trial_*/trial.json"))]
    ended = [_trial(trial, space, shortest) for trial in stored if trial.score is not None]
    return sorted(ended, key=lambda trial: -trial.score)


def _trial(trial, space, shortest: int) -> Trial:
    values = trial.hyperparameters.values
    steps = shortest * int(values["tuner/epochs"])
    return Trial(trial.trial_id, {n: float(values[n]) for n in space}, steps, float(trial.score))
