"""What a notebook asks with `check`, and the solutions that stand in it."""

import re

SOLUTION = "solution"  # the tag of a cell that a class does not get
CHECK = re.compile(r"""\bcheck\(\s*["'](\w+)["'],\s*(\w+)""")


def is_solution(cell) -> bool:
    return SOLUTION in cell.metadata.get("tags", [])


def checked_in(notebook) -> list[tuple[str, str]]:
    """(exercise, name of the answer) of every `check` in a notebook."""
    return CHECK.findall("\n".join(c.source for c in notebook.cells if c.cell_type == "code"))


def solutions_in(notebook) -> list[str]:
    """The code of all solutions, in their order; a solution may have several pieces."""
    cells = [cell.source for cell in notebook.cells if is_solution(cell)]
    return [code for text in cells for code in re.findall(r"```python\n(.*?)```", text, re.S)]
