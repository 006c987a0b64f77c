"""What `save_via` writes, `ViaDataset` reads: the same masks, IoU 1."""

import json

import numpy as np

from labkit.data import ViaDataset, save_via, shapes
from labkit.data.dataset import Dataset
from labkit.data.sample import make_sample


class Odd(Dataset):
    """A ring and a crowd, of classes with odd names."""

    class_names, category_ids, problems = ("<b>é\n🎈", "b"), (1, 2), []

    def __len__(self):
        return 1

    def image_info(self, index):
        return {"id": 5, "file_name": "x.png", "height": 20, "width": 30}

    def read(self, index):
        masks = np.zeros((2, 20, 30), bool)
        masks[0, 2:12, 2:12], masks[0, 4:8, 4:8], masks[1, 10:, ::2] = True, False, True
        return make_sample(
            np.full((20, 30, 3), 7, np.uint8),
            masks,
            [1, 2],
            crowd=[False, True],
            image_id=5,
            name="x.png",
        )


def test_round_trip(tmp_path):
    for name, ds in (("shapes", shapes(8, 96, seed=4)), ("odd", Odd())):
        path = save_via(ds, tmp_path / name)
        read = ViaDataset(path, class_names=ds.class_names, strict=True)
        assert len(read) == len(ds) and read.check() == []
        for ours, theirs in zip(ds, read, strict=True):
            assert (ours.image == theirs.image).all()
            assert (ours.masks == theirs.masks).all()  # IoU 1: outlines run between pixels
            assert (ours.class_ids == theirs.class_ids).all()
            assert (ours.crowd == theirs.crowd).all()


def test_the_json_is_what_via_2_imports(tmp_path):
    path = save_via(shapes(2, 64), tmp_path)
    for key, entry in json.loads(path.read_text()).items():
        assert key == f"{entry['filename']}{entry['size']}"
        assert (tmp_path / entry["filename"]).stat().st_size == entry["size"]
        assert entry["file_attributes"] == {} and isinstance(entry["regions"], list)
        for region in entry["regions"]:
            assert region["shape_attributes"]["name"] == "polygon"
            assert set(region["region_attributes"]) == {"class"}
    assert not list(tmp_path.glob("*.part"))


def test_an_empty_data_set(tmp_path):
    path = save_via(shapes(0), tmp_path)
    assert json.loads(path.read_text()) == {}
