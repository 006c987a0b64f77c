"""`make site`: the course as pages that link to each other, without a kernel or a network.

    python -m labkit.course.web.site OUT [--root .] [--repository OWNER/NAME] [--reference]

OUT gets one page for each notebook and each document in docs/, an index and a search. Each page is
a single file: pictures, formulas and explorers are inside. Explorers that compute everything in the
browser can be dragged there; the others show their static picture. --repository adds links that
open a notebook in Colab and Binder, --reference the reference of the package, in OUT/api.
"""

import argparse
import re
import sys
from collections.abc import Collection
from html import escape
from pathlib import Path

import nbformat

from labkit.course.notebooks import command
from labkit.course.web.page import body, document, page, title_of
from labkit.course.web.reference import write_reference
from labkit.course.web.search import search_page, sections
from labkit.io.data_files import write_text

DOCUMENTS = ("glossary", "lesson_plan", "related_work")


def build(
    root: Path, out: Path, repository: str | None = None, reference: bool = False
) -> list[Path]:
    """Writes the pages of the course into a folder.

    Args:
        root: the folder with notebooks/ and docs/.
        out: the folder to write to.
        repository: "owner/name" on GitHub, for links that open a notebook in Colab and Binder;
            without it there are none.
        reference: whether the reference of the package is written, too, to `out/api`.

    Returns:
        The paths of the pages; of the reference only its first one.
    """
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
    api = [write_reference(out / "api")] if reference else []
    index = _index(titles, sources, reference)
    pages, found = {"index": page("labkit: instance segmentation, step by step", index)}, []
    for name, notebook in notebooks.items():
        main, alive = body(notebook, root / "notebooks", link)
        found += sections(name, main)
        launch = _launch(repository, name) if repository and name in sources else ""
        navigation = _navigation(name, titles, launch)
        pages[name] = page(titles[name], main, alive=alive, navigation=navigation)
    pages["search"] = page("Search", search_page(found, titles), navigation=f"<ul>{_START}</ul>")
    for name, html in pages.items():
        write_text(out / f"{name}.html", html)
    return [out / f"{name}.html" for name in pages] + api


_START = '<li><a href="index.html">Course</a></li><li><a href="search.html">Search</a></li>'


def _launch(repository: str, name: str) -> str:
    """Links that open a notebook where it can be run."""
    places = {
        "Colab": f"colab.research.google.com/github/{repository}/blob/main/notebooks/{name}.ipynb",
        "Binder": f"mybinder.org/v2/gh/{repository}/main?urlpath=lab/tree/notebooks/{name}.ipynb",
    }
    return "".join(
        f'<li><a href="https://{escape(address)}">Run in {place}</a></li>'
        for place, address in places.items()
    )


def _navigation(here: str, titles: dict[str, str], launch: str) -> str:
    """The course's start, the search, and the pages before and after this one."""
    names = list(titles)
    at = names.index(here)
    items = [_START]
    for word, place in (("Previous", at - 1), ("Next", at + 1)):
        if 0 <= place < len(names):
            name = names[place]
            items.append(f'<li>{word}: <a href="{name}.html">{escape(titles[name])}</a></li>')
    return f"<ul>{''.join(items)}{launch}</ul>"


def _index(titles: dict[str, str], lessons: Collection[str], reference: bool) -> str:
    def entries(names):
        return "".join(f'<li><a href="{n}.html">{escape(titles[n])}</a></li>' for n in names)

    api = '<li><a href="api/index.html">Reference of the package</a></li>' if reference else ""
    return (
        "<h1>Instance segmentation, step by step</h1>"
        "<p>A course on Mask R-CNN and its relatives. These pages are the notebooks as they were "
        "run last. Explorers in a frame can be dragged here; to run the code, change it and solve "
        "the exercises, install labkit and open the notebooks.</p>"
        f"<h2>Notebooks</h2><ul>{entries(n for n in titles if n in lessons)}</ul>"
        f"<h2>Documents</h2><ul>{entries(n for n in titles if n not in lessons)}{api}"
        '<li><a href="search.html">Search the course</a></li></ul>'
    )


def _repository(name: str) -> str:
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", name):
        raise argparse.ArgumentTypeError(f"{name!r} is no OWNER/NAME")
    return name


def main(arguments=None) -> int:
    parser = command("web.site", __doc__)
    parser.add_argument("out", type=Path, metavar="OUT")
    parser.add_argument("--root", type=Path, default=Path("."), help="the folder with notebooks/")
    parser.add_argument("--repository", type=_repository, metavar="OWNER/NAME", help="on GitHub")
    parser.add_argument("--reference", action="store_true", help="of the package, in OUT/api")
    options = parser.parse_args(arguments)
    for path in build(options.root, options.out, options.repository, options.reference):
        print(f"{path}: {path.stat().st_size / 1024:.0f} KiB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
