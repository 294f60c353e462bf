"""LSTM and GRU of quantised ONNX models in fixed point: near the exact value, and on the
accelerator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders.graphs.cell_case import (
    BACKWARD,
    BOTH,
    FORWARD,
    cell_graph,
    inputs_of,
    random_cell,
    with_last_states,
)
from builders.graphs.inferences import assert_equal_golden

from kaniwa.compiler.pipeline import compile
from kaniwa.config import PRESETS, AcceleratorConfig
from kaniwa.driver import devices
from kaniwa.driver.session import Session
from kaniwa.errors import CompileError, ModelError
from kaniwa.golden import run, run_op
from kaniwa.golden.onnx import recurrent_fixed as fixed
from kaniwa.golden.onnx.qdq import real_values
from kaniwa.golden.registry import Call
from kaniwa.graph import Graph, Op, Tensor
from kaniwa.program.file import load_program, save_program
from kaniwa.program.summary import summary

BASE = PRESETS["base_vector"]
ROOMY = replace(BASE, memory_bytes=512 * 1024, name="roomy")
TWO_LANES = replace(PRESETS["small"], vector_unit=True, memory_bytes=128 * 1024, name="two_lanes")
KINDS = ("LSTM", "GRU")


def call_of(graph: Graph, inputs: Mapping[str, np.ndarray] | None = None) -> Call:
    (op,), given = graph.ops, inputs or {}
    tensors = [None if i == -1 else graph.tensors[i] for i in op.inputs]
    return Call(graph, op, [None if t is None else given.get(t.name, t.data) for t in tensors])


def changed(graph: Graph, position: int, **changes: object) -> Graph:
    """With another operand."""
    i = graph.ops[0].inputs[position]
    tensors = list(graph.tensors)
    tensors[i] = replace(tensors[i], **changes)
    return replace(graph, tensors=tuple(tensors))


@pytest.mark.parametrize("bits", [18, 20, 24, 26, 28])
def test_the_functions_are_near_the_exact_ones(bits: int) -> None:
    rng = np.random.default_rng(bits)
    spread = rng.normal(0, 2, 200_000) * 2.0**bits
    v = np.concatenate([rng.integers(-(1 << 30), 1 << 30, 200_000), spread.astype(np.int64)])
    v = np.clip(v, -(1 << 30), 1 << 30)
    error = np.abs(fixed.hyperbolic_tangent(v, bits) / 2.0**30 - np.tanh(v / 2.0**bits))
    inside = np.abs(v / 2.0**bits) < 127 / 16
    assert error[inside].max() <= 2.0**-28.5
    assert error.max() <= 2.0**-21.8
    assert np.abs(fixed.hyperbolic_tangent(np.array([1 << 30, -(1 << 30)]), 18)).min() == 1 << 30


def test_digits_of_hidden_states() -> None:
    hidden = np.concatenate([np.array([-(1 << 30), 1 << 30, 0, 127, 128, -128, -129]),
                             np.random.default_rng(1).integers(-(1 << 30), 1 << 30, 10_000)])
    parts = fixed.digits(hidden)
    assert all(np.abs(part + 0.5).max() <= 127.5 for part in parts)
    whole = (parts[0] << 16) + (parts[1] << 8) + parts[2]
    assert np.abs(whole / 2.0**22 - hidden / 2.0**30).max() <= 2.0**-23


def compared(graph: Graph, inputs: Mapping[str, np.ndarray],
             near: float = 1e-3) -> tuple[int, int]:
    """How many results are not the exact value rounded, of how many; these are ``near`` a tie."""
    call = call_of(graph, inputs)
    real = real_values(graph, graph.ops[0], list(call.values))
    (y,) = run_op(graph, graph.ops[0], call.values)
    different = np.clip(np.rint(real), -128, 127) != y
    assert not (different & (np.abs(np.abs(real - np.trunc(real)) - 0.5) >= near)).any()
    return int(different.sum()), y.size


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("form", [
    {}, {"states": "constant"}, {"states": "computed", "result": "Y_h"},
    {"backwards": BOTH, "result": "Y_h"}, {"backwards": BACKWARD, "bias": False}])
def test_a_cell_is_the_exact_value_rounded_but_next_to_a_tie(kind: str,
                                                             form: dict[str, Any]) -> None:
    """Of weights as training leaves them, whose states do not diverge; of others float32 is no
    nearer."""
    off = elements = 0
    for seed in range(10):
        graph = cell_graph(kind, (30, 2, 10), 12, np.random.default_rng(seed), spread=0.6, **form)
        for inputs in inputs_of(graph, seed):
            different, count = compared(graph, inputs)
            off, elements = off + different, elements + count
    assert elements > 700 and off <= elements // 1000


@pytest.mark.parametrize("kind", KINDS)
def test_sums_as_large_as_the_rule_takes(kind: str) -> None:
    """One step, of which the gates' arguments are hundreds."""
    most = 0.0
    for seed in range(40):
        graph = cell_graph(kind, (1, 4, 10), 12, np.random.default_rng(seed), spread=12.0,
                           states="computed")
        numbers = fixed.cell_numbers(call_of(graph))
        if numbers is not None:
            most = max(most, 2.0 ** (30 - numbers.fraction))
            for inputs in inputs_of(graph, seed):
                compared(graph, inputs, near=2e-3)
    assert most >= 512


def test_a_cell_state_is_the_exact_value_rounded_but_next_to_a_tie() -> None:
    for seed in range(10):
        graph = cell_graph("LSTM", (30, 2, 10), 12, np.random.default_rng(seed), spread=0.6,
                           result="Y_c", step=0.03, states="computed")
        for inputs in inputs_of(graph, seed):
            compared(graph, inputs)


SIZES = [(1, 1, 1), (3, 5, 7), (2, 28, 20), (2, 3, 64)]
LARGE = [(2, 4, 70), (1, 9, 200), (2, 2, 256)]      # of which two lanes have no registers


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("config", "size"), [
    *((ROOMY, size) for size in (*SIZES, *LARGE)), *((TWO_LANES, size) for size in SIZES)],
    ids=lambda value: getattr(value, "name", str(value)))
def test_the_accelerator_equals_golden(config: AcceleratorConfig, size: tuple[int, int, int],
                                       kind: str) -> None:
    """Gates of one register and of several; weights with and without a zero point."""
    steps, features, count = size
    rng = np.random.default_rng(count)
    graph = cell_graph(kind, (steps, 1, features), count, rng, spread=2.0, zero_points=(0, -3, 90),
                       states=["", "constant", "computed"][count % 3])
    program = compile(graph, config, require_accelerator=True)
    assert_equal_golden(graph, Session(program, devices.open("emulator", config)),
                        inputs_of(graph, count))


@pytest.mark.parametrize(("count", "columns"), [
    (20, [7]), (20, [0, 11]), (20, [2, 19]), (16, [15]), (30, [1, 3]), (33, [32])])
def test_weights_of_9_bits_in_some_columns(count: int, columns: list[int]) -> None:
    """Behind the others in their last word, or in a word of their own."""
    graph = cell_graph("GRU", (3, 1, 5), count, np.random.default_rng(1))
    i = graph.ops[0].inputs[2]
    data, q = graph.tensors[i].data, graph.tensors[i].quantization
    assert data is not None and q is not None
    narrow = np.clip(data, -100, 100)
    narrow[0, ::3, columns] = -128
    graph = changed(graph, 2, data=narrow, quantization=replace(q, zero_points=(27,)))
    assert_equal_golden(graph, Session(compile(graph, BASE, require_accelerator=True),
                                       devices.open("emulator", BASE)), inputs_of(graph, 1))


@pytest.mark.parametrize("first", [0, pytest.param(30, marks=pytest.mark.long)])
@pytest.mark.parametrize(("memory", "way"), [
    (192, {}), (192, {"materialize": True}), (16, {"outside": "ideal"})], ids=str)
def test_random_cells(memory: int, way: dict[str, Any], first: int) -> None:
    """On chip, with all tensors kept, and with most of them in outside memory."""
    config, cells = replace(BASE, memory_bytes=memory * 1024, name="random"), 0
    for seed in range(first, first + 30):
        graph = random_cell(seed)
        if fixed.cell_numbers(call_of(graph)) is None:
            continue
        if graph.ops[0].attributes["result"] == "Y" and seed % 2:
            graph = with_last_states(graph)
        program = compile(graph, config, **way)
        cells += any(layer.op in KINDS for layer in program.layers)
        device = devices.open("emulator", config, outside=program.outside)
        assert_equal_golden(graph, Session(program, device), inputs_of(graph, seed),
                            f"seed {seed}")
    assert cells > 24


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("batch", "backwards"), [(1, FORWARD), (1, BACKWARD), (3, BOTH)])
def test_all_results_of_a_cell_are_one_layer(kind: str, batch: int,
                                             backwards: tuple[bool, ...]) -> None:
    graph = with_last_states(cell_graph(
        kind, (4, batch, 6), 11, np.random.default_rng(batch), backwards=backwards,
        states="computed", spread=2.0))
    program = compile(graph, BASE, require_accelerator=True)
    steps = [row["steps"] for row in summary(program)["layers"] if row["op"] == kind]
    assert steps.count(4) == batch * len(backwards)
    assert_equal_golden(graph, Session(program, devices.open("emulator", BASE)),
                        inputs_of(graph, 1))


def test_a_result_that_is_wanted_in_two_steps_has_layers_of_its_own() -> None:
    graph = with_last_states(cell_graph("GRU", (3, 1, 6), 11, np.random.default_rng(1)))
    first, last = graph.ops
    again = replace(graph.tensors[last.outputs[0]], id=len(graph.tensors), name="again")
    graph = replace(graph, tensors=(*graph.tensors, again), outputs=(*graph.outputs, again.id),
                    ops=(first, last, replace(last, outputs=(again.id,))))
    program = compile(graph, BASE, require_accelerator=True)
    assert [row["steps"] for row in summary(program)["layers"]].count(3) == 3
    assert_equal_golden(graph, Session(program, devices.open("emulator", BASE)),
                        inputs_of(graph, 1))


@pytest.mark.parametrize("kind", KINDS)
def test_a_cell_that_memory_is_short_for(kind: str) -> None:
    """The products of its inputs are part of each step."""
    graph = cell_graph(kind, (24, 1, 40), 64, np.random.default_rng(2), spread=0.5)
    small = replace(BASE, memory_bytes=76 * 1024, name="short")
    program = compile(graph, small, require_accelerator=True)
    assert [row["steps"] for row in summary(program)["layers"] if row["macs"]] == [24]
    assert_equal_golden(graph, Session(program, devices.open("emulator", small)),
                        inputs_of(graph, 1))


def without_numbers() -> dict[str, Graph]:
    """Cells that the rule has no numbers for."""
    graph = cell_graph("LSTM", (3, 1, 4), 5, np.random.default_rng(1), states="constant")
    q = graph.tensors[graph.ops[0].inputs[2]].quantization
    assert q is not None
    large, (op,) = replace(q, scales=(8.0,)), cell_graph(
        "GRU", (3, 1, 4), 5, np.random.default_rng(1)).ops
    gru = cell_graph("GRU", (3, 1, 4), 5, np.random.default_rng(1))
    many = cell_graph("GRU", (1, 1, 1), 300, np.random.default_rng(1))
    largest = changed(many, 2, data=np.full((1, 900, 300), 127, np.int8),
                      quantization=replace(q, scales=(1e-6,), zero_points=(-128,)))
    given = cell_graph("GRU", (1, 1, 4), 5, np.random.default_rng(1), states="computed")
    before = replace(op, attributes={**op.attributes, "linear_before_reset": False})
    return {
        "scale": changed(graph, 2, quantization=large),
        "state": changed(graph, 5, data=np.full((1, 1, 5), 1.5, np.float32)),
        "result": cell_graph("LSTM", (3, 1, 4), 5, np.random.default_rng(1), step=8.0),
        "steps": cell_graph("LSTM", (4096, 1, 1), 1, np.random.default_rng(1)),
        "reset": replace(gru, ops=(before,)),
        "digits": largest,
        "hidden": changed(given, 4, quantization=replace(q, scales=(1 / 64,), zero_points=(0,))),
    }


@pytest.mark.parametrize("case", without_numbers())
def test_cells_that_the_rule_has_no_numbers_for(case: str) -> None:
    """An importer gives them another one."""
    graph = without_numbers()[case]
    assert fixed.cell_numbers(call_of(graph)) is None
    x = inputs_of(graph, 1)[0]
    with pytest.raises(ModelError, match="rule qdq_fixed_point has no numbers for these weights"):
        run(graph, x)
    other = replace(graph, ops=(replace(graph.ops[0], rule="qdq"),))
    (why,) = (op.why for op in compile(other, BASE).host_ops)
    assert ("it is without linear_before_reset; export it with that" if case == "reset" else
            "rule qdq_fixed_point has no numbers for it: its first states, steps or scales") in why
    assert run(other, x)[graph.outputs[0]].dtype == np.int8


def test_memory_has_as_many_sequences_as_fit() -> None:
    """Several at a time go to the host, but none that has room."""
    graph = cell_graph("GRU", (28, 16, 28), 20, np.random.default_rng(1))
    assert [op.kind for op in compile(graph, BASE).host_ops].count("GRU") == 12


def test_more_cells_than_a_register_has_elements() -> None:
    graph = cell_graph("GRU", (2, 1, 4), 257, np.random.default_rng(1), spread=0.1)
    assert compile(graph, BASE).host_ops
    with pytest.raises(CompileError, match="257 cells are more than the 256 elements of a reg"):
        compile(graph, BASE, require_accelerator=True)


def test_results_together_on_the_host_of_a_saved_program(tmp_path: Path) -> None:
    graph = with_last_states(cell_graph("LSTM", (2, 1, 4), 257, np.random.default_rng(1),
                                        spread=0.1))
    program = compile(graph, BASE)
    assert [op.kind for op in program.host_ops] == ["LSTM"]
    save_program(program, tmp_path / "cell.kaniwa")
    loaded = load_program(tmp_path / "cell.kaniwa")
    assert_equal_golden(graph, Session(loaded, devices.open("emulator", BASE)),
                        inputs_of(graph, 1))


def test_a_target_without_a_vector_unit_leaves_it_to_the_host() -> None:
    graph = cell_graph("LSTM", (3, 2, 4), 5, np.random.default_rng(1), backwards=BOTH)
    program = compile(graph, "base")
    assert [op.kind for op in program.host_ops] == ["LSTM"]
    assert_equal_golden(graph, Session(program, devices.open("emulator", "base")),
                        inputs_of(graph, 1))


def test_results_of_constants_do_not_depend_on_what_runs_beside() -> None:
    """Directions and sequences apart have the numbers that they have together."""
    graph = cell_graph("LSTM", (4, 3, 5), 6, np.random.default_rng(3), backwards=BOTH,
                       states="constant")
    x = inputs_of(graph, 3)[0]["x"]
    whole = run(graph, [x])[graph.outputs[0]]
    (op,), tensors = graph.ops, list(graph.tensors)
    tensors[0] = replace(tensors[0], shape=(4, 1, 5))
    for i in op.inputs[1:]:
        data = tensors[i].data
        assert data is not None
        part = data[:1] if data.ndim < 4 and data.shape[1] != 3 else data[:1, 1:2]
        tensors[i] = replace(tensors[i], shape=part.shape, data=part)
    y: Tensor = replace(tensors[op.outputs[0]], shape=(4, 1, 1, 6))
    tensors[op.outputs[0]] = y
    alone: Op = replace(op, attributes={**op.attributes, "backwards": (False,)})
    part = run(replace(graph, tensors=tuple(tensors), ops=(alone,)), [x[:, 1:2]])[y.id]
    np.testing.assert_array_equal(part, whole[:, :1, 1:2])


@pytest.mark.parametrize("kind", KINDS)
def test_a_block_without_a_channel_for_each_byte_of_a_sum_leaves_cells_to_the_host(
        kind: str) -> None:
    narrow = replace(ROOMY, out_lanes=2, requant_lanes=2, name="narrow")
    graph = cell_graph(kind, (3, 1, 5), 20, np.random.default_rng(1))
    program = compile(graph, narrow)
    (op,) = program.host_ops
    assert op.kind == kind
    assert "takes 4 channels of a block, of which target 'narrow' has 2" in op.why
    assert_equal_golden(graph, Session(program, devices.open("emulator", narrow)),
                        inputs_of(graph, 1))
