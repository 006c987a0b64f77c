"""Running and saving notebooks, and copies for a class."""

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from labkit.course.notebooks import WIDGET, for_students, main, tidy

SOLVED = "<details><summary>A solution</summary>\n\n```python\nx = 1\n```\n</details>"


@pytest.fixture
def path(tmp_path):
    cells = [
        new_markdown_cell("# A title"),
        new_code_cell("print('run', 6 * 7)"),
        new_markdown_cell(SOLVED, metadata={"tags": ["solution"]}),
    ]
    path = tmp_path / "00_a.ipynb"
    nbformat.write(new_notebook(cells=cells), path)
    return path


def test_a_notebook_is_run_and_saved(path, capsys):
    assert main([str(path)]) == 0
    saved = nbformat.read(path, as_version=4)
    assert saved.cells[1].outputs[0].text == "run 42\n" and saved.cells[1].execution_count == 1
    assert "saved" in capsys.readouterr().out
    assert list(path.parent.glob(".*.part")) == []


def test_a_notebook_that_fails_is_left_as_it_was(path, capsys):
    notebook = nbformat.read(path, as_version=4)
    notebook.cells[1].source = "1 / 0"
    nbformat.write(notebook, path)
    before = path.read_bytes()
    assert main([str(path)]) == 1
    assert path.read_bytes() == before and "ZeroDivisionError" in capsys.readouterr().err


def test_a_class_gets_no_solutions_and_no_outputs(path, tmp_path):
    assert main([str(path)]) == 0
    (path.parent / "diagram.svg").write_text("<svg/>", "utf-8")
    assert main(["--student", str(tmp_path / "class"), str(path)]) == 0
    assert (tmp_path / "class/diagram.svg").exists()
    copy = nbformat.read(tmp_path / "class" / "00_a.ipynb", as_version=4)
    assert [c.cell_type for c in copy.cells] == ["markdown", "code"]
    assert copy.cells[1].outputs == [] and copy.cells[1].execution_count is None
    original = nbformat.read(path, as_version=4)
    assert len(original.cells) == 3 and original.cells[1].outputs
    assert len(for_students(original).cells) == 2 and len(original.cells) == 3


def test_a_widget_leaves_its_picture():
    cell = new_code_cell(
        "w",
        outputs=[
            nbformat.v4.new_output(
                "execute_result", {WIDGET: {"model_id": "x"}, "text/html": "<img>"}
            ),
            nbformat.v4.new_output(
                "display_data", {WIDGET: {"model_id": "y"}, "text/plain": "VBox()"}
            ),
        ],
        metadata={"execution": {"iopub": "2026"}},
    )
    notebook = new_notebook(cells=[cell], metadata={"widgets": {"state": {}}})
    tidied = tidy(notebook)
    assert "widgets" not in tidied.metadata and "execution" not in tidied.cells[0].metadata
    assert [set(o.data) for o in tidied.cells[0].outputs] == [{"text/html"}]


def test_printed_lines_are_joined():
    lines = [nbformat.v4.new_output("stream", name="stdout", text=f"{i}\n") for i in range(3)]
    picture = nbformat.v4.new_output("display_data", {"text/html": "<img>"})
    last = nbformat.v4.new_output("stream", name="stdout", text="end\n")
    cell = new_code_cell("", outputs=[*lines, picture, last])
    (tidied,) = tidy(new_notebook(cells=[cell])).cells
    assert [o.get("text") for o in tidied.outputs] == ["0\n1\n2\n", None, "end\n"]


def test_tensorflows_log_is_dropped_and_a_warning_stays():
    log = "E0000 00:00:1795282933.610463    8490 util.cc:131] oneDNN supports no DT_INT32.\n"
    outputs = [nbformat.v4.new_output("stream", name="stderr", text=t) for t in (log, "careful\n")]
    (tidied,) = tidy(new_notebook(cells=[new_code_cell("", outputs=outputs)])).cells
    assert [o.text for o in tidied.outputs] == ["careful\n"]
