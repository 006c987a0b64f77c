"""`make site`: the course as pages that link to each other, without a kernel or a network.

    python -m labkit.course.web.site OUT [--root .]

OUT gets one page for each notebook and each document in docs/, and an index. Each page is a single
file: pictures, formulas and explorers are inside. Explorers that compute everything in the browser
can be dragged there; the others show their static picture.
"""

import sys
from collections.abc import Collection
from html import escape
from pathlib import Path

import nbformat

from labkit.course.notebooks import command
from labkit.course.web.page import body, document, page, title_of
from labkit.io.data_files import write_text

DOCUMENTS = ("glossary", "lesson_plan", "related_work")


def build(root: Path, out: Path) -> list[Path]:
    """Writes the pages of the course in `root` into the folder `out`; their paths."""
    sources = {p.stem: p for p in sorted((root / "notebooks").glob("*.ipynb"))}
    documents = {n: root / "docs" / f"{n}.md" for n in DOCUMENTS}
    documents = {name: path for name, path in documents.items() if path.is_file()}
    notebooks = {name: nbformat.read(path, as_version=4) for name, path in sources.items()}
    for name, path in documents.items():
        notebooks[name] = document(path.read_text("utf-8"))
    titles = {name: title_of(notebook) for name, notebook in notebooks.items()}

    def link(target: str) -> str:
        name = Path(target).stem
        return f"{name}.html" if name in notebooks else ""

    out.mkdir(parents=True, exist_ok=True)
    pages = {"index": page("labkit: instance segmentation, step by step", _index(titles, sources))}
    for name, notebook in notebooks.items():
        main, alive = body(notebook, root / "notebooks", link)
        navigation = _navigation(name, titles)
        pages[name] = page(titles[name], main, alive=alive, navigation=navigation)
    for name, html in pages.items():
        write_text(out / f"{name}.html", html)
    return [out / f"{name}.html" for name in pages]


def _navigation(here: str, titles: dict[str, str]) -> str:
    """The course's start, and the pages before and after this one."""
    names = list(titles)
    at = names.index(here)
    items = ['<li><a href="index.html">Course</a></li>']
    for word, place in (("Previous", at - 1), ("Next", at + 1)):
        if 0 <= place < len(names):
            name = names[place]
            items.append(f'<li>{word}: <a href="{name}.html">{escape(titles[name])}</a></li>')
    return f"<ul>{''.join(items)}</ul>"


def _index(titles: dict[str, str], lessons: Collection[str]) -> str:
    def entries(names):
        return "".join(f'<li><a href="{n}.html">{escape(titles[n])}</a></li>' for n in names)

    return (
        "<h1>Instance segmentation, step by step</h1>"
        "<p>A course on Mask R-CNN and its relatives. These pages are the notebooks as they were "
        "run last. Explorers in a frame can be dragged here; to run the code, change it and solve "
        "the exercises, install labkit and open the notebooks.</p>"
        f"<h2>Notebooks</h2><ul>{entries(n for n in titles if n in lessons)}</ul>"
        f"<h2>Documents</h2><ul>{entries(n for n in titles if n not in lessons)}</ul>"
    )


def main(arguments=None) -> int:
    parser = command("web.site", __doc__)
    parser.add_argument("out", type=Path, metavar="OUT")
    parser.add_argument("--root", type=Path, default=Path("."), help="the folder with notebooks/")
    options = parser.parse_args(arguments)
    for path in build(options.root, options.out):
        print(f"{path}: {path.stat().st_size / 1024:.0f} KiB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
