"""Every notebook runs from top to bottom in a clean kernel, and is saved fit to be read."""

import json
import re
import time
from pathlib import Path

import nbformat
import pytest
from solved import answers_of

from labkit.course.checking import check
from labkit.course.exercises import EXERCISES
from labkit.course.notebooks import WIDGET, clean_environment, execute, for_students
from labkit.course.prose_numbers import unsupported
from labkit.course.solutions import checked_in

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
CELL_TIMEOUT = 420  # seconds; a cell that trains takes minutes on two busy cores
MAX_BYTES = 3_000_000
# somebody's home or scratch folder; not preceded by what makes it part of an address or a word
MACHINE_PATH = re.compile(
    r"(?<![\w.:/-])(?:/(?:home|Users|root|tmp|work|private|mnt|opt)/\w|[A-Za-z]:\\+Users\\)"
)
EMBEDDED = re.compile(r"base64,[A-Za-z0-9+/=\s]+")  # pictures inside HTML spell any word by chance


@pytest.fixture(autouse=True)
def clean_kernel(monkeypatch, tmp_path):
    for name, value in clean_environment(tmp_path).items():
        monkeypatch.setenv(name, value)
    # What trains for minutes when a notebook is saved trains for a few steps here, and on data that
    # every machine has.
    monkeypatch.setenv("LABKIT_SHORT", "1")
    monkeypatch.setenv("LABKIT_DATA", str(tmp_path / "data"))


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code" and cell.source.strip()]


def errors(notebook):
    return [
        f"cell {cell.execution_count}: {output.ename}: {output.evalue}"
        for cell in code_cells(notebook)
        for output in cell.outputs
        if output.output_type == "error"
    ]


def texts(notebook):
    """Everything in a notebook that a person may read, with embedded pictures taken out."""
    yield json.dumps(notebook.metadata)
    for cell in notebook.cells:
        yield cell.source
        for output in cell.get("outputs", ()):
            yield output.get("text", "")
            for kind, data in output.get("data", {}).items():
                if kind.startswith("text/") or kind.endswith("json"):
                    yield EMBEDDED.sub("", data if isinstance(data, str) else json.dumps(data))


each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=[path.stem for path in NOTEBOOKS])


@each_notebook
def test_runs_from_a_clean_kernel(path):
    notebook = execute(nbformat.read(path, as_version=4), path.parent, CELL_TIMEOUT)
    assert errors(notebook) == []
    # What the prose says is still what the cells say.
    assert unsupported(notebook) == []


@each_notebook
def test_is_saved_after_a_clean_run(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    cells = code_cells(notebook)
    assert [c.execution_count for c in cells] == list(range(1, len(cells) + 1))
    assert any(cell.outputs for cell in cells)
    assert errors(notebook) == []


@each_notebook
def test_every_number_in_the_prose_is_in_a_cell(path):
    assert unsupported(nbformat.read(path, as_version=4)) == []


@each_notebook
def test_solutions_pass_their_checks(path):
    """A cell tagged `solution` holds the answer to each exercise that the notebook checks."""
    notebook = nbformat.read(path, as_version=4)
    own = [e.name for e in EXERCISES.values() if e.notebook == path.stem]
    assert sorted(name for name, _ in checked_in(notebook)) == sorted(own)
    for name, function in answers_of(notebook).items():
        assert check(name, function).passed, f"{path.name}: the solution of {name}"
    copy = for_students(notebook)
    assert "```python" not in "".join(c.source for c in copy.cells if "<summary>" in c.source)


@each_notebook
def test_is_fit_to_be_shown_on_a_page(path):
    notebook = nbformat.read(path, as_version=4)
    for cell in code_cells(notebook):
        assert not any(WIDGET in output.get("data", {}) for output in cell.outputs), cell.source
    assert "widgets" not in notebook.metadata, f"{path.name}: strip metadata.widgets before saving"
    assert path.stat().st_size < MAX_BYTES, f"{path.name}: make its pictures smaller"


@each_notebook
def test_names_no_path_of_a_machine(path):
    notebook = nbformat.read(path, as_version=4)
    assert [hit.group() for text in texts(notebook) for hit in MACHINE_PATH.finditer(text)] == []


def test_a_notebook_with_output_widgets_does_not_stall(tmp_path):
    pytest.importorskip("ipywidgets")
    source = """
        from ipywidgets import IntSlider, Output, interactive
        panel = interactive(lambda n: print(n), n=IntSlider(value=0, max=9))
        panel.update()
        for n in range(10):
            panel.children[0].value = n
        with (out := Output()):
            print("inside")
    """
    lines = "\n".join(line[8:] for line in source.strip("\n").splitlines())
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(lines) for _ in range(3)])
    begin = time.monotonic()
    assert errors(execute(notebook, tmp_path, timeout=60)) == []
    assert time.monotonic() - begin < 50


@pytest.mark.parametrize(
    "text, bad",
    [
        ("open('/home/ann/x.png')", True),
        ("C:\\\\Users\\\\ann", True),
        ("see /tmp/abc", True),
        ("https://example.org/home/page", False),
        ("runs/tmp/x", False),
        ("and/or", False),
    ],
)
def test_machine_paths_are_told_from_other_text(text, bad):
    assert bool(MACHINE_PATH.search(text)) is bad
