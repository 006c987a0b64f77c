"""Ready-made ways to train: the paper's, and those of five reports on training Mask R-CNN.

    settings = recipe("food", TrainSettings.preset("r50_fpn", steps=20_000))

Of the reports no more is known here than a sentence each, which `source` repeats. The order of
stages is theirs where the sentence gives it; every length (a share of settings.steps) and every
rate (a share of settings.learning_rate) is labkit's own choice, and as good as any other first try.
"""

from dataclasses import dataclass
from itertools import pairwise

from labkit.errors import LabkitError
from labkit.training.settings import TrainSettings
from labkit.training.stages import Stage

# These two are of Mask R-CNN; another detector refuses the names, in a sentence.
RPN_ONLY = {"objectness": 1.0, "rpn_box": 1.0, "class": 0.0, "box": 0.0, "mask": 0.0}
ROIS_ONLY = {name: 1.0 - weight for name, weight in RPN_ONLY.items()}


@dataclass(frozen=True)
class Turn:
    """A stage of a recipe: what trains, its share of the steps, and its share of the rate.

    Attributes:
        trains: as `Stage.trains`.
        share: of the steps of the run.
        rate: the stage's learning rate as a share of the run's.
        loss_weights: as `Stage.loss_weights`.
    """

    trains: str
    share: float
    rate: float = 1.0
    loss_weights: dict[str, float] | None = None


@dataclass(frozen=True)
class Recipe:
    """A ready-made sequence of stages.

    Attributes:
        source: where it comes from.
        does: what it did there.
        own: what is labkit's choice.
        turns: its stages.
    """

    source: str
    does: str
    own: str
    turns: tuple[Turn, ...]


RECIPES = {
    "paper": Recipe(
        source="He et al. 2017 with Lin et al. 2017; the schedule '1x' of Detectron's model zoo.",
        does="All weights but the backbone's batch norms, by SGD with momentum 0.9 and decay 1e-4, "
        "in 90,000 steps of 16 images at 0.02, a tenth of that from 60,000 and from 80,000 on.",
        own="Rate and steps follow the batch (Goyal et al. 2017): 0.02 / 16 an image, and as many "
        "images in all; a warm-up of 1/90 of the run.",
        turns=(Turn("all", 1.0),),
    ),
    "food": Recipe(
        source="A food-recognition Mask R-CNN in TensorFlow 2 (ResNet-50, FPN).",
        does="Staged fine-tuning, heads first, all weights last.",
        own="The stages in between (5+, 4+, 3+), a fifth of the steps each, and a tenth of the "
        "rate once the whole backbone moves.",
        turns=(
            Turn("heads", 0.2),
            Turn("5+", 0.2),
            Turn("4+", 0.2),
            Turn("3+", 0.2),
            Turn("all", 0.2, rate=0.1),
        ),
    ),
    "cityscapes": Recipe(
        source="Mask R-CNN on Cityscapes, with mini-masks and Hyperband.",
        does="RPN and FPN frozen with their losses at zero weight: its best run. The model must "
        "have learnt to propose before, on COCO for instance.",
        own="Everything else trains together, the backbone too. (Config.mini_mask and the search "
        "are not settings of a training, and so not part of the recipe.)",
        turns=(Turn("^(backbone|box_head|mask_head)/", 1.0, loss_weights=ROIS_ONLY),),
    ),
    "coco-stuff": Recipe(
        source="Mask R-CNN on COCO-Stuff.",
        does="Nothing is known of its schedule.",
        own="All of it: heads for the first half, then everything at a tenth of the rate. Stuff "
        "has long tails: consider Config.class_weights or class_focal.",
        turns=(Turn("heads", 0.5), Turn("all", 0.5, rate=0.1)),
    ),
    "trash": Recipe(
        source="Underwater trash, with MobileNetV2 as the backbone.",
        does="A learning rate from a range test.",
        own="Heads for the first third, then everything at that rate. (The rate is yours to give; "
        "Config.backbone names the backbone.)",
        turns=(Turn("heads", 1 / 3), Turn("all", 2 / 3)),
    ),
    "alternating": Recipe(
        source="A seminar's reimplementation; the idea is Ren et al. 2015 (sec. 3.2).",
        does="RPN and heads take turns, each with the other's losses at zero weight.",
        own="Two turns each. In the first, backbone and pyramid train with either; in the "
        "second they are frozen, so that both work on the same features, as in the paper.",
        turns=(
            Turn("^(backbone|fpn|rpn)/", 0.3, loss_weights=RPN_ONLY),
            Turn("^(backbone|fpn|box_head|mask_head)/", 0.4, loss_weights=ROIS_ONLY),
            Turn("rpn", 0.1, loss_weights=RPN_ONLY),
            Turn("roi_heads", 0.2, loss_weights=ROIS_ONLY),
        ),
    ),
}


def recipe(name: str, settings: TrainSettings, steps: int | None = None) -> TrainSettings:
    """`settings` with the stages of a recipe, which share its learning rate and `steps`.

    Args:
        name: a key of RECIPES. "paper" brings a length, an optimizer, a rate and a schedule of its
            own.
        settings: what the stages start from.
        steps: of all stages together; by default those of the settings.

    Raises:
        LabkitError: the name is unknown, the settings count epochs and nothing says how many steps
            these are, there are fewer steps than stages, or the steps are not a
            multiple of settings.accumulate.
    """
    if name not in RECIPES:
        raise LabkitError(f"There is no recipe '{name}'; there are: {', '.join(RECIPES)}.")
    if name == "paper":
        return _paper(settings, steps)
    if settings.epochs and not steps:
        raise LabkitError(
            f"The recipe '{name}' divides steps, and these settings count epochs: give steps, or "
            "settings.planned(len(dataset))."
        )
    settings = settings.replace(steps=steps or settings.steps)
    return settings.replace(stages=_stages(name, settings))


def _stages(name: str, settings: TrainSettings) -> tuple[Stage, ...]:
    turns, every = RECIPES[name].turns, settings.accumulate
    settings.replace(stages=()).planned(images=1)  # refuses steps that accumulate does not divide
    if settings.steps < len(turns) * every:
        raise LabkitError(
            f"The recipe '{name}' has {len(turns)} stages, more than {settings.steps} steps hold: "
            "give it more steps."
        )
    ends, done = [0], 0.0
    for number, turn in enumerate(turns, 1):
        done += turn.share
        after = (len(turns) - number) * every  # every later stage has a step at least
        end = min(round(done * settings.steps / every) * every, settings.steps - after)
        ends.append(max(end, ends[-1] + every))
    return tuple(
        Stage(
            t.trains,
            steps=end - begin,
            learning_rate=settings.learning_rate * t.rate,
            loss_weights=t.loss_weights,
        )
        for t, (begin, end) in zip(turns, pairwise(ends), strict=True)
    )


def _paper(settings: TrainSettings, steps: int | None) -> TrainSettings:
    images = settings.batch_size * settings.accumulate  # that an update learns from
    steps = steps or 90_000 * 16 // images * settings.accumulate
    return settings.replace(
        stages=(),
        optimizer="sgd",
        momentum=0.9,
        weight_decay=1e-4,
        clip_norm=0.0,
        learning_rate=0.02,
        rate_for_batch=16,
        schedule="step",
        milestones=(2 / 3, 8 / 9),
        steps=steps,
        warmup_steps=steps // 90,
    )
