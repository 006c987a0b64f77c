"""An nbgrader assignment from the notebooks: `python -m labkit.course.grading COURSE`.

    python -m labkit.course.grading COURSE notebooks/*.ipynb
    cd COURSE
    nbgrader generate_assignment labkit      what students get, without solutions
    nbgrader autograde labkit                runs what they have handed in, and gives points

Every exercise becomes a cell to write in, with the course's solution between nbgrader's marks, and
a locked cell after it that gives a point if `check` passes. LABKIT_SHORT=1 in the environment of
`autograde` shortens the trainings in the notebooks; the exercises do not depend on them.
"""

import re
import sys
from pathlib import Path

import nbformat

from labkit.course.notebooks import command, copy_drawings, for_students
from labkit.course.solutions import CHECK, solutions_in
from labkit.io.whole_file import whole_file

ASSIGNMENT = "labkit"


def for_nbgrader(notebook):
    """A copy with nbgrader's metadata: the version of the teacher, with solutions."""
    copy, cells, solutions = for_students(notebook), [], _solutions(notebook)
    for cell in copy.cells:
        cells.append(cell)
        asked = CHECK.search(cell.source) if cell.cell_type == "code" else None
        if asked:
            name, answer = asked.groups()
            cell.source = _with_solution(cell.source, solutions[answer])
            cell.metadata["nbgrader"] = _metadata(f"answer-{name}", solution=True)
            test = nbformat.v4.new_code_cell(f'assert check("{name}", {answer}).passed')
            test.metadata["nbgrader"] = _metadata(f"grade-{name}", grade=True, points=1)
            cells.append(test)
    copy.cells = cells
    return copy


def _solutions(notebook) -> dict[str, str]:
    """{name of the answer: the code that defines it}."""
    return {
        name: code.strip()
        for code in solutions_in(notebook)
        for name in re.findall(r"^(?:def )?(\w+)(?:\(| = )", code, re.M)
    }


def _with_solution(source: str, solution: str) -> str:
    """The cell with the solution in the place of what stands before `check`."""
    lines = source.split("\n")
    first = next(i for i, line in enumerate(lines) if CHECK.search(line))
    marked = f"### BEGIN SOLUTION\n{solution}\n### END SOLUTION"
    return "\n".join([marked, "", "", *lines[first:]])


def _metadata(name: str, *, solution=False, grade=False, points=0) -> dict:
    """What nbgrader wants to know of a cell (version 3 of its format)."""
    return {
        "schema_version": 3,
        "grade_id": name,
        "solution": solution,
        "grade": grade,
        "locked": grade,
        "task": False,
        **({"points": points} if grade else {}),
    }


def main(arguments=None) -> int:
    parser = command("grading", __doc__)
    parser.add_argument("course", type=Path, metavar="COURSE", help="the folder of the course")
    parser.add_argument("notebooks", nargs="+", type=Path)
    options = parser.parse_args(arguments)
    out = options.course / "source" / ASSIGNMENT
    out.mkdir(parents=True, exist_ok=True)
    for path in options.notebooks:
        copy = for_nbgrader(nbformat.read(path, as_version=4))
        with whole_file(out / path.name) as draft:
            nbformat.write(copy, draft)
        copy_drawings(path, out)
        points = sum("points" in c.metadata.get("nbgrader", {}) for c in copy.cells)
        print(f"{out / path.name}: {points} exercises, a point each")
    config = options.course / "nbgrader_config.py"
    if not config.exists():
        config.write_text('c = get_config()\nc.CourseDirectory.course_id = "labkit"\n', "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
