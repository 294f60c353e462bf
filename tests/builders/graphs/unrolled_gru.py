"""A GRU as exporters unroll it: a slice of the input, two layers and the gates for each step."""

from __future__ import annotations

from builders.graphs.graph_builder import GraphBuilder
from kaniwa.graph import Graph


def unrolled_gru(steps: int, depth: int, cells: int, seed: int = 1) -> Graph:
    """x [1, steps, depth] and h [1, cells] to all hidden states [1, steps, cells]."""
    b = GraphBuilder(seed)
    x, first = b.tensor((1, steps, depth), 0.02, -3), b.tensor((1, cells), 1 / 128, 0)
    weights = [(b.weights((3 * cells, size), 0.0213), b.bias(3 * cells)) for size in (depth, cells)]
    hidden, states = first, []

    def parts(source: int, which: int) -> list[int]:
        made = b.tensor((1, 3 * cells), 0.0517, 4)
        sums = b.op("FULLY_CONNECTED", (source, *weights[which]), made,
                    "litert_float_half_away", activation="NONE", keep_num_dims=False)
        return b.split(sums, 3)

    def gate(kind: str, sums: int, scale: float, zero_point: int) -> int:
        return b.op(kind, (sums,), b.tensor((1, cells), scale, zero_point), "litert_table")

    for step in range(steps):
        now = b.op("STRIDED_SLICE", (x,), b.tensor((1, depth), 0.02, -3), begin=(0, step, 0),
                   end=(1, step + 1, depth), stride=(1, 1, 1))
        of_input, of_state = parts(now, 0), parts(hidden, 1)
        update, reset = (gate("LOGISTIC", b.elementwise("ADD", p, q, scale=0.06), 1 / 256, -128)
                         for p, q in zip(of_input[:2], of_state[:2], strict=True))
        candidate = gate("TANH", b.elementwise("ADD", of_input[2], b.elementwise(
            "MUL", reset, of_state[2], scale=0.05), scale=0.06), 1 / 128, 0)
        change = b.elementwise("MUL", update, b.elementwise("SUB", hidden, candidate, scale=1 / 64,
                                                            zero_point=0), scale=1 / 64)
        hidden = b.elementwise("ADD", candidate, change, scale=1 / 128, zero_point=0)
        states.append(hidden)
    y = b.op("PACK", tuple(states), b.tensor((1, steps, cells), 1 / 128, 0), axis=1)
    return b.graph((x, first), (y,))
