"""labkit computes what YOLACT's own code computes: the values that ship with the tests.

tests/golden/yolact holds the operators and one network of 138 px; the complete set, compared by
`labkit parity --golden`, has two networks in two sizes.
"""

import json
import shutil

import pytest

from labkit.cli import main
from labkit.errors import LabkitError
from labkit.parity import compare, yolact, yolact_boxes, yolact_network, yolact_training
from labkit.parity.golden import Golden
from labkit.parity.reference_weights import yolact_recipe


@pytest.fixture(scope="module")
def folder(golden_folders):
    return golden_folders[0] / "yolact"


@pytest.fixture(scope="module")
def network(folder):
    return yolact_network.ReferenceYolact(folder, "r50_138")


def all_hold(checks) -> int:
    checks = list(checks)
    wrong = [c for c in checks if not c.ok]
    assert not wrong, "\n".join(f"{c.name}: {c.deviation:.3g}, not {c.tolerance}" for c in wrong)
    return sum(c.values for c in checks)


@pytest.mark.parametrize("name", yolact.FILES)
def test_operators(folder, golden_folders, name):
    places = (folder, golden_folders[1].with_name("golden_yolact"))
    place = next((p for p in places if (p / f"{name}.npz").exists()), None)
    if place is None:
        pytest.skip(f"{name}.npz is not at hand")
    assert all_hold(yolact.FILES[name](Golden(place / f"{name}.npz"))) > 1000


def test_the_whole_network_detects_the_same(folder, network):
    """Boxes (1e-5 of the image), scores (5e-5) and classes of two images."""
    assert not network.report.skipped and not network.report.missing
    assert network.model.count_params() - 53_120 == 31_164_943  # less the norms' statistics
    images, g = Golden(folder / "images.npz"), Golden(folder / "r50_138_eval_batch.npz")
    assert all_hold(yolact_network.batch_of_two(network, images, g)) > 1000


def test_every_stage_of_detection_is_the_same(golden_folders, folder, network):
    """Features, prototypes, anchors, three kinds of NMS, boxes and masks of the picture."""
    place = golden_folders[1].with_name("golden_yolact") / "r50_138_eval_A.npz"
    if not place.exists():
        pytest.skip("r50_138_eval_A.npz is not at hand")
    images = Golden(folder / "images.npz")
    assert all_hold(yolact_network.detection(network, images, Golden(place), "A")) > 6 * 10**6


def test_training(folder):
    """Matches, hard negatives, the four losses (1e-4), every gradient's norm, three steps."""
    images, g = Golden(folder / "images.npz"), Golden(folder / "r50_138_train.npz")
    assert all_hold(yolact_training.training(folder, "r50_138", images, g)) > 25_000


def test_an_operator_that_is_wrong_is_seen(folder, monkeypatch):
    monkeypatch.setattr(yolact_boxes, "CROWD", 0.2)
    checks = yolact_boxes.matching(Golden(folder / "unit_match.npz"))
    assert {c.name for c in checks if not c.ok} >= {"matching: crowd1"}


def test_the_command_knows_the_folder_by_its_files(folder, tmp_path, capsys):
    for name in ("unit_boxes.npz", "images.npz"):
        shutil.copy(folder / name, tmp_path)
    assert main(["parity", "--golden", str(tmp_path), "--json"]) == 0
    groups = json.loads(capsys.readouterr().out)["groups"]
    assert {g["file"] for g in groups} == {"unit_boxes.npz"} and len(groups) == 7
    shutil.copy(folder / "unit_boxes.npz", tmp_path / "r77_138_train.npz")
    assert any(check == "nothing here knows what this file holds" for _, check in compare(tmp_path))


def test_a_network_without_a_recipe_is_refused_in_a_sentence():
    with pytest.raises(LabkitError, match="no recipe for the weights of 'r50_99'; there are: r50"):
        yolact_recipe("r50_99")
