"""A self-contained HTML page: sections with a table of contents, tables and figures.

The page loads nothing from elsewhere (a Content-Security-Policy forbids it), follows the reader's
light or dark theme, and escapes every text that it is given.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

from matplotlib.figure import Figure

from labkit.viz.show import show

STYLE = """
:root { color-scheme: light dark; --ink: #1a1a1a; --paper: #ffffff; --line: #c3c7cb;
        --quiet: #555b61; --band: #f2f4f6; --link: #005a9c; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e8eaec; --paper: #16181b; --line: #44494f; --quiet: #a8aeb4; --band: #212428;
          --link: #7db8ee; } }
body { color: var(--ink); background: var(--paper); font: 16px/1.5 system-ui, sans-serif;
       max-width: 72rem; margin: 0 auto; padding: 1rem 1.5rem 4rem; }
h1 { line-height: 1.2; } h2 { margin-top: 2.5rem; border-bottom: 1px solid var(--line); }
a { color: var(--link); } p.quiet, caption, figcaption { color: var(--quiet); }
nav ol { columns: 2 18rem; }
.wide { overflow-x: auto; margin: 1rem 0; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
caption { text-align: left; padding-bottom: .3rem; }
th, td { padding: .2rem .7rem; text-align: right; border-bottom: 1px solid var(--line); }
th[scope=row], th:first-child, .words { text-align: left; } thead th { background: var(--band); }
td.best { font-weight: 700; } td.best::after { content: " *"; }
figure { margin: 1rem 0; } img { max-width: 100%; height: auto; background: white; }
"""
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


@dataclass
class Page:
    """Sections in order; `html` makes them a page.

    Attributes:
        title: of the page.
        intro: a paragraph below the title.
        sections: (title, blocks of HTML).
    """

    title: str
    intro: str = ""
    sections: list[tuple[str, list[str]]] = field(default_factory=list)

    def section(self, title: str) -> list[str]:
        """Begins a section; append blocks of HTML to the list that is returned."""
        self.sections.append((title, []))
        return self.sections[-1][1]

    def html(self) -> str:
        items, bodies = [], []
        for number, (title, blocks) in enumerate(self.sections, 1):
            items.append(f"<li><a href='#s{number}'>{escape(title)}</a></li>")
            body = "\n".join(blocks)
            bodies.append(
                f"<section aria-labelledby='s{number}'>"
                f"<h2 id='s{number}'>{escape(title)}</h2>\n{body}</section>"
            )
        contents = "".join(items)
        return (
            "<!DOCTYPE html>\n<html lang='en'><head><meta charset='utf-8'>"
            f"<meta http-equiv='Content-Security-Policy' content=\"{POLICY}\">"
            "<meta name='viewport' content='width=device-width, initial-scale=1'>"
            f"<title>{escape(self.title)}</title><style>{STYLE}</style></head>\n<body>"
            f"<header><h1>{escape(self.title)}</h1>{paragraph(self.intro)}</header>\n"
            f"<nav aria-label='Contents'><ol>{contents}</ol></nav>\n"
            f"<main>{''.join(bodies)}</main></body></html>\n"
        )


def paragraph(text: str, quiet: bool = False) -> str:
    kind = " class='quiet'" if quiet else ""
    return f"<p{kind}>{escape(text)}</p>" if text else ""


def figure(drawn: Figure, alt: str, caption: str = "") -> str:
    """A figure as an image inside the page; alt describes it in words."""
    words = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    return f"<figure>{show(drawn, alt)._repr_html_()}{words}</figure>"


def table(
    heads: Sequence[str],
    rows: Sequence[Sequence],
    caption: str = "",
    *,
    best: str | None = None,
) -> str:
    """A table whose first column names the rows.

    Floats get three digits, -1 and NaN a dash. Text is aligned to the left, numbers to the right.

    Args:
        heads: of the columns.
        rows: the name of each row, then its values.
        caption: of the table.
        best: "row" or "column" marks the highest float of each row or column, unless all are equal.
    """
    marked = _best(rows, best) if best else set()
    words = {c for c in range(len(heads)) if all(isinstance(row[c], str) for row in rows)}
    head = "".join(
        f"<th scope='col'{_kind(c in words, False)}>{escape(str(text))}</th>"
        for c, text in enumerate(heads)
    )
    body = []
    for r, (name, *values) in enumerate(rows):
        cells = "".join(
            f"<td{_kind(c + 1 in words, (r, c) in marked)}>{_text(value)}</td>"
            for c, value in enumerate(values)
        )
        body.append(f"<tr><th scope='row'>{escape(str(name))}</th>{cells}</tr>")
    if marked:
        caption += f" The best of each {best} is bold, with a star."
    return (
        f"<div class='wide' tabindex='0' role='region' aria-label='{escape(caption or 'table')}'>"
        f"<table><caption>{escape(caption.strip())}</caption>"
        f"<thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table></div>"
    )


def _kind(words: bool, best: bool) -> str:
    return " class='words'" if words else " class='best'" if best else ""


def _text(value) -> str:
    if isinstance(value, float):
        return "–" if value == -1 or value != value else f"{value:.3f}"
    return escape(f"{value:,}" if isinstance(value, int) else str(value))


def _best(rows: Sequence[Sequence], of: str) -> set[tuple[int, int]]:
    cells = {
        (r, c): value
        for r, (_, *values) in enumerate(rows)
        for c, value in enumerate(values)
        if isinstance(value, float) and value >= 0
    }
    groups: dict[int, list] = {}
    for place in cells:
        groups.setdefault(place[0 if of == "row" else 1], []).append(place)
    best = set()
    for places in groups.values():
        highest = max(cells[place] for place in places)
        if len({cells[place] for place in places}) > 1:
            best |= {place for place in places if cells[place] == highest}
    return best
