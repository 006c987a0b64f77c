"""labkit computes what torchvision and pycocotools compute: the values that ship with the tests.

LABKIT_GOLDEN=folder compares with another set of the same layout.
"""

import json
import shutil

import numpy as np
import pytest

from labkit.cli import main
from labkit.errors import LabkitError, MissingFileError
from labkit.parity import compare, network, operators, training
from labkit.parity.golden import Golden


def all_hold(checks) -> int:
    """The number of values compared; fails with every quantity that does not hold."""
    checks = list(checks)
    wrong = [c for c in checks if not c.ok]
    assert not wrong, "\n".join(f"{c.name}: {c.deviation:.3g}, not {c.tolerance}" for c in wrong)
    return sum(c.values for c in checks)


@pytest.mark.parametrize("name", operators.FILES)
def test_operators(golden, name):
    assert all_hold(operators.FILES[name](golden(name))) > 50


def test_an_operator_that_is_wrong_is_seen(golden, monkeypatch):
    monkeypatch.setattr(operators.box_ops, "MAX_LOG_SCALE", 4.0)
    assert not all(c.ok for c in operators.boxes(golden("boxes")))


@pytest.fixture(scope="module", params=["v1", "v2"])
def reference(request, golden_folders):
    """torchvision's maskrcnn_resnet50_fpn, old and new, with weights drawn from their names."""
    return network.ReferenceNetwork(golden_folders[0], request.param)


def test_every_tensor_finds_its_place(reference):
    assert not reference.report.skipped and not reference.report.missing
    assert len(reference.report.loaded) == {"v1": 307, "v2": 363}[reference.version]


def test_whole_networks_detect_the_same(reference, golden):
    """Features, RPN, proposals, heads, boxes (0.01 px), scores (1e-4), masks (99.9 % of bits)."""
    g = golden(f"maskrcnn_{reference.version}_eval_A")
    assert all_hold(network.detection(reference, golden("images"), g, "A")) > 10**6


@pytest.mark.slow
def test_whole_networks_detect_the_same_in_the_other_image(reference, golden):
    """Its values are in the complete set alone."""
    g = golden(f"maskrcnn_{reference.version}_eval_B")
    assert all_hold(network.detection(reference, golden("images"), g, "B")) > 10**6


def test_a_padded_batch_of_two(reference, golden):
    g = golden(f"maskrcnn_{reference.version}_eval_batch")
    assert all_hold(network.batch_of_two(reference, golden("images"), g)) > 10**5


@pytest.mark.parametrize("version", ["v1", pytest.param("v2", marks=pytest.mark.slow)])
def test_training(golden, golden_folders, version):
    """Targets, the five losses (1e-4), every gradient's norm, batch statistics, three steps."""
    g = golden(f"maskrcnn_{version}_train")
    checks = training.training(golden_folders[0], version, golden("images"), g)
    assert all_hold(checks) > 500_000


# --- the command -------------------------------------------------------------------------


@pytest.fixture
def some(golden_folders, tmp_path):
    for name in ("matcher", "nms", "paste_masks"):
        shutil.copy(golden_folders[0] / f"{name}.npz", tmp_path)
    return tmp_path


def test_the_command_prints_each_quantity(some, capsys):
    assert main(["parity", "--golden", str(some)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[-1] for line in lines[1:-1]] == ["ok"] * 6
    assert lines[-1].endswith("all hold.")


def test_json_and_exit_status_when_values_differ(some, capsys):
    with np.load(some / "matcher.npz") as file:
        arrays = dict(file)
    arrays["rpn_a"][7] += 1
    np.savez(some / "matcher.npz", **arrays)
    assert main(["parity", "--golden", str(some), "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert not report["ok"]
    wrong = [g for g in report["groups"] if not g["ok"]]
    assert [(g["group"], g["deviation"]) for g in wrong] == [("matcher: rpn", 1.0)]


def test_files_that_lack_something_or_are_unknown_or_broken_fail(some, capsys):
    with np.load(some / "matcher.npz") as file:
        arrays = {k: v for k, v in file.items() if k != "roi_c"}
    np.savez(some / "matcher.npz", **arrays)
    np.savez(some / "poetry.npz", a=np.zeros(3))
    (some / "nms.npz").write_bytes(b"no zip")
    assert main(["parity", "--golden", str(some), "--json"]) == 1
    reasons = {
        g["file"]: g["why"] for g in json.loads(capsys.readouterr().out)["groups"] if not g["ok"]
    }
    assert "lacks the array 'roi_c'" in reasons["matcher.npz"]
    assert "nms.npz cannot be read" in reasons["nms.npz"]
    assert "nothing here knows" in reasons["poetry.npz"]


def test_arrays_of_python_objects_are_not_unpickled(some):
    np.savez(some / "matcher.npz", names=np.array([{"a": 1}], object))
    with pytest.raises(LabkitError, match="plain arrays"):
        Golden(some / "matcher.npz")


def test_nothing_to_compare_is_an_error(tmp_path, capsys):
    with pytest.raises(MissingFileError, match="no such folder"):
        next(compare(tmp_path / "none"))
    assert main(["parity", "--golden", str(tmp_path)]) == 2
    assert "holds no .npz file" in capsys.readouterr().err


def test_weights_with_another_checksum_are_refused(golden_folders, tmp_path):
    listed = json.loads((golden_folders[0] / "maskrcnn_v1_params.json").read_text())
    listed["backbone.body.bn1.bias"]["crc32"] += 1
    (tmp_path / "maskrcnn_v1_params.json").write_text(json.dumps(listed))
    with pytest.raises(LabkitError, match="bn1.bias.*other weights"):
        network.ReferenceNetwork(tmp_path, "v1")
