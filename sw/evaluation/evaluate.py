"""``kaniwa.evaluate``: a model's accuracy over labelled data, on any device."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from numbers import Integral
from os import PathLike
from typing import Any, Unpack

import numpy as np

from kaniwa.commands.progress import progress
from kaniwa.data.arguments import expect, expect_each
from kaniwa.driver.runner import OpenOptions, Runner, check_options
from kaniwa.errors import InputError
from kaniwa.evaluation.accuracy import Accuracy
from kaniwa.evaluation.labelled import Prepare, labelled
from kaniwa.graph import Graph
from kaniwa.program.program import Program
from kaniwa.stage import Stage

__all__ = ["Evaluation", "evaluate"]


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What ``evaluate`` found.

    ``top`` is the share of inferences whose label is among the first k answers, by k.
    ``predictions`` are the first answers. ``confusion`` counts by class: a row for each label, a
    column for each prediction. ``cycles`` are the device's, of all inferences; 0 on golden.
    ``seconds`` passed on the host.
    """

    inferences: int
    correct: int
    accuracy: float
    top: dict[int, float]
    predictions: np.ndarray
    labels: np.ndarray
    confusion: np.ndarray
    cycles: int
    seconds: float
    device: str
    target: str


def evaluate(model: str | PathLike[str] | Graph | Program, data: Any, *,
             top: int | Sequence[int] = 1, limit: int | None = None, uint8: bool = False,
             prepare: Prepare | None = None, **options: Unpack[OpenOptions]) -> Evaluation:
    """Accuracy of ``model`` over ``data``; the answers are the first output's largest classes.

    ``data``: a pair (x, y) of arrays, an iterable of pairs of a sample or a batch with its labels
    (a PyTorch DataLoader is one), or an ``.npz`` file with x and y. ``prepare`` is called with
    each array of inputs before it is split into inferences. Floats for an integer input are
    quantized; with ``uint8``, uint8 data for an int8 input is taken as x - 128. ``top`` is one k
    or several, ``limit`` the most inferences to run. Each begins with cleared state.
    ``options`` are target, device and others of ``OpenOptions``.

    Raises InputError for data that do not fit the model, and what ``compile`` and ``open`` raise.
    """
    check_options(options, OpenOptions, "evaluate()")
    began = time.perf_counter()
    accuracy = Accuracy((top,) if isinstance(top, int) else expect_each("top", top, Integral))
    if limit is not None:
        expect("limit", limit, Integral)
    with progress("evaluating") as update:
        update("compiling")
        runner = Runner(model, options)
        try:
            inferences = islice(labelled(data, runner.program.inputs, uint8, prepare), limit)
            cycles = _run(runner, inferences, accuracy, limit, update)
        finally:
            runner.close()
    if not accuracy.count:
        raise InputError("data: expected at least one inference, found none")
    count = accuracy.count
    return Evaluation(
        count, accuracy.correct, accuracy.accuracy,
        {k: right / count for k, right in accuracy.right.items()}, np.array(accuracy.answers),
        np.array(accuracy.labels), accuracy.confusion, cycles, time.perf_counter() - began,
        runner.device_name, runner.program.config.name)


def _run(runner: Runner, inferences: Iterable[tuple[dict[str, np.ndarray], int]],
         accuracy: Accuracy, limit: int | None, update: Any) -> int:
    """Count all inferences in ``accuracy``; gives the cycles that they took."""
    session, cycles = runner.session, 0
    waiting: deque[int] = deque()

    def inputs() -> Iterator[dict[str, np.ndarray]]:
        for arrays, label in inferences:
            waiting.append(label)
            yield arrays

    output = runner.program.outputs[0].name
    for outputs in session.map(inputs(), keep_state=False):
        accuracy.take(outputs[output], waiting.popleft())
        cycles += session.stats.cycles if session.stats is not None else 0
        text = (f"{accuracy.count} inferences on {runner.device_name}, accuracy "
                f"{accuracy.accuracy:.3f}")
        update(Stage(text, accuracy.count, limit or 0, "inferences"))
    return cycles
