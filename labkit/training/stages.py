"""Stages: which weights train, for how long and how, one after another.

    train(model, data, run, settings.replace(stages=(
        Stage("heads", steps=300),                        # the backbone stays as it was published
        Stage("4+", steps=300),                           # C4, C5 and all above them
        Stage("all", steps=300, learning_rate=3e-4),
    )))

New heads start from noise, and their first gradients would wreck a backbone that already knows how
to see. So it is kept still until they have settled, as Matterport's code and its descendants do.
(Detectron2 and torchvision keep only the lowest layers still, and train the others from the start.)

A stage names the weights by a word of `PARTS` or by a regular expression that is searched for in
their paths: PART/LAYER/WEIGHT, and in the backbone the map that a layer leads to first.

    backbone/C2/stem/kernel   backbone/C5/layer4_0_bn1/gamma   fpn/inner5/bias
    rpn/objectness/kernel     box_head/fc0/kernel              mask_head/deconv/bias
"""

import contextlib
import dataclasses
import re
import weakref
from collections.abc import Iterator
from dataclasses import dataclass

import keras

from labkit.errors import LabkitError

OPTIMIZERS = ("adamw", "adam", "sgd", "adadelta")
SCHEDULES = ("cosine", "step", "plateau", "constant")

_HEADS = "fpn|rpn|box_head|mask_head"
PARTS = {
    "heads": f"^({_HEADS})/",  # all that a published backbone does not bring
    "5+": f"^(backbone/C5|{_HEADS})/",
    "4+": f"^(backbone/C[45]|{_HEADS})/",
    "3+": f"^(backbone/C[345]|{_HEADS})/",
    "all": "",
    "rpn": "^rpn/",
    "roi_heads": "^(box_head|mask_head)/",
}


@dataclass(frozen=True)
class Stage:
    """A part of a run. What is None is as in the `TrainSettings` that the stage stands in.

    trains: a word of PARTS, or a regular expression over paths of weights (see above).
    steps, or epochs: how long; one of them. An epoch is as many steps as show every image once.
    learning_rate, schedule, warmup_steps, optimizer: of this stage, which begins with a fresh
        optimizer: moments gathered for other weights or by another rule mean nothing to it.
    loss_weights: of the five losses (in the order of LOSS_NAMES) instead of the config's. A loss
        of weight 0 is still computed and written down, but costs no gradient.
    """

    trains: str = "all"
    steps: int = 0
    epochs: float = 0.0
    learning_rate: float | None = None
    schedule: str | None = None
    warmup_steps: int | None = None
    optimizer: str | None = None
    loss_weights: tuple[float, ...] | None = None

    def __post_init__(self):
        if self.loss_weights is not None:
            object.__setattr__(self, "loss_weights", tuple(self.loss_weights))
        for name, good, rule in _rules(self):
            if not good:
                raise LabkitError(f"Stage: '{name}' {rule}, got {getattr(self, name)!r}.")

    @property
    def pattern(self) -> str:
        """The regular expression that the paths of its weights match."""
        return PARTS.get(self.trains, self.trains)

    def steps_of(self, images: int, batch_size: int) -> int:
        """Its length in batches, on so many training images."""
        return self.steps or max(1, round(self.epochs * images / batch_size))


def _rules(stage: Stage) -> Iterator[tuple[str, bool, str]]:
    """(field, whether it is good, what it must be)."""
    one = (stage.steps > 0) != (stage.epochs > 0) and min(stage.steps, stage.epochs) >= 0
    yield "steps", one, f"or 'epochs' ({stage.epochs!r}) must be above 0, one of the two"
    yield "trains", bool(stage.trains), "must name weights; 'all' trains every one"
    yield "trains", _compiles(stage.pattern), "is neither a known part nor a regular expression"
    rate = stage.learning_rate
    yield "learning_rate", rate is None or rate > 0, "must be above 0"
    yield "warmup_steps", (stage.warmup_steps or 0) >= 0, "must not be negative"
    yield "schedule", stage.schedule in (None, *SCHEDULES), f"must be one of {SCHEDULES}"
    yield "optimizer", stage.optimizer in (None, *OPTIMIZERS), f"must be one of {OPTIMIZERS}"
    weights = stage.loss_weights
    good = weights is None or (len(weights) == 5 and min(weights) >= 0 < max(weights))
    yield "loss_weights", good, "must be five numbers of at least 0, and not all of them 0"


def _compiles(pattern: str) -> bool:
    try:
        re.compile(pattern)
    except re.error:
        return False
    return True


_WRITTEN = re.compile(r"(.+):(\d+)(epochs?)?(?:@(\d+\.?\d*(?:e-?\d+)?))?")


def parse_stage(text: str) -> Stage:
    """A stage as the command line writes it: PARTS:STEPS, PARTS:10epochs, PARTS:300@0.001.

    Raises LabkitError where the text is none of these.
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
    """A stage as it is run: its number from 1, what trains, and the steps first < step <= last.

    settings: those of the run with the stage's own in their place; settings.steps is its length.
    """

    number: int
    trains: str
    pattern: str
    first: int
    last: int
    settings: object
    loss_weights: tuple[float, ...] | None


def legs(settings) -> list[Leg]:
    """The stages of settings whose lengths are known (see `TrainSettings.planned`), in order."""
    stages = settings.stages or (Stage("all", steps=settings.steps),)
    found, first = [], 0
    for number, stage in enumerate(stages, 1):
        last = first + stage.steps
        names = ("learning_rate", "schedule", "warmup_steps", "optimizer")
        own = {n: getattr(stage, n) for n in names if getattr(stage, n) is not None}
        own = settings.replace(stages=(), steps=stage.steps, **own)
        found.append(Leg(number, stage.trains, stage.pattern, first, last, own, stage.loss_weights))
        first = last
    return found


def planned_stages(stages: tuple[Stage, ...], images: int, batch_size: int) -> tuple[Stage, ...]:
    """The stages with every length in steps."""
    return tuple(
        dataclasses.replace(s, steps=s.steps_of(images, batch_size), epochs=0.0) for s in stages
    )


# The parts that learn from nothing but losses of their own: their places in LOSS_NAMES.
_OWN_LOSSES = {"rpn": (0, 1), "box_head": (2, 3), "mask_head": (4,)}


def check_stages(model, settings) -> None:
    """Raise LabkitError for a stage in which nothing can train, or nothing gets a gradient."""
    for leg in legs(settings):
        _chosen(model, leg.pattern)
        weights = leg.loss_weights or model.config.loss_weights
        parts = parts_of(model, leg.pattern)
        taught = any(weights[i] for part in parts for i in _OWN_LOSSES.get(part, range(5)))
        if not taught:
            raise LabkitError(
                f"Stage {leg.number} trains '{leg.trains}', whose losses all have weight 0: give "
                "one of them a weight, or train something else."
            )


def parts_of(model, pattern: str) -> list[str]:
    """The parts of a model that have weights whose paths match: "backbone", "rpn" and so on."""
    paths = (path for path, _, _ in weight_paths(model) if re.search(pattern, path))
    return list(dict.fromkeys(path.split("/")[0] for path in paths))


# --- freezing ---------------------------------------------------------------------------


def weight_paths(model) -> Iterator[tuple[str, keras.layers.Layer, keras.Variable]]:
    """(path, layer, variable) of every weight of a model, backbone first."""
    for path, layer in layer_paths(model):
        for variable in layer.weights:
            yield f"{path}/{variable.name}", layer, variable


def layer_paths(model) -> Iterator[tuple[str, keras.layers.Layer]]:
    """(path, layer) of every layer of a model, backbone first."""
    level_of = _levels(model.backbone)
    for part in (model.backbone, model.fpn, model.rpn_head, model.box_head, model.mask_head):
        for top in part.layers:
            level = f"{level_of[top.name]}/" if part is model.backbone else ""
            for layer in _leaves(top):
                yield f"{part.name}/{level}{layer.name}", layer


def _leaves(layer) -> Iterator[keras.layers.Layer]:
    """The layers inside a model inside the backbone, or the layer itself."""
    if not isinstance(layer, keras.Model):
        yield layer
        return
    for inner in layer.layers:
        yield from _leaves(inner)


def _levels(backbone: keras.Model) -> dict[str, str]:
    """Layer name -> the first of C2..C5 that it leads to: by the graph, whatever the names are."""
    if backbone not in _LEVELS:
        found: dict[str, str] = {}
        for number, output in enumerate(backbone.outputs, 2):
            for layer in keras.Model(backbone.inputs, output).layers:
                found.setdefault(layer.name, f"C{number}")
        _LEVELS[backbone] = found
    return _LEVELS[backbone]


_LEVELS = weakref.WeakKeyDictionary()  # of every backbone seen: a ResNet's takes a second


@contextlib.contextmanager
def training_only(model, pattern: str):
    """Within the block, only weights whose path matches train; the rest is as if it were data.

    A layer without a weight that trains is frozen as a whole: its batch norm uses the stored
    statistics and leaves them alone. What was frozen before (the batch norms of a published
    backbone, say) stays so; afterwards everything is as it was.
    Raises LabkitError if nothing matches, or all that matches was frozen before.
    """
    weights = list(weight_paths(model))
    before = {id(layer): (layer, layer.trainable) for _, layer, _ in weights}
    flags = [(variable, variable.trainable) for _, _, variable in weights]
    chosen = _chosen(model, pattern)
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


def _chosen(model, pattern: str) -> set[int]:
    """The ids of the weights that match and can train. Raises LabkitError if there are none."""
    weights = list(weight_paths(model))
    chosen = {id(v) for path, _, v in weights if re.search(pattern, path) and v.trainable}
    if not chosen:
        raise LabkitError(
            f"Stage: no weight that can be trained matches '{pattern}'; paths look like "
            f"{weights[0][0]} and {weights[-1][0]}."
        )
    return chosen
