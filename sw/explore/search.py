"""The search: Optuna proposes configs, trials measure them, and what came of each is kept."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kaniwa.config import AcceleratorConfig
from kaniwa.errors import ConfigError
from kaniwa.explore.area import searched_cores
from kaniwa.explore.outcome import Figures, Outcome, best
from kaniwa.explore.question import Question, outcome_of
from kaniwa.explore.space import (
    COMPACT,
    PIPELINED,
    Choice,
    choices,
    config_of,
    proposal_of,
    proposed,
)
from kaniwa.explore.study import open_study
from kaniwa.explore.trial import fits, routed_points, run_trials
from kaniwa.parallel.option import scheduler
from kaniwa.parallel.workers import Workers
from kaniwa.stage import Stage

if TYPE_CHECKING:
    from optuna import Study, Trial

    from kaniwa.boards.board import Board

__all__ = ["Found", "Search", "explore"]

BATCH = 8             # configs that are proposed before the first of them is measured
PROPOSALS = 12        # at most, for each config that is measured: others do not go together or fit
STARTS = 40           # proposals near the board's targets, before the sampler's own
MOST_CHANGED = 4      # choices of such a proposal that are not the target's
TIE = 0.02            # what the costs beside the objective count for, of the logarithms
Progress = Callable[[str], None]


@dataclass(frozen=True)
class Search:
    """How long to search and where. ``trials``: configs to measure, those in ``study`` beside.

    ``seed``: the same one proposes the same configs, with any number of ``jobs``, the processes,
    and on a ``scheduler``'s workers (``kaniwa.parallel.scheduler``), which take their place.
    """

    trials: int = 100
    seed: int = 0
    jobs: int = 1
    study: Path | None = None
    scheduler: str | None = None


@dataclass(frozen=True)
class Found:
    """What a search found. ``presets``: the board's targets, by name. ``outcomes``: of each config
    that was measured, or that came to nothing. ``refused``: how many of these for which reason.
    ``interrupted``: it was ended before."""

    question: Question
    presets: Mapping[str, Outcome]
    outcomes: Sequence[Outcome]
    refused: Mapping[str, int]
    interrupted: bool

    @property
    def best(self) -> Outcome | None:
        """The config with the least of the objective; a preset where none is better."""
        return best([*self.presets.values(), *self.outcomes], self.question.objective)


def explore(question: Question, search: Search, progress: Progress = lambda text: None) -> Found:
    """Search for a question's config. Ctrl-C ends it and keeps what there is.

    Raises InputError for a study that is of something else, UnsupportedError without the extra
    ``explore`` or where nothing is known of the board's family.
    """
    presets = {}
    outcomes: dict[str, Outcome] = {}
    refused: Counter[str] = Counter()
    interrupted = False
    with open_study(question, search.study, search.seed) as study:
        for target in question.board.targets:
            progress(Stage(f"{question.board.name}, {target}"))
            presets[target] = outcome_of(question, target)
        _recall(question, study, outcomes, refused)
        try:
            with scheduler(search.scheduler, search.jobs) as workers:
                _search(question, search, study, workers, outcomes, refused, progress)
        except KeyboardInterrupt:
            interrupted = True
    return Found(question, presets, tuple(outcomes.values()), refused, interrupted)


def _search(question: Question, search: Search, study: Study, workers: Workers,
            outcomes: dict[str, Outcome], refused: Counter[str], progress: Progress) -> None:
    board = question.board
    kinds = searched_cores(board)
    cores = tuple(name for name, compact in ((PIPELINED, False), (COMPACT, True))
                  if compact in kinds)
    if not study.trials:
        for start in _starts(board, cores, search):
            study.enqueue_trial({name if name == "core" else f"{start['core']}.{name}": value
                                 for name, value in start.items()})
    done, asked = 0, 0
    while done < search.trials and asked < PROPOSALS * search.trials:
        batch: list[tuple[Trial, AcceleratorConfig]] = []
        while len(batch) < min(BATCH, search.trials - done) and (
                asked < PROPOSALS * search.trials):
            asked += 1
            trial = study.ask()
            config = _legal(question, study, trial, cores, outcomes, refused)
            if config is not None:
                batch.append((trial, config))
        works = [question.work(config) for _, config in batch]
        for (trial, config), outcome in zip(batch, run_trials(works, workers), strict=True):
            progress(Stage("searching", done, search.trials, "configs"))
            outcomes[config.hash] = outcome
            _tell(question, study, trial, outcome, refused)
            done += 1


def _starts(board: Board, cores: tuple[str, ...], search: Search) -> Iterator[dict[str, Choice]]:
    """The first proposals: the board's targets and what was routed for it, and these with a few
    choices changed.

    Of choices made at random most do not fit a device that a target nearly fills.
    """
    configs = {config.hash: config for config in (
        *map(board.config, board.targets), *(one.accelerator for one in routed_points(board)))}
    known = [start for config in configs.values()
             if (start := proposal_of(board, config)) and start["core"] in cores]
    yield from known
    draw = random.Random(search.seed)
    for _ in range(STARTS if known else 0):
        start = draw.choice(known)
        own = choices(board, str(start["core"]))
        changed = draw.sample(sorted(own), draw.randint(1, MOST_CHANGED))
        yield start | {name: draw.choice(own[name]) for name in changed}


def _legal(question: Question, study: Study, trial: Trial, cores: tuple[str, ...],
           outcomes: dict[str, Outcome], refused: Counter[str]) -> AcceleratorConfig | None:
    """The config of a proposal that is worth measuring; the study is told of others at once."""
    def choose(name: str, values: tuple[Choice, ...]) -> Choice:
        chosen: Choice = trial.suggest_categorical(name, values)
        return chosen

    proposal = proposed(question.board, cores, choose)
    try:
        config = config_of(question.board, proposal)
    except ConfigError as error:
        _tell(question, study, trial, Outcome(None, None, "fields do not go together", str(error)),
              refused)
        return None
    known = outcomes.get(config.hash)
    if known is None:
        known = fits(question.board, config)
        if known is None:
            return config
        outcomes[config.hash] = known
        _tell(question, study, trial, known, refused)
    else:
        _tell(question, study, trial, known, Counter())   # counted when it came first
    return None


def _tell(question: Question, study: Study, trial: Trial, outcome: Outcome,
          refused: Counter[str]) -> None:
    """Tell the study what came of a trial, and keep that with it."""
    from optuna.trial import TrialState

    trial.set_user_attr("outcome", _kept(outcome))
    if outcome.figures is None:
        refused[outcome.kind] += 1
        study.tell(trial, state=TrialState.PRUNED)
    else:
        first, *others = outcome.figures.costs(question.objective)
        study.tell(trial, math.log(first) + TIE * sum(map(math.log, others)))


def _kept(outcome: Outcome) -> dict[str, Any]:
    return {"config": outcome.config.as_dict() if outcome.config else None,
            "figures": outcome.figures.as_dict() if outcome.figures else None,
            "kind": outcome.kind, "why": outcome.why, "needed_bytes": outcome.needed_bytes}


def _recall(question: Question, study: Study, outcomes: dict[str, Outcome],
            refused: Counter[str]) -> None:
    """Take the outcomes of a study's trials of before."""
    for kept in _outcomes(study):
        config = None if kept["config"] is None else AcceleratorConfig(
            **kept["config"], name="explored")
        if config is not None and config.hash in outcomes:
            continue
        if kept["figures"] is None:
            refused[kept["kind"]] += 1
        if config is not None:
            figures = kept["figures"] and Figures.of(kept["figures"])
            outcomes[config.hash] = Outcome(config, figures, kept["kind"], kept["why"],
                                            kept["needed_bytes"])


def _outcomes(study: Study) -> Iterator[dict[str, Any]]:
    for trial in study.trials:
        if "outcome" in trial.user_attrs:
            yield trial.user_attrs["outcome"]
