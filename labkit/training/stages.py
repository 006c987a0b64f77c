"""Stages: which weights train, for how long and how, one after another.

    train(model, data, run, settings.replace(stages=(
        Stage("heads", steps=300),                        # the backbone stays as it was published
        Stage("4+", steps=300),                           # C4, C5 and all above them
        Stage("all", steps=300, learning_rate=3e-4),
    )))

New heads start from random weights, and their first gradients would damage a pretrained backbone.
So it is frozen until they have settled, as Matterport's code and its descendants do.
Detectron2 and torchvision keep only the lowest layers frozen and train the others from the start.

A stage names the weights by a word of `PARTS`, by a part of the detector (rpn, say), by a word that
the detector adds (`Detector.STAGES`: Mask R-CNN's roi_heads), or by a regular expression that is
searched for in their paths: PART/LAYER/WEIGHT, and in the backbone the map that a layer leads to
first.

    backbone/C2/stem/kernel   backbone/C5/layer4_0_bn1/gamma   fpn/inner5/bias
    rpn/objectness/kernel     box_head/fc0/kernel              mask_head/deconv/bias
"""

import contextlib
import dataclasses
import re
from collections.abc import Iterator
from dataclasses import dataclass

import keras

from labkit.errors import LabkitError
from labkit.frozen import FrozenDict
from labkit.models.backbones.levels import levels
from labkit.models.detector_config import weights_by_name
from labkit.models.registry import DEFAULT, DETECTORS

OPTIMIZERS = ("adamw", "adam", "sgd", "adadelta")
SCHEDULES = ("cosine", "step", "plateau", "constant")

PARTS = {
    "heads": "^(?!backbone/)",  # all that a published backbone does not bring
    "5+": "^(backbone/C5/|(?!backbone/))",
    "4+": "^(backbone/C[45]/|(?!backbone/))",
    "3+": "^(backbone/C[345]/|(?!backbone/))",
    "all": "",
}


@dataclass(frozen=True)
class Stage:
    """A part of a run. What is None is taken from the `TrainSettings` that hold the stage.

    Attributes:
        trains: a word or a regular expression over paths of weights (see above).
        steps: how long it is; or `epochs`, each as many steps as show every image once.
        learning_rate, schedule, warmup_steps, optimizer: of this stage, which begins with a new
            optimizer: moments of other weights or another rule mean nothing to it.
        loss_weights: by name, instead of the config's; losses that are not named keep theirs. A
            loss of weight 0 is still computed and recorded, but costs no gradient.
    """

    trains: str = "all"
    steps: int = 0
    epochs: float = 0.0
    learning_rate: float | None = None
    schedule: str | None = None
    warmup_steps: int | None = None
    optimizer: str | None = None
    loss_weights: dict[str, float] | None = None

    def __post_init__(self):
        # Runs that were written before weights had names are all of one detector.
        names = DETECTORS[DEFAULT].config_class.LOSSES
        weights = weights_by_name(self.loss_weights, names)
        if isinstance(weights, dict):
            object.__setattr__(self, "loss_weights", FrozenDict(weights))
        for name, good, rule in _rules(self):
            if not good:
                raise LabkitError(f"Stage: '{name}' {rule}, got {getattr(self, name)!r}.")

    def steps_of(self, images: int, batch_size: int) -> int:
        """Its length in batches, on so many training images."""
        return self.steps or max(1, round(self.epochs * images / batch_size))


def _rules(stage: Stage) -> Iterator[tuple[str, bool, str]]:
    """(field, whether it is good, what it must be)."""
    one = (stage.steps > 0) != (stage.epochs > 0) and min(stage.steps, stage.epochs) >= 0
    yield "steps", one, f"or 'epochs' ({stage.epochs!r}) must be above 0, one of the two"
    yield "trains", bool(stage.trains), "must name weights; 'all' trains every one"
    good = stage.trains in PARTS or _compiles(stage.trains)
    yield "trains", good, "is neither a known part nor a regular expression"
    rate = stage.learning_rate
    yield "learning_rate", rate is None or rate > 0, "must be above 0"
    yield "warmup_steps", (stage.warmup_steps or 0) >= 0, "must not be negative"
    yield "schedule", stage.schedule in (None, *SCHEDULES), f"must be one of {SCHEDULES}"
    yield "optimizer", stage.optimizer in (None, *OPTIMIZERS), f"must be one of {OPTIMIZERS}"
    weights = stage.loss_weights
    good = weights is None or (isinstance(weights, dict) and _are_weights(weights.values()))
    yield "loss_weights", good, "must be a dict of numbers of at least 0 by the names of losses"


def _are_weights(values) -> bool:
    numbers = [v for v in values if isinstance(v, int | float) and not isinstance(v, bool)]
    return len(numbers) == len(values) and all(v >= 0 for v in numbers)


def _compiles(pattern: str) -> bool:
    try:
        re.compile(pattern)
    except re.error:
        return False
    return True


_WRITTEN = re.compile(r"(.+):(\d+)(epochs?)?(?:@(\d+\.?\d*(?:e-?\d+)?))?")


def parse_stage(text: str) -> Stage:
    """A stage as the command line writes it: PARTS:STEPS, PARTS:10epochs, PARTS:300@0.001.

    Raises:
        LabkitError: the text is none of these.
    """
    found = _WRITTEN.fullmatch(text)
    if not found:
        raise LabkitError(
            f"stage '{text}': write WHAT:STEPS or WHAT:10epochs, with @RATE behind it for a "
            f"learning rate of its own; WHAT is one of {', '.join(PARTS)} or a regular expression."
        )
    trains, length, epochs, rate = found.groups()
    rate = None if rate is None else float(rate)
    if epochs:
        return Stage(trains, epochs=float(length), learning_rate=rate)
    return Stage(trains, steps=int(length), learning_rate=rate)


@dataclass(frozen=True)
class Leg:
    """A stage as it is run.

    Attributes:
        number: of the stage, from 1.
        trains: what trains, as the stage says it.
        first, last: its steps are those after `first`, up to `last`.
        settings: those of the run with the stage's own in their place; settings.steps is its
            length.
        loss_weights: by name, those that the stage changes.
    """

    number: int
    trains: str
    first: int
    last: int
    settings: object
    loss_weights: dict[str, float]


def legs(settings) -> list[Leg]:
    """The stages of settings whose lengths are known (see `TrainSettings.planned`), in order."""
    stages = settings.stages or (Stage("all", steps=settings.steps),)
    found, first = [], 0
    for number, stage in enumerate(stages, 1):
        last = first + stage.steps
        names = ("learning_rate", "schedule", "warmup_steps", "optimizer")
        own = {n: getattr(stage, n) for n in names if getattr(stage, n) is not None}
        own = settings.replace(stages=(), steps=stage.steps, **own)
        found.append(Leg(number, stage.trains, first, last, own, stage.loss_weights or {}))
        first = last
    return found


def planned_stages(stages: tuple[Stage, ...], images: int, batch_size: int) -> tuple[Stage, ...]:
    """The stages with every length in steps."""
    return tuple(
        dataclasses.replace(s, steps=s.steps_of(images, batch_size), epochs=0.0) for s in stages
    )


def check_stages(model, stages: list[Leg]) -> None:
    """Raise LabkitError for a stage in which nothing can train, or nothing gets a gradient."""
    for leg in stages:
        _chosen(model, leg.trains)
        unknown = [name for name in leg.loss_weights if name not in model.LOSSES]
        if unknown:
            raise LabkitError(
                f"Stage {leg.number}: there is no loss '{unknown[0]}'; there are: "
                f"{', '.join(model.LOSSES)}."
            )
        weights = {**model.config.loss_weights, **leg.loss_weights}
        parts = parts_of(model, leg.trains)
        losses = (n for part in parts for n in model.LOSSES_OF_PART.get(part, model.LOSSES))
        if not any(weights[name] for name in losses):
            raise LabkitError(
                f"Stage {leg.number} trains '{leg.trains}', whose losses all have weight 0: give "
                "one of them a weight, or train something else."
            )


def parts_of(model, trains: str) -> list[str]:
    """The parts of a model of which a stage trains something: "backbone", "rpn" and so on."""
    pattern = pattern_of(model, trains)
    paths = (path for path, _, _ in weight_paths(model) if re.search(pattern, path))
    return list(dict.fromkeys(path.split("/")[0] for path in paths))


def pattern_of(model, trains: str) -> str:
    """The regular expression over paths that a stage means by `trains`."""
    words = {part: f"^{part}/" for part in model.parts()} | PARTS | model.STAGES
    return words.get(trains, trains)


# --- freezing ---------------------------------------------------------------------------


def weight_paths(model) -> Iterator[tuple[str, keras.layers.Layer, keras.Variable]]:
    """(path, layer, variable) of every weight of a model, backbone first."""
    for path, layer in layer_paths(model):
        for variable in layer.weights:
            yield f"{path}/{variable.name}", layer, variable


def layer_paths(model) -> Iterator[tuple[str, keras.layers.Layer]]:
    """(path, layer) of every layer of a model, backbone first."""
    for name, part in model.parts().items():
        level_of = levels(part) if name == "backbone" else {}
        for top in part.layers:
            level = f"{level_of[top.name]}/" if level_of else ""
            for layer in _leaves(top):
                yield f"{name}/{level}{layer.name}", layer


def _leaves(layer) -> Iterator[keras.layers.Layer]:
    """The layers inside a model inside the backbone, or the layer itself."""
    if not isinstance(layer, keras.Model):
        yield layer
        return
    for inner in layer.layers:
        yield from _leaves(inner)


@contextlib.contextmanager
def training_only(model, trains: str):
    """Within the block, only the weights that `trains` names train (see `Stage`).

    A layer without a weight that trains is frozen as a whole: its batch norm uses the stored
    statistics and leaves them alone. What was frozen before (the batch norms of a published
    backbone, say) stays so; afterwards everything is as it was.
    Raises LabkitError if nothing matches, or all that matches was frozen before.
    """
    weights = list(weight_paths(model))
    before = {id(layer): (layer, layer.trainable) for _, layer, _ in weights}
    flags = [(variable, variable.trainable) for _, _, variable in weights]
    chosen = _chosen(model, trains)
    try:
        for layer, trainable in before.values():
            layer.trainable = trainable and any(id(v) in chosen for v in layer.weights)
        for variable, trainable in flags:
            variable.trainable = trainable and id(variable) in chosen
        yield
    finally:
        for layer, trainable in before.values():
            layer.trainable = trainable
        for variable, trainable in flags:
            variable.trainable = trainable


def _chosen(model, trains: str) -> set[int]:
    """The ids of the weights that match and can train. Raises LabkitError if there are none."""
    pattern = pattern_of(model, trains)
    weights = list(weight_paths(model))
    chosen = {id(v) for path, _, v in weights if re.search(pattern, path) and v.trainable}
    if not chosen:
        raise LabkitError(
            f"Stage: no weight that can be trained matches '{pattern}'; paths look like "
            f"{weights[0][0]} and {weights[-1][0]}."
        )
    return chosen
