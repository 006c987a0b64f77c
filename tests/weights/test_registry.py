"""The published weights: what is said of them is whole, and getting them goes one way."""

import hashlib
import json
import re

import pytest

from labkit.errors import LabkitError
from labkit.models.backbones import BACKBONES, KERAS
from labkit.models.registry import presets
from labkit.weights import registry
from labkit.weights.registry import (
    COCO_NAMES,
    PRETRAINED,
    Pretrained,
    describe,
    find,
    obtain,
    path_of,
)


def test_the_names():
    assert list(PRETRAINED) == [
        "coco-r50-fpn",
        "coco-r50-fpn-v2",
        "imagenet-lite0",
        "imagenet-r50",
        "imagenet-r50-v2",
        "imagenet-r101",
        "imagenet-r101-v2",
        "imagenet-x50",
        "imagenet-x50-v2",
        "imagenet-x101",
        "imagenet-x101-v2",
        "imagenet-darknet53",
        "matterport-coco",
        "detectron2-r50-fpn-1x",
        "detectron2-r50-fpn",
        "detectron2-r101-fpn",
        "detectron2-x101-fpn",
        "yolact_resnet50",
        "yolact_darknet53",
        "yolact_base",
        "yolact_im700",
    ]


@pytest.mark.parametrize("entry", PRETRAINED.values(), ids=PRETRAINED)
def test_every_entry_is_whole(entry):
    assert entry.file_name == (entry.packaged or entry.address.split("/")[-1])
    assert re.fullmatch(r".+\.(pth|h5|pkl)", entry.file_name)
    assert re.fullmatch(r"https://[\w./-]+", entry.address)
    assert entry.title and entry.licence and entry.source.startswith("https://")
    assert "https://" in entry.recipe
    assert entry.preset is None or entry.preset in presets()
    assert entry.size is None or 10**7 < entry.size < 3 * 10**8
    assert not entry.backbone or entry.backbone in BACKBONES


@pytest.mark.parametrize("name", [n for n, entry in PRETRAINED.items() if entry.sha256])
def test_the_digest_begins_as_the_file_name_says(name):
    entry = find(name)
    digits = re.search(r"-([0-9a-f]{8})\.pth$", entry.file_name)[1]
    assert entry.sha256[:8] == digits and len(entry.sha256) in (8, 64)


def test_the_imagenet_weights_of_a_backbone_are_of_that_backbone():
    for name, backbone in BACKBONES.items():
        if backbone.imagenet not in ("", KERAS):
            entry = find(backbone.imagenet)
            assert (entry.backbone or presets()[entry.preset].backbone) == name


def test_published_numbers():
    published = {n: (e.box_ap, e.mask_ap) for n, e in PRETRAINED.items() if e.box_ap}
    assert published == {
        "coco-r50-fpn": (37.9, 34.6),
        "coco-r50-fpn-v2": (47.4, 41.8),
        "matterport-coco": (34.7, None),
        "detectron2-r50-fpn-1x": (38.6, 35.2),
        "detectron2-r50-fpn": (41.0, 37.2),
        "detectron2-r101-fpn": (42.9, 38.6),
        "detectron2-x101-fpn": (44.3, 39.5),
    }
    of_yolact = {n: e.mask_ap for n, e in PRETRAINED.items() if e.mask_ap and not e.box_ap}
    assert list(of_yolact.values()) == [28.2, 28.7, 29.8, 31.2]
    assert {n: e.batch_norm_epsilon for n, e in PRETRAINED.items() if e.preset} == {
        name: None for name in PRETRAINED
    } | {"coco-r50-fpn": 0.0}


def test_classes_are_cocos_ids_without_the_background():
    names = find("coco-r50-fpn").class_names
    assert len(names) == 90 and find("coco-r50-fpn-v2").class_names == names
    by_id = dict(enumerate(names, start=1))
    some = {1: "person", 13: "stop sign", 27: "backpack", 31: "handbag", 44: "bottle", 47: "cup"}
    some |= {67: "dining table", 70: "toilet", 72: "tv", 84: "book", 90: "toothbrush"}
    assert {number: by_id[number] for number in some} == some
    gaps = [number for number, name in by_id.items() if name == "N/A"]
    assert gaps == [12, 26, 29, 30, 45, 66, 68, 69, 71, 83]
    assert (
        tuple(n for n in names if n != "N/A") == COCO_NAMES == find("matterport-coco").class_names
    )
    assert len(COCO_NAMES) == len(set(COCO_NAMES)) == 80
    assert find("imagenet-r50").class_names == ()


def test_a_name_that_is_not_there():
    with pytest.raises(LabkitError, match="did you mean coco-r50-fpn-v2?"):
        find("coco-r50-fpnv2")
    with pytest.raises(LabkitError) as caught:
        find("yolo")
    assert "choose from" in str(caught.value) and all(n in str(caught.value) for n in PRETRAINED)


@pytest.fixture
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("LABKIT_CACHE", str(tmp_path))
    return tmp_path


def test_files_are_kept_under_their_own_names(cache):
    paths = [path_of(entry) for entry in PRETRAINED.values()]
    assert paths[0] == cache / "weights" / "maskrcnn_resnet50_fpn_coco-bf2d0c1e.pth"
    assert len(set(paths)) == len(paths)
    ours = [path_of(entry) for entry in PRETRAINED.values() if not entry.package]
    assert all(p.parent == cache / "weights" for p in ours)


def small(content: bytes) -> Pretrained:
    return Pretrained(
        name="small",
        title="t",
        address="https://a.invalid/small.pth",
        size=len(content),
        sha256=hashlib.sha256(content).hexdigest()[:8],
        licence="l",
        source="s",
        recipe="r",
    )


def test_a_file_that_is_there_is_used_without_a_network(cache, monkeypatch):
    entry = small(b"weights")
    path_of(entry).parent.mkdir()
    path_of(entry).write_bytes(b"weights")
    assert obtain(entry) == path_of(entry)


def test_otherwise_it_is_fetched_with_its_digest_and_size(cache, monkeypatch):
    asked = []
    monkeypatch.setattr(registry, "fetch", lambda *args, **options: asked.append((args, options)))
    entry = find("coco-r50-fpn")
    obtain(entry, progress=False)
    assert asked == [
        (
            (entry.address, path_of(entry)),
            {"sha256": "bf2d0c1e", "size": 178_090_079, "progress": False},
        )
    ]


def test_without_a_network_it_is_said_what_to_put_where(cache):
    with pytest.raises(LabkitError) as caught:
        obtain(small(b"weights"), progress=False)
    text = str(caught.value)
    assert "https://a.invalid/small.pth" in text and str(cache / "weights" / "small.pth") in text


def test_the_description_is_json_and_says_what_is_there(cache):
    path_of(find("imagenet-r50")).parent.mkdir()
    path_of(find("imagenet-r50")).write_bytes(b"")
    facts = json.loads(json.dumps(describe()))
    assert list(facts) == list(PRETRAINED)
    assert facts["coco-r50-fpn"]["box AP"] == 37.9 and facts["coco-r50-fpn"]["classes"] == 80
    assert facts["coco-r50-fpn"]["batch norm epsilon"] == 0.0
    assert {name: entry["downloaded"] for name, entry in facts.items()} == {
        name: name in ("imagenet-r50", "imagenet-lite0") for name in PRETRAINED
    }
    assert "box AP" not in facts["imagenet-r50"]
    assert facts["matterport-coco"]["preset"] == "matterport"
