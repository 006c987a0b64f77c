"""The numbers that depend on the data are changed where they must be, and it is said."""

import numpy as np
import pytest

from labkit.data.dataset import Dataset
from labkit.models.config import Config
from labkit.training import TrainSettings, fit_to_data
from labkit.training.fit_to_data import fit_batch


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


def test_every_preset_gets_anchors_of_its_data():
    sizes = [[20, 20]] * 20 + [[100, 100]] * 20 + [[500, 500]] * 10
    config, _, notes = fit_to_data(
        Config.preset("r50_fpn"), TrainSettings.preset("r50_fpn"), Boxes((800, 800), sizes)
    )
    assert config.anchor_sizes == (20, 40, 80, 160, 320)
    assert any("15 % of the objects are smaller than 20 px" in note for note in notes)


def test_anchors_of_a_trained_rpn_are_kept():
    config, _, notes = fit_to_data(
        Config.preset("r50_fpn"),
        TrainSettings.preset("r50_fpn"),
        Boxes((480, 640), [[50, 60]] * 3),
        keep_anchors=True,
    )
    assert config.anchor_sizes == Config.preset("r50_fpn").anchor_sizes and notes == []


def test_settings_that_scale_images_see_windows():
    settings = TrainSettings.preset("lite0_fpn")
    _, found, _ = fit_to_data(
        Config.preset("lite0_fpn"), settings, Boxes((480, 640), [[200, 300]] * 3)
    )
    assert found.canvas == settings.canvas == (384, 384)


@pytest.mark.parametrize("gibibytes, batch", [(8, 1), (16, 2), (80, 14), (141, 16)])
def test_the_batch_fits_the_gpu_and_the_rate_fits_the_batch(gibibytes, batch):
    settings, notes = fit_batch(TrainSettings.preset("r50_fpn"), gibibytes)
    assert settings.batch_size == batch and bool(notes) == (batch != 2)
    assert settings.peak_rate == pytest.approx(0.02 * batch / 16)
    assert settings.planned(300).steps * batch == pytest.approx(24_000, abs=batch)


def test_the_warm_up_is_a_tenth_of_a_short_run():
    settings = TrainSettings.preset("r50_fpn", steps=500)
    _, found, _ = fit_to_data(Config(), settings, Boxes((480, 640), [[50, 60]] * 3))
    assert found.warmup_steps == 50


def test_without_objects_nothing_changes():
    config, settings, notes = fitted(Boxes((480, 640), []))
    assert (config, settings, notes) == (Config.preset("tiny"), TrainSettings.preset("tiny"), [])
