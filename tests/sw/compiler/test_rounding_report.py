"""What is said of how a layer rounds: its rule, the form of the hardware, the proof, the width."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from builders.graphs.attention_case import attention_graph
from builders.graphs.graph_builder import GraphBuilder
from builders.graphs.move_case import broadcast, gathered, tiled, to_batch

from kaniwa.compiler.pipeline import compile, plan_model
from kaniwa.compiler.plan.plan import Options
from kaniwa.compiler.rewrite.rounding import rounding_of
from kaniwa.config import PRESETS
from kaniwa.graph import Graph, Tensor


def graph(rule: str) -> Graph:
    b = GraphBuilder(7)
    x = b.tensor((1, 6, 6, 4))
    first = b.conv(x, 8)
    second = b.conv(x, 8, (1, 1))
    total = b.op("ADD", (first, second), b.tensor((1, 6, 6, 8)), "litert_add", activation="NONE")
    built = b.graph((x,), (total,))
    if rule != "qdq":
        return built
    ops = tuple(replace(op, attributes={**op.attributes, "bounds": (-128, 127)}, rule=rule)
                for op in built.ops)
    return replace(built, tensors=tuple(_float32(t) for t in built.tensors), ops=ops)


def _float32(tensor: Tensor) -> Tensor:
    """Scales as a file has them: decimal fractions would have ties that only float64 sees."""
    q = tensor.quantization
    return tensor if q is None else replace(tensor, quantization=replace(
        q, scales=tuple(float(np.float32(s)) for s in q.scales)))


@pytest.mark.parametrize(("rule", "form", "rules"), [
    ("qdq", "EVEN", ["qdq", "qdq", "qdq"]),
    ("litert", "DOUBLE", ["litert_double_rounding", "litert_double_rounding", "litert_add"])])
def test_rule_form_proof_and_width_are_named(rule: str, form: str, rules: list[str]) -> None:
    plan = plan_model(graph(rule), PRESETS["base"], Options())
    rows = [row for layer in plan.layers for row in rounding_of(plan.model, layer)]
    assert [row["rule"] for row in rows] == rules
    assert all(row["form"] == form for row in rows[:2])
    assert rows[0]["proof"].endswith(" thresholds of all channels")
    assert rows[-1]["proof"] == "all 65536 pairs of operands"
    assert all(20 < row["multiplier_bits"] <= PRESETS["base"].multiplier_bits for row in rows)
    assert [row["channels"] for row in rows] == [8, 8, 1]


def test_a_table_is_one() -> None:
    b = GraphBuilder(1)
    x = b.tensor((1, 2, 2, 4))
    built = b.graph((x,), (b.op("LOGISTIC", (x,), b.tensor((1, 2, 2, 4), 1 / 256, -128),
                               "litert_table"),))
    (layer,) = plan_model(built, PRESETS["base"], Options()).layers
    assert rounding_of(built, layer) == [
        {"rule": "litert_table", "form": "TABLE", "proof": "all 256 values"}]
    assert layer.table is not None and np.unique(layer.table).size > 2


def test_a_product_of_activations_is_proved_like_any_other() -> None:
    program = compile(attention_graph(2, 8, 8), "base_vector", require_accelerator=True)
    rows = [row for layer in program.layers if layer.op.startswith("BATCH_MATMUL")
            for row in program.rounding[layer.instructions[0]]]
    assert [row["rule"] for row in rows] == ["litert_double_rounding"] * 2
    assert all(row["form"] == "DOUBLE" and row["channels"] == 8 for row in rows)


@pytest.mark.parametrize("moving", [
    broadcast((2, 7, 5, 1), (2, 7, 5, 19)),      # a product with ones
    gathered((3, 5, 4, 12), 3, [7, 3, 11, 0, 0, 5, 9]),
    tiled((1, 1, 1, 24), (1, 5, 6, 1)),
    to_batch((2, 6, 4, 3), (2, 2), ((0, 0), (0, 0)))])
def test_what_is_moved_is_not_rounded(moving: Graph) -> None:
    assert not any(compile(moving).rounding.values())
