"""The colours, chosen so that people with any kind of colour vision can distinguish them.

Sources: M. A. Petroff, "Accessible Color Sequences for Data Visualization", arXiv:2107.02270 (the
ten instance colours); M. Okabe and K. Ito, "Color Universal Design", 2008 (truth, prediction).
Colour is never the only sign: the ground truth is dashed, labels have names.
"""

from matplotlib.colors import to_rgb

TRUTH = "#0072B2"  # blue, drawn dashed
TRUTH_ON_DARK = "#56B4E9"  # sky blue, in a dark theme
PREDICTION = "#E69F00"  # orange, drawn solid

# The ten colours of the sequence, its greys moved to the end: grey boxes are hard to see in photos.
INSTANCES = (
    "#3f90da",  # blue
    "#ffa90e",  # orange
    "#bd1f01",  # red
    "#832db6",  # purple
    "#92dadd",  # light cyan
    "#a96b59",  # brown
    "#e76300",  # dark orange
    "#b9ac70",  # sand
    "#717581",  # dark grey
    "#94a4a2",  # grey
)
CROWD = "#717581"
FAINT = "#c3c7cb"
INK = "#1a1a1a"


def instance_color(index: int) -> str:
    """The colour of class or instance number `index`, counted from 0; they repeat after ten."""
    return INSTANCES[index % len(INSTANCES)]


def ink_on(color) -> str:
    """Black or white, whichever is easier to read on `color` (WCAG 2 relative luminance)."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(color)]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return "black" if (luminance + 0.05) ** 2 > 0.05 * 1.05 else "white"
