"""What happens around the steps of a run: recording, reporting, saving, stopping if it breaks."""

import math
import time
from collections import Counter
from pathlib import Path

import keras
import numpy as np

from labkit.errors import LabkitError
from labkit.io.data_files import write_json
from labkit.io.history import History
from labkit.io.progress import print_above
from labkit.training.checkpoints import save_checkpoint
from labkit.training.schedules import inner, plateau_factor, rate_of
from labkit.training.update_ratio import UpdateRatio

BROKEN = "broken.json"  # in a run's folder: the step at which a loss was not finite


class NonFiniteLoss(LabkitError):
    """A loss became NaN or infinite; the message names the loss and the images of the batch."""


class Recorder(keras.callbacks.Callback):
    """Writes every step into the history, and stops the run at once if a loss is not finite.

    Args:
        history: gets a row for every step.
        leg: the stage that is run.
        start: the step after which it begins.
        batches: the `WatchedBatches`, which know when each batch was ready.
        name_of: a function from an image id to the image's name for a message.
        run_dir: None for a worker that must not write there.
    """

    def __init__(self, history: History, leg, start: int, batches, name_of, run_dir: Path | None):
        super().__init__()
        self.history, self.leg, self.step, self.batches = history, leg, start, batches
        self.name_of, self.run_dir = name_of, run_dir

    def on_train_begin(self, logs=None):
        self.update_ratio = UpdateRatio(self.model, self.leg.settings.accumulate)

    def on_train_batch_begin(self, batch, logs=None):
        self.update_ratio.before(self.step - self.leg.first)
        self.began = time.monotonic()

    def on_train_batch_end(self, batch, logs=None):
        losses = self.model.last_losses  # waits for the step to end
        seconds = time.monotonic() - self.began
        self.step += 1
        # A schedule counts from 0 in every stage: this step used the rate of the number before.
        rate = rate_of(self.model.optimizer, self.step - 1 - self.leg.first)
        total = self.model.weighted(losses)
        self.history.rows.append(
            {"step": self.step, "stage": self.leg.number, "lr": rate, "total": total} | losses
        )
        self.history.vitals.append(self._vitals(seconds))
        if not all(map(math.isfinite, losses.values())):
            self._stop(losses)

    def _vitals(self, seconds: float) -> dict[str, float]:
        waited = self.batches.made_at(self.step - 1) - self.began
        return {
            "step": self.step,
            "seconds": seconds,
            "waiting": float(np.clip(waited, 0, seconds)),
            **self.model.last_signs,
            "update": self.update_ratio.after(),
        }

    def _stop(self, losses):
        broken = [f"{name} = {loss}" for name, loss in losses.items() if not math.isfinite(loss)]
        images = ", ".join(map(self.name_of, self.model.last_image_ids))
        if self.run_dir is not None:
            record = {"step": self.step, "losses": broken, "images": images}
            write_json(self.run_dir / BROKEN, record, indent=2)
            self.history.save(self.run_dir)
        raise NonFiniteLoss(
            f"Step {self.step}: the loss {' and '.join(broken)}, on the images {images}. The last "
            "checkpoint is untouched: look at those images' boxes, lower the learning rate or clip "
            "gradients, then resume."
        )


class Checkpointer(keras.callbacks.Callback):
    """Saves every so many steps, and at the end of its stage.

    The end is after Keras has left the running average in the weights: the next stage, resumed or
    not, begins with that.
    """

    def __init__(self, run_dir: Path, history: History, leg, batches):
        super().__init__()
        self.run_dir, self.history, self.leg, self.batches = run_dir, history, leg, batches
        self.every, self.keep = leg.settings.checkpoint_every, leg.settings.checkpoints_kept
        self.saved = 0  # the step of the last checkpoint that was written here

    def on_train_batch_end(self, batch, logs=None):
        step = self.history.rows[-1]["step"]
        ends = step == self.leg.last or self.model.stop_training  # then it is saved below
        if step % self.every == 0 and not ends:
            self.save(step)

    def on_train_end(self, logs=None):
        self.save(self.history.rows[-1]["step"])

    def save(self, step: int) -> None:
        """Write the checkpoint of the step that was just taken, if it is not there yet."""
        if step == self.saved:
            return
        self.history.save(self.run_dir)
        self.batches.save_seen(self.run_dir, self.model.class_names)
        save_checkpoint(self.model, self.run_dir, step, self.keep, self.leg.number)
        self.saved = step


class Plateau(keras.callbacks.Callback):
    """Lowers the rate of a stage whose schedule is "plateau" when its training loss stands still.

    Looked at once in `patience` steps, from the end of the warm-up on.
    """

    def __init__(self, history: History, leg):
        super().__init__()
        self.history, self.leg = history, leg

    def on_train_begin(self, logs=None):
        self._look()  # a resumed stage may be past a plateau

    def on_train_batch_end(self, batch, logs=None):
        if (self.history.rows[-1]["step"] - self._first) % self.leg.settings.patience == 0:
            self._look()

    @property
    def _first(self) -> int:
        return self.leg.first + self.leg.settings.warmup_steps

    def _look(self) -> None:
        losses = [row["total"] for row in self.history.rows if row["step"] > self._first]
        factor = plateau_factor(losses, self.leg.settings.patience)
        inner(self.model.optimizer)._learning_rate.reduction.assign(factor)


class LeftOut(keras.callbacks.Callback):
    """Prints, after an epoch, how many instances its batches could not hold, by reason.

    Nothing is printed for a count of zero; short epochs are reported together, at most one line
    every `pause` seconds.
    """

    def __init__(self, batches, history: History, start: int, pause: float = 30.0):
        super().__init__()
        self.batches, self.history, self.pause = batches, history, pause
        self.reported = batches.order.epochs_done(start)
        self.shown = -math.inf

    def on_train_batch_end(self, batch, logs=None):
        now, done = time.monotonic(), self.batches.order.epochs_done(self.history.rows[-1]["step"])
        if done == self.reported or now - self.shown < self.pause:
            return
        # Batches are made ahead of the model: only whole epochs are counted whole.
        epochs, self.reported = range(self.reported, done), done
        counts = sum((self.batches.left_out_in(epoch) for epoch in epochs), Counter())
        if not counts:
            return
        self.shown = now
        name = f"Epoch {done}" if len(epochs) == 1 else f"Epochs {epochs[0] + 1} to {done}"
        print_above(f"{name}: left out {left_out_by_reason(counts)}.")


def left_out_by_reason(counts: Counter) -> str:
    """The counts as text: 12 instances (crowd), 3 (vanished in the crop)."""
    (reason, count), *others = sorted(counts.items())
    return ", ".join([f"{count} instances ({reason})", *(f"{n} ({r})" for r, n in others)])
