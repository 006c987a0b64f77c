"""`labkit train`: what a run is started with, what it keeps of that when it goes on."""

import json
import math

import pytest

from labkit import cli
from labkit.commands.run_data import remembered
from labkit.data import shapes
from labkit.data.catalogue import GENERATED
from labkit.models.backbones import resnet
from labkit.models.registry import name_of, presets
from labkit.training import History


@pytest.fixture
def loaded(monkeypatch):
    """The backbones that got ImageNet's weights."""
    found = []
    monkeypatch.setattr(resnet, "load_imagenet", found.append)
    return found


def checkpoint(run_dir):
    """As if a first checkpoint had been written."""
    (run_dir / "checkpoints" / "step-00000001").mkdir(parents=True)


def forget(run_dir, *names):
    """data.json as an older labkit left it."""
    choice = {k: v for k, v in remembered(run_dir).items() if k not in names}
    (run_dir / "data.json").write_text(json.dumps(choice))


# ---- the backbone --------------------------------------------------------------------------------

R50 = "--data shapes --preset r50_fpn --image-size 64 --set backbone_blocks=1,1,1,1"


def test_before_the_first_checkpoint_the_backbone_starts_again(train, loaded, tmp_path):
    assert train(R50) == "" and len(loaded) == 1
    assert train("--resume") == "" and len(loaded) == 2
    checkpoint(tmp_path / "r")
    assert train("--resume --backbone-weights imagenet --preset r50_fpn") == "" and len(loaded) == 2
    said = train("--resume --backbone-weights none")
    assert "was started with imagenet" in said and "leave it out" in said


def test_what_the_backbone_starts_from_is_remembered(train, loaded, tmp_path):
    assert train(R50 + " --backbone-weights none") == train("--resume") == ""
    assert not loaded and remembered(tmp_path / "r")["backbone_weights"] == "none"
    assert "was started with none" in train("--resume --backbone-weights imagenet")


def test_a_run_of_an_older_labkit_asks_what_its_backbone_starts_from(train, loaded, tmp_path):
    assert train(R50) == ""
    forget(tmp_path / "r", "backbone_weights", "preset")
    said = train("--resume")
    assert "no checkpoint yet" in said and "--backbone-weights imagenet" in said
    assert train("--resume --backbone-weights imagenet") == "" and len(loaded) == 2
    assert train("--resume") == "" and len(loaded) == 3  # now it is known

    checkpoint(tmp_path / "r")
    forget(tmp_path / "r", "backbone_weights")
    assert "weights of its checkpoint; leave it out" in train("--resume --backbone-weights none")
    assert train("--resume") == "" and len(loaded) == 3


# ---- the preset ----------------------------------------------------------------------------------


def test_a_resumed_run_refuses_another_preset(train, tmp_path):
    assert train("--data shapes") == ""
    assert remembered(tmp_path / "r")["preset"] == "tiny"
    assert train("--resume --preset tiny") == ""
    assert "--preset r50_fpn: r was started with tiny" in train("--resume --preset r50_fpn")

    forget(tmp_path / "r", "backbone_weights", "preset")
    assert "leave --preset out" in train("--resume --preset tiny")
    assert train("--resume") == ""


# At its own size a preset takes minutes and gigabytes for a step.
SMALL = "--image-size 64 --batch-size 1"
FEW = {
    "mask_rcnn": " --set proposals=20 --set proposals_before_nms=40 --set proposals_train=20 "
    "--set roi_samples=16"
}


@pytest.mark.parametrize("preset", presets())
def test_every_preset_that_is_offered_trains(monkeypatch, tmp_path, preset):
    monkeypatch.setitem(GENERATED, "val", {"count": 2, "seed": 1})
    options = f"--data shapes --steps 1 --backbone-weights none --set validate_every=0 {SMALL}"
    options += FEW.get(name_of(presets()[preset]), "")
    if presets()[preset].backbone_blocks:
        options += " --set backbone_blocks=1,1,1,1"
    argv = ["train", "--preset", preset, "--run", str(tmp_path / "r"), *options.split()]
    assert cli.main(argv) == 0
    (row,) = History.load(tmp_path / "r").rows
    assert all(math.isfinite(row[name]) for name in presets()[preset].LOSSES)
    record = json.loads((tmp_path / "r" / "run.json").read_text())
    assert record["config"]["resize"] == presets()[preset].resize
    assert json.loads((tmp_path / "r" / "metrics.json").read_text())["images"] == 2
    assert (tmp_path / "r" / "model.weights.h5").exists()


# ---- the data ------------------------------------------------------------------------------------


def test_the_same_data_named_again_are_of_the_same_size(train, asked, tmp_path):
    assert train("--data shapes --image-size 96") == ""
    for options in ("", " --data shapes", " --data shapes --image-size 96"):
        assert train("--resume" + options) == ""
    assert [dataset.image_info(0)["height"] for dataset, *_ in asked] == [96] * 4
    assert remembered(tmp_path / "r")["image_size"] == 96
    for options in ("", " --data shapes"):
        said = train(f"--resume --image-size 64{options}")
        assert "--image-size 64: r was started on pictures of 96 pixels" in said


# ---- looks at AP on the way ----------------------------------------------------------------------


def test_ap_is_looked_at_on_the_way_unless_it_is_said_how_often(train, asked):
    assert train("--data shapes --steps 100") == train("--resume") == ""
    assert train("--resume --set validate_every=0") == train("--resume") == ""
    assert train("--resume --set validate_every=7") == train("--resume") == ""
    assert [settings.validate_every for _, settings, _ in asked] == [26, 26, 0, 0, 7, 7]


def test_a_new_run_that_is_to_be_measured_at_its_end_only(train, asked):
    assert train("--data shapes --set validate_every=0") == ""
    assert asked[0][1].validate_every == 0


# ---- the data ------------------------------------------------------------------------------------


@pytest.fixture
def crowds(tmp_path):
    """Two pictures, each with one painted object that is marked as a crowd; one is missing."""
    shapes(2, 64, seed=3).save_coco(tmp_path / "all.json", tmp_path / "pics")
    written = json.loads((tmp_path / "all.json").read_text())
    for annotation in written["annotations"]:
        annotation["iscrowd"] = 1
    (tmp_path / "all.json").write_text(json.dumps(written))
    (tmp_path / "pics" / written["images"][1]["file_name"]).unlink()


@pytest.mark.filterwarnings("ignore:all.json")
def test_how_annotations_are_read_is_remembered(train, asked, crowds, tmp_path):
    given = "--annotations all.json --images pics --preset tiny"
    assert train(f"{given} --crowds-as-instances --skip-broken") == ""
    kept = remembered(tmp_path / "r")
    assert kept["reader"] == {"crowds_as_instances": True} and kept["skip_broken"]
    assert train("--resume") == ""  # with the same data
    for dataset, _, _ in asked:
        assert len(dataset) == 1 and not dataset.labels(0).crowd.any()


def test_data_that_are_drawn_are_read_in_one_way(train):
    assert "--boxes-as-masks" in train("--data shapes --boxes-as-masks")
