"""check: endless loops, wrong uses, names; hints; what a verdict looks like."""

import signal
import threading
import time

import pytest

from labkit.course import check, hint, show_progress
from labkit.course.exercises import EXERCISES
from labkit.course.safe_call import call
from labkit.errors import LabkitError


@pytest.fixture(autouse=True)
def own_progress(tmp_path, monkeypatch):
    monkeypatch.setenv("LABKIT_PROGRESS", str(tmp_path / "sub" / "progress.json"))
    return tmp_path / "sub" / "progress.json"


def test_an_endless_loop_is_ended():
    def endless(a, b):
        while True:
            pass

    began = time.monotonic()
    verdict = check("iou", endless, seconds=0.3)
    assert not verdict.passed and "not finished" in verdict.message and "loop" in verdict.message
    assert time.monotonic() - began < 5


def test_a_loop_that_swallows_exceptions_is_ended_too():
    def stubborn(a, b):
        swallowed = 0
        while swallowed < 2:
            try:
                while True:
                    pass
            except BaseException:
                swallowed += 1
        raise ValueError("tired")

    verdict = check("iou", stubborn, seconds=0.2)
    assert not verdict.passed and "ValueError" in verdict.message


def test_an_endless_loop_is_ended_where_signals_are_ignored():
    """A process in the background may be told to ignore SIGINT (as `nohup` and `&` do)."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        assert "not finished" in call(lambda: [None for _ in iter(int, 1)], (), 0.2).error
    finally:
        signal.signal(signal.SIGINT, before)


def test_another_thread_can_check_too():
    found = []
    asked = threading.Thread(
        target=lambda: found.append(call(lambda: [0 for _ in iter(int, 1)], (), 0.2))
    )
    asked.start()
    asked.join(timeout=20)
    assert found and "not finished" in found[0].error


def test_a_function_that_ends_just_in_time_interrupts_nobody():
    """Whichever wins the race, the interrupt never strikes outside the call."""
    for wait in (0.0499, 0.05, 0.0501) * 10:
        outcome = call(time.sleep, (wait,), seconds=0.05)
        assert outcome.error == "" or "not finished" in outcome.error
        time.sleep(0.005)


def test_the_stop_button_still_stops():
    def stopped(a, b):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        check("iou", stopped)


def test_exit_does_not_end_the_kernel():
    assert "exit()" in check("iou", lambda a, b: exit()).message


def test_what_is_printed_is_swallowed(capsys):
    check("iou", lambda a, b: print("noise"))
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("given", [None, 0.5, "iou"])
def test_a_value_in_place_of_a_function(given):
    verdict = check("iou", given)
    assert not verdict.passed and "function itself" in verdict.message


def test_an_unknown_name_says_what_is_near():
    with pytest.raises(LabkitError, match="did you mean 'iou'"):
        check("iuo", lambda: 0)


def test_too_few_arguments_are_a_sentence():
    assert "TypeError" in check("iou", lambda a: 0).message


def test_hints_go_step_by_step(capsys):
    hint("iou")
    first = capsys.readouterr().out
    hint("iou", 99)
    last = capsys.readouterr().out
    count = len(EXERCISES["iou"].hints)
    assert f"Hint 1 of {count}" in first and "hint('iou', 2)" in first
    assert f"Hint {count} of {count}" in last and "says more" not in last


def test_progress_is_kept_and_survives_a_broken_file(own_progress):
    assert "0 of" in str(show_progress())
    assert check("iou", EXERCISES["iou"].reference).passed
    assert "✓ IoU of two boxes" in str(show_progress())
    assert "✓ IoU of two boxes" in show_progress()._repr_html_()
    own_progress.write_text("{broken")
    assert "0 of" in str(show_progress())
    assert check("iou", EXERCISES["iou"].reference).passed
    assert "✓ IoU" in str(show_progress())


def test_a_failed_check_is_no_progress(own_progress):
    check("iou", lambda a, b: 0.0)
    assert not own_progress.exists()


def test_progress_that_cannot_be_written_is_no_error(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LABKIT_PROGRESS", str(tmp_path / "file" / "below" / "progress.json"))
    assert check("iou", EXERCISES["iou"].reference).passed


def test_a_stub_gets_the_first_hint_and_none_for_special_cases():
    verdict = check("iou", lambda a, b: None)
    assert "returns nothing" in verdict.message and 'hint("iou")' in verdict.hint
    only_empty_wrong = check("iou", lambda a, b: EXERCISES["iou"].reference(a, b) or 0.001)
    assert only_empty_wrong.hint == EXERCISES["iou"].kinds["boxes apart along one axis"]
