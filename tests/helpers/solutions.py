"""The solutions that stand in the notebooks, as functions."""

import re
from typing import Any

from labkit.course.notebooks import SOLUTION


def checked_in(notebook) -> list[tuple[str, str]]:
    """(exercise, function) of every `check` in a notebook."""
    code = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
    return re.findall(r"""check\(\s*["'](\w+)["'],\s*(\w+)""", code)


def solutions_of(notebook) -> dict[str, Any]:
    """{exercise: its solution} of a notebook; solutions are text cells tagged `solution`."""
    cells = [c.source for c in notebook.cells if SOLUTION in c.metadata.get("tags", [])]
    code = "\n".join(b for s in cells for b in re.findall(r"```python\n(.*?)```", s, re.S))
    names: dict[str, Any] = {}
    exec("import numpy as np\nimport tensorflow as tf\nimport labkit\n" + code, names)
    return {exercise: names[function] for exercise, function in checked_in(notebook)}
