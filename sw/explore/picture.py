"""A picture of what was tried: latency over area, energy as colour, the front and the targets."""

from __future__ import annotations

import io

from kaniwa.explore.document import pareto
from kaniwa.explore.search import Found
from kaniwa.extras import needed

__all__ = ["picture"]


def picture(found: Found) -> bytes:
    """An SVG of all configs with figures, of which there is one at least; the same for the same.

    Raises UnsupportedError without the extra ``explore``.
    """
    with needed("a picture", "explore"):
        import matplotlib
        from matplotlib.figure import Figure

    tried = [one.figures for one in found.outcomes if one.figures]
    best = [one.figures for one in pareto(found) if one.figures]
    with matplotlib.rc_context({"svg.hashsalt": "kaniwa", "svg.fonttype": "none"}):
        figure = Figure(figsize=(7, 4.5), layout="constrained")
        axes = figure.subplots()
        drawn = axes.scatter([one.area for one in tried], [one.latency for one in tried],
                             c=[one.energy for one in tried], s=14, cmap="viridis",
                             label="configs")
        axes.scatter([one.area for one in best], [one.latency for one in best], s=60,
                     facecolors="none", edgecolors="black", label="not beaten")
        for name, one in found.presets.items():
            if one.figures:
                axes.plot(one.figures.area, one.figures.latency, "r^", label=name)
        if tried:
            figure.colorbar(drawn, label="energy, uJ")
        axes.set_yscale("log")
        axes.set_xlabel(f"mean share of {found.question.board.name}'s resources, %")
        axes.set_ylabel("computing time of one inference of each model, ms")
        axes.grid(alpha=0.3, which="both")
        axes.legend()
        buffer = io.BytesIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()
