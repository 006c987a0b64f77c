"""What happens around the steps of a run: writing down, watching, saving, stopping."""

import math
import sys
import time
from collections import Counter
from pathlib import Path

import keras
import numpy as np

from labkit.errors import LabkitError
from labkit.losses import LOSS_NAMES
from labkit.training.checkpoints import save_checkpoint
from labkit.training.history import History


class NonFiniteLoss(LabkitError):
    """A loss became NaN or infinite; the message names the loss and the images of the batch."""


class Recorder(keras.callbacks.Callback):
    """Writes every step into the history, and stops the run at once if a loss is not finite."""

    def __init__(self, history: History, start: int, name_of):
        super().__init__()
        self.history, self.step, self.name_of = history, start, name_of

    def on_train_batch_end(self, batch, logs=None):
        values = self.model.last_losses.numpy().astype(float)
        self.step += 1
        if not np.isfinite(values).all():
            self._stop(values)
        weighted = float(values @ np.asarray(self.model.config.loss_weights))
        # iterations counts finished updates: this step used the rate of the number before.
        rate = self.model.optimizer._learning_rate
        rate = float(rate(self.step - 1)) if callable(rate) else float(rate)
        self.history.rows.append(
            {"step": self.step, "lr": rate, "total": weighted}
            | dict(zip(LOSS_NAMES, values.tolist(), strict=True))
        )

    def _stop(self, values):
        named = zip(LOSS_NAMES, values, strict=True)
        broken = [f"{name} = {value}" for name, value in named if not math.isfinite(value)]
        images = ", ".join(self.name_of(int(i)) for i in self.model.last_image_ids.numpy())
        raise NonFiniteLoss(
            f"Step {self.step}: the loss {' and '.join(broken)}, on the images {images}. The last "
            "checkpoint is untouched: look at those images' boxes, lower the learning rate or clip "
            "gradients, then resume."
        )


class Checkpointer(keras.callbacks.Callback):
    """Saves every so many steps, and at the end."""

    def __init__(self, run_dir: Path, history: History, every: int, keep: int, last: int):
        super().__init__()
        self.run_dir, self.history, self.every, self.keep = run_dir, history, every, keep
        self.last = last

    def on_train_batch_end(self, batch, logs=None):
        step = self.history.rows[-1]["step"]
        if step % self.every == 0 or step == self.last:
            self.history.save(self.run_dir)
            save_checkpoint(self.model, self.run_dir, step, self.keep)


class Validation(keras.callbacks.Callback):
    """Box and mask AP on the validation set every so many steps, by pycocotools."""

    def __init__(self, dataset, history: History, every: int, evaluate):
        super().__init__()
        self.dataset, self.history, self.every, self.evaluate = dataset, history, every, evaluate

    def on_train_batch_end(self, batch, logs=None):
        step = self.history.rows[-1]["step"]
        if step % self.every:
            return
        result = self.evaluate(self.model, self.dataset)
        row = {"step": step}
        for kind, numbers in (("bbox", result.bbox), ("segm", result.segm)):
            row |= {f"{kind}_AP": numbers["AP"], f"{kind}_AP50": numbers["AP50"]}
        self.history.validation.append(row)


class LeftOut(keras.callbacks.Callback):
    """After an epoch, the instances that its batches could not hold, by reason.

    Only what is not zero is printed; epochs of less than half a minute are told together.
    """

    def __init__(self, batches, history: History, start: int, pause: float = 30.0):
        super().__init__()
        self.batches, self.history, self.pause = batches, history, pause
        self.told = batches.order.epochs_done(start)
        self.shown = -math.inf

    def on_train_batch_end(self, batch, logs=None):
        now, done = time.monotonic(), self.batches.order.epochs_done(self.history.rows[-1]["step"])
        if done == self.told or now - self.shown < self.pause:
            return
        # Batches are made ahead of the model: only whole epochs are counted whole.
        epochs, self.told = range(self.told, done), done
        counts = sum((self.batches.left_out_in(epoch) for epoch in epochs), Counter())
        if not counts:
            return
        self.shown = now
        name = f"Epoch {done}" if len(epochs) == 1 else f"Epochs {epochs[0] + 1} to {done}"
        if sys.stderr.isatty():
            sys.stderr.write("\r\x1b[K")  # the line of Progress
        print(f"{name}: left out {said(counts)}.", flush=True)


def said(counts: Counter) -> str:
    """ "12 instances (crowd), 3 (vanished in the crop)"."""
    (reason, count), *others = sorted(counts.items())
    return ", ".join([f"{count} instances ({reason})", *(f"{n} ({r})" for r, n in others)])


class Progress(keras.callbacks.Callback):
    """One line that is rewritten: step, time left, the rate and the five losses (last 20 steps)."""

    def __init__(self, history: History, start: int, last: int, stream=None):
        super().__init__()
        self.history, self.first, self.last = history, start, last
        self.stream = stream or sys.stderr
        self.shown = 0.0
        self.display = _line_of_a_notebook()

    def on_train_begin(self, logs=None):
        self.began = time.monotonic()

    def on_train_batch_end(self, batch, logs=None):
        now, step = time.monotonic(), self.history.rows[-1]["step"]
        rewritten = self.display is not None or self.stream.isatty()
        pause = 0.5 if rewritten else 30.0  # a log file wants a line now and then
        if now - self.shown < pause and step < self.last:
            return
        self.shown = now
        line = self._line(step, now - self.began)
        if self.display is not None:
            self.display(line)
        else:
            end = "\n" if not rewritten or step == self.last else ""
            self.stream.write(f"\r{line}\x1b[K{end}" if rewritten else line + end)
            self.stream.flush()

    def _line(self, step: int, elapsed: float) -> str:
        recent = self.history.rows[-20:]
        means = {n: np.mean([r[n] for r in recent]) for n in ("total", *LOSS_NAMES)}
        left = elapsed / max(step - self.first, 1) * (self.last - step)
        losses = "  ".join(f"{n} {v:.3f}" for n, v in means.items())
        validated = self.history.validation[-1:]
        ap = "".join(f"  AP box {v['bbox_AP']:.3f} mask {v['segm_AP']:.3f}" for v in validated)
        return (f"step {step}/{self.last}  {int(left // 60)}:{int(left % 60):02d} left  "
                f"lr {recent[-1]['lr']:.1e}  {losses}{ap}")  # fmt: skip


def _line_of_a_notebook():
    """A function that rewrites one line below the running cell; None outside a notebook."""
    if "ipykernel" not in sys.modules:
        return None
    from labkit.viz.live import live_line  # IPython and matplotlib, which a server may lack

    return live_line()
