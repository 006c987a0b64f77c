"""The exercises as an nbgrader assignment."""

import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from labkit.course.exercises import EXERCISES
from labkit.course.grading import ASSIGNMENT, for_nbgrader, main

NOTEBOOKS = sorted((Path(__file__).resolve().parents[2] / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=[path.stem for path in NOTEBOOKS])
def test_every_exercise_has_a_point(path):
    notebook = nbformat.read(path, as_version=4)
    copy = for_nbgrader(notebook)
    nbformat.validate(copy)
    marked = {c.metadata["nbgrader"]["grade_id"]: c for c in copy.cells if "nbgrader" in c.metadata}
    own = [e.name for e in EXERCISES.values() if e.notebook == path.stem]
    assert sorted(marked) == sorted([f"{kind}-{n}" for n in own for kind in ("answer", "grade")])
    for name in own:
        answer, grade = marked[f"answer-{name}"], marked[f"grade-{name}"]
        assert "### BEGIN SOLUTION" in answer.source and "None  # your" not in answer.source
        assert grade.metadata["nbgrader"]["points"] == 1 and grade.metadata["nbgrader"]["locked"]
        compile(answer.source, name, "exec")
    assert all(not cell.get("outputs") for cell in copy.cells)
    assert not any("<summary>A solution" in cell.source for cell in copy.cells)


@pytest.mark.slow  # nbgrader runs a notebook three times
def test_nbgrader_hands_out_and_grades(tmp_path, monkeypatch):
    pytest.importorskip("nbgrader", reason="the extra `teach` brings it")
    beside = Path(sys.executable).parent  # nbgrader calls a program, alembic, that is there
    monkeypatch.setenv("PATH", f"{beside}{os.pathsep}{os.environ['PATH']}")
    small = nbformat.v4.new_notebook(
        cells=[
            nbformat.v4.new_code_cell("import numpy as np\nfrom labkit.course import check"),
            *(
                cell
                for cell in nbformat.read(NOTEBOOKS[1], as_version=4).cells
                if "my_iou(a, b)" in cell.source or "my_cell_anchors(size" in cell.source
            ),
        ]
    )
    (tmp_path / "notebooks").mkdir()
    nbformat.write(small, tmp_path / "notebooks" / "01.ipynb")
    course = tmp_path / "course"
    assert main([str(course), str(tmp_path / "notebooks" / "01.ipynb")]) == 0

    def nbgrader(*arguments):
        command = [sys.executable, "-m", "nbgrader", *arguments]
        done = subprocess.run(command, cwd=course, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-2000:]

    nbgrader("generate_assignment", ASSIGNMENT)
    released = nbformat.read(course / "release" / ASSIGNMENT / "01.ipynb", as_version=4)
    text = "\n".join(cell.source for cell in released.cells)
    assert "BEGIN SOLUTION" not in text and "YOUR CODE HERE" in text
    for student, solves in (("ada", True), ("bob", False)):
        handed_in = course / "submitted" / student / ASSIGNMENT
        handed_in.mkdir(parents=True)
        copy = nbformat.from_dict(released)
        if solves:
            teacher = nbformat.read(course / "source" / ASSIGNMENT / "01.ipynb", as_version=4)
            for cell, answer in zip(copy.cells, teacher.cells, strict=True):
                cell.source = answer.source
        nbformat.write(copy, handed_in / "01.ipynb")
    nbgrader("autograde", ASSIGNMENT)
    from nbgrader.api import Gradebook

    with Gradebook(f"sqlite:///{course / 'gradebook.db'}") as book:
        scores = {s.student.id: s.score for s in book.assignment_submissions(ASSIGNMENT)}
    assert scores == {"ada": 2, "bob": 0}
