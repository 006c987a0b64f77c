"""Numbers in a notebook's prose, and whether its cells bear them out.

A number in prose is true only as long as the code that gave it is what it was. So every number in
a text cell must be found in the notebook itself: printed by a cell, or written in one's code. What
is neither (a year, a figure of a paper) is listed in the notebook's metadata, with its source.
"""

import re

# Not prose: code, formulas, addresses, HTML tags, folded solutions, headings' numbers.
_SOLUTION = re.compile(r"<details>.*?</details>", re.S)
_FENCE = re.compile(r"```.*?```", re.S)
_CODE = re.compile(r"`[^`\n]*`")
_FORMULA = re.compile(r"\$\$.*?\$\$|\$[^$\n]+\$", re.S)
_LINK = re.compile(r"\]\([^)]*\)|https?://\S+|<[^>]+>")
_NUMBER = re.compile(r"(?<![\w.])(\d{1,3}(?:,\d{3})+|\d+)(\.\d+)?(?![\w])")
SMALL = 10  # "three of 5 boxes": numbers up to here are words


def prose(source: str) -> str:
    """The text of a markdown cell that makes statements: no code, formulas, links or solutions."""
    for pattern in (_SOLUTION, _FENCE, _CODE, _FORMULA, _LINK):
        source = pattern.sub(" ", source)
    return re.sub(r"^#+ [\d.]*", "", source, flags=re.M)


def numbers(text: str) -> list[str]:
    """The numbers of a text as they stand there, without commas between thousands."""
    return [(whole + (part or "")).replace(",", "") for whole, part in _NUMBER.findall(text)]


def unsupported(notebook) -> list[tuple[str, str]]:
    """(number, the line it stands in) of all prose numbers that no cell's code or output holds.

    notebook: nbformat, run. Its metadata["labkit"]["given"] maps further numbers to their source.
    """
    known = set(notebook.metadata.get("labkit", {}).get("given", {}))
    for cell in notebook.cells:
        if cell.cell_type == "code":
            known |= set(_spellings(cell.source))
            for output in cell.get("outputs", []):
                text = output.get("text", "") + output.get("data", {}).get("text/plain", "")
                known |= set(_spellings(text))
    lines = [
        line
        for cell in notebook.cells
        if cell.cell_type == "markdown"
        for line in prose(cell.source).splitlines()
    ]
    return [
        (n, line.strip())
        for line in lines
        for n in numbers(line)
        if n not in known and not (n.isdigit() and int(n) <= SMALL)
    ]


def _spellings(text: str) -> set[str]:
    """Numbers of a text, 1_000 and 1,000 as 1000; 0.25 also as 25 (per cent)."""
    found = set(re.findall(r"\d+(?:\.\d+)?", re.sub(r"(?<=\d)[_,](?=\d{3})", "", text)))
    shares = {f"{100 * float(n):g}" for n in found if n.startswith("0.")}
    return found | shares
