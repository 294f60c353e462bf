"""What the notebooks share: the folder of models, and plots that everyone can read.

A notebook imports this module first: whatever is missing is then named in one line.
"""

import importlib
import io
import logging
import sys
import warnings
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))

import _needs  # noqa: F401
import matplotlib.pyplot as plt
from IPython.display import Image

import kaniwa  # noqa: F401

MODELS = Path(__file__).resolve().parents[2] / "models"

# Of Okabe and Ito: colours that people with any colour vision tell apart.
BLUE, ORANGE, GREEN, PINK, SKY, RED, YELLOW = COLORS = (
    "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442")
GREY = "#767676"
PHOTOGRAPH = 64     # rows of pixels

plt.rcParams.update({
    "figure.dpi": 96, "figure.constrained_layout.use": True, "font.size": 10,
    "axes.prop_cycle": plt.cycler(color=COLORS), "axes.titlesize": 11,
    "axes.spines.top": False, "axes.spines.right": False, "image.cmap": "cividis",
    "axes.titlelocation": "left", "legend.frameon": False,
})


def needs(*packages):
    """Import packages that not every notebook has; the first missing one ends the cell.

    PyTorch's parts warn of each other's future at length: from here on warnings are off.
    """
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    for package in packages:
        importlib.import_module(package)


def show_pictures(pictures, titles, columns=5, colors=None):
    """A grid of pictures, each below its title; as a JPEG where they are no pixel art."""
    rows = -(-len(pictures) // columns)
    size = min(1.75, 9 / columns)
    figure, axes = plt.subplots(rows, columns, figsize=(size * columns, (size + 0.25) * rows),
                                squeeze=False)
    for axis in axes.flat:
        axis.axis("off")
    for axis, picture, title, color in zip(axes.flat, pictures, titles,
                                           colors or ["black"] * len(pictures), strict=False):
        axis.imshow(picture, cmap="gray")
        axis.set_title(title, color=color, loc="center", fontsize=10)
    if len(pictures[0]) < PHOTOGRAPH:
        return figure
    file = io.BytesIO()
    figure.savefig(file, format="jpeg", bbox_inches="tight")
    plt.close(figure)
    return Image(file.getvalue())


def show_cycles(layers, title):
    """Bars of the layers' cycles: those with work on the array, and those lost."""
    names = [f"{number} {layer['op'].lower()}" for number, layer in enumerate(layers, 1)]
    lost = [sum(layer["lost"].values()) for layer in layers]
    work = [layer["cycles"] - wait for layer, wait in zip(layers, lost, strict=True)]
    figure, axis = plt.subplots(figsize=(8, 0.26 * len(layers) + 1.1))
    axis.barh(names, work, color=BLUE, label="the array works")
    axis.barh(names, lost, left=work, color=ORANGE, label="the array waits")
    axis.invert_yaxis()
    axis.set_xlabel("cycles")
    axis.set_title(title)
    axis.legend(loc="best")
    return figure
