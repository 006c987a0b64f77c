"""`MaskRCNN.from_pretrained`: a name, a file or a run, with the weights' classes or others."""

import numpy as np
import pytest

from labkit import weights
from labkit.errors import LabkitError
from labkit.models.config import Config
from labkit.models.mask_rcnn import MaskRCNN
from labkit.models.registry import presets
from labkit.training.checkpoints import save_run
from labkit.weights import registry
from labkit.weights.registry import PRETRAINED


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """A file as torchvision publishes it: 90 classes and the background."""
    model = MaskRCNN(Config.preset("torchvision_v1"), [f"c{i}" for i in range(90)])
    path = tmp_path_factory.mktemp("published") / "maskrcnn_resnet50_fpn_coco-bf2d0c1e.pth"
    weights.export(model, path)
    return path, model


@pytest.fixture
def downloaded(published, monkeypatch):
    """The registry's file, without a network."""
    monkeypatch.setattr(weights.pretrained, "obtain", lambda entry: published[0])


def test_a_name_gives_cocos_classes_and_its_own_epsilon(published, downloaded, capsys):
    model = MaskRCNN.from_pretrained("coco-r50-fpn")
    assert len(model.class_names) == 90
    assert model.class_names[0] == "person" and model.class_names[11] == "N/A 12"
    assert model.class_names[89] == "toothbrush"
    assert model.config == Config.preset("torchvision_v1", batch_norm_epsilon=0.0)
    for mine, theirs in zip(model.weights, published[1].weights, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert "coco-r50-fpn: " in capsys.readouterr().out


def test_ones_own_classes_start_the_last_layers_anew(published, downloaded, capsys):
    model = MaskRCNN.from_pretrained("coco-r50-fpn", class_names=["tooth"])
    assert model.class_names == ("tooth",)
    theirs = published[1].box_head.get_layer("fc0").kernel
    np.testing.assert_array_equal(model.box_head.get_layer("fc0").kernel, theirs)
    assert len(model.load_report.missing) == 6  # kernel and bias of class logits, boxes and masks
    said = capsys.readouterr().out
    assert "classes: 'tooth' starts anew, not being among the 80 of the weights" in said


def test_classes_of_cocos_names_keep_their_rows(published, downloaded):
    model = MaskRCNN.from_pretrained("coco-r50-fpn", ["Toothbrush", "tooth", "person"], None, False)
    assert model.load_report.classes == (
        "'Toothbrush' and 'person' keep their rows; 'tooth' starts anew; 78 of the weights' 80 are "
        "left out"
    )
    assert not model.load_report.missing
    head, theirs = model.box_head.get_layer("logits"), published[1].box_head.get_layer("logits")
    # a class's row is its COCO id: 1 is a person, 90 a toothbrush
    np.testing.assert_array_equal(
        head.kernel.numpy()[:, [0, 1, 3]], theirs.kernel.numpy()[:, [0, 90, 1]]
    )
    mine, theirs = (m.box_head.get_layer("deltas").kernel.numpy() for m in (model, published[1]))
    np.testing.assert_array_equal(mine[:, :4], theirs[:, -4:])
    np.testing.assert_array_equal(mine[:, 8:], theirs[:, :4])
    mine, theirs = (m.mask_head.get_layer("logits").kernel.numpy() for m in (model, published[1]))
    np.testing.assert_array_equal(mine[..., [0, 2]], theirs[..., [89, 0]])
    anew = MaskRCNN(model.config, model.class_names).mask_head.get_layer("logits")
    np.testing.assert_array_equal(mine[..., 1], anew.kernel.numpy()[..., 1])


def test_a_file_tells_its_network_and_its_number_of_classes(published, capsys):
    model = MaskRCNN.from_pretrained(published[0], verbose=False)
    assert len(model.class_names) == 90 and model.config == Config.preset("torchvision_v1")
    assert capsys.readouterr().out == ""


def test_a_config_may_change_thresholds(published):
    config = Config.preset("torchvision_v1", detections=300, image_min_side=512)
    assert MaskRCNN.from_pretrained(published[0], config=config, verbose=False).config == config


def test_no_variance_and_no_epsilon(published, downloaded):
    """With an epsilon of 0 a frozen norm is gamma / sqrt(variance), to the last digits."""
    model = MaskRCNN.from_pretrained("coco-r50-fpn", verbose=False)
    norm = model.backbone.get_layer("bn1")
    norm.moving_variance.assign(np.full(64, 1e-6))
    x = np.random.default_rng(0).normal(size=(1, 2, 2, 64)).astype("f4")
    np.testing.assert_allclose(norm(x, training=False), x * 1e3, rtol=1e-5)


def test_a_run_and_a_runs_weights_with_other_classes(micro_config, tmp_path):
    model = MaskRCNN(micro_config, ["cat", "dog"])
    save_run(tmp_path, {"config": micro_config.to_dict(), "class_names": ["cat", "dog"]})
    (tmp_path / "elsewhere").mkdir()
    model.save_weights(tmp_path / "model.weights.h5")
    same = MaskRCNN.from_pretrained(tmp_path, verbose=False)
    assert same.class_names == ("cat", "dog")
    other = MaskRCNN.from_pretrained(tmp_path, class_names=["owl"], verbose=False)
    assert other.load_report.classes == "'owl' starts anew, not being among the 2 of the weights"
    for again in (same, other):
        np.testing.assert_array_equal(again.fpn.weights[0], model.fpn.weights[0])
    file = tmp_path / "model.weights.h5"
    beside_its_run = MaskRCNN.from_pretrained(file, verbose=False)
    assert beside_its_run.class_names == ("cat", "dog") and beside_its_run.config == micro_config
    file = file.rename(tmp_path / "elsewhere" / file.name)
    with pytest.raises(LabkitError, match="give config="):
        MaskRCNN.from_pretrained(file)
    with pytest.raises(LabkitError, match="which classes the detector is to learn"):
        MaskRCNN.from_pretrained(file, config=micro_config)
    MaskRCNN.from_pretrained(file, ["cat", "dog"], micro_config, verbose=False)


def test_a_runs_classes_in_another_order(micro_config, tmp_path):
    config = micro_config.replace(class_weights=(1, 1, 1), class_agnostic=False, box_passes=1)
    model = MaskRCNN(config, ["cat", "dog"])
    save_run(tmp_path, {"config": config.to_dict(), "class_names": ["cat", "dog"]})
    model.save_weights(tmp_path / "model.weights.h5")
    other = MaskRCNN.from_pretrained(tmp_path, ["dog", "cat"], verbose=False)
    assert other.load_report.classes == "'dog' and 'cat' keep their rows"
    assert other.config.class_weights == ()  # they were for the other order
    mine, theirs = (m.box_head.get_layer("deltas").kernel.numpy() for m in (other, model))
    np.testing.assert_array_equal(mine, np.roll(theirs, 4, axis=1))


def test_slots_that_nothing_was_taught_keep_their_place_and_are_never_detected(
    published, downloaded
):
    config = Config.preset(
        "torchvision_v1", image_min_side=64, image_max_side=64, proposals=8, detections=200
    )
    model = MaskRCNN.from_pretrained("coco-r50-fpn", config=config, verbose=False)
    model.box_head.get_layer("logits").bias.assign([9.0 if i in (12, 13) else 0 for i in range(91)])
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    found = model.detect(image, score_threshold=0.1)
    assert set(found.names) == {"stop sign"}  # id 13; as sure of id 12, "N/A 12"
    assert model.class_names.index("stop sign") == 12  # every other id stays COCO's


def test_a_backbone_alone_wants_to_know_the_classes(downloaded):
    with pytest.raises(LabkitError, match="a backbone alone knows none"):
        MaskRCNN.from_pretrained("imagenet-r50")


@pytest.mark.parametrize(
    "source, why",
    [
        ("coco-r50-fnp", "did you mean coco-r50-fpn"),
        ("runs/nowhere", "no such file or folder"),
    ],
)
def test_what_does_not_exist_is_said(source, why):
    with pytest.raises(LabkitError, match=why):
        MaskRCNN.from_pretrained(source)


def test_every_published_preset_exists():
    for entry in PRETRAINED.values():
        if entry.preset:
            config = presets()[entry.preset]
            assert config.backbone in ("resnet50", "efficientnet_lite0", "darknet53")
    assert registry.find("coco-r50-fpn-v2").preset == "torchvision_v2"
