"""Measure how many batches per second the input pipeline makes, and how many training consumes.

    python benchmarks/pipeline.py [--presets tiny r50_fpn] [--batches 30] [--steps 3]

Prints one JSON object. The images are made by labkit.shapes and saved as PNG files with a COCO
json, so that reading them costs as much as reading your own: "first" is the rate while every image
is read for the first time, "later" the rate with the examples in memory. All augmentations are on.
The training step gets the same batch every time, so that each rate is measured with all cores to
itself.
"""

import argparse
import json
import os
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import tensorflow as tf
from threadpoolctl import ThreadpoolController

from labkit.data import CocoDataset, shapes
from labkit.data.augment import Augment
from labkit.data.pipeline import Batches, BatchPlan
from labkit.models.config import Config
from labkit.models.mask_rcnn import MaskRCNN
from labkit.training import TrainSettings
from labkit.training.schedules import make_optimizer

AUGMENT = Augment(
    scale=(0.5, 2.0), brightness=0.1, contrast=0.2, saturation=0.3, hue=0.05, copy_paste=0.5
)
SETUPS = {  # image size, most objects in an image, batch size, canvas
    "tiny": ((128, 128), 5, 8, (128, 128)),
    "r50_fpn": ((480, 640), 20, 2, (800, 1088)),
}


def rate(make, numbers) -> float:
    """How many calls of `make`, one for each of `numbers`, are done per second."""
    began = time.perf_counter()
    for number in numbers:
        make(number)
    return len(numbers) / (time.perf_counter() - began)


def pipeline_rates(batches: Batches, pictures: int, count: int) -> dict[str, float]:
    """Batches per second through tf.data, as training gets them."""
    epoch = -(-pictures // batches.plan.batch_size)
    stream = iter(batches.tf_dataset(epoch + count + 8))
    rates = {"first": rate(lambda _: next(stream), range(epoch))}
    for _ in range(8):  # skip the batches that were prefetched
        next(stream)
    return rates | {"later": rate(lambda _: next(stream), range(count))}


def training_rate(config: Config, names, batch: dict, preset: str, steps: int) -> float:
    model = MaskRCNN(config, names)
    model.compile(optimizer=make_optimizer(TrainSettings.preset(preset)))
    batch = {name: tf.constant(values) for name, values in batch.items()}
    step = tf.function(model.train_step, autograph=False)
    step(batch)["loss"].numpy()  # the first call traces the function
    return rate(lambda _: step(batch)["loss"].numpy(), range(steps))


def measured(preset: str, count: int, steps: int) -> dict:
    size, most, batch_size, canvas = SETUPS[preset]
    pictures = 16 * batch_size
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        shapes(pictures, size, seed=1, max_objects=most).save_coco(path / "a.json", path / "images")
        dataset = CocoDataset(path / "a.json", path / "images")
        config = Config.preset(preset, max_instances=100 if preset == "r50_fpn" else 16)
        batches = Batches(dataset, config, BatchPlan(batch_size, canvas, AUGMENT))
        rates = pipeline_rates(batches, pictures, count)
        training = training_rate(config, dataset.class_names, batches.batch(0), preset, steps)
    return {
        "pictures": pictures,
        "size": size,
        "batch": batch_size,
        "canvas": canvas,
        "pipeline_batches_per_second": {k: round(v, 2) for k, v in rates.items()},
        "training_batches_per_second": round(training, 3),
        "times_faster": {k: round(v / training, 1) for k, v in rates.items()},
    }


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--presets", nargs="+", choices=SETUPS, default=list(SETUPS))
    p.add_argument("--batches", type=int, default=30)
    p.add_argument("--steps", type=int, default=3)
    args = p.parse_args()
    with ThreadpoolController().limit(limits=1, user_api="blas"):  # as in training
        results = {name: measured(name, args.batches, args.steps) for name in args.presets}
    result = {
        "cores": os.cpu_count(),
        "numpy": np.__version__,
        "tensorflow": tf.__version__,
        "device": [d.name for d in tf.config.list_physical_devices()],
        "presets": results,
    }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
