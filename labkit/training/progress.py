"""The progress bar of a training: the step, the time left, and what the losses are now."""

import keras
import numpy as np

from labkit.io.history import History
from labkit.io.progress import progress_bar

RECENT = 20  # steps that the losses shown are the mean of


class Progress(keras.callbacks.Callback):
    """A bar with the mean of each loss over the last steps, the learning rate and the last AP.

    To be closed also where a training breaks off: `with contextlib.closing(progress): fit(...)`.
    """

    def __init__(self, history: History, start: int, last: int, shown: bool = True):
        super().__init__()
        self.history = history
        self.options = {"initial": start, "total": last, "shown": shown}
        self.bar = None

    def on_train_begin(self, logs=None):
        self.bar = progress_bar(desc="training", unit="step", **self.options)

    def on_train_batch_end(self, batch, logs=None):
        if not self.bar.disable:
            self.bar.set_postfix_str(self._numbers(), refresh=False)
        self.bar.update()

    def on_train_end(self, logs=None):
        self.close()

    def close(self) -> None:
        """Leave the bar as it is, with the cursor on the next line."""
        if self.bar is not None:
            self.bar.close()

    def _numbers(self) -> str:
        rows = self.history.rows[-RECENT:]
        losses = ("total", *self.history.losses)
        numbers = [f"{name} {np.mean([row[name] for row in rows]):.3f}" for name in losses]
        numbers.append(f"lr {rows[-1]['lr']:.1e}")
        for looked in self.history.validation[-1:]:
            numbers.append(f"AP box {looked['bbox_AP']:.3f} mask {looked['segm_AP']:.3f}")
        return ", ".join(numbers)
