"""What a run reports to other programs, TensorBoard and Weights & Biases.

A run writes its CSV files in any case. These programs get every row of the history when it is
written, under the names losses/…, vitals/…, validation/… and validation_losses/….
"""

import importlib.util
from collections.abc import Iterable
from pathlib import Path

import keras
import tensorflow as tf

from labkit.errors import LabkitError
from labkit.io.history import TABLES, History

LOGGERS = ("tensorboard", "wandb")


def make_logger(names: Iterable[str], run_dir: Path, history: History, record: dict):
    """The callback that reports to all of `names`. Raises LabkitError if one is not available."""
    for name in names:
        if name not in LOGGERS:
            raise LabkitError(f"log: there is no '{name}'; there are: {', '.join(LOGGERS)}.")
    if "wandb" in names and importlib.util.find_spec("wandb") is None:
        raise LabkitError("log: wandb is not installed; `pip install wandb`, or leave it out.")
    writers = {"tensorboard": TensorBoard, "wandb": WeightsAndBiases}
    return Logger(history, [writers[name](run_dir, record) for name in names])


class Logger(keras.callbacks.Callback):
    """Passes every new row of the history on to writers: `write(step, values)` and `close()`."""

    def __init__(self, history: History, writers: list):
        super().__init__()
        self.history, self.writers = history, writers
        self.reported = {name: len(getattr(history, name)) for name in TABLES}

    def on_train_batch_end(self, batch, logs=None):
        for name in TABLES:
            rows = getattr(self.history, name)
            for row in rows[self.reported[name] :]:
                group = "losses" if name == "rows" else name
                values = {f"{group}/{k}": v for k, v in row.items() if k != "step"}
                for writer in self.writers:
                    writer.write(row["step"], values)
            self.reported[name] = len(rows)

    def close(self) -> None:
        """To be called when the run is over, however it ended."""
        for writer in self.writers:
            writer.close()


class TensorBoard:
    """Event files in the run's folder; `tensorboard --logdir runs` draws them.

    Written with TensorFlow alone: `tf.summary.scalar` would want TensorBoard to be installed.
    """

    def __init__(self, run_dir: Path, record: dict):
        self.writer = tf.summary.create_file_writer(str(run_dir / "tensorboard"))
        # The plugin that is to draw the number; TensorBoard would not know what it is otherwise.
        self.kind = tf.compat.v1.SummaryMetadata()
        self.kind.plugin_data.plugin_name = "scalars"

    def write(self, step: int, values: dict[str, float]) -> None:
        with self.writer.as_default():
            for name, value in values.items():
                tf.summary.write(name, tf.constant(value, tf.float32), step, self.kind)

    def close(self) -> None:
        self.writer.close()


class WeightsAndBiases:
    """A run of Weights & Biases, with the settings as its config; WANDB_MODE and so on decide."""

    def __init__(self, run_dir: Path, record: dict):
        import wandb

        # A resumed run goes on under the id that the first one was given.
        file = run_dir / "wandb_id.txt"
        known = file.read_text(encoding="utf-8").strip() if file.exists() else None
        self.run = wandb.init(
            project="labkit",
            name=run_dir.name,
            dir=str(run_dir),
            id=known,
            resume="allow",
            config={"config": record["config"], "settings": record["settings"]},
        )
        file.write_text(self.run.id, encoding="utf-8")

    def write(self, step: int, values: dict[str, float]) -> None:
        self.run.log(values, step=step)

    def close(self) -> None:
        self.run.finish()
