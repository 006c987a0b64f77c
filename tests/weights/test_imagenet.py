"""ImageNet weights of every backbone: where there is no network, one sentence says what to do."""

from types import SimpleNamespace
from urllib.error import URLError

import keras
import pytest

from labkit.errors import LabkitError
from labkit.io import download
from labkit.models.backbones import BACKBONES, KERAS
from labkit.models.config import Config
from labkit.weights.imagenet import load_imagenet, source_of
from labkit.weights.registry import PRETRAINED, find

NETWORKS = {
    "resnet50": "ResNet50",
    "resnet101": "ResNet101",
    "vgg16": "VGG16",
    "mobilenet_v2": "MobileNetV2",
}
OF_KERAS = [name for name, backbone in BACKBONES.items() if backbone.imagenet == KERAS]
DOWNLOADED = [
    name
    for name, backbone in BACKBONES.items()
    if backbone.imagenet in PRETRAINED and not find(backbone.imagenet).package
]


@pytest.mark.parametrize("name", OF_KERAS)
def test_without_a_network_keras_says_so(name, monkeypatch):
    def fail(**options):
        assert (options["weights"], options["include_top"]) == ("imagenet", False)
        raise OSError("URL fetch failure on https://storage.example/file.h5: no route to host")

    monkeypatch.setattr(keras.applications, NETWORKS[name], fail)
    config = Config.preset("tiny", backbone=name)
    model = SimpleNamespace(config=config, backbone=BACKBONES[name].build(config))
    with pytest.raises(LabkitError) as caught:
        load_imagenet(model)
    message = str(caught.value)
    assert f"ImageNet weights for {NETWORKS[name]} could not be downloaded" in message
    assert "_notop.h5 into ~/.keras/models" in message or "_no_top.h5 into ~" in message
    assert "--backbone-weights none" in message and "\n" not in message


@pytest.mark.parametrize("name", OF_KERAS)
def test_the_file_of_the_sentence_is_the_one_that_keras_asks_for(name, monkeypatch):
    """So that a file which was put there by hand is found."""
    asked = []

    def get_file(fname, *args, **options):
        asked.append(fname)
        raise OSError("no route to host")

    monkeypatch.setattr(keras.src.utils.file_utils, "get_file", get_file)
    config = Config.preset("tiny", backbone=name)
    model = SimpleNamespace(config=config, backbone=BACKBONES[name].build(config))
    with pytest.raises(LabkitError, match="put the file") as caught:
        load_imagenet(model)
    assert len(asked) == 1 and f"put the file {asked[0]} into" in str(caught.value)


@pytest.mark.parametrize("name", DOWNLOADED)
def test_without_a_network_a_download_says_what_to_put_where(name, monkeypatch, tmp_path):
    def fail(request, timeout):
        raise URLError(OSError("no route to host"))

    monkeypatch.setenv("LABKIT_CACHE", str(tmp_path))
    monkeypatch.setattr(download, "_opener", lambda: fail)
    with pytest.raises(LabkitError) as caught:
        load_imagenet(SimpleNamespace(config=Config.preset("tiny", backbone=name)))
    entry, message = find(BACKBONES[name].imagenet), str(caught.value)
    assert entry.address in message and str(tmp_path / "weights" / entry.file_name) in message
    assert f"its SHA-256: {entry.sha256}..." in message and "\n" not in message


@pytest.mark.parametrize(
    "preset, source",
    [
        ("r50_fpn", KERAS),
        ("matterport", KERAS),
        ("torchvision_v1", "imagenet-r50"),
        ("torchvision_v2", "imagenet-r50"),
        ("lite0_fpn", "imagenet-lite0"),
        ("tiny", ""),
    ],
)
def test_a_resnet_gets_the_weights_that_were_trained_with_its_strides(preset, source):
    assert source_of(Config.preset(preset)) == source
