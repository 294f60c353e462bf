"""Split of a model into stages, one for each device of a pipeline, by cycles and by the line."""

from __future__ import annotations

import math
from collections.abc import Callable
from numbers import Integral
from typing import Any

from kaniwa.config import AcceleratorConfig
from kaniwa.data.arguments import expect
from kaniwa.driver.device_clock import CLOCK_MHZ
from kaniwa.errors import CompileError, InputError, MemoryTooSmallError
from kaniwa.graph import Graph
from kaniwa.pool.channels import channel_cuts, whole_cuts
from kaniwa.pool.cut_search import NONE, Expected, better_cuts
from kaniwa.pool.stage_maker import Stage, StageMaker

__all__ = ["Stage", "split"]

# A layer is cut between channels where the slowest stage gets quicker by this share: its input goes
# to two devices then.
WORTH_IT = 0.05


def split(graph: Graph, devices: int, target: AcceleratorConfig, *, pace: float | None = None,
          clock_mhz: float = CLOCK_MHZ, progress: Callable[[str], None] | None = None,
          **options: Any) -> list[Stage]:
    """``graph`` in as many stages as there are ``devices``, the slowest of which is quick.

    A stage's time is its cycles at ``clock_mhz`` and its inputs and outputs on a line of ``pace``
    bytes a second (None: they take no time). Cuts are first put where the cycles of the whole
    model's layers and the bytes that cross say, and put anew with what compiling their stages told.
    Then each is moved as long as the slowest stage gets quicker. A layer's channels are shared out
    among stages where that is worth it.

    ``options`` are those of ``compile``; without ``outside`` a stage gets as much as it needs,
    which simulators add, and with "none" it has device memory alone. Raises CompileError where the
    model has no place for so many cuts (none divides what belongs to a state), InputError for a
    ``pace`` that is none, MemoryTooSmallError
    where no cuts were found whose stages fit, and what ``compile`` raises.
    """
    expect("graph", graph, Graph)
    if expect("devices", devices, Integral) < 1:
        raise CompileError(f"{graph.name}: a pipeline has at least one device, not {devices}")
    if pace is not None and not 0 < pace < math.inf:
        raise InputError(f"{graph.name}: a line has a pace above 0 bytes a second, not {pace}")
    maker = StageMaker(graph, target, pace, clock_mhz, progress, options)
    whole = whole_cuts(graph)
    places = sorted([*whole, *channel_cuts(graph, target.out_lanes)])
    if len(places) < devices - 1:
        raise CompileError(f"{graph.name}: can be cut in {len(places)} places, which makes "
                           f"{len(places) + 1} stages, not {devices}: use fewer devices")
    expected = Expected(maker)
    between = better_cuts(expected, whole, devices)
    lacking, seconds = NONE if between is None else maker.cost(between)
    within = better_cuts(expected, places, devices, (lacking, (1 - WORTH_IT) * seconds))
    cuts = between if within is None else within
    assert cuts is not None
    try:
        return maker.stages(cuts)
    except MemoryTooSmallError as error:
        raise MemoryTooSmallError(f"{error}, or more devices", error.needed_bytes) from None
