"""A design task of notebook 01b: anchors for what is long and thin, within a budget."""

import numpy as np

from labkit.course.design import Design, Judgement
from labkit.data.anchor_fit import POOR_IOU, anchor_ious, feature_shapes
from labkit.errors import LabkitError
from labkit.models.config import Config

NOTEBOOK = "01b_anchors_and_deltas"

# Three objects in the notebook's photo of a rocket, in pixels at the network's input size. The two
# smaller ones are no part of the task: every level has one size, and these three need the fine
# levels.
CANVAS = (128, 192)
OBJECTS = {
    "tower": (0.0, 0.0, 127.0, 27.5),
    "rocket": (37.8, 92.6, 121.4, 100.7),
    "lamp with rays": (110.9, 50.1, 127.6, 65.9),
}
BUDGET = 9_000  # anchors; the three ratios of `tiny` make 6,138 on this canvas


def judge(answer) -> Judgement:
    """Whether every object has an anchor with an IoU of at least 0.5, and what the grid costs."""
    config = _config_of(answer)
    boxes = np.float32(list(OBJECTS.values()))
    best = anchor_ious(boxes, np.tile(CANVAS, (len(boxes), 1)), config)
    cells = sum(rows * columns for rows, columns in feature_shapes(*CANVAS, config))
    count = int(cells) * len(config.anchor_ratios)
    highest = best.max(axis=(1, 2))
    each = ", ".join(f"{name} {iou:.2f}" for name, iou in zip(OBJECTS, highest, strict=True))
    fitting = int((highest >= POOR_IOU).sum())
    message = f"{fitting} of {len(boxes)} objects fit ({each}), with {count:,} anchors"
    if count > BUDGET:
        hint = "each ratio adds as many anchors as every other one; which of yours is not needed?"
        return Judgement(False, f"{message}, more than {BUDGET:,}.", hint)
    if fitting == len(boxes):
        return Judgement(True, f"{message}.")
    worst = int(highest.argmin())
    return Judgement(False, f"{message}.", _hint(list(OBJECTS)[worst], boxes[worst], config))


def _config_of(answer) -> Config:
    try:
        sizes, ratios = answer
        return Config.preset("tiny", anchor_sizes=tuple(sizes), anchor_ratios=tuple(ratios))
    except LabkitError as error:
        raise ValueError(str(error).rstrip(".")) from None
    except (TypeError, ValueError):
        raise ValueError(
            "give (sizes, ratios): five numbers for P2 to P6, and the ratios"
        ) from None


def _hint(name: str, box: np.ndarray, config: Config) -> str:
    """What keeps an object from fitting: the ratio, the size, or the distance of the anchors."""
    height, width = box[2:] - box[:2]
    size, ratio = np.sqrt(height * width), height / width
    if np.abs(np.log(np.array(config.anchor_ratios) / ratio)).min() > np.log(1.6):
        return (
            f"the {name} is about {ratio:.0f} times as high as wide: does one of your ratios come "
            "near?"
        )
    near = np.abs(np.log(np.array(config.anchor_sizes) / size))
    if near.min() > np.log(1.25):
        return f"the {name} has the size √(h·w) = {size:.0f} px: is one of your sizes near it?"
    stride = config.strides[int(near.argmin())]
    return (
        f"the {name} is {width:.0f} px wide, and the anchors of its size stand {stride} px apart. "
        "Which level has its anchors close enough together?"
    )


ROCKET = Design(
    name="rocket_anchors",
    notebook=NOTEBOOK,
    title="Design: anchors for the rocket",
    judge=judge,
    hints=(
        "Print height / width and √(height · width) of the three objects: these are the ratios and "
        "sizes that would fit them exactly.",
        "Every level has one size and all ratios. The order of the sizes is up to you: nothing "
        "says that the smallest belongs on P2.",
        "The rocket is 8 px wide. On P4 the anchors stand 16 px apart, so most of the time none is "
        "near enough: put its size on P2, and the lamp's on P3.",
    ),
)

DESIGNS = (ROCKET,)
