"""Examples on disk: the same as read, of the right data set, whole or not there."""

import os
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest

from labkit.data import CocoDataset, digits, shapes
from labkit.data.augment import Augment, Example
from labkit.data.cache import ExampleCache, fingerprint
from labkit.data.merging import merge
from labkit.data.pipeline import Batches, BatchPlan
from labkit.errors import LabkitError
from labkit.models.config import Config


def equal(a: Example, b: Example) -> bool:
    return (
        all((getattr(a, n) == getattr(b, n)).all() for n in ("image", "boxes", "class_ids"))
        and len(a.patches) == len(b.patches)
        and all(
            (p == q).all() and p.dtype == q.dtype for p, q in zip(a.patches, b.patches, strict=True)
        )
        and a.image_id == b.image_id
        and np.array_equal(a.crowds, b.crowds)
    )


def never():
    raise AssertionError("the data set was read although the cache has the example")


def test_what_comes_back_is_what_went_in(toy, tmp_path):
    for ds in (toy([[(1, False), (2, True)], []]), shapes(3, 64, seed=1)):
        for index in range(len(ds)):
            cache, example = ExampleCache(tmp_path, ds), Example.of(ds[index])
            assert equal(cache.get(index, lambda e=example: e), example)
            again = ExampleCache(tmp_path, ds).get(index, never)
            assert equal(again, example) and again.boxes.dtype == example.boxes.dtype


def test_batches_are_the_same_with_a_cache_and_read_nothing_twice(toy, tmp_path, monkeypatch):
    monkeypatch.setattr("labkit.data.pipeline.CACHE_BYTES", 0)  # nothing stays in memory
    config = Config.preset("tiny", resize="none", max_instances=8)
    plan = BatchPlan(2, (32, 32), Augment(quarter_turns=True, copy_paste=0.5), seed=3)
    pictures = [[(1, False), (2, False)], [(3, True)], [], [(2, False)]]
    plain = Batches(toy(pictures), config, plan)
    ds = toy(pictures)
    before = ds.reads
    cached = Batches(ds, config, plan, cache=tmp_path)
    for step in (*range(6), *range(6)):
        for name, values in plain.batch(step).items():
            np.testing.assert_array_equal(values, cached.batch(step)[name])
    assert ds.reads == before + 4


def test_different_data_never_share_files(toy, tmp_path):
    one = [[(1, False), (2, False)]]
    content = {
        "images": [{"id": 1, "file_name": "a.png", "height": 9, "width": 9}],
        "categories": [{"id": 1, "name": "x"}, {"id": 2, "name": "y"}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 1, "segmentation": [[1, 1, 8, 1, 8, 8]]}
        ],
    }
    moved = {
        **content,
        "annotations": [{**content["annotations"][0], "segmentation": [[1, 1, 8, 1, 8, 7]]}],
    }
    ds = toy(one)
    sets = [
        shapes(3, 64, seed=1),
        shapes(3, 64, seed=2),
        shapes(3, 64, seed=1, noise=0),
        digits(3, 64, seed=1),
        ds,
        toy([[(1, False), (2, True)]]),
        toy(one, ("a", "b", "d")),
        ds.keep_classes(["a"]),
        ds.keep_classes(["b"]),
        ds.group_classes({"ab": ["a", "b"]}),
        merge([ds, ds]),
        CocoDataset(content, tmp_path),
        CocoDataset(moved, tmp_path),
        shapes(3, 64, seed=1)[:2],
        shapes(3, 64, seed=1)[1:],
    ]
    assert len({fingerprint(d) for d in sets}) == len(sets)
    assert fingerprint(shapes(3, 64, seed=1)) == fingerprint(shapes(3, 64, seed=1))
    assert fingerprint(CocoDataset(content, tmp_path)) == fingerprint(sets[-4])


def test_reading_does_not_change_the_fingerprint(toy, tmp_path):
    for ds in (shapes(3, 64), digits(3, 64), toy([[(1, True)]]).keep_classes(["a"])):
        before = fingerprint(ds)
        for index in range(len(ds)):
            ds[index], ds.labels(index), ds.instance_limit(index)
        assert fingerprint(ds) == before


@pytest.mark.parametrize(
    "damage", [lambda b: b"", lambda b: b[: len(b) // 2], lambda b: b"\0" * 99]
)
def test_a_damaged_file_is_made_anew(tmp_path, damage):
    ds = shapes(1, 64)
    cache, example = ExampleCache(tmp_path, ds), Example.of(ds[0])
    cache.get(0, lambda: example)
    (path,) = tmp_path.rglob("*.npz")
    path.write_bytes(damage(path.read_bytes()))
    assert equal(cache.get(0, lambda: example), example)
    assert equal(cache.get(0, never), example)


def test_a_pickle_in_its_place_is_not_loaded(tmp_path):
    ds = shapes(1, 64)
    cache, example = ExampleCache(tmp_path, ds), Example.of(ds[0])
    np.savez(
        cache.folder / "00000000.npz",
        image=np.array([print], dtype=object),
        boxes=0,
        class_ids=0,
        numbers=0,
        bits=0,
    )
    assert equal(cache.get(0, lambda: example), example)


def test_a_folder_that_cannot_be_made_is_an_error_at_once(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(LabkitError, match="another folder"):
        ExampleCache(tmp_path / "file", shapes(1, 64))


def test_a_folder_that_goes_away_does_not_end_a_training(tmp_path):
    ds = shapes(1, 64)
    cache = ExampleCache(tmp_path / "cache", ds)
    cache.folder.rmdir()
    assert equal(cache.get(0, lambda: Example.of(ds[0])), Example.of(ds[0]))


PROGRAM = """
    import sys
    from labkit.data import shapes
    from labkit.data.augment import Example
    from labkit.data.cache import ExampleCache
    ds = shapes(4, 512, seed=9)
    examples = [Example.of(s) for s in ds]
    print("ready", flush=True)
    while True:
        cache = ExampleCache(sys.argv[1], ds)
        for path in cache.folder.glob("*.npz"):
            path.unlink()
        for i, e in enumerate(examples):
            cache.get(i, lambda: e)
"""


def test_killed_while_writing_leaves_whole_files(tmp_path):
    ds = shapes(4, 512, seed=9)
    for wait in (0.05, 0.11, 0.23):
        process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(PROGRAM), str(tmp_path)], stdout=subprocess.PIPE
        )
        assert process.stdout.readline() == b"ready\n"
        time.sleep(wait)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        cache = ExampleCache(tmp_path, ds)
        for path in cache.folder.glob("*.npz"):
            assert equal(cache.get(int(path.stem), never), Example.of(ds[int(path.stem)]))
