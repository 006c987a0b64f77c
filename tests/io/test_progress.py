"""What a progress bar leaves on a terminal, in a log and in a notebook."""

import io
import os
import re
import sys

import nbformat
import pytest
from terminal import on_terminal
from tqdm import tqdm

from labkit.course.notebooks import WIDGET, execute, tidy
from labkit.io import progress
from labkit.io.progress import print_above, progress_bar

DONE = r"work: 100%\|█+\| 3/3 \[00:0\d<00:00, +[\d.]+(it/s|s/it)\]"


@pytest.fixture(autouse=True)
def every_state(monkeypatch):
    """Bars are drawn at every step; none is open before a test or after it."""
    monkeypatch.setattr(progress, "REDRAW", 0)
    assert len(tqdm._instances) == 0
    yield
    assert len(tqdm._instances) == 0


def work(**options) -> None:
    with progress_bar(total=3, desc="work", **options) as bar:
        for _ in range(3):
            bar.update()


# ---- a terminal ----------------------------------------------------------------------------------


def test_a_terminal_has_one_line_that_changes():
    with on_terminal() as terminal:
        with progress_bar(total=4, desc="work") as bar:
            assert terminal.screen()[0].startswith("work:   0%|")
            bar.update()
            (line,) = terminal.screen()
            assert line.startswith("work:  25%|██") and " 1/4 " in line
        print("next")
    assert len(terminal.screen()) == 2 and terminal.screen()[1] == "next"


def test_a_loop_within_a_loop_disappears():
    with on_terminal() as terminal:
        with progress_bar(total=2, desc="training") as outer:
            with progress_bar(total=5, desc="evaluating") as inner:
                inner.update(2)
                first, second = terminal.screen()
                assert first.startswith("training:   0%") and second.startswith("evaluating:  40%")
            outer.update(2)
    (line,) = terminal.screen()
    assert line.startswith("training: 100%")


def test_what_is_printed_stands_above_the_bar():
    with on_terminal() as terminal:
        with progress_bar(total=2, desc="training") as bar:
            bar.update()
            print_above("Epoch 1: nothing was left out.")
            assert [line[:13] for line in terminal.screen()] == ["Epoch 1: noth", "training:  50"]
        print_above("after it")
    assert terminal.screen()[2] == "after it"


def test_an_error_within_a_bar_has_a_line_of_its_own():
    with on_terminal() as terminal:
        with pytest.raises(ZeroDivisionError), progress_bar(total=2, desc="training"):
            raise ZeroDivisionError
        print("what went wrong")
    assert terminal.screen()[1] == "what went wrong"


def test_a_bar_that_is_not_shown_prints_nothing():
    with on_terminal() as terminal:
        work(shown=False)
        assert list(progress_bar(range(3), shown=False)) == [0, 1, 2]
    assert terminal.getvalue() == ""


def test_a_short_loop_may_be_without_a_bar():
    with on_terminal() as terminal:
        work(delay=30)
    assert terminal.getvalue() == ""


@pytest.mark.parametrize("encoding", ["cp437", "ascii", "cp1252", "cp1250"])
@pytest.mark.parametrize("is_terminal", [True, False])
def test_a_console_without_block_characters_gets_others(monkeypatch, encoding, is_terminal):
    content = io.BytesIO()
    stream = io.TextIOWrapper(content, encoding=encoding, errors="strict")
    stream.isatty = lambda: is_terminal
    monkeypatch.setattr(sys, "stderr", stream)
    work()
    stream.flush()
    assert b"work: 100%|##########| 3/3 [" in content.getvalue()


@pytest.mark.parametrize("columns", [60, 0])
def test_a_real_terminal_and_one_without_a_width(monkeypatch, columns):
    """`docker run -t` makes terminals of no width, where tqdm would show nothing at all."""
    pty, fcntl = pytest.importorskip("pty"), pytest.importorskip("fcntl")
    struct, termios = pytest.importorskip("struct"), pytest.importorskip("termios")
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    with os.fdopen(theirs, "w", encoding="utf-8") as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        with progress_bar(total=3, desc="work") as bar:
            bar.set_postfix_str("a long list of numbers " * 5, refresh=False)
            bar.update(3)
        print("END", file=stream, flush=True)
        shown = ""
        while not shown.endswith("END\r\n"):
            shown += os.read(ours, 1000).decode("utf-8", "replace")
    os.close(ours)
    assert "work: 100%|" in shown and "a lon" in shown
    states = [line for line in re.split(r"[\r\n]+", shown) if "work" in line]
    assert all(len(line) <= columns for line in states) if columns else len(states) == 2


# ---- a log ---------------------------------------------------------------------------------------


def test_a_log_has_complete_lines(capsys):
    work()
    out, err = capsys.readouterr()
    assert out == "" and "\r" not in err
    first, last = err.splitlines()
    assert first == "work:   0%|          | 0/3 [00:00<?, ?it/s]" and re.fullmatch(DONE, last)


def test_a_log_has_a_line_every_half_minute(monkeypatch, capsys):
    now = [1000.0]
    monkeypatch.setattr("tqdm.std.time", lambda: now[0])
    with progress_bar(total=100, desc="work") as bar:
        for _ in range(100):
            now[0] += 1
            bar.update()
    lines = capsys.readouterr().err.splitlines()
    assert [re.search(r"(\d+)/100", line)[1] for line in lines] == ["0", "30", "60", "90", "100"]


def test_a_state_that_is_drawn_twice_is_one_line_of_a_log(capsys):
    with progress_bar(total=2, desc="work") as bar:
        bar.refresh()
        bar.refresh()
        bar.update(2)
    assert len(capsys.readouterr().err.splitlines()) == 2


def test_a_loop_within_a_loop_in_a_log(capsys):
    with progress_bar(total=2, desc="training") as outer:
        with progress_bar(total=5, desc="evaluating") as inner:
            inner.update(5)
        print_above("Epoch 1: nothing was left out.")
        outer.update(2)
    out, err = capsys.readouterr()
    assert out == "Epoch 1: nothing was left out.\n"
    first, second, third = err.splitlines()
    assert first.startswith("training:   0%") and third.startswith("training: 100%")
    assert second.startswith("evaluating:   0%")
    assert "\x1b" not in err and "\r" not in err


# ---- a notebook ----------------------------------------------------------------------------------


def test_a_notebook_keeps_the_end_as_text_and_no_widget(tmp_path):
    source = """
        from labkit.io.progress import print_above, progress_bar
        with progress_bar(total=2, desc="training") as outer:
            for loss in (0.75, 0.5):
                outer.set_postfix_str(f"total {loss}", refresh=False)
                with progress_bar(total=3, desc="evaluating") as inner:
                    inner.update(3)
                outer.update()
            print_above("printed")
        with progress_bar(total=3, delay=60) as quick:
            quick.update(3)
    """
    lines = "\n".join(line[8:] for line in source.strip("\n").splitlines())
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(lines)])
    execute(notebook, tmp_path, timeout=60)
    assert "widgets" not in notebook.metadata
    assert not any(WIDGET in output.get("data", {}) for output in notebook.cells[0].outputs)
    training, printed = tidy(notebook).cells[0].outputs
    nbformat.validate(notebook)
    assert list(training.data) == ["text/plain"]
    assert re.fullmatch(
        r"training: 100%\|█+\| 2/2 \[00:0\d<00:00, .*, total 0.5\]", training.data["text/plain"]
    )
    assert (printed.name, printed.text) == ("stdout", "printed\n")
