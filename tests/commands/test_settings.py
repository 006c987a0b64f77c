"""Preset, data, stages and options make the settings of a run; options have the last word."""

import numpy as np
import pytest

from labkit import cli
from labkit.commands.settings import changes_from_options, chosen_settings, with_stages
from labkit.data import shapes
from labkit.errors import LabkitError
from labkit.models.config import Config
from labkit.training import Stage, TrainSettings
from labkit.training.checkpoints import save_run


def parsed(*options):
    """The arguments of `labkit train` with these options."""
    return cli.build_parser().parse_args(["train", "--run", "r", *map(str, options)])


def changed(settings, *options):
    """Settings, which the data or a recipe have changed, with the options applied to them."""
    config = Config()
    return changes_from_options(parsed(*options), config, settings).apply(config, settings)[1]


class Boxes:
    """Pictures of one size, all with objects of the same sizes in pixels."""

    def __init__(self, height, width, sizes):
        self.shape, self.sizes, self.max_instances = (height, width), sizes, len(sizes)

    def __len__(self):
        return 2

    def image_info(self, index):
        return {"height": self.shape[0], "width": self.shape[1]}

    def instance_sizes(self):
        return np.float64(self.sizes * 2), np.float64(self.sizes * 2)


TINY = ("--preset", "tiny")
SMALL_OBJECTS = Boxes(512, 512, [10.0] * 3 + [60.0] * 5)  # tiny would make them 2.5 pixels
LARGE_OBJECTS = Boxes(480, 640, [60.0, 120.0, 300.0])


def test_a_rate_that_is_given_is_not_scaled():
    halved = TrainSettings(batch_size=4, learning_rate=3e-3, rate_for_batch=8)
    assert halved.peak_rate < 3e-3 and changed(halved).peak_rate == halved.peak_rate
    assert changed(halved, "--learning-rate", "0.001").peak_rate == 1e-3
    assert changed(halved, "--set", "learning_rate=0.001").peak_rate == 1e-3
    assert changed(halved, "--batch-size", "8").peak_rate == 3e-3
    both = changed(halved, "--learning-rate", "0.001", "--set", "rate_for_batch=1")
    assert both.peak_rate == pytest.approx(2e-3)


def test_stages_on_the_command_line():
    settings = TrainSettings(steps=50)
    assert with_stages(settings, parsed(), None) == settings
    args = parsed("--stage", "heads:30", "--stage", "all:2epochs@0.001")
    found = with_stages(settings, args, None)
    assert found.stages == (Stage("heads", steps=30), Stage("all", epochs=2, learning_rate=0.001))
    assert with_stages(found, parsed(), None) == found  # a resumed run keeps its own
    assert len(with_stages(settings, parsed("--recipe", "food"), 500).stages) == 5
    with pytest.raises(LabkitError, match="one of them"):
        with_stages(settings, parsed("--recipe", "food", "--stage", "all:3"), None)
    with pytest.raises(LabkitError, match="the stages say how many"):
        with_stages(settings, parsed("--stage", "all:3"), 4)


def test_data_change_the_preset_and_options_change_that():
    config, settings = chosen_settings(parsed(*TINY), SMALL_OBJECTS, None)
    assert config.resize == "none" and settings.canvas == (256, 256)
    assert (settings.batch_size, settings.rate_for_batch) == (4, 8)
    assert config.anchor_sizes[0] == 10 and config.max_instances == 8

    options = ("--batch-size", 6, "--crop", 128, "--set", "anchor_sizes=9,18,36,72,144")
    config, settings = chosen_settings(
        parsed(*TINY, *options, "--set", "max_instances=5"), SMALL_OBJECTS, None
    )
    assert config.resize == "none" and settings.canvas == (128, 128)
    # The rate is that of the batch that was asked for, whatever the data made of it in between.
    assert settings.batch_size == 6 and settings.peak_rate == TrainSettings.preset("tiny").peak_rate
    assert config.anchor_sizes == (9, 18, 36, 72, 144) and config.max_instances == 5


@pytest.mark.parametrize(
    "options",
    [
        ("--image-size", 96),
        ("--set", "image_min_side=96", "--set", "image_max_side=192"),
        ("--image-size", 96, "--set", "resize=shortest_edge"),
    ],
)
def test_an_image_size_that_is_given_stays_though_objects_become_small(options, capsys):
    config, settings = chosen_settings(parsed(*TINY, *options), SMALL_OBJECTS, None)
    assert (config.resize, config.image_min_side, config.image_max_side) == (
        "shortest_edge",
        96,
        192,
    )
    assert settings.canvas == (96, 96)
    assert settings.batch_size == TrainSettings.preset("tiny").batch_size
    assert "keep their own pixels" not in capsys.readouterr().out


def test_the_preset_follows_the_kind_of_data_unless_one_is_chosen(capsys):
    config, settings = chosen_settings(parsed("--data", "photos/"), LARGE_OBJECTS, None)
    assert config.backbone == "efficientnet_lite0" and config.freeze_at == 3
    assert "Preset lite0_fpn" in capsys.readouterr().out
    assert settings.planned(2).steps == 400  # 1,600 pictures are seen, however few there are
    config, _ = chosen_settings(parsed("--data", "photos/", *TINY), LARGE_OBJECTS, None)
    assert config.backbone == "tiny" and "Preset" not in capsys.readouterr().out
    config, _ = chosen_settings(parsed("--data", "shapes"), shapes(2), None)
    assert config.backbone == "tiny" and "Preset" not in capsys.readouterr().out


@pytest.mark.parametrize("options", [("--backbone-weights", "none"), ("--set", "backbone=tiny")])
def test_what_was_not_trained_is_not_frozen(options):
    config, _ = chosen_settings(parsed("--data", "photos/", *options), LARGE_OBJECTS, None)
    assert config.freeze_at == 0 and not config.freeze_batch_norm
    options = (*options, "--set", "freeze_at=2")  # an option has the last word
    config, _ = chosen_settings(parsed("--data", "photos/", *options), LARGE_OBJECTS, None)
    assert config.freeze_at == 2


def test_a_recipe_divides_the_steps_that_epochs_mean():
    options = ("--data", "photos/", "--recipe", "coco-stuff")
    _, settings = chosen_settings(parsed(*options), LARGE_OBJECTS, None)
    assert [stage.steps for stage in settings.stages] == [200, 200]


def test_options_have_the_last_word_over_a_recipe():
    paper = ("--data", "shapes", "--recipe", "paper")
    _, settings = chosen_settings(parsed(*paper, "--steps", 900), shapes(2), None)
    assert (settings.optimizer, settings.steps, settings.warmup_steps) == ("sgd", 900, 10)
    assert settings.peak_rate == pytest.approx(0.02 * 8 / 16)
    options = ("--set", "steps=900", "--set", "optimizer=adam", "--learning-rate", 0.005)
    _, settings = chosen_settings(parsed(*paper, *options), shapes(2), None)
    assert (settings.optimizer, settings.steps, settings.warmup_steps) == ("adam", 900, 10)
    assert settings.peak_rate == 0.005


def test_options_have_the_last_word_over_drawn_pictures():
    data = ("--data", "shapes", "--image-size", 96)
    config, settings = chosen_settings(parsed(*data), shapes(2), None)
    assert config.max_instances == shapes(2).max_instances and settings.canvas == (96, 96)
    assert settings.augment.mirror and settings.augment.quarter_turns
    options = ("--set", "augment.mirror=false", "--set", "max_instances=3", "--crop", 64)
    config, settings = chosen_settings(parsed(*data, *options), shapes(2), None)
    assert config.max_instances == 3 and settings.canvas == (64, 64)
    assert not settings.augment.mirror and settings.augment.quarter_turns


def test_a_resumed_run_begins_with_its_own_settings(tmp_path):
    config, settings = chosen_settings(parsed("--data", "digits"), shapes(2), None)
    stages = (Stage("heads", steps=3), Stage("all", steps=4))
    record = {
        "config": config.to_dict(),
        "settings": settings.replace(stages=stages, steps=7).to_dict(),
        "class_names": ["a"],
        "images": 2,
    }
    save_run(tmp_path, record)
    again = chosen_settings(parsed("--resume", "--set", "film=2"), SMALL_OBJECTS, tmp_path)
    assert again == (config, settings.replace(stages=stages, steps=7, film=2))


def test_several_set_options():
    options = ("--batch-size", 2, "--set", "batch_size=3", "--set", "batch_size=4")
    assert changed(TrainSettings(), *options).batch_size == 4
    config, _ = chosen_settings(parsed("--set", "loss_weights=1,1,1,1,2"), SMALL_OBJECTS, None)
    assert config.loss_weights == dict.fromkeys(Config.LOSSES, 1) | {"mask": 2}
    augment = changed(TrainSettings(), "--set", "augment.scale=0.5,2", "--set", "augment.hue=0.1")
    assert (augment.augment.scale, augment.augment.hue) == ((0.5, 2.0), 0.1)


def test_one_loss_weight_by_its_name():
    changes = changes_from_options(
        parsed("--set", "loss_weights.mask=0.5", "--set", "loss_weights.box=2"),
        Config(loss_weights={"class": 3}),
        TrainSettings(),
    )
    config, _ = changes.apply(Config(), TrainSettings())
    weights = {"objectness": 1, "rpn_box": 1, "class": 3, "box": 2, "mask": 0.5}
    assert config.loss_weights == weights
    changes = changes_from_options(
        parsed("--set", "loss_weights=1,2,3,4,5", "--set", "loss_weights.mask=0.5"),
        Config(),
        TrainSettings(),
    )
    assert tuple(changes.config["loss_weights"].values()) == (1, 2, 3, 4, 0.5)
    with pytest.raises(LabkitError, match="names the loss 'msak', which does not exist"):
        changes_from_options(
            parsed("--set", "loss_weights.msak=1"), Config(), TrainSettings()
        ).apply(Config(), TrainSettings())
