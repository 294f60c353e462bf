"""Inferences one behind the other, with the state that each leaves for the next."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from kaniwa import golden
from kaniwa.compiler.pipeline import compile
from kaniwa.cycles.estimate import estimate
from kaniwa.driver import devices
from kaniwa.driver.session import Session
from kaniwa.graph import Graph
from kaniwa.program.program import Program
from kaniwa.sim.worlds.random_graphs import random_input

__all__ = ["assert_equal_golden", "assert_runs_as_golden", "noise", "wrong_answers_of"]


def assert_equal_golden(graph: Graph, session: Session,
                        inputs: Iterable[np.ndarray | Mapping[str, np.ndarray]], where: str = "",
                        tolerance: float | None = None) -> None:
    """All outputs of ``session``, a program of ``graph``, for each of the graph's int8 input, or of
    its inputs by name; the cycles of each are those of the model, within a part of ``tolerance``,
    if that is given."""
    state = dict[int, np.ndarray]()
    for x in inputs:
        given = x if isinstance(x, Mapping) else [x.astype(np.int8)]
        expected, outputs = golden.run(graph, given, state=state), session.run(given)
        for i in graph.outputs:
            np.testing.assert_array_equal(outputs[graph.tensors[i].name], expected[i], where)
        if tolerance is not None:
            error = abs(session.stats.cycles - estimate(session.program).cycles)
            assert error <= tolerance * session.stats.cycles, where


def assert_runs_as_golden(graph: Graph, target: str, inputs: Mapping[str, np.ndarray],
                          where: str = "") -> Program:
    """One inference on the emulated ``target``; the program that ran."""
    program = compile(graph, target)
    with devices.open("emulator", target, outside=program.outside) as device:
        outputs = Session(program, device).run(inputs)
    expected = golden.run(graph, inputs)
    for i in graph.outputs:
        np.testing.assert_array_equal(outputs[graph.tensors[i].name], expected[i], where)
    return program


def noise(graph: Graph, count: int, seed: int) -> Iterable[np.ndarray]:
    """``count`` random inputs for ``graph``."""
    shape, rng = graph.tensors[graph.inputs[0]].shape, np.random.default_rng(seed)
    return (rng.integers(-128, 128, shape) for _ in range(count))


def wrong_answers_of(graph: Graph, session: Session, seed: int) -> int:
    """How many values of ``session``, a program of ``graph``, are not golden's, for random inputs
    of a seed."""
    inputs = random_input(graph, seed)
    values, outputs = golden.run(graph, inputs), session.run(inputs)
    return sum(int((outputs[t.name] != values[t.id]).sum()) for t in session.program.outputs)
