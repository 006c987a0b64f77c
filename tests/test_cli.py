"""The command line: its help, its errors, and the way from training to numbers."""

import json
import os
import subprocess
import sys
import warnings

import numpy as np
import pytest

from labkit import __version__, cli
from labkit.data import shapes
from labkit.models.registry import presets
from labkit.training import TrainSettings

COMMANDS = [name.replace("_", "-") for name in cli.COMMANDS]


def labkit(capsys, *argv):
    """Runs a command line; returns its exit status, stdout and stderr."""
    try:
        status = cli.main([str(word) for word in argv])
    except SystemExit as end:
        status = end.code
    out, err = capsys.readouterr()
    return status, out, err


# ---------------------------------------------------------------- help


@pytest.mark.parametrize("argv", [[], ["--help"], *([c, "--help"] for c in COMMANDS)], ids=str)
def test_help_is_shown_with_examples(capsys, argv):
    status, out, err = labkit(capsys, *argv)
    assert status == 0 and err == ""
    assert "labkit detect" in out or f"labkit {argv[0]}" in out


def test_help_and_mistakes_do_not_import_tensorflow():
    code = (
        "import sys; from labkit import cli\n"
        f"for command in {COMMANDS}:\n"
        "    for argv in (['--help'], [command, '--help'], [command, '--nonsense']):\n"
        "        try: cli.main(argv)\n"
        "        except SystemExit: pass\n"
        "sys.exit(' '.join({'tensorflow', 'keras', 'matplotlib'} & {*sys.modules}) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("usage: ") == 2 * len(COMMANDS)
    assert done.stderr.count("\n") == len(COMMANDS)


def test_python_runs_the_package():
    argv = [sys.executable, "-m", "labkit"]
    done = subprocess.run([*argv, "info", "--help"], capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.startswith("usage: labkit info")
    done = subprocess.run([*argv, "trian"], capture_output=True, text=True)
    assert done.returncode == 2 and "trian" in done.stderr and done.stderr.count("\n") == 1


def test_version(capsys):
    assert labkit(capsys, "--version") == (0, f"labkit {__version__}\n", "")


def test_help_names_the_presets_and_the_demos_steps(capsys):
    for command in ("train", "find-lr", "inspect"):
        assert "--preset {" + ",".join(presets()) + "}" in labkit(capsys, command, "--help")[1]
    steps = TrainSettings.preset("tiny").steps
    assert f"one batch each (default: {steps})" in " ".join(
        labkit(capsys, "demo", "--help")[1].split()
    )
    assert cli.build_parser().parse_args(["demo"]).steps == steps


# ---------------------------------------------------------------- errors: one sentence, status 2


@pytest.mark.parametrize(
    "argv, words",
    [
        ("trian", "trian"),
        ("inspect", "PATH"),
        ("inspect nowhere", "nowhere"),
        ("inspect shapes --images pics", "has its own"),
        ("inspect shapes --preset huge", "huge"),
        ("train", "--run"),
        ("train --run r --data shapes --nonsense 3", "see `labkit train --help`"),
        ("train --run r --steps 0", "--steps"),
        ("train --run r --preset huge", "huge"),
        ("train --run r", "--data shapes"),
        ("train --run r --annotations a.json", "--images"),
        ("train --run r --images pics", "--annotations"),
        ("train --run r --data shapes --annotations a.json --images .", "not both"),
        ("train --run r --data shapes --val-images pics", "--val-annotations"),
        ("train --run r --annotations missing.json --images .", "missing.json"),
        ("train --run r --resume", "r holds no run to go on with"),
        ("train --run r --crop 100", "100 is no multiple of 32; 96 is, or 128"),
        ("train --run r --image-size natve", "nor 'native'"),
        (
            "train --run r --data shapes --image-size 100000",
            "100000",
        ),
        ("train --run r --data shapes --set learning_rate=1e9", "must be at most 100, got 1e+09"),
        ("train --run r --data shapes --learning-rate inf", "must be a finite number, got inf"),
        ("find-lr --data shapes --steps 5", "--steps must be at least 10, got 5"),
        ("detect --weights r \x1b[31m\x07.png", r"\x1b[31m\x07.png: there is no such file"),
        ("train --run r --data shapes --set steps", "like --set steps=VALUE"),
        ("detect --weights r", "PICTURE"),
        ("detect --weights r nowhere.png", "nowhere.png"),
        ("detect --weights r --score 7 x.png", "between 0 and 1"),
        ("evaluate", "--weights SOURCE"),
        ("evaluate --weights r", "--data shapes"),
        ("report --out page.html", "RUN, --weights SOURCE, or a json of results"),
        ("evaluate --results r.json", "--annotations"),
        ("evaluate --results r.json --weights r", "leave out"),
        ("evaluate --results r.json --annotations missing.json", "missing.json"),
        ("evaluate --max-dets many", "many"),
        ("evaluate --area tiny=256-0", "argument --area: 'tiny=256-0' is no range"),
        ("demo --steps few", "few"),
        ("demo --nonsense", "--nonsense"),
    ],
)
def test_a_mistake_is_answered_in_one_sentence(capsys, tmp_path, monkeypatch, argv, words):
    monkeypatch.chdir(tmp_path)
    status, out, err = labkit(capsys, *argv.split())
    assert status == 2 and out == ""
    assert words in err and err.startswith("labkit") and err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_warning_is_one_sentence_without_a_place_in_the_code():
    usual = warnings.formatwarning
    with cli.plain_warnings():
        assert warnings.formatwarning("a\tb", UserWarning, "f.py", 1) == "warning: a\\tb\n"
        assert "f.py" in warnings.formatwarning("old", DeprecationWarning, "f.py", 1)
    assert warnings.formatwarning is usual


# ---------------------------------------------------------------- evaluate --results


@pytest.fixture
def coco_files(tmp_path):
    """Two pictures of 20 x 20 with three squares, and results that find two of them exactly."""
    square = {"area": 36.0, "iscrowd": 0}
    boxes = [(1, 1, [2, 3, 6, 6]), (1, 2, [10, 10, 6, 6]), (2, 1, [4, 4, 6, 6])]
    polygon = lambda x, y, w, h: [[x, y, x + w, y, x + w, y + h, x, y + h]]  # noqa: E731
    truth = {
        "images": [{"id": i, "file_name": f"{i}.png", "height": 20, "width": 20} for i in (1, 2)],
        "categories": [{"id": 1, "name": "red"}, {"id": 2, "name": "blue"}],
        "annotations": [
            square
            | {"id": n, "image_id": i, "category_id": c, "bbox": b, "segmentation": polygon(*b)}
            for n, (i, c, b) in enumerate(boxes, 1)
        ],
    }
    results = [
        {"image_id": i, "category_id": c, "bbox": b, "segmentation": polygon(*b), "score": 0.9}
        for i, c, b in boxes[:2]
    ]
    (tmp_path / "truth.json").write_text(json.dumps(truth))
    (tmp_path / "results.json").write_text(json.dumps(results))
    return tmp_path / "truth.json", tmp_path / "results.json"


def test_evaluate_results_prints_json_and_nothing_else(capsys, coco_files):
    truth, results = coco_files
    status, out, _ = labkit(
        capsys, "evaluate", "--annotations", truth, "--results", results, "--json"
    )
    numbers = json.loads(out)
    assert status == 0
    # blue is found; of the two reds one is: precision 1 up to recall .5, at 51 of 101 recalls
    assert numbers["per_class"]["blue"]["segm"]["AP"] == pytest.approx(1.0)
    assert numbers["per_class"]["red"]["bbox"]["AP"] == pytest.approx(51 / 101)
    assert numbers["segm"]["AP50"] == pytest.approx((1 + 51 / 101) / 2)
    assert numbers["bbox"]["AR100"] == pytest.approx(0.75)


def test_evaluate_results_prints_a_table(capsys, coco_files):
    truth, results = coco_files
    status, out, err = labkit(capsys, "evaluate", "--annotations", truth, "--results", results)
    assert status == 0 and err == ""
    assert "AP50" in out and "blue" in out


def test_evaluate_results_counts_as_many_detections_as_asked(capsys, coco_files):
    truth, results = coco_files
    argv = ("evaluate", "--annotations", truth, "--results", results, "--json", "--max-dets", 500)
    assert json.loads(labkit(capsys, *argv)[1])["bbox"]["AR500"] == pytest.approx(0.75)


def test_a_wrong_result_is_named(capsys, coco_files):
    truth, results = coco_files
    results.write_text(json.dumps([{"image_id": 7, "category_id": 1, "bbox": [0, 0, 1, 1]}]))
    status, out, err = labkit(capsys, "evaluate", "--annotations", truth, "--results", results)
    assert status == 2 and out == ""
    assert "results.json" in err and "7" in err and err.count("\n") == 1


# ---------------------------------------------------------------- from training to numbers


@pytest.fixture(scope="module")
def coco_data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    for part, seed in (("train", 1), ("val", 2)):
        shapes(count=3, size=64, seed=seed).save_coco(folder / f"{part}.json", folder / part)
    return folder


@pytest.fixture(scope="module")
def run(coco_data, tmp_path_factory):
    """A run of two steps, made by the command."""
    folder = tmp_path_factory.mktemp("runs") / "first"
    argv = [
        "train",
        "--annotations",
        coco_data / "train.json",
        "--images",
        coco_data / "train",
        "--val-annotations",
        coco_data / "val.json",
        "--val-images",
        coco_data / "val",
        "--run",
        folder,
        "--steps",
        2,
        "--batch-size",
        2,
        "--image-size",
        64,
        "--seed",
        3,
        "--set",
        "detections=7",
        "--set",
        "augment.brightness=0.1",
        "--set",
        "checkpoint_every=1",
    ]
    assert cli.main([str(word) for word in argv]) == 0
    return folder


def test_train_leaves_a_run(run):
    record = json.loads((run / "run.json").read_text())
    assert record["config"]["image_min_side"] == 64 and record["config"]["seed"] == 3
    assert record["config"]["detections"] == 7
    assert record["settings"]["steps"] == 2 and record["settings"]["canvas"] == [64, 64]
    assert record["settings"]["augment"]["brightness"] == 0.1
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["steps"] == 2 and 0 <= metrics["segm"]["AP"] <= 1
    assert (run / "figures" / "losses.png").stat().st_size > 1000
    assert (run / "model.weights.h5").exists()


def test_train_does_not_overwrite_a_run(capsys, run, coco_data):
    before = (run / "data.json").read_text()
    argv = ("--annotations", coco_data / "val.json", "--images", coco_data / "val", "--run", run)
    status, _, err = labkit(capsys, "train", *argv)
    assert status == 2 and "--resume" in err and err.count("\n") == 1
    assert (run / "data.json").read_text() == before


def test_resume_needs_nothing_but_the_run(capsys, run):
    (run / "model.weights.h5").unlink()  # as if the end had not been reached
    status, _, _ = labkit(capsys, "train", "--run", run, "--resume")
    assert status == 0 and (run / "model.weights.h5").exists()


def test_resume_refuses_other_settings(capsys, run):
    status, _, err = labkit(capsys, "train", "--run", run, "--resume", "--learning-rate", 0.5)
    assert status == 2 and "learning_rate" in err


@pytest.mark.parametrize(
    "setting, words",
    [
        ("detection=5", "'detections'"),
        ("pad_multiple=7", "32"),
        ("steps=soon", "number"),
        ("augment.rotate=1", "brightness"),
        ("deterministic=1", "true or false"),
    ],
)
def test_a_wrong_setting_is_named(capsys, tmp_path, coco_data, setting, words):
    argv = ("--annotations", coco_data / "val.json", "--images", coco_data / "val")
    argv += ("--run", tmp_path / "r", "--set", setting)
    status, _, err = labkit(capsys, "train", *argv)
    assert status == 2 and words in err and err.count("\n") == 1
    assert not (tmp_path / "r").exists()


def test_imagenet_is_for_the_preset_that_has_it(capsys, tmp_path):
    argv = ("--data", "shapes", "--run", tmp_path / "r", "--backbone-weights", "imagenet")
    status, _, err = labkit(capsys, "train", *argv)
    assert status == 2 and "r50_fpn" in err and not (tmp_path / "r").exists()


def test_detect_leaves_pictures_and_a_coco_data_set(capsys, run, coco_data, tmp_path):
    (coco_data / "broken.png").write_bytes(b"no picture")
    argv = ("--weights", run, "--out", tmp_path / "out", "--score", 0)
    pictures = (coco_data / "val", coco_data / "broken.png")
    status, out, err = labkit(capsys, "detect", *argv, *pictures)
    assert status == 2 and "broken.png" in err and err.count("\n") == 1
    written = json.loads((tmp_path / "out" / "detections.json").read_text())
    assert len(written["images"]) == 3 and len(list((tmp_path / "out").glob("*.png"))) == 3
    assert [c["name"] for c in written["categories"]] == list(shapes(1).class_names)
    assert written["annotations"]
    for found in written["annotations"]:
        assert {"image_id", "category_id", "bbox", "score", "segmentation", "area"} <= set(found)
    assert "val" in out


def test_pictures_of_the_same_name_do_not_overwrite_each_other(capsys, run, tmp_path):
    from PIL import Image

    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        Image.fromarray(np.zeros((40, 50, 3), np.uint8)).save(tmp_path / folder / "x.png")
    status, out, _ = labkit(
        capsys,
        "detect",
        "--weights",
        run,
        "--out",
        tmp_path / "out",
        "--json",
        tmp_path / "a",
        tmp_path / "b",
    )
    assert status == 0 and len(json.loads(out)["images"]) == 2
    assert {p.name for p in (tmp_path / "out").glob("*.png")} == {"x.png", "x-2.png"}


def test_evaluate_a_run(capsys, run, coco_data, tmp_path):
    argv = ("evaluate", "--annotations", coco_data / "val.json")
    status, out, _ = labkit(
        capsys,
        *argv,
        "--weights",
        run,
        "--images",
        coco_data / "val",
        "--json",
        "--save-results",
        tmp_path / "r.json",
    )
    numbers = json.loads(out)
    assert status == 0 and numbers["images"] == 3
    # the same results from the file give the same numbers
    again = json.loads(labkit(capsys, *argv, "--results", tmp_path / "r.json", "--json")[1])
    assert again["segm"]["AP"] == pytest.approx(numbers["segm"]["AP"])


def test_info_describes_a_run(capsys, run):
    status, out, _ = labkit(capsys, "info", run, "--json")
    facts = json.loads(out)
    assert status == 0 and facts["steps"]["done"] == 2 and facts["steps"]["complete"]
    assert facts["data"].endswith("train.json") and facts["preset"] == "lite0_fpn"
    assert facts["started from"] == "ImageNet's weights in the backbone"
    assert labkit(capsys, "info", run)[1].startswith("run: ")


def test_info_of_a_run_is_there_at_once(run):
    code = (
        "import sys; from labkit import cli\n"
        f"cli.main(['info', {str(run)!r}])\n"
        "sys.exit(' '.join({'tensorflow', 'keras', 'matplotlib'} & {*sys.modules}) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_info_of_something_else_is_one_sentence(capsys, tmp_path):
    status, out, err = labkit(capsys, "info", tmp_path)
    assert status == 2 and out == "" and "run.json" in err and err.count("\n") == 1


def test_info_describes_the_installation(capsys):
    quick = json.loads(labkit(capsys, "info", "--json")[1])
    assert quick["presets"]["tiny"] == {"image": "128 to 256 px", "backbone": "tiny"}
    facts = json.loads(labkit(capsys, "info", "--full", "--json")[1])
    assert quick["versions"] == facts["versions"] and facts["versions"]["labkit"]
    assert facts["devices"]
    presets = facts["presets (with 80 classes)"]
    assert presets["tiny"]["parameters"] < 5e6 < presets["r50_fpn"]["parameters"]


@pytest.mark.parametrize(
    "code",
    [
        "import labkit; labkit.MaskRCNN",
        "from labkit import cli; sys.exit(cli.main(['find-lr', '--data', 'shapes']))",
    ],
)
def test_another_back_end_is_refused_in_a_sentence(code):
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; {code}"],
        capture_output=True,
        text=True,
        env=os.environ | {"KERAS_BACKEND": "jax"},
    )
    last = done.stderr.splitlines()[-1]
    assert done.returncode in (1, 2)
    assert "KERAS_BACKEND is 'jax', but labkit's networks are written for TensorFlow" in last
