"""How to train: the settings of a run, as `Config` has those of the model."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

from labkit.data.augment import Augment
from labkit.errors import LabkitError
from labkit.frozen import Frozen
from labkit.models.registry import loss_names, presets
from labkit.training.stages import OPTIMIZERS, SCHEDULES, Stage, planned_stages

AP_METRICS = ("segm_AP", "segm_AP50", "bbox_AP", "bbox_AP50")
HIGHEST_RATE = 100.0  # a learning rate above is a slip of the pen
PRECISIONS = ("float32", "mixed_float16", "mixed_bfloat16")


@dataclass(frozen=True)
class TrainSettings(Frozen):
    """The settings of a training run. A step is one batch.

    Attributes:
        steps: how long it trains, unless epochs or stages say so.
        epochs: how often every image is seen, instead of steps; 0: steps say how long.
        images_seen: with epochs, how many images (with repeats) are seen at least and at most. A
            dozen photographs want many epochs, and a hundred thousand leave no time for one.
        accumulate: the weights change once in so many steps, by the mean of their gradients. A
            batch of batch_size must fit into memory; batch_size * accumulate images are learnt
            from at once.
        rate_for_batch: the batch size (of all replicas, times accumulate) that the learning rates
            were chosen for. For another one they are scaled, see `peak_rate`. 0 does not scale.
        ema: how slowly a running average of the weights follows them, e.g. 0.999; 0 keeps none.
            The average is validated and saved as the model; see `labkit.training.averages`.
        precision: what convolutions and dense layers compute in. Weights, losses, boxes, softmax
            and NMS are always float32; see `labkit.training.precision`.
        stages: see `labkit.training.stages`; with them, steps is their sum.
    """

    steps: int = 1000
    epochs: float = 0.0
    images_seen: tuple[int, int] = (1, 10**9)
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

    def replace(self, **changes) -> Self:
        """A copy with some fields changed. Steps that are given replace epochs."""
        if "steps" in changes:
            changes.setdefault("epochs", 0.0)
        return super().replace(**changes)

    def _prepare(self) -> None:
        if isinstance(self.augment, dict):  # from JSON
            self._set("augment", Augment(**self.augment))
        if isinstance(self.stages, tuple):
            stages = (Stage(**s) if isinstance(s, dict) else s for s in self.stages)
            self._set("stages", tuple(stages))

    def _problems(self) -> Iterator[str]:
        if self.learning_rate > HIGHEST_RATE:
            yield (
                f"'learning_rate' must be at most {HIGHEST_RATE:g}, got {self.learning_rate:g}: "
                "what works is between 1e-5 and 0.1, and `labkit find-lr` finds it"
            )
        above_zero = "steps batch_size accumulate learning_rate patience checkpoint_every"
        yield from self._not_above_zero([*above_zero.split(), "checkpoints_kept"])
        yield from self._negative(
            "weight_decay warmup_steps clip_norm validate_every validate_losses_every stop_after "
            "film rate_for_batch epochs".split()
        )
        for name, good, rule in self._rules():
            if not good:
                yield f"'{name}' {rule}, got {getattr(self, name)!r}"

    def _rules(self) -> Iterator[tuple[str, bool, str]]:
        """(field, whether its value is good, what it must be)."""
        are_stages = isinstance(self.stages, tuple) and all(
            isinstance(stage, Stage) for stage in self.stages
        )
        yield "stages", are_stages, "must hold Stages (on the command line: --stage)"
        yield "augment", isinstance(self.augment, Augment), "must be an Augment"
        # Which multiples suit depends on the detector: `labkit.data.pipeline` checks that.
        good = len(self.canvas) == 2 and all(s > 0 for s in self.canvas)
        yield "canvas", good, "must be two sides (H, W) above 0"
        for name in ("ema", "momentum"):
            yield name, 0 <= getattr(self, name) < 1, "must be at least 0 and below 1"
        good = len(self.images_seen) == 2 and 0 < self.images_seen[0] <= self.images_seen[1]
        yield "images_seen", good, "must be two numbers, the smaller one first"
        good = all(0 < s < 1 for s in self.milestones)
        good = good and sorted(self.milestones) == [*self.milestones]
        yield "milestones", good, "must be shares of the run, ascending between 0 and 1"
        choices = {
            "best_by": (*AP_METRICS, "total", *loss_names()),
            "precision": PRECISIONS,
            "optimizer": OPTIMIZERS,
            "schedule": SCHEDULES,
        }
        for name, known in choices.items():
            yield name, getattr(self, name) in known, f"must be one of {known}"

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

    def planned(self, images: int) -> "TrainSettings":
        """These settings with the length of every stage, and of all together, in steps.

        Args:
            images: how many there are in the training data.

        Raises:
            LabkitError: a length is not a multiple of accumulate, so that the last gradients would
                be computed and thrown away.
        """
        stages = planned_stages(self.stages, images, self.batch_size)
        lengths = [s.steps for s in stages] or [self.steps_for(images)]
        if any(steps % self.accumulate for steps in lengths):
            raise LabkitError(
                f"TrainSettings: the steps of a run or stage must be a multiple of accumulate = "
                f"{self.accumulate}, got {', '.join(map(str, lengths))}."
            )
        return self.replace(stages=stages, steps=sum(lengths))

    def steps_for(self, images: int) -> int:
        """The steps that `epochs` means on so many images; `steps` where it is 0."""
        if not self.epochs:
            return self.steps
        fewest, most = self.images_seen
        seen = min(max(self.epochs * images, fewest), most)
        return math.ceil(seen / (self.batch_size * self.accumulate)) * self.accumulate

    @classmethod
    def presets(cls) -> dict[str, "TrainSettings"]:
        """Settings that suit the presets of the detectors, by the same names."""
        return {name: PRESETS.get(name, PRESETS["r50_fpn"]) for name in presets()}


# YOLACT's: 800,000 steps of 8 of COCO's 118,000 images. Pictures are brightened, padded, cropped
# and mirrored in an order of its own; these views come nearest to that.
_YOLACT = TrainSettings(
    epochs=54,
    images_seen=(48_000, 10**9),
    batch_size=8,
    rate_for_batch=8,
    canvas=(550, 550),
    optimizer="sgd",
    learning_rate=1e-3,
    weight_decay=5e-4,
    schedule="step",
    milestones=(0.35, 0.75, 0.875, 0.9375),
    warmup_steps=500,
    clip_norm=0.0,
    augment=Augment(scale=(0.5, 1.6), brightness=0.125, contrast=0.5, saturation=0.5, hue=0.05),
    checkpoint_every=5000,
)

# The presets of detectors that are not named here are variants of r50_fpn, and train as it does.
PRESETS = {
    "yolact_r50": _YOLACT,
    "yolact_darknet53": _YOLACT,
    "yolact_base": _YOLACT,
    "yolact_im700": _YOLACT.replace(epochs=54, canvas=(700, 700)),
    "yolact_lite0": TrainSettings(
        epochs=40,
        images_seen=(1600, 3200),
        batch_size=4,
        canvas=(384, 384),
        learning_rate=6e-4,
        ema=0.98,
        augment=Augment(scale=(0.6, 1.2), brightness=0.1, contrast=0.2, saturation=0.2, hue=0.02),
    ),
    # Classes are guessed for some 400 steps, in which boxes and masks are learnt, and then they are
    # learnt, too. Steps of four images come sooner to that than steps of eight.
    "yolact_tiny": TrainSettings(steps=1800, batch_size=4, learning_rate=3e-3, ema=0.99),
    "tiny": TrainSettings(steps=1200, learning_rate=3e-3),
    # Ten minutes on two cores; see benchmarks/learning_curve.py.
    "lite0_fpn": TrainSettings(
        epochs=40,
        images_seen=(1600, 3200),
        batch_size=4,
        canvas=(384, 384),
        learning_rate=6e-4,
        ema=0.98,
        augment=Augment(scale=(0.4, 1.0), brightness=0.1, contrast=0.2, saturation=0.2, hue=0.02),
    ),
    # The paper sees COCO's 118,000 images 12.2 times, 16 a step, at a rate of 0.02. A step of 2
    # images takes an eighth of that rate (Goyal et al. 2017) and eight times the steps. A few
    # hundred photographs want more epochs than that: here as many as 24,000 images are.
    "r50_fpn": TrainSettings(
        epochs=12.2,
        images_seen=(24_000, 10**9),
        batch_size=2,
        rate_for_batch=2,
        canvas=(1344, 1344),
        optimizer="sgd",
        learning_rate=0.0025,
        schedule="step",
        warmup_steps=1000,
        clip_norm=0.0,
        checkpoint_every=5000,
    ),
}
