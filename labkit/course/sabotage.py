"""Three trainings that go wrong, for notebook 05: the answers, apart from the question."""

from labkit.models.config import Config
from labkit.training import TrainSettings


def sabotaged(
    config: Config, settings: TrainSettings
) -> dict[str, tuple[dict[str, tuple], TrainSettings]]:
    """For "A", "B" and "C": the changes of the config (for `config.replace`), and the settings.

    What is changed is changed by a factor, so that another preset is sabotaged as much.
    """
    rate = settings.learning_rate
    return {
        "A": ({}, settings.replace(learning_rate=rate / 3000)),
        "B": ({"anchor_sizes": tuple(4 * size for size in config.anchor_sizes)}, settings),
        "C": ({}, settings.replace(learning_rate=rate * 33, clip_norm=0.0)),
    }
