"""The API reference: one page for each module, from the docstrings, by pdoc.

pdoc was chosen because it needs no project of its own beside the package, reads Google's style of
docstrings, searches in the browser and fetches nothing.
"""

import importlib
import pkgutil
from pathlib import Path

FOLDERS = (
    "ops",
    "models",
    "data",
    "evaluation",
    "training",
    "weights",
    "viz",
    "widgets",
    "reports",
)


def write_reference(out: Path) -> Path:
    """Writes the pages into the folder `out`; the path of the first one."""
    from labkit.quiet import import_tensorflow

    import_tensorflow()
    import pdoc
    import pdoc.render

    names = ["labkit", *_modules()]
    for name in names:  # before pdoc, which imports with parts of Python switched off
        importlib.import_module(name)
    pdoc.render.configure(docformat="google", show_source=False)
    pdoc.pdoc(*names, output_directory=out)
    return out / "index.html"


def _modules() -> list[str]:
    import labkit

    found = (module.name for module in pkgutil.walk_packages(labkit.__path__, "labkit."))
    return [name for name in found if name.split(".")[1] in FOLDERS]
