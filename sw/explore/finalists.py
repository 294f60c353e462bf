"""Finalists of a search, built: their clock and resources behind routing beside the modelled ones.

The steps of a build are kept, so a search that is gone on with does not build a finalist again.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from kaniwa.errors import BuildError
from kaniwa.explore.document import pareto, pll_mhz
from kaniwa.explore.outcome import Figures, Outcome
from kaniwa.explore.question import Question
from kaniwa.explore.search import Found
from kaniwa.explore.trial import compiled, figures_of
from kaniwa.parallel.workers import Workers

__all__ = ["Built", "build_finalist", "finalists", "verdict_of_builds"]


@dataclass(frozen=True)
class Built:
    """A found config, the target ``file``, that was built: its figures by the models, ``modelled``,
    and with clock and resources of the build.

    ``asked_mhz``: the clock that the router was asked for. ``clock_of_seed``: MHz, by seed; the
    figures have the slowest one's. ``seconds``: of the build, those of steps that were kept not
    counted. ``why``: what ended a build that failed, which has none of these.
    """

    file: str
    modelled: Figures
    figures: Figures | None = None
    asked_mhz: float | None = None
    clock_of_seed: Mapping[str, float] = dataclasses.field(default_factory=dict)
    bitstream: str = ""
    seconds: float = 0.0
    why: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self) | {"modelled": self.modelled.as_dict(),
                               "figures": self.figures.as_dict() if self.figures else None}


def finalists(found: Found, count: int) -> list[Outcome]:
    """The first ``count`` configs of the front that are no targets of the board."""
    return [one for one in pareto(found) if not one.target][:count]


def build_finalist(question: Question, one: Outcome, target: Path, seeds: int,
                   workers: Workers | None, progress: Callable[[str], None]) -> Built:
    """Build the bitstream of a found config beside its file ``target``, with its report and page.

    ``seeds``, ``workers``: as for ``kaniwa.boards.flow.build.build``. A build that a tool ends is
    told in what is returned; else it raises what that does.
    """
    from kaniwa.boards.floor.page import floor_page
    from kaniwa.boards.flow.build import build
    from kaniwa.boards.flow.report import write_reports

    board, config, modelled = question.board, one.config, one.figures
    assert config is not None and modelled is not None
    asked = pll_mhz(board, modelled.clock_mhz)
    try:
        made = build(board, str(target), seeds, target.parent, progress, asked, workers=workers)
    except BuildError as error:
        return Built(target.name, modelled, asked_mhz=asked, why=str(error))
    values = write_reports(made, floor_page(made))
    programs = [compiled(path, config, board.outside_at(made.target_mhz))
                for path in question.models]     # an SDRAM takes fewer cycles at a lower clock
    figures = figures_of(board, programs, values["clock_mhz"]["worst"], values["totals"])
    return Built(target.name, modelled, figures, made.target_mhz, values["clock_of_seed"],
                 values["bitstream"], made.seconds)


def verdict_of_builds(found: Found, builds: Sequence[Built]) -> str:
    """One sentence on the best build beside the board's target."""
    objective, target = found.question.objective, found.question.target
    costs = {one.file: one.figures.costs(objective) for one in builds if one.figures}
    if not costs:
        return "no finalist could be built"
    best = min(costs, key=lambda file: costs[file])
    preset = found.presets[target].figures
    if preset is None:
        return f"{best} is built, and {target} does not run it"
    was, now = getattr(preset, objective), costs[best][0]
    change = f"{abs(1 - now / was):.1%} {'less' if now < was else 'more'} than"
    return f"{best} is built: {objective} {'as of' if now == was else change} {target}"
