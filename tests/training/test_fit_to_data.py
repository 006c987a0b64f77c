"""The numbers that depend on the data are changed where they must be, and it is said."""

import numpy as np
import pytest

from labkit.data.dataset import Dataset
from labkit.models.config import Config
from labkit.training import TrainSettings, fit_to_data


class Boxes(Dataset):
    """A data set of which only the sizes are known: pictures that need not be read."""

    class_names, category_ids, problems = ("thing",), (1,), []

    def __init__(self, shape, sizes, images=4):
        self.shape, self.sizes, self.images = shape, np.float32(sizes).reshape(-1, 2), images

    def __len__(self):
        return self.images

    def read(self, index):
        raise AssertionError("no picture has to be read")

    def image_info(self, index):
        height, width = self.shape
        return {"id": index + 1, "file_name": f"{index}.png", "height": height, "width": width}

    def box_sizes(self, index):
        return self.sizes

    def instance_limit(self, index):
        return len(self.sizes)


def fitted(dataset, **changes):
    return fit_to_data(Config.preset("tiny", **changes), TrainSettings.preset("tiny"), dataset)


def test_large_objects_are_resized_and_the_canvas_holds_every_image():
    config, settings, _ = fitted(Boxes((480, 640), [[200, 300], [100, 150], [90, 80]]))
    assert config.resize == "shortest_edge"
    assert settings.canvas == (128, 192)  # 480 x 640 becomes 128 x 170, padded to 32


def test_small_objects_keep_their_pixels():
    config, settings, notes = fitted(Boxes((512, 640), [[20, 20]] * 9 + [[60, 60]]))
    assert config.resize == "none" and settings.canvas == (256, 256)
    assert settings.batch_size == TrainSettings.preset("tiny").batch_size // 2
    assert any("keep their own pixels" in note for note in notes)


def test_anchors_start_at_the_small_objects():
    config, _, notes = fitted(Boxes((128, 128), [[20, 20]] * 5 + [[80, 80]]))
    assert config.anchor_sizes == (20, 40, 80, 160, 320)
    assert any("Anchors" in note for note in notes)


@pytest.mark.parametrize("count", [3, 40, 300])
def test_there_is_room_for_the_most_crowded_image(count):
    config, _, notes = fitted(Boxes((256, 256), [[16, 16]] * count), resize="none")
    assert config.max_instances >= count
    assert config.detections >= count and config.proposals >= config.detections
    assert (config.roi_samples > 24) == (count > 12)
    assert any(f"Up to {count}" in note for note in notes) == (count == 300)


def test_the_papers_preset_keeps_its_anchors():
    config, _, _ = fit_to_data(
        Config.preset("r50_fpn"), TrainSettings.preset("r50_fpn"), Boxes((480, 640), [[50, 60]] * 3)
    )
    assert config.anchor_sizes == Config.preset("r50_fpn").anchor_sizes


def test_without_objects_nothing_changes():
    config, settings, notes = fitted(Boxes((480, 640), []))
    assert (config, settings, notes) == (Config.preset("tiny"), TrainSettings.preset("tiny"), [])
