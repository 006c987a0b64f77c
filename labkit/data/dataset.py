"""What a data set is: a sequence of samples, and the facts about it that need no pixels.

A `Dataset` never changes. Reading item `i` twice gives equal samples in new arrays, so a caller may
write into them.
"""

from __future__ import annotations

import operator
import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from labkit.data.picture_checks import readings
from labkit.data.sample import Cutouts, Labels, Sample
from labkit.data.sample_check import checked_sample
from labkit.errors import LabkitError, counted, printable
from labkit.io.data_files import write_json
from labkit.io.images import size_problem
from labkit.ops.coco_masks import encode_rle

if TYPE_CHECKING:
    from labkit.data.describe import Description
    from labkit.models.detector_config import DetectorConfig


class _OneToN:
    """The category ids of a data set that sets none: 1 for its first class, and so on."""

    def __get__(self, dataset: Dataset | None, owner: type) -> tuple[int, ...] | _OneToN:
        return self if dataset is None else tuple(range(1, len(dataset.class_names) + 1))


class Dataset(ABC):
    """A sequence of `Sample`s with the same classes.

    A subclass sets `class_names` (and, where the data has ids of its own, `category_ids`) and
    defines `__len__`, `read` and `image_info`. Everything else follows from these, and may be
    overridden where the data knows a cheaper way. What `read` returns is checked before it is used:
    see `labkit.data.sample_check`.

    Attributes:
        class_names: the foreground classes; class id `i + 1` is `class_names[i]`.
        category_ids: the data set's own id of each class, in the same order; by default 1 to N.
        label: what messages call the data set.
        problems: what could not be used and was left out, one sentence each (file, field, remedy).
        repairs: what was written oddly and could be repaired, one sentence for each kind.
        original_category_ids: the ids in the file, for those that had to be replaced by a number.
    """

    class_names: tuple[str, ...] = ()
    category_ids: tuple[int, ...] = _OneToN()
    label: str = "the data set"
    problems: Sequence[str] = ()
    repairs: Sequence[str] = ()
    original_category_ids: Mapping[int, Any] = MappingProxyType({})

    # ---- what a subclass defines -------------------------------------------------------------

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def read(self, index: int) -> Sample:
        """The sample at `index`, which is in `range(len(self))`."""

    @abstractmethod
    def image_info(self, index: int) -> dict[str, Any]:
        """`{"id", "file_name", "height", "width"}` of a picture, without reading its pixels.

        If the file's id is not a whole number of 64 bits, "id" is a number in its place, and
        "original_id" the id as it came.
        """

    def picture_file(self, index: int) -> Path | None:
        """The file that a picture is read from; None where there is none, as for drawn ones."""
        return None

    def check_picture(self, index: int) -> str:
        """What is wrong with a picture's file as far as its header tells; "" if nothing is."""
        path, info = self.picture_file(index), self.image_info(index)
        if path is None:
            return ""
        try:
            return size_problem(path, (info["height"], info["width"]), self.label)
        except LabkitError as error:
            return str(error)

    def cutouts(self, index: int) -> Cutouts:
        """The sample at `index` with its masks cut to their boxes.

        Overridden where this is possible without making all the whole masks first.
        """
        return Cutouts.of(self._sample(index))

    # ---- a sequence --------------------------------------------------------------------------

    def __getitem__(self, index: int | slice) -> Any:
        """The sample at an index (negative ones count from the end); a slice gives a subset."""
        if isinstance(index, slice):
            return self.subset(range(len(self))[index])
        return self._sample(self._check_index(index))

    def __iter__(self) -> Iterator[Sample]:
        return (self._sample(index) for index in range(len(self)))

    def _sample(self, index: int) -> Sample:
        return checked_sample(self.read(index), self.class_names, index)

    def subset(self, indices: Iterable[int]) -> Dataset:
        """The pictures at these indices, in this order, as a data set of its own."""
        return Subset(self, indices)

    def __repr__(self) -> str:
        names = ", ".join(map(printable, self.class_names[:6]))
        names += ", …" if len(self.class_names) > 6 else ""
        return (
            f"{type(self).__name__}({counted(len(self), 'image')}, "
            f"{counted(len(self.class_names), 'class')}: {names})"
        )

    def _check_index(self, index: int) -> int:
        position = operator.index(index)
        if position < 0:
            position += len(self)
        if not 0 <= position < len(self):
            raise IndexError(f"index {index} is outside a data set of {len(self)} images")
        return position

    # ---- facts -------------------------------------------------------------------------------

    @property
    def image_ids(self) -> tuple[int, ...]:
        """The data set's own number of every picture, in order."""
        return tuple(self.image_info(index)["id"] for index in range(len(self)))

    def labels(self, index: int) -> Labels:
        """Class ids, crowds and boxes of one picture, in the order of `coco_annotations`."""
        sample = self._sample(index)
        return Labels(sample.class_ids, sample.crowd, sample.boxes)

    def check(self) -> list[str]:
        """Read every picture; returns `problems` and what was found while reading.

        That is a sentence for each picture that cannot be read, and one for each kind of file
        that has two readings (see `labkit.io.picture_remarks`).
        """
        broken = []
        for index in range(len(self)):
            try:
                self._sample(index)
            except LabkitError as error:
                broken.append(str(error))
        return [*self.problems, *broken, *readings(self)]

    def instance_limit(self, index: int) -> int:
        """An upper bound on the number of instances in one picture, cheap to compute."""
        return len(self._sample(index))

    @property
    def max_instances(self) -> int:
        """No picture has more instances than this: the room a padded batch needs."""
        return max((self.instance_limit(index) for index in range(len(self))), default=0)

    def box_sizes(self, index: int) -> np.ndarray:
        """float32 `[n, 2]`, height and width of one picture's boxes that are not crowds."""
        labels = self.labels(index)
        boxes = labels.boxes[~labels.crowd]
        return boxes[:, 2:] - boxes[:, :2]

    def instance_sizes(self) -> tuple[np.ndarray, np.ndarray]:
        """Heights and widths, two float32 arrays in pixels, of all boxes that are not crowds."""
        sizes = [self.box_sizes(index) for index in range(len(self))]
        heights, widths = np.concatenate([np.zeros((0, 2), np.float32), *sizes]).T
        return heights.copy(), widths.copy()

    # ---- conveniences: functions of other modules, as methods ----------------------------------
    #
    # `data.prune(20).split()` reads better than `split(prune(data, 20))`. The functions are defined
    # in modules that import this one, so they are imported here only when they are called: it is
    # one of the three places where labkit imports upwards (see [tool.importlinter] in
    # pyproject.toml), and the only one in labkit.data.

    def describe(self, config: DetectorConfig | None = None, *, check: bool = False) -> Description:
        """What is in the data, and whether a config's anchors suit it.

        As the last line of a notebook's cell it shows its pictures too. See
        `labkit.data.describe.describe`.
        """
        from labkit.data.describe import describe

        return describe(self, config, check=check, illustrate=_illustrate)

    def group_classes(self, groups, *, keep_others: bool = True) -> Dataset:
        """Several classes as one; see `labkit.data.classes.group_classes`."""
        from labkit.data.classes import group_classes

        return group_classes(self, groups, keep_others=keep_others)

    def keep_classes(self, names: Iterable[str]) -> Dataset:
        """Only these classes; see `labkit.data.classes.keep_classes`."""
        from labkit.data.classes import keep_classes

        return keep_classes(self, names)

    def drop_classes(self, names: Iterable[str]) -> Dataset:
        """All classes but these; see `labkit.data.classes.drop_classes`."""
        from labkit.data.classes import drop_classes

        return drop_classes(self, names)

    def prune(self, min_images=None, min_instances=None, *, keep_empty: bool = False) -> Dataset:
        """Only the classes with enough examples; see `labkit.data.classes.prune`."""
        from labkit.data.classes import prune

        return prune(self, min_images, min_instances, keep_empty=keep_empty)

    def drop_empty(self) -> Dataset:
        """Only the pictures with objects; see `labkit.data.classes.drop_empty`."""
        from labkit.data.classes import drop_empty

        return drop_empty(self)

    def drop_unusable(self) -> Dataset:
        """Only the pictures whose files can be used; see `labkit.data.quick_look`."""
        from labkit.data.quick_look import drop_unusable

        return drop_unusable(self)

    def split(self, fractions=(0.8, 0.2), seed: int = 0, *, group=None) -> tuple[Dataset, ...]:
        """Parts without a picture in common; see `labkit.data.splitting.split`."""
        from labkit.data.splitting import split

        return split(self, fractions, seed, group=group)

    # ---- COCO ----------------------------------------------------------------------------------

    def coco_annotations(self, index: int) -> list[dict[str, Any]]:
        """The instances of one picture as COCO annotations with the data set's own category ids."""
        sample = self._sample(index)
        return [
            {
                "image_id": sample.image_id,
                "category_id": self.category_ids[class_id - 1],
                "segmentation": encode_rle(mask),
                "area": int(mask.sum()),
                "bbox": [float(x1), float(y1), float(x2 - x1), float(y2 - y1)],
                "iscrowd": int(crowd),
            }
            for (y1, x1, y2, x2), class_id, mask, crowd in zip(
                sample.boxes, sample.class_ids, sample.masks, sample.crowd, strict=True
            )
        ]

    def to_coco(self) -> dict[str, Any]:
        """The ground truth as a COCO dictionary that pycocotools takes.

        Boxes are COCO's `[x, y, width, height]`, segmentations compressed RLE with `str` counts,
        category ids the data set's own. Annotation ids start at 1: pycocotools marks an unmatched
        detection with the id 0, so an annotation with that id would never count as found.
        """
        images = [self.image_info(index) for index in range(len(self))]
        annotations = [
            annotation for index in range(len(self)) for annotation in self.coco_annotations(index)
        ]
        if any(annotation.get("id", 0) < 1 for annotation in annotations):
            annotations = [{**a, "id": number} for number, a in enumerate(annotations, 1)]
        categories = [
            {"id": number, "name": name}
            for number, name in zip(self.category_ids, self.class_names, strict=True)
        ]
        return {"images": images, "annotations": annotations, "categories": categories}

    def save_coco(self, path_json: str | os.PathLike, image_dir: str | os.PathLike) -> None:
        """Write the pictures as PNG files (named by image id) into a folder, and a COCO json.

        `CocoDataset(path_json, image_dir)` reads back what was written, pixel for pixel.
        """
        coco = self.to_coco()
        folder = Path(image_dir)
        folder.mkdir(parents=True, exist_ok=True)
        for image, sample in zip(coco["images"], self, strict=True):
            image["file_name"] = f"{sample.image_id:06d}.png"
            Image.fromarray(sample.image).save(folder / image["file_name"])
        write_json(path_json, coco)


def _illustrate(description: Description) -> str:
    """The pictures of a description as HTML; none on a machine without matplotlib."""
    try:
        from labkit.viz.dataset import description_html
    except ImportError:
        return ""
    return description_html(description)


class View(Dataset):
    """Another data set's pictures, seen differently: it reads from its parent and copies nothing.

    Attributes:
        parent: the data set.
    """

    def __init__(self, parent: Dataset) -> None:
        self.parent = parent

    def parent_index(self, index: int) -> int:
        """Where the parent has the picture; overridden where a view has not all pictures."""
        return index

    @property
    def problems(self) -> list[str]:
        return self.parent.problems

    @property
    def repairs(self) -> Sequence[str]:
        return self.parent.repairs

    @property
    def original_category_ids(self) -> Mapping[int, Any]:
        return self.parent.original_category_ids

    def image_info(self, index: int) -> dict[str, Any]:
        return self.parent.image_info(self.parent_index(index))

    def picture_file(self, index: int) -> Path | None:
        return self.parent.picture_file(self.parent_index(index))

    def check_picture(self, index: int) -> str:
        return self.parent.check_picture(self.parent_index(index))


class Subset(View):
    """A selection of another data set's pictures; nothing is copied."""

    def __init__(self, parent: Dataset, indices: Iterable[int]) -> None:
        super().__init__(parent)
        self.indices = tuple(parent._check_index(index) for index in indices)
        if len(set(self.indices)) != len(self.indices):
            raise LabkitError(
                "A subset names the same picture twice; give every index once, since COCO "
                "evaluation tells pictures apart by their id."
            )
        self.class_names = parent.class_names
        self.category_ids = parent.category_ids

    def parent_index(self, index: int) -> int:
        return self.indices[index]

    def __len__(self) -> int:
        return len(self.indices)

    def read(self, index: int) -> Sample:
        return self.parent.read(self.indices[index])

    def cutouts(self, index: int) -> Cutouts:
        return self.parent.cutouts(self.indices[index])

    def labels(self, index: int) -> Labels:
        return self.parent.labels(self.indices[index])

    def instance_limit(self, index: int) -> int:
        return self.parent.instance_limit(self.indices[index])

    def coco_annotations(self, index: int) -> list[dict[str, Any]]:
        return self.parent.coco_annotations(self.indices[index])
