"""What training sees of one picture: the augmented picture of several epochs."""

import numpy as np
from matplotlib.figure import Figure

from labkit.data.sample import Sample
from labkit.errors import LabkitError
from labkit.viz.dataset import draw_truth

PAGE_WIDTH = 13.0  # inches
PADDING = 215  # the grey beyond the image


def augmentations(
    dataset,
    index: int,
    augment,
    n: int = 8,
    *,
    config=None,
    canvas: tuple[int, int] | None = None,
    seed: int = 0,
    columns: int = 4,
) -> Figure:
    """Variants of one image, as the batches of n epochs contain it. Padding is grey.

    Args:
        dataset: the data set of the image; copy-paste takes objects from its other images.
        index: of the image.
        augment: a `labkit.data.augment.Augment`.
        n: number of variants; with the same seed the first ones are always the same.
        config: its resizing is used; by default pictures are not resized.
        canvas: (H, W) of the batches; by default large enough for the whole image, in multiples of
            32.
        seed: of the augmentation.
        columns: variants side by side.

    Raises:
        LabkitError: n is below 1.
    """
    # The pipeline brings TensorFlow, which the other figures do without.
    from labkit.data.pipeline import Batches, BatchPlan
    from labkit.models.config import Config
    from labkit.models.resize import resized_shape

    if n < 1:
        raise LabkitError(f"augmentations: n is {n}; draw at least one variant.")
    index = range(len(dataset))[index]
    config = Config.preset("tiny", resize="none") if config is None else config
    info = dataset.image_info(index)
    resized = resized_shape(info["height"], info["width"], config)
    canvas = canvas or tuple(-(-side // 32) * 32 for side in resized)
    plan = BatchPlan(1, canvas, augment, shuffle=False, seed=seed)
    batches = Batches(dataset, config.replace(mini_mask=0), plan)
    columns = min(columns, n)
    rows = -(-n // columns)
    cell = PAGE_WIDTH / max(columns, 2)
    figure = Figure(
        figsize=(cell * columns, cell * rows * canvas[0] / canvas[1]), layout="constrained"
    )
    for epoch, ax in enumerate(figure.subplots(rows, columns, squeeze=False).ravel()):
        if epoch < n:
            batch = batches.batch(epoch * len(dataset) + index)
            _draw(ax, {name: values[0] for name, values in batch.items()}, dataset.class_names)
        else:
            ax.set_axis_off()
    return figure


def _draw(ax, item: dict[str, np.ndarray], class_names) -> None:
    height, width = item["sizes"].astype(int)
    image = item["images"].copy()
    image[height:], image[:, width:] = PADDING, PADDING
    real = item["classes"] > 0
    sample = Sample(
        image,
        item["boxes"][real],
        item["classes"][real],
        item["masks"][real] > 0,
        np.zeros(real.sum(), bool),
        int(item["image_ids"]),
        "",
    )
    draw_truth(ax, sample, class_names)
