"""How to train, in one frozen place, as `Config` is for what is trained."""

import dataclasses
import math
from dataclasses import dataclass

from labkit.data.augment import Augment
from labkit.errors import LabkitError
from labkit.frozen import check_types, make_tuples
from labkit.ops.losses import LOSS_NAMES
from labkit.training.stages import OPTIMIZERS, SCHEDULES, Stage, planned_stages

AP_METRICS = ("segm_AP", "segm_AP50", "bbox_AP", "bbox_AP50")
BEST_BY = (*AP_METRICS, "total", *LOSS_NAMES)  # the losses: on the validation pictures
PRECISIONS = ("float32", "mixed_float16", "mixed_bfloat16")


@dataclass(frozen=True)
class TrainSettings:
    """The numbers of a training run. A step is one batch.

    accumulate: the weights change once in so many steps, by the mean of their gradients: what fits
        into memory is batch_size, what is learnt from is batch_size * accumulate.
    rate_for_batch: the batch (of all replicas, times accumulate) that the learning rates were
        chosen for; with another one they are scaled to it, see `peak_rate`. 0 leaves them.
    ema: how slowly a running average of the weights follows them, e.g. 0.999 (0 keeps none). It is
        measured on the way and saved as the model; see `labkit.training.averages`.
    precision: what convolutions and dense layers compute in; weights, losses, boxes, softmax and
        NMS are always float32. See `labkit.training.precision`.
    stages: see `labkit.training.stages`; with them, steps is the sum of theirs.
    """

    steps: int = 1000
    batch_size: int = 8
    accumulate: int = 1
    stages: tuple[Stage, ...] = ()
    canvas: tuple[int, int] = (128, 128)  # (H, W) of training images; larger ones are cropped
    buckets: bool = False  # upright images get the canvas upright, others on its side
    optimizer: str = "adamw"  # or "sgd", "adam", "adadelta": see labkit.training.schedules
    momentum: float = 0.9  # of sgd
    learning_rate: float = 2e-3  # at the end of the warm-up
    rate_for_batch: int = 0
    weight_decay: float = 1e-4
    schedule: str = "cosine"  # or "step", "plateau", "constant": see labkit.training.schedules
    milestones: tuple[float, ...] = (2 / 3, 8 / 9)  # of "step": shares of the run; the paper's
    patience: int = 200  # of "plateau": steps without progress before the rate falls to a tenth
    warmup_steps: int = 50
    clip_norm: float = 5.0  # of all gradients together; 0 does not clip
    ema: float = 0.0
    precision: str = "float32"  # or "mixed_float16", "mixed_bfloat16"
    augment: Augment = Augment()
    validate_every: int = 0  # steps between two looks at AP; 0 leaves it to the end
    validate_losses_every: int = 0  # steps between two looks at the losses of validation pictures
    best_by: str = "segm_AP"  # what best.weights.h5 is best by: AP (or AP50), or a validation loss
    stop_after: int = 0  # looks at best_by without a better one that end the run; 0: none do
    film: int = 4  # validation pictures whose detections are kept at every look at AP
    checkpoint_every: int = 200  # steps
    checkpoints_kept: int = 2
    deterministic: bool = False  # the same numbers twice, bit for bit; slower

    def __post_init__(self):
        if isinstance(self.augment, dict):  # from JSON
            object.__setattr__(self, "augment", Augment(**self.augment))
        make_tuples(self)
        good = isinstance(self.stages, tuple)
        if good:
            stages = (Stage(**s) if isinstance(s, dict) else s for s in self.stages)
            object.__setattr__(self, "stages", tuple(stages))
            good = all(isinstance(stage, Stage) for stage in self.stages)
        self._check("stages", good, "must hold Stages (on the command line: --stage)")
        check_types(self)
        self._check("augment", isinstance(self.augment, Augment), "must be an Augment")
        self._check(
            "canvas",
            len(self.canvas) == 2 and all(s > 0 == s % 32 for s in self.canvas),
            "must be two sides (H, W), multiples of 32",
        )
        for name in (
            "steps",
            "batch_size",
            "accumulate",
            "learning_rate",
            "patience",
            "checkpoint_every",
            "checkpoints_kept",
        ):
            self._check(name, getattr(self, name) > 0, "must be above 0")
        for name in (
            "weight_decay",
            "warmup_steps",
            "clip_norm",
            "validate_every",
            "validate_losses_every",
            "stop_after",
            "film",
            "rate_for_batch",
        ):
            self._check(name, getattr(self, name) >= 0, "must not be negative")
        for name in ("ema", "momentum"):
            self._check(name, 0 <= getattr(self, name) < 1, "must be at least 0 and below 1")
        shares = self.milestones
        self._check(
            "milestones",
            all(0 < s < 1 for s in shares) and sorted(shares) == [*shares],
            "must be shares of the run, ascending between 0 and 1",
        )
        self._check("best_by", self.best_by in BEST_BY, f"must be one of {BEST_BY}")
        self._check("precision", self.precision in PRECISIONS, f"must be one of {PRECISIONS}")
        self._check("optimizer", self.optimizer in OPTIMIZERS, f"must be one of {OPTIMIZERS}")
        self._check("schedule", self.schedule in SCHEDULES, f"must be one of {SCHEDULES}")

    def _check(self, name: str, good: bool, rule: str) -> None:
        if not good:
            raise LabkitError(f"TrainSettings: '{name}' {rule}, got {getattr(self, name)!r}.")

    @property
    def peak_rate(self) -> float:
        """The learning rate at the end of the warm-up, for the batch that is learnt from.

        With SGD, k times the batch wants k times the rate (Goyal et al. 2017, the linear scaling
        rule: one large step goes as far as k small ones). The optimizers that divide by the
        gradient's own size want sqrt(k): its noise, which they also divide by, is smaller by that
        (Malladi et al. 2022, "On the SDEs and Scaling Rules for Adaptive Gradient Algorithms").
        """
        if not self.rate_for_batch:
            return self.learning_rate
        factor = self.batch_size * self.accumulate / self.rate_for_batch
        return self.learning_rate * (factor if self.optimizer == "sgd" else math.sqrt(factor))

    def replace(self, **changes) -> "TrainSettings":
        """A copy with some fields changed. Raises LabkitError for a name that does not exist."""
        known = {f.name for f in dataclasses.fields(self)}
        for name in changes:
            if name not in known:
                names = ", ".join(sorted(known))
                raise LabkitError(f"TrainSettings: there is no field '{name}'; there are: {names}.")
        return dataclasses.replace(self, **changes)

    def planned(self, images: int) -> "TrainSettings":
        """These settings with the length of every stage, and of all together, in steps.

        images: of the training data. Raises LabkitError where a length is no multiple of
        accumulate: the last gradients would be computed and thrown away.
        """
        stages = planned_stages(self.stages, images, self.batch_size)
        lengths = [s.steps for s in stages] or [self.steps]
        if any(steps % self.accumulate for steps in lengths):
            raise LabkitError(
                f"TrainSettings: the steps of a run or stage must be a multiple of accumulate = "
                f"{self.accumulate}, got {', '.join(map(str, lengths))}."
            )
        return self.replace(stages=stages, steps=sum(lengths))

    @classmethod
    def preset(cls, name: str, **changes) -> "TrainSettings":
        """Settings that suit the `Config` preset of that name."""
        if name not in PRESETS:
            known = ", ".join(PRESETS)
            raise LabkitError(f"TrainSettings: no preset '{name}'; there are: {known}.")
        return PRESETS[name].replace(**changes)

    def to_dict(self) -> dict:
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict) -> "TrainSettings":
        return cls().replace(**values)


PRESETS = {
    "tiny": TrainSettings(steps=1200, learning_rate=3e-3),
    # The paper trains 90,000 steps of 16 images at 0.02; a step of 2 images takes an eighth of that
    # rate (Goyal et al. 2017) and eight times the steps.
    "r50_fpn": TrainSettings(
        steps=720_000,
        batch_size=2,
        canvas=(1344, 1344),
        optimizer="sgd",
        learning_rate=0.0025,
        schedule="step",
        warmup_steps=1000,
        clip_norm=0.0,
        checkpoint_every=5000,
    ),
}
