"""The page of a bitstream: summary, floor, occupancy and critical path, in one file."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any

from kaniwa.boards.floor.path import read_parts
from kaniwa.boards.floor.sites import LACKS
from kaniwa.boards.floor.view import OTHER, View, make_view, size
from kaniwa.boards.flow.build import Bitstream

__all__ = ["floor_page"]

PARTS = ("floor.html", "floor.css", "floor.js")


def floor_page(built: Bitstream) -> str:
    """The page as HTML. BuildError where a kept file of place-and-route is damaged."""
    view = make_view(built)
    width, height = size(view.grid)
    text: str = _template().render(
        built=built, view=view, width=width, height=height, other=OTHER,
        lacks=LACKS[built.board.family], parts=read_parts(view.hops),
        seed_clocks=_seed_clocks(built), again=_again(built),
        has_other=any(OTHER in block.cells for block in view.blocks), css=_part("floor.css"),
        script=_part("floor.js"), description=_description(built, view))
    return text


def _seed_clocks(built: Bitstream) -> list[tuple[int, float, bool]]:
    """Each seed with its clock, and whether that is the one asked for."""
    return [(seed, timing.mhz, timing.mhz >= built.target_mhz)
            for seed, timing in built.timings.items()]


def _again(built: Bitstream) -> str:
    """The command that makes the page with the floor where it is missing."""
    return (f"kaniwa bitstream --board {built.board.name} --target {built.target} "
            f"--seeds {len(built.timings)} --clock-mhz {built.target_mhz:g} --page FILE.html")


def _description(built: Bitstream, view: View) -> str:
    """The floor in words, for those who do not see it."""
    if not view.placed:
        return (f"The grid of {built.board.title} with its critical path; the place of the blocks "
                "is not known.")
    shares = ", ".join(f"{block.title} {100 * block.total / view.cells:.0f} %"
                       for block in view.blocks[:6])
    return (f"Floor of {built.board.title}: {view.cells:,} cells of {len(view.blocks)} blocks on "
            f"{view.grid.width} by {view.grid.height} tiles. The largest are {shares}. "
            "The table of occupancy has all.")


@cache
def _part(name: str) -> str:
    return files(__package__).joinpath(name).read_text("utf-8")


@cache
def _template() -> Any:
    from jinja2 import DictLoader, Environment, StrictUndefined

    environment = Environment(
        loader=DictLoader({name: _part(name) for name in PARTS}), autoescape=True,
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["count"] = lambda number: f"{number:,}"
    environment.filters["ns"] = lambda number: f"{number:.2f}"
    environment.filters["share"] = _share
    return environment.get_template("floor.html")


def _share(part: int, whole: int) -> str:
    """A percentage with as many digits as it needs."""
    if not part or not whole:
        return ""
    percent = 100 * part / whole
    if percent < 0.05:
        return "< 0.1 %"
    return f"{percent:.0f} %" if percent >= 9.95 else f"{percent:.1f} %"
