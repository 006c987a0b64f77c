"""Every finding is provoked, and a healthy run gets none.

Most records are written by the recorder's own classes with numbers made up for the purpose: which
numbers a fault gives is what the check claims, and trainings that show it take minutes. The slow
tests at the end make the faults for real.
"""

import json

import numpy as np
import pytest

import labkit
from labkit.data import shapes
from labkit.data.batch_order import BatchPlan
from labkit.errors import LabkitError
from labkit.models.mask_rcnn import MaskRCNN
from labkit.ops.losses import LOSS_NAMES
from labkit.training import History, Stage, TrainSettings, train
from labkit.training.callbacks import BROKEN, NonFiniteLoss
from labkit.training.checkpoints import save_run
from labkit.training.diagnosis import diagnose
from labkit.training.watched_batches import SEEN, WatchedBatches

STEPS = 400
HEALTHY = {
    "anchors": 5.0,
    "rois": 4.0,
    "recall": 0.9,
    "background": 0.1,
    "right": 0.8,
    "gradient": 3.0,
    "update": 2e-3,
    "seconds": 0.3,
    "waiting": 0.01,
}


class Written:
    """A run's folder with a falling loss and healthy vital signs, but for what a test changes."""

    def __init__(self, folder, micro_config, begin=3.2, end=0.8, steps=STEPS, **vitals):
        self.folder = folder
        rng = np.random.default_rng(0)
        falling = end + (begin - end) * np.exp(-np.arange(steps) / (steps / 8))
        totals = falling * rng.uniform(0.9, 1.1, steps)
        shares = dict(zip(LOSS_NAMES, (0.2, 0.1, 0.3, 0.2, 0.2), strict=True))
        self.rows = [
            {"step": i, "stage": 1, "lr": 1e-3, "total": total}
            | {name: share * total for name, share in shares.items()}
            for i, total in enumerate(totals.tolist(), 1)
        ]
        self.vitals = [{"step": i} | HEALTHY | vitals for i in range(1, steps + 1)]
        self.validation, self.seen = (
            [],
            {
                "images": 50,
                "objects": {"square": 70, "star": 60},
                "boxes": 130,
                "uncovered": 0.05,
                "sizes": [10, 20, 40],
            },
        )
        settings = TrainSettings(steps=steps).to_dict()
        self.record = {
            "config": micro_config.to_dict(),
            "class_names": ["square", "star"],
            "settings": settings,
            "images": 50,
            "validation": None,
        }

    def findings(self) -> list:
        self.folder.mkdir(exist_ok=True)
        History(self.rows, self.validation, self.vitals).save(self.folder)
        save_run(self.folder, self.record)
        (self.folder / SEEN).write_text(json.dumps(self.seen))
        return list(diagnose(self.folder).findings)

    def only_finding(self):
        (finding,) = self.findings()
        assert finding.remedy
        return finding


@pytest.fixture
def write(tmp_path, micro_config):
    return lambda **changes: Written(tmp_path / "run", micro_config, **changes)


def test_the_healthy_record_has_no_finding(write):
    run = write()
    run.validation = [{"step": 400, "bbox_AP": 0.4, "segm_AP": 0.45}]
    assert run.findings() == []
    assert "400 steps, no finding" in str(diagnose(run.folder))


def test_a_fine_tuned_model_may_begin_low_and_stay(write):
    assert write(begin=0.42, end=0.4).findings() == []


def test_loss_never_falls(write):
    finding = write(begin=3.0, end=3.0).only_finding()
    assert finding.name == "the loss never falls"
    assert "guessing gives 2.48" in finding.evidence  # 2 log 2 + log 3


def test_a_loss_that_is_not_a_number(write):
    run = write(steps=30)
    run.folder.mkdir()
    broken = {"step": 31, "losses": ["mask = nan"], "images": "'a.png', 'b.png'"}
    (run.folder / BROKEN).write_text(json.dumps(broken))
    run.rows.append(run.rows[-1] | {"step": 31, "total": float("nan"), "mask": float("nan")})
    finding = run.only_finding()
    assert finding.name == "a loss is not a number"
    assert "step 31: mask = nan, on the images 'a.png', 'b.png'" in finding.evidence


def test_ap_0_though_the_loss_falls(write):
    run = write()
    run.validation = [{"step": 400, "bbox_AP": 0.0, "segm_AP": 0.002}]
    assert run.only_finding().name == "AP is 0 though the loss falls"
    run.validation = [{"step": 400, "bbox_AP": -1.0, "segm_AP": -1.0}]  # nothing to measure it on
    assert run.findings() == []


def test_recall_ceiling(write):
    finding = write(recall=0.3).only_finding()
    assert finding.name == "the RPN has stopped finding objects" and "30%" in finding.evidence
    rising = write(recall=0.3)
    for i, row in enumerate(rising.vitals):
        row["recall"] = 0.45 * i / STEPS
    assert rising.findings() == []


def test_everything_is_background(write):
    finding = write(background=0.99, right=0.0).only_finding()
    assert finding.name == "everything is background" and "99%" in finding.evidence


def test_classes_without_objects(write):
    run = write()
    run.seen["objects"]["star"] = 0
    finding = run.only_finding()
    assert finding.name == "there are more classes than the data have"
    assert "1 of 2 classes" in finding.evidence and "star" in finding.evidence
    run.seen["images"] = 49  # the epoch is not over: stars may come
    assert run.findings() == []


def test_validation_of_other_classes(write):
    run = write()
    run.record["validation"] = {"images": 9, "class_names": ["square"]}
    finding = run.only_finding()
    assert finding.name == "validation has other classes than training"
    assert "star" in finding.evidence


def test_anchors_that_fit_nothing(write):
    run = write()
    run.seen |= {"uncovered": 0.8, "sizes": [2, 3, 5]}
    finding = run.only_finding()
    assert finding.name == "the anchors do not fit the objects"
    assert "80% of 130 objects" in finding.evidence and "8, 16, 24, 32, 48 px" in finding.evidence


def test_learning_rate_too_high(write):
    rising = write()
    for row in rising.rows[200:]:
        row |= {name: 3 * row[name] for name in LOSS_NAMES}
    wild = write()
    for row in wild.rows[::20]:
        row |= {name: 30 * row[name] for name in LOSS_NAMES}
    for run in (rising, wild, write(update=0.5)):
        assert run.only_finding().name == "the learning rate is too high"


def test_learning_rate_too_low(write):
    finding = write(begin=3.2, end=2.9, update=1e-6).only_finding()
    assert finding.name == "the learning rate is too low"
    assert "1e-06 of themselves" in finding.evidence and "0.01" in finding.remedy


def test_starvation(write):
    finding = write(waiting=0.2).only_finding()
    assert finding.name == "the model waits for its data"
    assert "67%" in finding.evidence and "0.2 s of 0.3 s a step" in finding.evidence
    compiling = write()
    for row in compiling.vitals[:5]:
        row |= {"seconds": 500.0, "waiting": 490.0}
    assert compiling.findings() == []


def test_a_short_run_says_nothing_of_what_takes_long(write):
    run = write(begin=3.0, end=3.0, steps=40, recall=0.0, background=1.0, update=1e-9)
    assert run.findings() == []


def test_a_run_of_an_older_labkit_is_read(write):
    run = write(begin=3.0, end=3.0)
    run.vitals = []
    assert [f.name for f in run.findings()] == ["the loss never falls"]
    assert "vitals.csv is missing" in str(diagnose(run.folder))


def test_names_are_escaped_in_a_notebook(write):
    run = write()
    run.record["class_names"] = ["square", "<script>"]
    run.seen["objects"] = {"square": 3, "<script>": 0}
    run.findings()
    assert "&lt;script&gt;" in diagnose(run.folder)._repr_html_()
    assert "<script>" not in diagnose(run.folder)._repr_html_()


def test_no_run_and_no_step(write, tmp_path):
    with pytest.raises(LabkitError, match="does not exist"):
        diagnose(tmp_path)
    run = write()
    run.rows = []
    with pytest.raises(LabkitError, match="no step is written down yet"):
        run.findings()


# --- what is counted is what was in the batches -----------------------------------------


def test_batches_are_counted(micro_config, tmp_path):
    data = shapes(4, 64, seed=3)
    batches = WatchedBatches(data, micro_config, BatchPlan(2, (64, 64)))
    boxes = [batches.batch(step) for step in (0, 1)]
    batches.save_seen(tmp_path, data.class_names)
    seen = json.loads((tmp_path / SEEN).read_text())
    labels = np.concatenate([b["classes"][b["classes"] > 0] for b in boxes])
    assert seen["images"] == 4 and sum(seen["objects"].values()) == seen["boxes"] == len(labels)
    for i, name in enumerate(data.class_names, 1):
        assert seen["objects"][name] == (labels == i).sum()
    assert 0 <= seen["uncovered"] <= 1 and len(seen["sizes"]) == 3
    assert batches.made_at(0) < batches.made_at(1)


# --- the faults for real ----------------------------------------------------------------


def trained(folder, data, config, stages=None, **changes):
    settings = TrainSettings(
        steps=250, batch_size=4, canvas=(64, 64), warmup_steps=10, learning_rate=3e-3
    ).replace(**changes)
    model = MaskRCNN(config, data.class_names)
    train(model, data, folder, settings, stages=stages, verbose=False)
    # How long a step waits depends on what else the machine does; it is tested above.
    return {f.name for f in diagnose(folder).findings} - {"the model waits for its data"}


@pytest.fixture(scope="module")
def pictures():
    return shapes(40, 64, seed=5)


@pytest.mark.slow
def test_a_healthy_run_has_no_finding(pictures, micro_config, tmp_path):
    assert trained(tmp_path / "run", pictures, micro_config) == set()


@pytest.mark.slow
@pytest.mark.parametrize(
    "config, settings, stage, expected",
    [
        ({}, {"learning_rate": 1e-7}, None, "the learning rate is too low"),
        ({}, {"learning_rate": 1.0}, None, "the learning rate is too high"),
        (
            {"anchor_sizes": (256, 300, 340, 400, 512)},
            {},
            None,
            "the anchors do not fit the objects",
        ),
        ({"proposals_train": 1}, {}, None, "the RPN has stopped finding objects"),
        ({"class_weights": (1.0, 0.0, 0.0, 0.0, 0.0)}, {}, None, "everything is background"),
        ({}, {}, Stage("rpn", steps=250, learning_rate=1e-6), "the loss never falls"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_sabotaged_run_is_found_out(
    config, settings, stage, expected, pictures, micro_config, tmp_path
):
    stages = None if stage is None else [stage]
    found = trained(tmp_path / "run", pictures, micro_config.replace(**config), stages, **settings)
    assert expected in found


def test_a_broken_loss_is_written_down(pictures, micro_config, tmp_path):
    model = MaskRCNN(micro_config, pictures.class_names)
    logits = model.mask_head.get_layer("logits")
    logits.kernel.assign(np.full(logits.kernel.shape, np.nan, np.float32))
    settings = TrainSettings(steps=2, batch_size=2, canvas=(64, 64))
    with pytest.raises(NonFiniteLoss):
        train(model, pictures, tmp_path / "run", settings, verbose=False)
    (finding,) = labkit.diagnose(tmp_path / "run").findings
    assert finding.name == "a loss is not a number" and "mask = nan" in finding.evidence
