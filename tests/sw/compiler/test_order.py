"""Small layers with the same tables follow one another, so that these are loaded once."""

from __future__ import annotations

import pytest
from builders.exactness import assert_equals_golden
from builders.graphs.graph_builder import GraphBuilder
from builders.graphs.unrolled_gru import unrolled_gru

from kaniwa.compiler.pipeline import compile, plan_model
from kaniwa.compiler.plan.plan import Options
from kaniwa.config import PRESETS
from kaniwa.cycles.estimate import estimate
from kaniwa.graph import Graph
from kaniwa.outside import parse_outside

STEPS = 5


def tables_in_order(graph: Graph) -> list[tuple[bytes, ...]]:
    """The tables of each layer, of most none."""
    plan = plan_model(graph, PRESETS["base"], Options(outside=parse_outside("ideal")))
    return [tuple(table.tobytes() for table in own.tables) if own is not None else ()
            for own in (layer.on_array for layer in plan.layers)]


def repeated(found: list[tuple[bytes, ...]]) -> int:
    """How many layers have tables, and the same ones as the layer before."""
    return sum(bool(a) and a == b for a, b in zip(found, found[1:], strict=False))


def test_gates_with_the_same_tables_follow_one_another() -> None:
    graph = unrolled_gru(STEPS, 12, 20)
    assert repeated([*filter(None, tables_in_order(graph))]) == STEPS      # moves have none
    program = compile(graph, require_accelerator=True)
    assert_equals_golden(program, graph)
    # 7 sums, products and functions of a step, of which two have their tables together.
    assert estimate(program).cycles < STEPS * (6 * 300 + 500)


@pytest.mark.parametrize("channels, together", [(8, 1), (64, 0)])
def test_large_layers_stay_where_they_are_needed(channels: int, together: int) -> None:
    """Of two sums of the same steps, each with a convolution behind it, which wants it soon."""
    b = GraphBuilder(1)
    x, ends = b.tensor((1, 12, 12, channels)), []
    for _ in range(2):
        inner = b.requantized(b.conv(x, channels, (1, 1)), 0.4, 1)
        ends.append(b.requantized(b.conv(b.elementwise("ADD", x, inner), channels), 0.4, 1))
    graph = b.graph((x,), (b.elementwise("SUB", *ends),))
    assert repeated(tables_in_order(graph)) == together
    assert_equals_golden(compile(graph, outside="ideal"), graph)
