"""ADD, SUB and MUL with a computed operand that is broadcast, exact against golden."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from kaniwa.compiler.pipeline import compile
from kaniwa.driver import devices
from kaniwa.driver.session import Session
from kaniwa.golden import run_op
from kaniwa.graph import Graph, Op, Quantization, Tensor

NONE = {"activation": "NONE"}
RULES = {"ADD": "litert_add", "SUB": "litert_sub", "MUL": "litert_mul"}


def binary_graph(kind: str, wide: tuple[int, ...], narrow: tuple[int, ...], first: bool) -> Graph:
    """A single operator of two inputs, of which the ``first`` or the second is broadcast."""
    shapes = (narrow, wide) if first else (wide, narrow)
    quantizations = (Quantization((0.05,), (3,)), Quantization((0.02,), (-7,)),
                     Quantization((0.04,), (11,)))
    tensors = tuple(Tensor(i, name, shape, "int8", q, None) for i, (name, shape, q) in enumerate(
        zip("abc", (*shapes, wide), quantizations, strict=True)))
    return Graph("binary", tensors, (Op(kind, kind, (0, 1), (2,), NONE, RULES[kind], 0),), (0, 1),
                 (2,), "0" * 64)


CASES = [((1, 16, 32), (1, 16, 1)), ((1, 4, 6, 8), (1, 1, 1, 8)), ((1, 5, 3, 24), (1, 1, 1, 1)),
         ((2, 3, 4, 16), (2, 3, 4, 1)), ((2, 3, 4, 16), (2, 1, 1, 16)), ((2, 5, 6), (2, 1, 6)),
         ((2, 3, 4, 5), (3, 1, 5)), ((3, 4, 5), (3, 1, 1)), ((2, 3, 4, 6), (1, 3, 1, 1)),
         ((6, 7), (7,)), ((1, 9, 9, 40), (1, 40)), ((3, 5), (1,))]


@pytest.mark.parametrize("target", ["base", "small"])
@pytest.mark.parametrize("kind", RULES)
@pytest.mark.parametrize(("wide", "narrow"), CASES)
def test_broadcast_equals_golden(target: str, kind: str, wide: tuple[int, ...],
                                 narrow: tuple[int, ...]) -> None:
    rng = np.random.default_rng(1)
    for first in (False, True):
        graph = binary_graph(kind, wide, narrow, first)
        session = Session(compile(graph, target, require_accelerator=True),
                          devices.open("emulator", target))
        for _ in range(2):
            inputs = [rng.integers(-128, 128, graph.tensors[i].shape).astype(np.int8)
                      for i in graph.inputs]
            (expected,) = run_op(graph, graph.ops[0], inputs)
            got = session.run(dict(zip("ab", inputs, strict=True)))["c"]
            np.testing.assert_array_equal(got, expected)


def test_both_operands_are_broadcast() -> None:
    graph = binary_graph("ADD", (2, 3, 5), (3, 1), False)
    graph = replace(graph, tensors=(replace(graph.tensors[0], shape=(2, 1, 5)), *graph.tensors[1:]))
    session = Session(compile(graph, require_accelerator=True), devices.open("emulator", "base"))
    rng = np.random.default_rng(1)
    inputs = [rng.integers(-128, 128, graph.tensors[i].shape).astype(np.int8) for i in (0, 1)]
    (expected,) = run_op(graph, graph.ops[0], inputs)
    np.testing.assert_array_equal(session.run(dict(zip("ab", inputs, strict=True)))["c"], expected)


@pytest.mark.parametrize("target", ["base", "small", "large"])
@pytest.mark.parametrize("kind", RULES)
@pytest.mark.parametrize("channels", [8, 21, 64])
def test_a_constant_pixel_is_stored_once(target: str, kind: str, channels: int) -> None:
    rng = np.random.default_rng(1)
    graph = binary_graph(kind, (1, 5, 7, channels), (channels,), False)
    constant = rng.integers(-128, 128, channels).astype(np.int8)
    constant[:2] = -128, 127
    graph = replace(graph, tensors=(graph.tensors[0], replace(graph.tensors[1], data=constant),
                                    graph.tensors[2]), inputs=(0,))
    # Where layers may be merged a MUL's constants are weights.
    program = compile(graph, target, require_accelerator=True, materialize=kind == "MUL")
    assert constant.tobytes() in [data for _, data in program.images]
    assert all(values["operand_pixel_pitch"] == values["operand_row_pitch"] == 0
               for values in program.instructions)
    x = rng.integers(-128, 128, (1, 5, 7, channels)).astype(np.int8)
    (expected,) = run_op(graph, graph.ops[0], [x, constant])
    got = Session(program, devices.open("emulator", target)).run({"a": x})["c"]
    np.testing.assert_array_equal(got, expected)
