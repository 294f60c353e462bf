"""A search over recipes: the fewest cycles or bytes for an accuracy that is given.

Optuna proposes what to try (Akiba et al., "Optuna: a next-generation hyperparameter optimization
framework", KDD 2019; its sampler is a tree-structured Parzen estimator). What a proposal costs is
measured by the caller's function: ``kaniwa.compression.pytorch.measure`` has one with compiler and
cycle model in the loop.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from numbers import Real

from kaniwa.compression.arguments import choice, share, whole_number
from kaniwa.compression.pareto import GOALS, Measured, Value
from kaniwa.data.arguments import expect, expect_each, expect_function
from kaniwa.errors import InputError
from kaniwa.extras import needed
from kaniwa.quantization.recipe import Progress
from kaniwa.stage import Stage

__all__ = ["search"]

Space = Mapping[str, Sequence[Value]]
Measure = Callable[[dict[str, Value]], Measured]
TOO_FEW = 10.0      # above all that is accurate enough: the rest is ordered by what is missing


def search(space: Space, measure: Measure, trials: int, *, least_accuracy: float,
           goal: str = "cycles", seed: int = 0, known: Sequence[Measured] = (),
           progress: Progress = lambda text: None) -> list[Measured]:
    """Rows of ``known`` and of at most ``trials`` new choices from ``space``, in this order.

    ``space``: the values of each name, as "layer.sparsity". ``measure`` is called with a value for
    each name. ``goal``: "cycles" or "bytes", to be few where the accuracy is ``least_accuracy`` at
    least. ``known``: rows of an earlier search in the same space, which are not measured again; a
    caller who keeps rows goes on after Ctrl-C. A choice that was measured is not measured again,
    so a small space may end before ``trials``. The same arguments give the same rows.

    Raises InputError, UnsupportedError without the extra ``compress``, and what ``measure`` raises.
    """
    _check(space, known)
    expect_function("measure", measure)
    whole_number("trials", trials, 1)
    share("least accuracy", least_accuracy)
    choice("goal", goal, GOALS)
    with needed("a search", "compress"):
        import optuna
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    distributions = {name: optuna.distributions.CategoricalDistribution(tuple(values))
                     for name, values in space.items()}
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(
        seed=whole_number("seed", seed, 0), n_startup_trials=min(10, trials)))
    rows = list(known)
    found = {_key(row.choice): row for row in rows}
    for row in rows:
        study.add_trial(optuna.trial.create_trial(
            params=dict(row.choice), distributions=distributions,
            value=_value(row, rows, least_accuracy, goal)))
    most = math.prod(map(len, space.values()))
    done = 0
    # Proposals repeat themselves where little is left; these cost no measurement, but time.
    for _ in range(20 * trials):
        if done == trials or len(found) == most:
            break
        trial = study.ask(distributions)
        key = _key(trial.params)
        if key not in found:
            progress(Stage("measuring a choice", done, trials, "choices"))
            found[key] = measure(dict(trial.params))
            rows.append(found[key])
            done += 1
        study.tell(trial, _value(found[key], rows, least_accuracy, goal))
    return rows


def _check(space: Space, known: Sequence[Measured]) -> None:
    """Raises InputError where there is nothing to choose from, or a known row is of elsewhere."""
    expect("space", space, Mapping)
    if not space:
        raise InputError("space: expected one name with values at least")
    for name, values in space.items():
        own = expect_each(f"space: '{name}'", values, str, bool, Real)
        if not own or len(set(own)) < len(own):
            raise InputError(f"space: '{name}' has the values {values!r}: expected one at least, "
                             "each once")
    for row in expect_each("known", known, Measured):
        if set(row.choice) != set(space) or any(row.choice[n] not in v for n, v in space.items()):
            raise InputError(f"known: {dict(row.choice)} is no choice of the space")


def _key(choice: Mapping[str, Value]) -> tuple[tuple[str, Value], ...]:
    return tuple(sorted(choice.items()))


def _value(row: Measured, rows: Sequence[Measured], least_accuracy: float, goal: str) -> float:
    """What the search makes small: the goal beside that of the first row, or what is missing."""
    if row.accuracy < least_accuracy:
        return TOO_FEW + least_accuracy - row.accuracy
    return min(getattr(row, goal) / max(1, getattr(rows[0], goal)), TOO_FEW)
