"""Numbers that depend on the data: what size of image, which anchors, how much room for instances.

Most first trainings on one's own data fail for want of these. `fit_to_data` looks at the boxes of a
data set, changes what does not suit them, and says what and why.
"""

import math

import numpy as np

from labkit.data.dataset import Dataset
from labkit.models.backbones import BACKBONES
from labkit.models.detector_config import DetectorConfig
from labkit.models.resize import resized_shape
from labkit.training.settings import TrainSettings

SMALL = 12.0  # pixels; below this a 28 x 28 mask has nothing to show
CANVAS = 256  # side of the windows that large images are trained on


def fit_to_data(
    config: DetectorConfig, settings: TrainSettings, dataset: Dataset, *, keep_size: bool = False
) -> tuple[DetectorConfig, TrainSettings, list[str]]:
    """Config and settings changed to suit a data set, and a sentence for each change.

    - Where resizing to the config's image size would leave a quarter of the objects smaller than
      12 px, images keep their own pixels and training sees windows of 256 px (not with keep_size:
      then the image size was chosen).
    - Anchor sizes double from the size of the small objects on, if the backbone has no published
      weights (tiny).
    - Crowded images get more proposals and more samples a RoI head, where these are few.
    - max_instances, and the number of detections, hold the most crowded image.
    """
    heights, widths = dataset.instance_sizes()
    if not len(heights):
        return config, settings, []
    notes = []
    sizes = np.sqrt(np.maximum(heights * widths, 1e-6))
    shape = _typical_shape(dataset)
    scale = resized_shape(*shape, config)[0] / shape[0]
    too_small = np.quantile(sizes * scale, 0.25) < SMALL < np.median(sizes)
    if config.resize != "none" and too_small and not keep_size:
        notes.append(
            f"A quarter of the objects would be smaller than {SMALL:.0f} px after resizing by "
            f"{scale:.2f}: images keep their own pixels, and training sees windows of {CANVAS} px."
        )
        config, scale = config.replace(resize="none"), 1.0
        half = max(1, settings.batch_size // 2)
        chosen_for = settings.rate_for_batch or settings.batch_size * settings.accumulate
        settings = settings.replace(
            canvas=(CANVAS, CANVAS), batch_size=half, rate_for_batch=chosen_for
        )
    elif config.resize != "none":
        settings = settings.replace(canvas=_canvas(dataset, config))
    if not BACKBONES[config.backbone].imagenet:  # else the paper's numbers stay
        smallest = float(np.quantile(sizes * scale, 0.15))
        first = float(np.clip(round(smallest), 8, 32))
        anchors = tuple(first * 2.0**i for i in range(len(config.strides)))
        if anchors != config.anchor_sizes:
            notes.append(
                f"Anchors of {', '.join(f'{a:.0f}' for a in anchors)} px: 15 % of the "
                f"objects are smaller than {smallest:.0f} px."
            )
            config = config.replace(anchor_sizes=anchors)
    config, more = config.fitted(len(heights) / len(dataset), dataset.max_instances)
    return config, settings, notes + more


def _typical_shape(dataset: Dataset) -> tuple[int, int]:
    """(height, width) of the image of median area."""
    shapes = sorted(
        ((i["height"], i["width"]) for i in map(dataset.image_info, range(len(dataset)))),
        key=lambda s: s[0] * s[1],
    )
    return shapes[len(shapes) // 2]


def _canvas(dataset: Dataset, config: DetectorConfig) -> tuple[int, int]:
    """The smallest canvas that holds every image after resizing, in multiples of 32."""
    resized = [
        resized_shape(i["height"], i["width"], config)
        for i in map(dataset.image_info, range(len(dataset)))
    ]
    return tuple(int(math.ceil(max(r[axis] for r in resized) / 32) * 32) for axis in (0, 1))
