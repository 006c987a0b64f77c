"""Explorers that need no kernel: their state is in the saved notebook, their code in labkit.

An explorer whose JavaScript computes everything itself (`Explorer.in_browser`) is shown on a page
without a kernel, too. `tidy` keeps its state as one of the output's forms; here it becomes an
element that the page's script brings to life. Until then, and where scripts are off, the static
picture is seen.
"""

import importlib
import json
from html import escape
from pathlib import Path

from labkit import widgets
from labkit.errors import LabkitError
from labkit.widgets.explorer import Explorer, name_of, style

MODEL = (Path(__file__).parent / "explorers.js").read_text("utf-8")


def element(state: dict, still: str) -> str:
    """The place of an explorer on a page.

    Args:
        state: the form `labkit.widgets.explorer.STATE` of an output.
        still: HTML that is seen until the explorer is alive.
    """
    # "<" would end the script element early.
    stored = json.dumps(state["values"]).replace("<", "\\u003c")
    return (
        f'<div data-explorer="{escape(state["explorer"])}"><div class="still">{still}</div>'
        f'<script type="application/json">{stored}</script></div>'
    )


def scripts(names: set[str]) -> str:
    """The style sheet and the modules that bring these explorers to life."""
    if not names:
        return ""
    parts = [f"<style>{style()}</style>", f"<script>{MODEL}</script>"]
    for name in sorted(names):
        code = _class_of(name)._esm.replace("export default {", "const start = {")
        parts.append(f'<script type="module">{code}\nbringToLife("{name}", start);</script>')
    return "\n".join(parts)


def _class_of(name: str) -> type[Explorer]:
    """The explorer of a name.

    Raises:
        LabkitError: there is none, or it needs a kernel; a notebook may come from anywhere.
    """
    if (Path(widgets.__file__).parent / f"{name}.py").is_file() and name.isidentifier():
        importlib.import_module(f"labkit.widgets.{name}")
    for explorer in Explorer.__subclasses__():
        if explorer.in_browser and name_of(explorer) == name:
            return explorer
    raise LabkitError(f"the notebook has an explorer {name!r}, which labkit does not know.")
