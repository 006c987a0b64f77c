"""The course as web pages and as slides, made from the saved notebooks: no kernel, no network.

page        the text cells, code and outputs of a notebook as HTML
formulas    LaTeX as MathML, which browsers draw themselves
explorers   explorers that answer in the browser alone
search      the search of the site: an index and a script in one page
reference   the package's reference from its docstrings
site        `make site`: all notebooks and documents as pages that link to each other
slides      `make slides`: each notebook as one file to present from
"""
