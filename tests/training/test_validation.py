"""What a run sees of its validation pictures: losses, AP, the film, the best weights, the end."""

import json
import shutil

import numpy as np
import pytest
import tensorflow as tf

from labkit.data import shapes
from labkit.errors import LabkitError, MissingFileError
from labkit.models.mask_rcnn import MaskRCNN
from labkit.ops.losses import LOSS_NAMES
from labkit.training import History, TrainSettings, read_film, train
from labkit.training.film import MOST, Camera, cut_film
from labkit.training.validation import KeepBest, best_of, forget_best, has_stalled, scores
from labkit.weights.runs import BEST_WEIGHTS, load_model

SETTINGS = TrainSettings(
    steps=3,
    batch_size=2,
    canvas=(64, 64),
    warmup_steps=0,
    checkpoint_every=1,
    checkpoints_kept=9,
    validate_every=3,
    validate_losses_every=1,
    best_by="mask",
    film=2,
)


@pytest.fixture(scope="module")
def data():
    return shapes(5, 64, seed=3), shapes(3, 64, seed=4)


@pytest.fixture(scope="module")
def run(data, micro_config, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "validated"
    model = MaskRCNN(micro_config, data[0].class_names)
    history = train(
        model, data[0], folder, SETTINGS, validation=data[1], log=["tensorboard"], verbose=False
    )
    return folder, model, history


def test_the_same_five_losses_on_validation_pictures(run):
    folder, _, history = run
    rows = history.validation_losses
    assert [row["step"] for row in rows] == [1, 2, 3]
    for row in rows:
        assert row["total"] == pytest.approx(sum(row[name] for name in LOSS_NAMES))
        assert all(np.isfinite(row[name]) and row[name] > 0 for name in LOSS_NAMES)
    assert History.load(folder).validation_losses == rows


def test_they_are_the_losses_of_the_model_at_that_step(run, data):
    """By hand, from the checkpoint: images in their order, two by two, the last pair filled up."""
    folder, _, history = run
    from labkit.data.augment import NONE
    from labkit.data.pipeline import Batches, BatchPlan

    model = load_model(folder / "checkpoints" / "step-00000002")
    batches = Batches(data[1], model.config, BatchPlan(2, (64, 64), NONE, shuffle=False))
    each = [
        model.losses_of({k: tf.constant(v) for k, v in batches.batch(i).items()}, 0, False)
        for i in (0, 1)
    ]
    want = {name: np.mean([losses[name] for losses in each]) for name in LOSS_NAMES}
    for name in LOSS_NAMES:  # a graph and one operation at a time round differently
        assert history.validation_losses[1][name] == pytest.approx(want[name], rel=1e-4)


def test_the_best_weights_are_kept(run):
    folder, _, history = run
    best = min(history.validation_losses, key=lambda row: row["mask"])
    assert best_of(folder) == {"step": best["step"], "metric": "mask", "score": -best["mask"]}
    at_best = load_model(folder / "checkpoints" / f"step-{best['step']:08d}")
    for ours, theirs in zip(load_model(folder, "best").weights, at_best.weights, strict=True):
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy())
    with pytest.raises(LabkitError, match="'last' or 'best', got 'first'"):
        load_model(folder, which="first")


def test_a_run_without_validation_has_no_best(run, tmp_path):
    shutil.copy(run[0] / "run.json", tmp_path)
    with pytest.raises(LabkitError, match="holds no best.weights.h5"):
        load_model(tmp_path, "best")


def test_a_run_that_begins_anew_forgets_its_best(run, tmp_path):
    shutil.copytree(run[0], tmp_path / "run")
    forget_best(tmp_path / "run")
    assert best_of(tmp_path / "run") is None
    assert not (tmp_path / "run" / BEST_WEIGHTS).exists()
    forget_best(tmp_path / "run")


@pytest.fixture
def look(run, tmp_path):
    """Looks at the validation losses, one after another, through a KeepBest of its own."""
    history, model = History(), run[1]
    keepers = {}

    def at(step, total, best_by="total", mask=1.0):
        row = dict.fromkeys(LOSS_NAMES, 1.0) | {"mask": mask, "total": total, "step": step}
        keeper = KeepBest(tmp_path, history, SETTINGS.replace(best_by=best_by))
        keeper = keepers.setdefault(best_by, keeper)
        keeper.set_model(model)
        history.validation_losses.append(row)
        keeper.on_train_batch_end(0)
        return best_of(tmp_path) and best_of(tmp_path)["step"]

    return at


def test_a_loss_that_is_no_number_is_never_the_best(look):
    assert look(1, float("nan")) is None
    assert look(2, 3.0) == 2
    assert look(3, float("nan")) == 2 and look(4, 2.0) == 4


def test_by_another_metric_the_kept_weights_have_another_score(look, tmp_path):
    look(1, 3.0, mask=1.0)
    assert look(2, 2.0, mask=2.0) == 2
    # the kept ones (step 2) have a mask loss of 2: 1.5 is better, though step 1 was better still
    assert look(3, 9.0, best_by="mask", mask=1.5) == 3
    assert best_of(tmp_path)["metric"] == "mask"


def test_a_resumed_run_does_not_go_back_to_a_worse_best(look):
    look(1, 3.0)
    assert look(20, 1.0) == 20
    assert look(15, 2.0) == 20  # taken again from a checkpoint at 10, on a GPU say


def test_tensorboard_gets_every_number(run):
    folder, _, history = run
    (file,) = (folder / "tensorboard").glob("events.*")
    found = {}
    for event in tf.compat.v1.train.summary_iterator(str(file)):
        for value in event.summary.value:
            assert value.metadata.plugin_data.plugin_name == "scalars"
            found[value.tag, event.step] = float(tf.make_ndarray(value.tensor))
    assert found["losses/mask", 2] == pytest.approx(history.rows[1]["mask"])
    assert found["validation_losses/total", 3] == pytest.approx(
        history.validation_losses[2]["total"]
    )
    assert ("validation/segm_AP", 3) in found and ("vitals/recall", 1) in found


# --- the film ---------------------------------------------------------------------------


def test_the_film_of_a_run(run, data):
    folder, model, _ = run
    film = read_film(folder)
    assert [frame.step for frame in film.frames] == [3] and len(film) == 1
    for i, truth in enumerate(film.truth):
        sample = data[1][i]
        np.testing.assert_array_equal(truth.image, sample.image)
        np.testing.assert_array_equal(truth.class_ids, sample.class_ids)
        np.testing.assert_array_equal(truth.masks, sample.masks)
        np.testing.assert_array_equal(truth.boxes, sample.boxes)
    for i, shown in enumerate(film.frames[0].detections):
        found = model.detect(data[1][i].image)
        assert len(shown) == min(len(found), MOST) and shown.image_id == data[1][i].image_id
        np.testing.assert_allclose(shown.scores, found.scores[: len(shown)], rtol=1e-5)


def results(data, count, **changes) -> list[dict]:
    truth = [a for a in data.to_coco()["annotations"] if a["image_id"] == data.image_ids[0]]
    return [truth[0] | {"score": 0.9 - i / 100} | changes for i in range(count)]


def test_frames_hold_the_surest_of_their_own_pictures(data, tmp_path):
    camera = Camera(tmp_path, data[1], 1)
    camera.take(10, results(data[1], MOST + 5) + results(data[1], 2, image_id=data[1].image_ids[1]))
    camera.take(20, [])
    film = read_film(tmp_path)
    assert [(f.step, [len(d) for d in f.detections]) for f in film.frames] == [
        (10, [MOST]),
        (20, [0]),
    ]
    assert film.frames[0].detections[0].scores.min() == pytest.approx(0.9 - (MOST - 1) / 100)
    cut_film(tmp_path, 10)
    assert [f.step for f in read_film(tmp_path).frames] == [10]
    cut_film(tmp_path, 0)
    with pytest.raises(MissingFileError, match="film.json does not exist"):
        read_film(tmp_path)


@pytest.mark.parametrize("content", ["{", '[{"image_id": 1}]', "{}", "[1]"])
def test_a_broken_frame_is_named(content, data, tmp_path):
    Camera(tmp_path, data[1], 1)
    image_id = data[1].image_ids[0]
    text = content.replace('"image_id": 1', f'"image_id": {image_id}')
    (tmp_path / "film" / "step-00000010.json").write_text(text)
    if content == "{}":  # an empty list of another kind: no detections
        assert len(read_film(tmp_path).frames[0].detections[0]) == 0
        return
    with pytest.raises(LabkitError, match=r"step-00000010\.json"):
        read_film(tmp_path)


def test_a_picture_is_never_read_from_elsewhere(data, tmp_path):
    Camera(tmp_path, data[1], 1)
    path = tmp_path / "film" / "film.json"
    cast = json.loads(path.read_text())
    (tmp_path / "secret.png").write_bytes((tmp_path / "film" / "picture-0.png").read_bytes())
    cast["images"][0]["file"] = "../secret.png"
    path.write_text(json.dumps(cast))
    with pytest.raises(MissingFileError, match="film/secret.png"):
        read_film(tmp_path)


# --- stopping ---------------------------------------------------------------------------


def history_of(*losses) -> History:
    return History(validation_losses=[{"step": i, "mask": v} for i, v in enumerate(losses, 1)])


@pytest.mark.parametrize(
    "losses, stops",
    [
        ((), False),
        ((1.0, 2.0), False),  # two looks without a better one are not yet three
        ((1.0, 2.0, 3.0, 1.5), True),
        ((1.0, 1.0, 1.0, 1.0), True),  # as good is no better
        ((1.0, 2.0, 3.0, 0.9), False),
        ((3.0, 1.0, 0.9, 0.8), False),
    ],
)
def test_when_a_run_stops(losses, stops):
    settings = SETTINGS.replace(stop_after=3)
    assert has_stalled(history_of(*losses), settings) is stops
    assert has_stalled(history_of(*losses), SETTINGS) is False  # stop_after 0


def test_a_loss_is_better_when_it_is_lower():
    assert scores(history_of(2.0, 1.0), "mask") == [(1, -2.0), (2, -1.0)]
    history = History(validation=[{"step": 5, "segm_AP": 0.25}])
    assert scores(history, "segm_AP") == [(5, 0.25)]


def test_a_run_that_stalls_stops_and_stays_stopped(data, micro_config, tmp_path, capsys):
    """A learning rate of next to nothing: the first look is as good as it gets, or nearly."""
    settings = SETTINGS.replace(
        steps=8, validate_every=0, stop_after=1, best_by="mask", learning_rate=1e-12
    )
    model = MaskRCNN(micro_config, data[0].class_names)
    history = train(model, data[0], tmp_path / "run", settings, validation=data[1], verbose=False)
    assert 2 <= len(history) < 8
    assert "mask has not improved" in capsys.readouterr().out
    again = train(
        MaskRCNN(micro_config, data[0].class_names),
        data[0],
        tmp_path / "run",
        settings,
        validation=data[1],
        resume=True,
        verbose=False,
    )
    assert again.rows == history.rows


# --- what is refused before it costs time -----------------------------------------------


@pytest.mark.parametrize(
    "changes, options, words",
    [
        ({"stop_after": 2, "best_by": "segm_AP"}, {}, "segm_AP is never measured"),
        ({"stop_after": 2, "validate_losses_every": 0}, {"validation": True}, "mask is never"),
        ({}, {"validation": "other"}, "classes that the training data do not"),
        ({}, {"log": ["paper"]}, "no 'paper'; there are: tensorboard, wandb"),
    ],
)
def test_mistakes_are_told_at_once(changes, options, words, data, micro_config, tmp_path):
    class Other:
        class_names = ("nobody", "knows")

    validation = {None: None, True: data[1], "other": Other()}[options.pop("validation", None)]
    model = MaskRCNN(micro_config, data[0].class_names)
    with pytest.raises(LabkitError, match=words):
        train(
            model,
            data[0],
            tmp_path / "run",
            SETTINGS.replace(**changes),
            validation=validation,
            verbose=False,
            **options,
        )


@pytest.mark.parametrize(
    "wrong",
    [
        {"best_by": "beauty"},
        {"stop_after": -1},
        {"film": -1},
        {"ema": 1.0},
        {"precision": "float8"},
        {"accumulate": 0},
        {"milestones": (0.9, 0.2)},
        {"momentum": 1.5},
    ],
)
def test_settings_refuse_nonsense(wrong):
    with pytest.raises(LabkitError, match=f"'{next(iter(wrong))}'"):
        SETTINGS.replace(**wrong)
