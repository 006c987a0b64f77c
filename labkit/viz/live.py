"""Text that is rewritten in place below a notebook's cell, and saved as its last state only."""

from IPython import get_ipython
from IPython.display import display


class _Line:
    def __init__(self, text: str):
        self.text = text

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict:
        return {"text/plain": self.text}


def live_line():
    """A function that shows a line of text in place of the one before; None without a kernel."""
    shell = get_ipython()
    if shell is None or not hasattr(shell, "kernel"):
        return None
    handle = display(_Line(""), display_id=True)
    return None if handle is None else lambda text: handle.update(_Line(text))
