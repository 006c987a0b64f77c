"""The base class of all explorers: drawn in the browser, changed from Python or by the mouse.

An explorer is an `anywidget`: a JavaScript module (in `static/`) draws its traits and sends back
what the mouse changes. Its numbers come from labkit; what must keep up with the mouse is computed
in `static/geometry.js`, which the tests compare with labkit. Nothing is loaded from a network. A
page without a kernel shows a static picture.
"""

import base64
import io
from pathlib import Path
from string import Template

import anywidget
import numpy as np
import traitlets
from PIL import Image

from labkit.io.images import read_image
from labkit.viz import colors
from labkit.viz.show import Picture, show

_STATIC = Path(__file__).parent / "static"
# The form of an output that holds what a page without a kernel needs to show the explorer alive.
STATE = "application/vnd.labkit.explorer+json"


def script(*names: str) -> str:
    """The JavaScript of an explorer as one module: `common.js`, then the files `names`."""
    return "\n".join((_STATIC / name).read_text("utf-8") for name in ("common.js", *names))


def style() -> str:
    """The style sheet of all explorers, with the colours of labkit's figures."""
    sheet = Template((_STATIC / "common.css").read_text("utf-8"))
    return sheet.substitute({n: c for n, c in vars(colors).items() if isinstance(c, str)})


class Explorer(anywidget.AnyWidget):
    """An explorer: its traits can be set from code; a page without a kernel shows its picture.

    A subclass defines `_esm = script("its_module.js")`, its traits, and `draw()`. It sets
    `in_browser` if its JavaScript computes all that it shows, so that it needs no kernel.
    """

    in_browser = False
    _css = style()
    caption = traitlets.Unicode(help="What to try, shown above the drawing.").tag(sync=True)

    def draw(self):
        """The current state: a matplotlib Figure, and its description in words."""
        raise NotImplementedError(f"{type(self).__name__} must say how to draw its current state")

    def picture(self) -> Picture:
        """The current state as a static picture, as in the saved notebook."""
        figure, alt = self.draw()
        return show(figure, alt, dpi=80)

    def _repr_mimebundle_(self, **kwargs):
        bundle, metadata = super()._repr_mimebundle_(**kwargs)
        # A page without a kernel ignores the view that it cannot show and takes the picture.
        bundle |= self.picture().mimebundle()
        if self.in_browser:
            bundle[STATE] = {"explorer": name_of(type(self)), "values": self._browser_values()}
        return bundle, metadata

    def _browser_values(self) -> dict:
        """The traits that the JavaScript reads, as JSON."""
        own = {n: getattr(self, n) for n in self.trait_names(sync=True) if not n.startswith("_")}
        for name in ("layout", "tabbable", "tooltip"):  # of every widget
            own.pop(name, None)
        return {
            name: {"base64": base64.b64encode(value).decode()} if _is_bytes(value) else value
            for name, value in own.items()
        }


def name_of(explorer: type[Explorer]) -> str:
    """What a page calls a kind of explorer: the name of its module."""
    return explorer.__module__.rsplit(".", 1)[-1]


def _is_bytes(value) -> bool:
    return isinstance(value, (bytes, bytearray, memoryview))


def background(image, size) -> tuple[list[int], str]:
    """What boxes are drawn on: (height, width) and `data_url` of an image; without one size, ""."""
    if image is None:
        return list(size), ""
    pixels = read_image(image)
    return list(pixels.shape[:2]), data_url(pixels)


def data_url(image, quality: int = 88) -> str:
    """An image (array, path or PIL image) as a `data:` address that a browser can show."""
    pixels = read_image(image)
    buffer = io.BytesIO()
    # In small pictures single pixels matter, and JPEG would blur them.
    small = max(pixels.shape[:2]) <= 256
    kind, options = ("PNG", {}) if small else ("JPEG", {"quality": quality})
    Image.fromarray(np.asarray(pixels, np.uint8)).save(buffer, kind, **options)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"


def opened(url: str) -> np.ndarray:
    """The picture of a `data_url`, decoded: uint8 [H, W, 3]."""
    return read_image(base64.b64decode(url.split(",", 1)[1]))


def _plain_boxes(value, shape: tuple) -> list | None:
    """Boxes as nested lists of numbers; None if they are not boxes or of another shape."""
    try:
        boxes = np.asarray(value, np.float64)
    except (TypeError, ValueError):
        return None
    if boxes.size == 0 and shape == (None, 4):
        return []
    fits = boxes.ndim == len(shape) and all(
        n in (None, m) for n, m in zip(shape, boxes.shape, strict=True)
    )
    good = fits and np.isfinite(boxes).all() and (boxes[..., 2:] >= boxes[..., :2]).all()
    return boxes.tolist() if good else None


class Box(traitlets.TraitType):
    """A trait for one box (y1, x1, y2, x2) in pixels: finite, with y1 <= y2 and x1 <= x2.

    It accepts anything that NumPy turns into four numbers, also a tensor, and stores a list.
    """

    info_text = "a box (y1, x1, y2, x2) with y1 <= y2 and x1 <= x2"
    shape = (4,)

    def validate(self, obj, value):
        boxes = _plain_boxes(value, self.shape)
        if boxes is None:
            self.error(obj, value)
        return boxes


class Boxes(Box):
    """A trait for `count` boxes, or any number of boxes: [N, 4]. See `Box`."""

    def __init__(self, *args, count: int | None = None, **kwargs):
        super().__init__(*args, **kwargs)
        self.shape = (count, 4)
        some = "boxes" if count is None else f"{count} boxes"
        self.info_text = f"{some} (y1, x1, y2, x2), each with y1 <= y2 and x1 <= x2"
