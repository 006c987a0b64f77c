"""labkit's detections against those that YOLACT's authors published of the same pictures.

Beside their code lie the detections of 100 pictures of COCO by each of the four networks, of April
2019. With the published weights and those pictures they check the whole chain, from the file of a
picture to masks. Both are downloaded, so this needs a network (or the files in the cache).

Today's code of theirs crops masks a little differently from that of 2019, which cut boxes to whole
cells first; pixels at the edge of a box therefore differ, and masks are compared by their IoU.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from labkit.errors import LabkitError, MissingFileError
from labkit.io.download import cache_folder, fetch
from labkit.io.images import read_image
from labkit.ops.coco_masks import decode_segmentation
from labkit.parity.check import Check

ADDRESS = "https://raw.githubusercontent.com/dbolya/yolact/master/web/dets/{name}.json"
NAMES = ("yolact_resnet50", "yolact_darknet53", "yolact_base", "yolact_im700")
FILES = ("{:012d}.jpg", "COCO_val2014_{:012d}.jpg")  # of a picture, by its id

PIXELS, SCORE = 2.0, 0.01  # a detection of ours within these is the same
IOU, TINY = 0.9, 100  # of masks; pixels, of a mask that is too small for its IoU to mean much
# Shares of all detections that may have no counterpart, and of masks that may differ more. They are
# a guess: nobody has run this comparison yet.
MISSED, DIFFERENT = 0.02, 0.05


def compare_published(name: str, images: str | Path) -> Iterator[tuple[str, Check]]:
    """Compares detections of a published network with those that its authors published.

    Args:
        name: of the weights, "yolact_resnet50" for instance.
        images: the folder of COCO's pictures (val2017, or val2014).

    Yields:
        (name, Check): of detections that have no counterpart, in both directions, and of masks.

    Raises:
        MissingFileError: there is no such folder, or none of the pictures is in it.
        LabkitError: nothing was published for these weights, or a download failed.
    """
    if name not in NAMES:
        raise LabkitError(
            f"--published {name}: of these weights no detections are published; of these there "
            f"are: {', '.join(NAMES)}."
        )
    folder = Path(images)
    published = _pictures(_published(name))
    found = {i: path for i in published if (path := _file_of(folder, i))}
    if not found:
        raise MissingFileError(
            f"{folder} holds none of the {len(published)} pictures, {FILES[0].format(885)} for "
            "instance: give the folder of COCO's val2017 or val2014."
        )
    from labkit.weights.pretrained import from_pretrained

    model = from_pretrained(name, verbose=False)
    yield from ((name, check) for check in compare_detections(model, published, found))


def _published(name: str) -> list:
    path = cache_folder() / "parity" / f"{name}.json"
    fetch(ADDRESS.format(name=name), path)
    return json.loads(path.read_text(encoding="utf-8"))["images"]


def _pictures(images: list) -> dict[int, list[dict]]:
    """The detections of each picture, by its id in COCO."""
    return {int(picture["image_id"]): picture["dets"] for picture in images}


def _file_of(folder: Path, image_id: int) -> Path | None:
    paths = (folder / name.format(image_id) for name in FILES)
    return next((path for path in paths if path.exists()), None)


def compare_detections(model, published: dict[int, list[dict]], files: dict[int, Path]):
    """The checks of `compare_published`, of a model and of the pictures that are there.

    Args:
        model: the detector.
        published: the detections of each picture, as the authors' file has them.
        files: the pictures, by id.

    Yields:
        Three `Check`s.
    """
    theirs = ours = missed = extra = compared = different = 0
    for image_id, path in files.items():
        found = model.detect(read_image(path))
        same = [_counterpart(wanted, found) for wanted in published[image_id]]
        theirs, ours = theirs + len(same), ours + len(found)
        missed += sum(i is None for i in same)
        extra += len(found) - len({i for i in same if i is not None})
        for wanted, i in zip(published[image_id], same, strict=True):
            mask = decode_segmentation(wanted["mask"], *found.image_size)
            if i is not None and mask.sum() >= TINY:
                own = found[i].masks[0]
                compared += 1
                different += (mask & own).sum() <= IOU * (mask | own).sum()
    place = f"of {len(files)} of {len(published)} pictures"
    yield _share(f"share of published detections missed, {place}", missed, theirs, MISSED)
    yield _share(f"share of detections that are not published, {place}", extra, ours, MISSED)
    yield _share(
        f"share of masks with an IoU of {IOU} or less, {place}", different, compared, DIFFERENT
    )


def _counterpart(wanted: dict, found) -> int | None:
    """Of a picture's detections the nearest one that is the same as a published one, or None."""
    x, y, width, height = wanted["bbox"]
    whole = np.trunc(found.boxes)
    distance = np.abs(whole - np.float32([y, x, y + height, x + width])).max(1, initial=0)
    alike = np.array([name == wanted["category"] for name in found.names], bool)
    alike &= np.abs(found.scores - wanted["score"]) <= SCORE
    distance = np.where(alike, distance, np.inf)
    if not len(distance) or distance.min() > PIXELS:
        return None
    return int(distance.argmin())


def _share(name: str, count: int, of: int, allowed: float) -> Check:
    check = Check(name, atol=allowed).add(count / max(of, 1), 0.0)
    check.values = of
    return check
