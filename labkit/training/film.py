"""A film of a run: what the model found in the same few validation images as it learned.

runs/mine/film/film.json              the pictures, their objects, the class names
runs/mine/film/picture-0.png          a picture, pixel for pixel
runs/mine/film/step-00000400.json     the detections at a step, COCO results with masks as RLE
"""

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from labkit.data.dataset import Dataset
from labkit.errors import LabkitError, MissingFileError
from labkit.io.data_files import read_json, write_json
from labkit.io.images import read_image
from labkit.models.detections import Detections
from labkit.ops.coco_masks import decode_segmentation

FOLDER = "film"
MOST = 30  # objects of a picture in a frame, the surest ones


@dataclass(frozen=True)
class Frame:
    """What was found after `step` steps, in each image in the order of the film."""

    step: int
    detections: tuple[Detections, ...]


@dataclass(frozen=True)
class Film:
    """The frames of a run, by step.

    Attributes:
        frames: the earliest first.
        truth: the ground truth of each image, as Detections with a score of 1.
    """

    frames: tuple[Frame, ...]
    truth: tuple[Detections, ...]

    def __len__(self) -> int:
        return len(self.frames)


class Camera:
    """Writes the film of a run: the first `count` pictures of the validation set."""

    def __init__(self, run_dir: Path, dataset: Dataset, count: int):
        self.folder, self.ids = run_dir / FOLDER, dataset.image_ids[:count]
        if not (self.folder / "film.json").exists():
            self._write_pictures(dataset[: len(self.ids)])

    def _write_pictures(self, dataset: Dataset) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        coco = dataset.to_coco()
        names = [f"picture-{i}.png" for i in range(len(dataset))]
        for sample, name in zip(dataset, names, strict=True):
            Image.fromarray(sample.image).save(self.folder / name)
        images = [
            {
                "id": i["id"],
                "name": str(i["file_name"]),
                "file": name,
                "height": i["height"],
                "width": i["width"],
            }
            for i, name in zip(coco["images"], names, strict=True)
        ]
        truth = [a for a in coco["annotations"] if not a["iscrowd"]]
        cast = {"images": images, "categories": coco["categories"], "annotations": truth}
        write_json(self.folder / "film.json", cast)

    def take(self, step: int, results: list[dict]) -> None:
        """Keep the COCO results of the film's pictures."""
        frame = []
        for image_id in self.ids:
            own = [r for r in results if r["image_id"] == image_id]
            frame += sorted(own, key=lambda r: -r["score"])[:MOST]
        write_json(self.folder / f"step-{step:08d}.json", frame)


def read_film(run_dir: str | Path) -> Film:
    """The film of a run that had validation images and settings.film above 0.

    Raises:
        MissingFileError: the run has no film.
        LabkitError: a file of the film is broken.
    """
    folder = Path(run_dir) / FOLDER
    if not (folder / "film.json").exists():
        raise MissingFileError(
            f"{folder / 'film.json'} does not exist: a film is made by a run with validation "
            "pictures, validate_every and film above 0."
        )
    path = folder / "film.json"
    try:
        cast = read_json(path)
        truth = _detections(path, [a | {"score": 1.0} for a in cast["annotations"]], cast)
        frames = []
        for path in sorted(folder.glob("step-*.json")):
            frames.append(Frame(int(path.stem[5:]), _detections(path, read_json(path), cast)))
    except (KeyError, TypeError, AttributeError) as error:
        raise LabkitError(f"{path} is not part of a film ({error!r}): remove it.") from error
    return Film(tuple(frames), truth)


def cut_film(run_dir: Path, step: int) -> None:
    """Remove the frames after a step, from which a run is resumed; all of them at 0."""
    folder = Path(run_dir) / FOLDER
    if step == 0:
        shutil.rmtree(folder, ignore_errors=True)
    for path in folder.glob("step-*.json"):
        if int(path.stem[5:]) > step:
            path.unlink()


def _detections(path: Path, results: list[dict], cast: dict) -> tuple[Detections, ...]:
    """Detections of every picture, in order, out of COCO results."""
    class_of = {c["id"]: i for i, c in enumerate(cast["categories"], 1)}
    names = [c["name"] for c in cast["categories"]]
    found = []
    for image in cast["images"]:
        size = image["height"], image["width"]
        own = [r for r in results if r["image_id"] == image["id"]]
        masks = [decode_segmentation(r["segmentation"], *size) for r in own]
        x, y, w, h = np.array([r["bbox"] for r in own], np.float32).reshape(-1, 4).T
        file = Path(image["file"]).name  # never out of the folder
        found.append(
            Detections(
                np.stack([y, x, y + h, x + w], axis=1),
                [r["score"] for r in own],
                [class_of[r["category_id"]] for r in own],
                class_names=names,
                image_size=size,
                masks=np.array(masks, bool).reshape(-1, *size),
                image=read_image(path.with_name(file)),
                image_id=image["id"],
            )
        )
    return tuple(found)
