"""--weights: what a training starts from, and what is measured or detected with."""

import json

import numpy as np
import pytest

from labkit import cli
from labkit.commands.run_data import remember, remembered
from labkit.commands.weights import model_of, nearest_preset
from labkit.data import shapes
from labkit.models.config import PRESETS, Config
from labkit.models.mask_rcnn import MaskRCNN
from labkit.models.registry import presets
from labkit.training import TrainSettings
from labkit.training.checkpoints import save_run
from labkit.weights import export, pretrained

SHAPES = "--data shapes --image-size 64"
CLASSES = ("star", "newt", "Ellipse")  # two of shapes' own, in another order, and another
SMALL = dict(
    backbone_blocks=(1, 1, 1, 1),
    backbone_channels=(16, 32, 48, 64),
    stem_channels=8,
    fpn_channels=16,
    mask_convs=(16, 16),
    mask_channels=16,
    box_dense=(24, 24),
)


@pytest.fixture
def source(tmp_path, micro_config):
    """A run of another day, in the folder `before`, and its model."""
    model = MaskRCNN(micro_config.replace(seed=7, class_weights=(1, 2, 1, 1)), CLASSES)
    rng, logits = np.random.default_rng(2), model.box_head.get_layer("logits")
    logits.kernel.assign(rng.normal(size=logits.kernel.shape))
    folder = tmp_path / "before"
    save_run(folder, {"config": model.config.to_dict(), "class_names": list(CLASSES)})
    model.save_weights(folder / "model.weights.h5")
    model.save_weights(tmp_path / "alone.weights.h5")
    remember(folder, {"data": "/photos", "preset": "tiny"})
    return model


@pytest.fixture
def published(tmp_path, monkeypatch):
    """coco-r50-fpn without a network, and smaller; its model."""
    config = Config.preset(
        "torchvision_v1", **SMALL, image_min_side=64, image_max_side=64, proposals=20
    )
    model = MaskRCNN(config, [f"c{i}" for i in range(90)])
    # as every class's is 1 / 91, nothing would be above the threshold
    model.box_head.get_layer("logits").bias.assign(np.eye(91)[1] * 9)
    export(model, tmp_path / "published.pth")
    monkeypatch.setitem(PRESETS, "torchvision_v1", config)
    monkeypatch.setattr(pretrained, "obtain", lambda entry: tmp_path / "published.pth")
    return model


# ---- to train from a run -------------------------------------------------------------------------


def test_a_run_starts_from_another_ones_weights(train, asked, source, tmp_path):
    assert train(f"{SHAPES} --weights before") == ""
    _, settings, model = asked[0]
    assert model.config.box_dense == source.config.box_dense and model.config.seed == 7
    assert model.config.class_weights == ()  # they were for other classes
    assert settings.learning_rate == TrainSettings.preset("tiny").learning_rate
    np.testing.assert_array_equal(model.fpn.weights[0], source.fpn.weights[0])
    mine, theirs = (m.box_head.get_layer("logits").kernel.numpy() for m in (model, source))
    assert model.class_names == ("rectangle", "ellipse", "triangle", "star")
    np.testing.assert_array_equal(mine[:, [0, 2, 4]], theirs[:, [0, 3, 1]])
    assert not np.isin(mine[:, [1, 3]], theirs).any()
    assert remembered(tmp_path / "r") == {
        "data": "shapes",
        "image_size": 64,
        "preset": "tiny",
        "weights": str(tmp_path / "before"),
    }


def test_options_have_the_last_word(train, asked, source):
    options = "--weights before --preset tiny --seed 3 --set detections=7 --learning-rate 0.1"
    assert train(f"{SHAPES} {options}") == ""
    _, settings, model = asked[0]
    assert (model.config.seed, model.config.detections, settings.learning_rate) == (3, 7, 0.1)


def test_what_is_loaded_is_said(asked, source, capsys):
    cli.main(["train", "--run", "r", *SHAPES.split(), "--weights", "before"])
    said = capsys.readouterr().out
    assert "before/model.weights.h5: " in said.replace("\\", "/") and "tensors loaded" in said
    assert "  classes: 'ellipse' and 'star' keep their rows; 'rectangle' and 'triangle'" in said


def test_a_checkpoint_is_as_good(train, asked, source, tmp_path):
    folder = tmp_path / "before" / "checkpoints" / "step-00000005"
    folder.mkdir(parents=True)
    (tmp_path / "before" / "model.weights.h5").rename(folder / "model.weights.h5")
    (folder / "state.json").write_text('{"step": 5}')
    np.savez(folder / "optimizer.npz")
    for place in ("before", "before/checkpoints/step-00000005"):
        assert train(f"{SHAPES} --weights {place}") == ""
    for _, _, model in asked:
        np.testing.assert_array_equal(model.fpn.weights[0], source.fpn.weights[0])
    assert remembered(tmp_path / "r")["preset"] == "tiny"


def test_pictures_of_a_size_of_their_own_are_not_inherited(train, asked, source, tmp_path):
    """The run's data wanted it; the new ones may be large photographs."""
    config = source.config.replace(resize="none").to_dict()
    save_run(tmp_path / "before", {"config": config, "class_names": list(CLASSES)})
    assert train(f"{SHAPES} --weights before") == ""
    assert asked[0][2].config.resize == "shortest_edge"


def test_a_resumed_run_keeps_its_weights(train, asked, source, tmp_path, monkeypatch):
    assert train(f"{SHAPES} --weights before") == ""
    source.fpn.weights[0].assign(np.ones(source.fpn.weights[0].shape))
    source.save_weights(tmp_path / "before" / "model.weights.h5")
    for options in ("", " --weights before --preset tiny", f" --weights {tmp_path}/before"):
        assert train("--resume" + options) == ""
        assert (asked[-1][2].fpn.weights[0].numpy() == 1).all()  # no checkpoint: it begins again
    assert f"was started with {tmp_path / 'before'}" in train("--resume --weights coco-r50-fpn")
    assert "leave one of them out" in train("--resume --weights before --backbone-weights none")
    assert "leave it out" in train("--resume --backbone-weights none")

    (tmp_path / "r" / "checkpoints" / "step-00000001").mkdir(parents=True)
    monkeypatch.setattr(pretrained, "find_weights", lambda source: 1 / 0)
    assert train("--resume --weights before") == ""
    assert not (asked[-1][2].fpn.weights[0].numpy() == 1).all()
    assert remembered(tmp_path / "r")["weights"] == str(tmp_path / "before")


def test_a_file_in_its_run_says_its_network(train, source, asked):
    assert train(f"{SHAPES} --weights before/model.weights.h5") == ""
    np.testing.assert_array_equal(asked[-1][2].fpn.weights[0], source.fpn.weights[0])


def test_a_run_that_started_from_none_goes_on_without(train, source):
    assert train(SHAPES) == ""
    assert "was not started from such weights" in train("--resume --weights before")


@pytest.mark.parametrize(
    "options, words",
    [
        ("--weights before --backbone-weights none", "leave one of them out"),
        ("--weights before --preset r50_fpn", "of the preset tiny, another network"),
        ("--weights alone.weights.h5", "give the folder of its run, or add --preset"),
        ("--weights alone.weights.h5 --preset tiny", "belongs to another network"),
        ("--weights before/model.weights.h5 --preset r50_fpn", "of the preset tiny, another"),
        ("--weights before --set fpn_channels=24", "belongs to another network"),
        ("--weights coco-r50-fnp", "did you mean coco-r50-fpn?"),
        ("--weights runs/nowhere", "runs/nowhere: there is no such file or folder of weights"),
        ("--weights after", "after: there is no such file or folder, and there are no pretrained"),
    ],
)
def test_mistakes_are_one_sentence(train, source, tmp_path, options, words):
    assert words in train(f"{SHAPES} {options}")
    assert not (tmp_path / "r").exists()


def test_a_file_that_does_not_say_its_network_goes_with_a_preset(train, asked, tmp_path):
    model = MaskRCNN(Config.preset("tiny", seed=5), ["a", "b"])
    model.save_weights(tmp_path / "bare.weights.h5")
    assert train(f"{SHAPES} --weights bare.weights.h5 --preset tiny") == train("--resume") == ""
    for _, _, started in asked:
        np.testing.assert_array_equal(started.fpn.weights[0], model.fpn.weights[0])


# ---- to train from published weights -------------------------------------------------------------


def test_published_weights_bring_their_network(train, asked, published, tmp_path):
    assert train("--data shapes --weights coco-r50-fpn --preset torchvision_v1") == ""
    _, settings, model = asked[0]
    assert model.config.batch_norm_epsilon == 0 and model.config.freeze_batch_norm
    np.testing.assert_array_equal(model.fpn.weights[0], published.fpn.weights[0])
    assert settings.optimizer == TrainSettings.preset("torchvision_v1").optimizer
    data = remembered(tmp_path / "r")
    assert (data["weights"], data["preset"]) == ("coco-r50-fpn", "torchvision_v1")
    assert "backbone_weights" not in data


def test_a_backbone_alone_goes_into_the_backbone_of_its_preset(train, asked, capsys):
    assert train(f"{SHAPES} --weights imagenet-lite0") == ""
    _, _, model = asked[0]
    assert model.config.backbone == "efficientnet_lite0" and model.config.freeze_batch_norm
    stem = model.backbone.get_layer("stem_bn").moving_variance.numpy()
    assert not (stem == 1).all()  # as it would be without a training


@pytest.mark.parametrize("name", ["tiny", "lite0_fpn", "r50_fpn"])
def test_the_settings_are_those_of_the_same_backbone(name):
    assert nearest_preset(presets()[name].replace(image_min_side=96, seed=4)) == name


def test_a_backbone_without_a_preset_trains_as_one_of_its_kind():
    deep = Config(backbone="resnet101")
    assert nearest_preset(deep) == "r50_fpn"


# ---- to measure and to detect --------------------------------------------------------------------


@pytest.fixture
def people(tmp_path):
    """Pictures of shapes, some of which are called persons."""
    shapes(2, 64, seed=1).save_coco(tmp_path / "val.json", tmp_path / "val")
    truth = json.loads((tmp_path / "val.json").read_text())
    truth["categories"][0]["name"] = "Person"
    (tmp_path / "val.json").write_text(json.dumps(truth))
    return ["--annotations", str(tmp_path / "val.json"), "--images", str(tmp_path / "val")]


def test_published_weights_are_measured_on_the_classes_of_the_data(published, people, capsys):
    assert cli.main(["evaluate", "--weights", "coco-r50-fpn", *people, "--json"]) == 0
    numbers = json.loads(capsys.readouterr().out)
    notes = " ".join(numbers["notes"])
    assert "The model does not know " in notes and "count as missed" in notes
    assert "The model also knows classes that the data set does not have (bicycle, car" in notes
    assert "N/A" not in notes
    assert set(numbers["per_class"]) >= {"Person"}


def test_a_report_takes_published_weights_too(published, people, tmp_path, capsys):
    for words in (["coco-r50-fpn"], ["--weights", "coco-r50-fpn"]):
        out = tmp_path / "page.html"
        assert cli.main(["report", *words, *people, "--out", str(out)]) == 0
        page = out.read_text(encoding="utf-8")
        assert "coco-r50-fpn" in page and "count as missed" in page
        out.unlink()
    assert cli.main(["report", "--out", "page.html"]) == 2
    assert "say what to report on" in capsys.readouterr().err


def test_published_weights_detect(published, people, tmp_path, capsys):
    argv = ["detect", "--weights", "coco-r50-fpn", "--out", str(tmp_path / "out"), "--score", "0"]
    assert cli.main([*argv, people[-1], "--json"]) == 0
    written = json.loads(capsys.readouterr().out)
    ids = {category["name"]: category["id"] for category in written["categories"]}
    assert len(ids) == 80 and ids["person"] == 1 and ids["toothbrush"] == 90
    assert {found["category_id"] for found in written["annotations"]} <= {*ids.values()}


def test_a_file_that_does_not_name_its_classes_has_the_datas_if_it_knows_as_many(
    published, tmp_path
):
    model = MaskRCNN(published.config, ["a", "b"])
    export(model, tmp_path / "mine.pth")
    assert model_of(str(tmp_path / "mine.pth"), ["cat", "dog"]).class_names == ("cat", "dog")
    for names in ((), ["cat"]):
        assert model_of(str(tmp_path / "mine.pth"), names).class_names == ("class 1", "class 2")
