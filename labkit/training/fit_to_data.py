"""Numbers that depend on the data: size of image, anchors, room for instances, batch, warm-up.

Most first trainings on one's own data fail for want of these. `fit_to_data` looks at the boxes of a
data set, changes what does not suit them, and says what and why.
"""

import math

import numpy as np

from labkit.data.dataset import Dataset
from labkit.models.detector_config import DetectorConfig
from labkit.models.resize import resized_shape
from labkit.training.device import gpu_gibibytes
from labkit.training.settings import TrainSettings

SMALL = 12.0  # pixels; below this a 28 x 28 mask has nothing to show
CANVAS = 256  # least side of the windows that large images are trained on
FIRST = (8, 24)  # pixels, of the smallest anchors: larger data may still bring small objects
WARM_UP = 0.1  # the largest share of a run that the rate may take to rise
# r50_fpn took 3.4 GiB for a step on one image of 800 x 1067 px, a good GiB of it for TensorFlow and
# weights. That was on a CPU; a GPU was never measured.
GIBIBYTES_PER_MEGAPIXEL = 3.0
LARGEST_BATCH = 16  # the paper's


def fit_to_data(
    config: DetectorConfig,
    settings: TrainSettings,
    dataset: Dataset,
    *,
    keep_size: bool = False,
    keep_anchors: bool = False,
) -> tuple[DetectorConfig, TrainSettings, list[str]]:
    """Config and settings changed to suit a data set, and a sentence for each change.

    - Where resizing to the config's image size would leave a quarter of the objects smaller than
      12 px, images keep their own pixels and training sees windows, of 256 px at least (not with
      keep_size: then the image size was chosen). Otherwise the canvas holds every image, unless
      the settings scale images at random: then it shows windows anyway.
    - Anchor sizes double from the size of the small objects on (not with keep_anchors: an RPN that
      was trained has its own).
    - Crowded images get more proposals and more samples a RoI head, where these are few.
    - max_instances, and the number of detections, hold the most crowded image.
    - Settings that know which batch their rate was chosen for (r50_fpn's) get the batch that the
      memory of the GPU holds, if there is a GPU; the warm-up is at most a tenth of the run.
    """
    heights, widths = dataset.instance_sizes()
    if not len(heights):
        return config, settings, []
    sizes = np.sqrt(np.maximum(heights * widths, 1e-6))
    infos = map(dataset.image_info, range(len(dataset)))
    shapes = [(info["height"], info["width"]) for info in infos]
    config, settings, notes = _fit_size(config, settings, shapes, sizes, keep_size)
    if not keep_anchors:
        seen = _scale(shapes, config) * math.sqrt(math.prod(settings.augment.scale))
        config, more = _fit_anchors(config, sizes * seen)
        notes += more
    config, more = config.fitted(len(heights) / len(dataset), dataset.max_instances)
    notes += more
    if gpu := gpu_gibibytes():
        settings, more = fit_batch(settings, gpu)
        notes += more
    warm_up = min(settings.warmup_steps, int(WARM_UP * settings.steps_for(len(dataset))))
    return config, settings.replace(warmup_steps=warm_up), notes


def _fit_size(config, settings, shapes: list[tuple[int, int]], sizes: np.ndarray, keep: bool):
    """Image size and canvas for images of these shapes, and objects of these sizes in them."""
    if config.resize == "none":
        return config, settings, []
    scale = _scale(shapes, config)
    small = np.quantile(sizes * scale, 0.25) < SMALL < np.median(sizes)
    if keep or not small:
        return config, settings.replace(canvas=_canvas(shapes, config, settings)), []
    side = max(CANVAS, *settings.canvas)
    if side > max(settings.canvas):
        half = max(1, settings.batch_size // 2)
        chosen_for = settings.rate_for_batch or settings.batch_size * settings.accumulate
        settings = settings.replace(batch_size=half, rate_for_batch=chosen_for)
    note = (
        f"A quarter of the objects would be smaller than {SMALL:.0f} px after resizing by "
        f"{scale:.2f}: images keep their own pixels, and training sees windows of {side} px."
    )
    return config.replace(resize="none"), settings.replace(canvas=(side, side)), [note]


def _fit_anchors(config: DetectorConfig, sizes: np.ndarray):
    """Anchors for objects of these sizes, in pixels of the images that training sees."""
    small = float(np.quantile(sizes, 0.15))
    first = float(np.clip(round(small), *FIRST))
    anchors = tuple(first * 2.0**level for level in range(len(config.strides)))
    if anchors == config.anchor_sizes:
        return config, []
    note = (
        f"Anchors of {', '.join(f'{a:.0f}' for a in anchors)} px: 15 % of the objects are smaller "
        f"than {small:.0f} px."
    )
    return config.replace(anchor_sizes=anchors), [note]


def fit_batch(settings: TrainSettings, gibibytes: float) -> tuple[TrainSettings, list[str]]:
    """The batch that a GPU with so much memory holds, for settings that say `rate_for_batch`.

    Rate and number of steps follow from it: see `TrainSettings.peak_rate` and `epochs`.
    """
    if not (settings.rate_for_batch and settings.epochs):
        return settings, []
    megapixels = math.prod(settings.canvas) / 1e6
    fits = int((gibibytes - 2) / (GIBIBYTES_PER_MEGAPIXEL * megapixels))  # 2: weights and more
    batch = min(max(fits, 1), LARGEST_BATCH)
    if batch == settings.batch_size:
        return settings, []
    note = f"Batches of {batch}: the GPU has {gibibytes:.0f} GiB of memory."
    return settings.replace(batch_size=batch), [note]


def _scale(shapes: list[tuple[int, int]], config: DetectorConfig) -> float:
    """The factor by which the image of median area is resized."""
    middle = sorted(shapes, key=math.prod)[len(shapes) // 2]
    return math.sqrt(math.prod(resized_shape(*middle, config)) / math.prod(middle))


def _canvas(shapes: list[tuple[int, int]], config: DetectorConfig, settings) -> tuple[int, int]:
    """The smallest canvas that holds every image after resizing.

    Where images are padded, it has multiples of 32. Where they are scaled at random, it is not
    larger than the settings' own.
    """
    resized = [resized_shape(*shape, config) for shape in shapes]
    of = config.canvas_multiple
    whole = tuple(math.ceil(max(r[axis] for r in resized) / of) * of for axis in (0, 1))
    if settings.augment.scale == (1.0, 1.0):
        return whole
    return tuple(min(side, own) for side, own in zip(whole, settings.canvas, strict=True))
