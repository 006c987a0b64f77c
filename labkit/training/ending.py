"""How a run ends before its last step: on request, or because a batch cannot be made."""

import keras

from labkit.data.feeder import Feeder
from labkit.errors import LabkitError
from labkit.training.callbacks import Checkpointer
from labkit.training.distribution import Team
from labkit.training.stages import Leg
from labkit.training.stop_request import StopRequest

GO_ON = "go on with --resume (or resume=True)"


class Ending(keras.callbacks.Callback):
    """Ends the run between two steps, with a checkpoint of the last one. The last of all callbacks.

    Args:
        stop: whether the end was asked for.
        team: the workers, which end after the same step.
        feeder: makes the batches.
        leg: the stage that is run.
        start: the step after which it begins.
        checkpointer: saves; None for a worker that does not write.
    """

    def __init__(
        self,
        stop: StopRequest,
        team: Team,
        feeder: Feeder,
        leg: Leg,
        start: int,
        checkpointer: Checkpointer | None,
    ):
        super().__init__()
        self.stop, self.team, self.feeder, self.leg = stop, team, feeder, leg
        self.start = self.step = start
        self.checkpointer = checkpointer

    def on_train_batch_begin(self, batch, logs=None):
        # Waited for here and not in the step: TensorFlow, while it waits, hears no signal, and what
        # a picture's reader raises would reach us as text.
        while not self.feeder.wait(self.step):
            if self.stop:
                self._end()
        try:
            self.feeder.peek(self.step)
        except LabkitError as error:
            raise LabkitError(f"{error} {self._saved()}") from error

    def on_train_batch_end(self, batch, logs=None):
        self.step += 1
        # At the end of a stage the checkpoint follows, and the run looks at the request itself.
        asked = bool(self.stop) and not self.model.stop_training
        if self.step < self.leg.last and self.team.any(asked):
            self._end()

    def _end(self) -> None:
        raise self.stop.stopped(f"after step {self.step}. {self._saved()}")

    def _saved(self) -> str:
        """Save what there is to save, and say how the run goes on."""
        if self.checkpointer is not None and self.step > self.start:
            self.checkpointer.save(self.step)
        if self.step == 0:
            return "No step was taken yet."
        return f"The checkpoint of step {self.step} is saved: {GO_ON}."
