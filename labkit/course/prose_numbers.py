"""Checks the numbers in a notebook's text cells against its code and outputs.

A number in the text becomes wrong when the code that produced it changes. So every number in a text
cell must occur in the notebook itself: in an output, or in code. Others (a year, a number from a
paper) are listed in the notebook's metadata, with their source.
"""

import re

# Not prose: code, formulas, addresses, HTML tags, folded solutions, headings' numbers.
_SOLUTION = re.compile(r"<details>.*?</details>", re.S)
_FENCE = re.compile(r"```.*?```", re.S)
_CODE = re.compile(r"`[^`\n]*`")
_FORMULA = re.compile(r"\$\$.*?\$\$|\$[^$\n]+\$", re.S)
_LINK = re.compile(r"\]\([^)]*\)|https?://\S+|<[^>]+>")
_NUMBER = re.compile(r"(?<![\w.])(\d{1,3}(?:,\d{3})+|\d+)(\.\d+)?(?![\w])")
SMALL = 10  # numbers up to here, as in "three of 5 boxes", are not checked


def prose(source: str) -> str:
    """The text of a markdown cell without code, formulas, links and solutions."""
    for pattern in (_SOLUTION, _FENCE, _CODE, _FORMULA, _LINK):
        source = pattern.sub(" ", source)
    return re.sub(r"^#+ [\d.]*", "", source, flags=re.M)


def numbers(text: str) -> list[str]:
    """The numbers of a text as they are written, without commas between thousands."""
    return [(whole + (part or "")).replace(",", "") for whole, part in _NUMBER.findall(text)]


def unsupported(notebook) -> list[tuple[str, str]]:
    """The numbers in the text that occur in no cell's code or output.

    Args:
        notebook: nbformat, with outputs. Its metadata["labkit"]["given"] maps further numbers to
            their source.

    Returns:
        (number, the line it is in) of each.
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
    """The numbers of code or output: 1_000 and 1,000 as 1000; 0.25 also as 25 (per cent)."""
    found = set(re.findall(r"\d+(?:\.\d+)?", re.sub(r"(?<=\d)[_,](?=\d{3})", "", text)))
    shares = {f"{100 * float(n):g}" for n in found if n.startswith("0.")}
    return found | shares
