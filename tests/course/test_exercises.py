"""Every exercise: the reference passes, each known mistake gets its hint, the rest is handled."""

import numpy as np
import pytest

from labkit.course import check
from labkit.course.exercise import Exercise
from labkit.course.exercises import EXERCISES

FUNCTIONS = {name: e for name, e in EXERCISES.items() if isinstance(e, Exercise)}
EACH = pytest.mark.parametrize("exercise", FUNCTIONS.values(), ids=list(FUNCTIONS))
MISTAKES = [(e, m) for e in FUNCTIONS.values() for m in e.mistakes]


@pytest.fixture(autouse=True)
def own_progress(tmp_path, monkeypatch):
    monkeypatch.setenv("LABKIT_PROGRESS", str(tmp_path / "progress.json"))


@EACH
def test_the_reference_passes(exercise):
    verdict = check(exercise.name, exercise.reference)
    assert verdict.passed, verdict


@EACH
def test_it_knows_four_mistakes_and_three_steps_of_hints(exercise):
    assert len(exercise.mistakes) >= 4
    assert len({m.hint for m in exercise.mistakes}) == len(exercise.mistakes)
    assert len(exercise.hints) >= 2


NAMES = [f"{e.name}-{m.wrong.__name__.strip('_')}" for e, m in MISTAKES]


@pytest.mark.parametrize("exercise, mistake", MISTAKES, ids=NAMES)
def test_each_mistake_gets_its_own_hint(exercise, mistake):
    verdict = check(exercise.name, mistake.wrong)
    assert not verdict.passed
    assert verdict.hint == mistake.hint, verdict


@EACH
def test_no_hint_contains_the_answer(exercise):
    for text in [m.hint for m in exercise.mistakes] + list(exercise.kinds.values()):
        assert "np." not in text and "tf." not in text and "return" not in text


@EACH
@pytest.mark.parametrize(
    "answer",
    [None, "garbage", {"a": 1}, np.zeros((7, 9, 2)), object(), [[], [1]]],
    ids=["none", "text", "dict", "shape", "object", "ragged"],
)
def test_values_of_a_wrong_type_are_refused(exercise, answer):
    verdict = check(exercise.name, lambda *args: answer)
    assert not verdict.passed and verdict.message and verdict.hint


@EACH
def test_a_crash_is_one_sentence(exercise):
    def crashes(*args):
        raise ValueError("<b>my own</b> mistake")

    verdict = check(exercise.name, crashes)
    assert not verdict.passed and "ValueError" in verdict.message
    assert "<b>" not in verdict._repr_html_() and "&lt;b&gt;" in verdict._repr_html_()


@EACH
def test_arguments_cannot_be_spoiled(exercise):
    def writes(*args):
        answer = exercise.reference(*args)
        for a in args:
            if isinstance(a, np.ndarray) and a.size:
                a[...] = 0
        return answer

    assert check(exercise.name, writes).passed
