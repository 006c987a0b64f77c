"""How to train, in one frozen place, as `Config` is for what is trained."""

import dataclasses
from dataclasses import dataclass

from labkit.data.augment import Augment
from labkit.errors import LabkitError

OPTIMIZERS = ("adamw", "sgd")
SCHEDULES = ("cosine", "step")


@dataclass(frozen=True)
class TrainSettings:
    """The numbers of a training run. A step is one batch."""

    steps: int = 1000
    batch_size: int = 8
    canvas: tuple[int, int] = (128, 128)  # (H, W) of training images; larger ones are cropped
    buckets: bool = False  # upright images get the canvas upright, others on its side
    optimizer: str = "adamw"  # or "sgd", with momentum 0.9
    learning_rate: float = 2e-3  # at the end of the warm-up
    weight_decay: float = 1e-4
    schedule: str = "cosine"  # or "step": a tenth at 2/3 and at 8/9 of the run, as the paper's
    warmup_steps: int = 50
    clip_norm: float = 5.0  # of all gradients together; 0 does not clip
    augment: Augment = Augment()
    validate_every: int = 0  # steps; 0 leaves validation to the end
    checkpoint_every: int = 200  # steps
    checkpoints_kept: int = 2
    deterministic: bool = False  # the same numbers twice, bit for bit; slower

    def __post_init__(self):
        if isinstance(self.augment, dict):  # from JSON
            object.__setattr__(self, "augment", Augment(**self.augment))
        object.__setattr__(self, "canvas", tuple(self.canvas))
        for name in ("steps", "batch_size", "learning_rate", "checkpoint_every",
                     "checkpoints_kept"):  # fmt: skip
            self._check(name, getattr(self, name) > 0, "must be above 0")
        for name in ("weight_decay", "warmup_steps", "clip_norm", "validate_every"):
            self._check(name, getattr(self, name) >= 0, "must not be negative")
        self._check("optimizer", self.optimizer in OPTIMIZERS, f"must be one of {OPTIMIZERS}")
        self._check("schedule", self.schedule in SCHEDULES, f"must be one of {SCHEDULES}")

    def _check(self, name: str, good: bool, rule: str) -> None:
        if not good:
            raise LabkitError(f"TrainSettings: '{name}' {rule}, got {getattr(self, name)!r}.")

    def replace(self, **changes) -> "TrainSettings":
        """A copy with some fields changed. Raises LabkitError for a name that does not exist."""
        known = {f.name for f in dataclasses.fields(self)}
        for name in changes:
            if name not in known:
                names = ", ".join(sorted(known))
                raise LabkitError(f"TrainSettings: there is no field '{name}'; there are: {names}.")
        return dataclasses.replace(self, **changes)

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
        steps=720_000, batch_size=2, canvas=(1344, 1344), optimizer="sgd", learning_rate=0.0025,
        schedule="step", warmup_steps=1000, clip_norm=0.0, checkpoint_every=5000,
    ),
}  # fmt: skip
