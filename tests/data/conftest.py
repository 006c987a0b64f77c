"""A data set that is written out by hand: what every test of views and reports can check."""

import collections

import numpy as np
import pytest

from labkit.data.dataset import Dataset
from labkit.data.sample import make_sample

READS = collections.Counter()


class Toy(Dataset):
    """Pictures given as lists of (class id, crowd): each instance is a bar of its own size.

    Instance i of a picture covers the rows 2 i and 2 i + 1, and 3 + i columns. Every pixel holds
    the picture's id, so that a picture taken for another is seen.
    """

    def __init__(self, pictures, names=("a", "b", "c"), category_ids=None, first_id=1, problems=()):
        self.pictures = [list(p) for p in pictures]
        self.class_names = tuple(names)
        self.category_ids = tuple(category_ids or range(1, len(names) + 1))
        self.first_id, self.problems = first_id, list(problems)

    @property
    def reads(self):
        """How many pictures were read; kept elsewhere, for a data set itself never changes."""
        return READS[id(self)]

    def __len__(self):
        return len(self.pictures)

    def image_info(self, index):
        index = self._check_index(index)
        return {
            "id": self.first_id + index,
            "file_name": f"{index % 3}_{index}.png",
            "height": 24,
            "width": 32,
        }

    def read(self, index):
        READS[id(self)] += 1
        info = self.image_info(index)
        instances = self.pictures[index]
        masks = np.zeros((len(instances), 24, 32), bool)
        for i in range(len(instances)):
            masks[i, 2 * i : 2 * i + 2, 1 : 4 + i] = True
        return make_sample(
            np.full((24, 32, 3), info["id"] % 256, np.uint8),
            masks,
            [c for c, _ in instances],
            crowd=[crowd for _, crowd in instances],
            image_id=info["id"],
            name=info["file_name"],
        )


@pytest.fixture(scope="session")
def toy():
    """toy(pictures, names=…, category_ids=…): see `Toy`."""
    return Toy
