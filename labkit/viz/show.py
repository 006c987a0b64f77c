"""A figure in a notebook, with its alternative text.

Jupyter drops the alternative text of a PNG; only an HTML <img alt="…"> keeps it. So labkit shows
every figure with `show`.
"""

import base64
import io
import os
from html import escape

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from labkit.viz.fonts import any_script

DPI = 110  # sharp on a laptop, and a full-width figure has only a few hundred kilobytes


class Picture:
    """A rendered figure that notebooks show.

    Attributes:
        png: the bytes of the PNG.
        alt: the alternative text.
    """

    def __init__(self, png: bytes, alt: str):
        self.png = png
        self.alt = alt

    def save(self, path: str | os.PathLike) -> None:
        """Write the PNG."""
        with open(path, "wb") as file:
            file.write(self.png)

    def __repr__(self) -> str:
        return f"Picture: {self.alt}"

    def _repr_html_(self) -> str:
        data = base64.b64encode(self.png).decode("ascii")
        alt = escape(self.alt, quote=True)
        style = "max-width:100%;height:auto;background:white"
        return f'<img alt="{alt}" style="{style}" src="data:image/png;base64,{data}">'

    def mimebundle(self) -> dict:
        """HTML with the alternative text, and the bare PNG for viewers that drop HTML."""
        return {
            "text/html": self._repr_html_(),
            "image/png": base64.b64encode(self.png).decode("ascii"),
            "text/plain": repr(self),
        }

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict:
        return self.mimebundle()


def show(figure: Figure, alt: str, dpi: int = DPI, *, palette: bool = False) -> Picture:
    """Render a figure for a notebook.

    Args:
        figure: any matplotlib Figure.
        alt: for people who cannot see it: what is drawn, and what it shows.
        dpi: pixels per inch of the figure's size.
        palette: keep 256 colours only. PNG cannot compress photographs well; with a palette they
            take a third of the space in a saved notebook, and look the same at this size.

    Raises:
        ValueError: alt is empty.
    """
    if not alt.strip():
        raise ValueError('show: alt is empty; say in words what the figure shows: alt="…".')
    png = render_png(figure, dpi)
    return Picture(_with_palette(png) if palette else png, alt)


def render_png(figure: Figure, dpi: int = DPI) -> bytes:
    """The figure as PNG on opaque white, which is also readable in a dark theme."""
    FigureCanvasAgg(figure)
    buffer = io.BytesIO()
    with any_script(figure):
        figure.savefig(buffer, format="png", dpi=dpi, facecolor="white", transparent=False)
    return buffer.getvalue()


def _with_palette(png: bytes) -> bytes:
    """The PNG with the 256 colours that suit it best, dithered."""
    picture, buffer = Image.open(io.BytesIO(png)).convert("RGB"), io.BytesIO()
    picture.quantize(256, dither=Image.Dither.FLOYDSTEINBERG).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def save(figure: Figure, path: str | os.PathLike, dpi: int = DPI) -> None:
    """Write a figure to a file on opaque white; the ending is the format (png, pdf, svg)."""
    with any_script(figure):
        figure.savefig(path, dpi=dpi, facecolor="white", transparent=False)
