"""Weights there and back: names, layouts, other classes, and what is said about each tensor."""

import numpy as np
import pytest

from labkit import weights
from labkit.errors import LabkitError
from labkit.models.config import Config
from labkit.models.mask_rcnn import MaskRCNN
from labkit.weights import labkit_layout, torchvision
from labkit.weights.transfer import load_tensors

SMALL = dict(
    backbone_blocks=(1, 1, 1, 1),
    backbone_channels=(16, 32, 48, 64),
    stem_channels=8,
    fpn_channels=16,
    mask_convs=(16, 16),
    mask_channels=16,
)
CONFIGS = {
    "v1": Config.preset("torchvision_v1", **SMALL, box_dense=(24, 24)),
    "v2": Config.preset("torchvision_v2", **SMALL, box_convs=(16, 16), box_dense=(24,)),
}


@pytest.fixture(params=CONFIGS)
def config(request):
    return CONFIGS[request.param]


def model_of(config, names=("cat", "dog")) -> MaskRCNN:
    """A model all of whose variables, norms included, have values of their own."""
    model, rng = MaskRCNN(config, names), np.random.default_rng(len(names))
    for variable in model.weights:
        if not variable.path.startswith(("loss", "seed")):
            variable.assign(rng.normal(size=variable.shape))
    return model


def state_dict(config, classes: int = 2) -> dict[str, np.ndarray]:
    """As torchvision would save it: background rows and counters are there, and are no zeros."""
    rng = np.random.default_rng(5)
    names = torchvision.export(MaskRCNN(config, [f"c{i}" for i in range(classes)]))
    return {
        name: np.array(7) if value.ndim == 0 else rng.normal(size=value.shape).astype("f4")
        for name, value in names.items()
    }


def assert_equal(a: dict, b: dict) -> None:
    assert sorted(a) == sorted(b)
    for name in a:
        np.testing.assert_array_equal(a[name], b[name], err_msg=name)
        assert a[name].shape == b[name].shape and a[name].dtype == b[name].dtype, name


@pytest.mark.parametrize("ending", ["safetensors", "pth"])
def test_to_torchvision_and_back_bit_for_bit(config, tmp_path, ending):
    model = model_of(config)
    path = tmp_path / f"mine.{ending}"
    weights.export(model, path)
    again = MaskRCNN(config, model.class_names)
    report = weights.load(again, path)
    for mine, theirs in zip(again.weights, model.weights, strict=True):
        np.testing.assert_array_equal(mine, theirs, err_msg=mine.path)
    assert not report.missing
    assert set(report.skipped.values()) == {"counters that nothing reads"}


def test_from_torchvision_and_back_bit_for_bit(config, tmp_path):
    """Also what the model has no place for: the background's rows, the norms' counters."""
    given = state_dict(config)
    model = MaskRCNN(config, ["cat", "dog"])
    load_tensors(model, given, "given")
    weights.export(model, tmp_path / "again.safetensors")
    assert_equal(weights.read_tensors(tmp_path / "again.safetensors"), given)


def test_a_file_without_counters_comes_back_without_them():
    given = {n: v for n, v in state_dict(CONFIGS["v1"]).items() if v.ndim}
    model = MaskRCNN(CONFIGS["v1"], ["cat", "dog"])
    load_tensors(model, given, "given")
    assert_equal(torchvision.export(model), given)


def test_every_variable_has_a_name_of_its_own(config):
    model = model_of(config)
    for layout in (torchvision, labkit_layout):
        found = list(layout.pairs(model))
        assert len({p.name for p in found}) == len({id(p.variable) for p in found}) == len(found)
        parts = (model.backbone, model.fpn, model.rpn_head, model.box_head, model.mask_head)
        assert {id(p.variable) for p in found} == {id(v) for part in parts for v in part.weights}


def test_layouts_put_numbers_where_torchvision_reads_them():
    """A RoI of ones in one channel, one logit, one box coordinate at a time: by hand."""
    config = CONFIGS["v1"]
    model, given = MaskRCNN(config, ["cat", "dog"]), state_dict(config)
    load_tensors(model, given, "given")
    fc6 = given["roi_heads.box_head.fc6.weight"].reshape(
        24, 16, 7, 7
    )  # units, channel, row, column
    kernel = model.box_head.get_layer("fc0").kernel.numpy().reshape(7, 7, 16, 24)
    np.testing.assert_array_equal(kernel[2, 5, 3], fc6[:, 3, 2, 5])
    boxes = given["roi_heads.box_predictor.bbox_pred.bias"].reshape(3, 4)  # class; dx, dy, dw, dh
    mine = model.box_head.get_layer("deltas").bias.numpy().reshape(2, 4)
    np.testing.assert_array_equal(mine, boxes[1:, [1, 0, 3, 2]])
    deconv = given["roi_heads.mask_predictor.conv5_mask.weight"]  # in, out, row, column
    mine = model.mask_head.get_layer("deconv").kernel.numpy()  # row, column, out, in
    np.testing.assert_array_equal(mine[1, 0, 4, 9], deconv[9, 4, 1, 0])
    masks = given["roi_heads.mask_predictor.mask_fcn_logits.bias"]
    np.testing.assert_array_equal(model.mask_head.get_layer("logits").bias, masks[1:])


def test_names_of_older_torchvision_are_understood():
    given = state_dict(CONFIGS["v1"])
    older = {}
    for name, value in given.items():
        name = name.replace("rpn.head.conv.0.0.", "rpn.head.conv.")
        for i in range(4):
            name = name.replace(f"_blocks.{i}.0.", f"_blocks.{i}.")
            name = name.replace(f"mask_head.{i}.0.", f"mask_head.mask_fcn{i + 1}.")
        older[name] = value
    assert set(older) != set(given)
    one, two = (MaskRCNN(CONFIGS["v1"], ["cat", "dog"]) for _ in range(2))
    assert load_tensors(one, older, "older").loaded == load_tensors(two, given, "given").loaded
    for a, b in zip(one.weights, two.weights, strict=True):
        np.testing.assert_array_equal(a, b)


def last_layers(model) -> dict[str, np.ndarray]:
    """The tensors with rows for each class, as torchvision has them."""
    found = {p.name: p.outside() for p in torchvision.pairs(model)}
    return {n: v for n, v in found.items() if "predictor" in n and "conv5_mask" not in n}


def test_other_classes_keep_everything_but_the_last_layers(config):
    given, model = state_dict(config, classes=5), model_of(config)
    before = {p.name: p.outside() for p in torchvision.pairs(model)}
    report = load_tensors(model, given, "coco.pth")
    after, last = {p.name: p.outside() for p in torchvision.pairs(model)}, last_layers(model)
    assert len(last) == 6 and set(report.missing) == set(last)
    for name in before:
        np.testing.assert_array_equal(after[name], (before if name in last else given)[name])
    text = str(report)
    assert "the weights have 5 without names, the model 2: all start anew" in text
    assert "made for other classes" in text and "bbox_pred" in text
    assert_equal_shapes(torchvision.export(model), MaskRCNN(config, ["cat", "dog"]))


def test_classes_of_the_same_name_keep_their_rows(config):
    given, model = state_dict(config, classes=3), model_of(config, ["Dog", "newt", "cat"])
    before = last_layers(model)
    report = load_tensors(model, given, "mine.pth", ["cat", "dog", "owl"])
    assert report.classes == (
        "'Dog' and 'cat' keep their rows; 'newt' starts anew; 1 of the weights' 3 are left out"
    )
    assert report.classes in str(report) and not report.missing
    for name, value in last_layers(model).items():
        size = len(value) // 4  # rows of a class: four for boxes
        mine, own, theirs = (
            a.reshape(4, size, *a.shape[1:]) for a in (value, before[name], given[name])
        )
        np.testing.assert_array_equal(mine[2], own[2], name)
        np.testing.assert_array_equal(mine[[1, 3]], theirs[[2, 1]], name)
    # the background's rows of boxes and masks, which nothing reads, come back as well
    exported = torchvision.export(model)
    for name in before:
        rows = len(exported[name]) // 4
        np.testing.assert_array_equal(exported[name][:rows], given[name][:rows], name)


def test_as_many_classes_of_other_names_start_anew(config):
    """Else a cat would begin as what the weights know of persons."""
    given, model = state_dict(config), model_of(config)
    before = last_layers(model)
    report = load_tensors(model, given, "mine.pth", ["person", "car"])
    assert report.classes == "'cat' and 'dog' start anew, not being among the 2 of the weights"
    for name, value in last_layers(model).items():
        np.testing.assert_array_equal(value, before[name], name)


def test_names_that_are_not_known_are_taken_for_the_models(config):
    given, model = state_dict(config), model_of(config)
    report = load_tensors(model, given, "mine.pth")
    assert "do not name their 2" in str(report) and not report.missing
    assert load_tensors(model, given, "mine.pth", model.class_names).classes == ""


def test_a_layer_of_another_network_is_not_one_of_other_classes(config):
    given, model = state_dict(config), model_of(config)
    name = "roi_heads.box_predictor.bbox_pred.bias"
    for wrong in (given[name][:-1], given[name][:4], given[name].reshape(3, 4)):
        with pytest.raises(LabkitError, match="belongs to another network"):
            load_tensors(model, given | {name: wrong}, "other.pth")


def assert_equal_shapes(exported, model):
    assert {p.name: p.outside().shape for p in torchvision.pairs(model)}.items() <= {
        n: v.shape for n, v in exported.items()
    }.items()


def test_a_classifier_fills_the_backbone_alone():
    model = model_of(CONFIGS["v1"])
    given = {
        p.name: np.full(p.outside().shape, 0.5, "f4")
        for p in torchvision.backbone_pairs(model.backbone)
    }
    given |= {"fc.weight": np.zeros((1000, 64)), "fc.bias": np.zeros(1000)}
    head = model.box_head.get_layer("logits").kernel.numpy()
    report = load_tensors(model, given, "resnet50.pth")
    assert all(
        (p.variable.numpy() == 0.5).all() for p in torchvision.backbone_pairs(model.backbone)
    )
    np.testing.assert_array_equal(model.box_head.get_layer("logits").kernel, head)
    assert "ImageNet's classifier" in str(report)
    assert "left as it was: fpn, rpn, box_head, mask_head" in str(report)


def test_a_classifiers_counters_do_not_stray_into_an_export():
    """They have the names of a classifier there, and torch refuses names that it does not know."""
    model, whole, body = model_of(CONFIGS["v1"]), state_dict(CONFIGS["v1"]), "backbone.body."
    given = {n.removeprefix(body): value for n, value in whole.items() if n.startswith(body)}
    assert "bn1.num_batches_tracked" in given
    load_tensors(model, given, "resnet50.pth")
    assert set(torchvision.export(model)) == set(whole)


def test_our_own_files_and_other_classes(micro_config, tmp_path):
    model = model_of(micro_config, ["cat", "dog", "owl"])
    model.save_weights(tmp_path / "mine.weights.h5")
    same = MaskRCNN(micro_config, ["cat", "dog", "owl"])
    assert not weights.load(same, tmp_path / "mine.weights.h5").missing
    for a, b in zip(same.weights, model.weights, strict=True):
        np.testing.assert_array_equal(a, b)
    other = MaskRCNN(micro_config, ["cat"])
    report = weights.load(other, tmp_path / "mine.weights.h5")
    assert len(report.missing) == 2  # the logits; one box and one mask are for all classes
    assert report.classes == "the weights have 3 without names, the model 1: all start anew"
    np.testing.assert_array_equal(
        other.box_head.get_layer("fc0").kernel, model.box_head.get_layer("fc0").kernel
    )


@pytest.mark.parametrize(
    "change, why",
    [
        (lambda t: t.pop("backbone.body.conv1.weight"), "'backbone.body.conv1.weight' is missing"),
        (
            lambda t: t.update({"rpn.head.cls_logits.bias": np.zeros(15)}),
            r"\[15\], this model wants",
        ),
        (lambda t: t.clear(), "holds no weights of this network"),
        (lambda t: (t.clear(), t.update(something=np.zeros(3))), "it holds something"),
    ],
)
def test_another_networks_file_changes_nothing(change, why):
    given, model = state_dict(CONFIGS["v1"]), model_of(CONFIGS["v1"])
    before = [v.numpy() for v in model.weights]
    change(given)
    with pytest.raises(LabkitError, match=why):
        load_tensors(model, given, "other.pth")
    for variable, value in zip(model.weights, before, strict=True):
        np.testing.assert_array_equal(variable, value)


def test_v1_weights_do_not_go_into_v2():
    with pytest.raises(LabkitError, match=r"preset \(torchvision_v1, torchvision_v2\) that"):
        load_tensors(model_of(CONFIGS["v2"]), state_dict(CONFIGS["v1"]), "v1.pth")


def test_torchvision_has_no_tiny_model(micro_config, tmp_path):
    with pytest.raises(LabkitError, match="no such model"):
        weights.export(MaskRCNN(micro_config, ["cat"]), tmp_path / "tiny.pth")
    assert not list(tmp_path.iterdir())


def test_only_known_endings_are_written(tmp_path):
    with pytest.raises(LabkitError, match=r"\.safetensors, \.pth, \.pt"):
        weights.export(model_of(CONFIGS["v1"]), tmp_path / "mine.bin")
