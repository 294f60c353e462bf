"""A picture of what compressed networks cost: accuracy over cycles or bytes, with the front."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from pathlib import Path

from kaniwa.compression.arguments import choice
from kaniwa.compression.pareto import GOALS, Measured, front
from kaniwa.errors import InputError
from kaniwa.extras import needed
from kaniwa.files import write_atomic

__all__ = ["SUFFIXES", "plot"]

SUFFIXES = (".png", ".svg", ".pdf")


def plot(rows: Sequence[Measured], path: str | os.PathLike[str], cost: str = "cycles") -> None:
    """Write the picture of ``rows`` to ``path``, whose suffix is one of SUFFIXES.

    ``cost``: "cycles" or "bytes", to the right; the line joins the rows that no other one beats in
    accuracy and this cost. Raises InputError for wrong values, UnsupportedError without the extra
    ``notebook``, Error for a file that cannot be written.
    """
    path = Path(path)
    choice("cost", cost, GOALS)
    choice("suffix", path.suffix, SUFFIXES)
    if not rows:
        raise InputError("rows: expected one at least")
    with needed("a plot", "notebook"):
        from matplotlib.figure import Figure

    # Of the other cost nothing counts here.
    best = front([Measured(row.accuracy, getattr(row, cost), getattr(row, cost)) for row in rows])
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    axes.plot([getattr(row, cost) for row in rows], [100 * row.accuracy for row in rows], "o",
              label="choices")
    axes.plot([getattr(row, cost) for row in best], [100 * row.accuracy for row in best], "o-",
              label="not beaten")
    axes.set_xlabel(f"{cost} of an inference" if cost == "cycles" else "bytes of constants")
    axes.set_ylabel("accuracy, %")
    axes.grid(alpha=0.3)
    axes.legend()
    buffer = io.BytesIO()
    figure.savefig(buffer, format=path.suffix[1:])
    write_atomic(path, buffer.getvalue())
