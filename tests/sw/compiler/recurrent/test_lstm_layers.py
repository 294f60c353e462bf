"""LSTM on the accelerator: sums and steps exact, state carried on, and what goes to the host."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders.graphs.inferences import assert_equal_golden
from builders.graphs.lstm_case import lstm_graph
from builders.operator_cases import DRAWS, Cases

from kaniwa import golden
from kaniwa.compiler.pipeline import compile
from kaniwa.config import PRESETS, AcceleratorConfig
from kaniwa.cycles.estimate import estimate
from kaniwa.data.inputs import load_inputs, recorded_inputs
from kaniwa.driver import devices
from kaniwa.driver.session import Session
from kaniwa.errors import CompileError, MemoryTooSmallError
from kaniwa.golden.tflite.recurrent import BIAS, NORMALIZATION
from kaniwa.graph import Graph, Op, check
from kaniwa.importers import load_model
from kaniwa.importers.tflite.importer import import_tflite
from kaniwa.isa import FIELDS, Opcode
from kaniwa.program.summary import summary

BASE = PRESETS["base_vector"]
TWO_LANES = replace(PRESETS["small"], vector_unit=True, name="two_lanes")


def assert_goes_on_as_golden(graph: Graph, config: AcceleratorConfig,
                             inputs: Iterable[np.ndarray]) -> Session:
    """One inference after the other, whole on the emulated device; the session that ran them."""
    session = Session(compile(graph, config, require_accelerator=True),
                      devices.open("emulator", config))
    assert_equal_golden(graph, session, inputs)
    return session


@pytest.mark.parametrize("config, steps, depth, count, power, clip, time_major", [
    (BASE, 5, 28, 20, -11, 10.0, False), (BASE, 1, 3, 1, -15, 0.0, False),
    (BASE, 7, 40, 64, -10, 0.0, True), (BASE, 3, 130, 24, -12, 1.5, False),
    (TWO_LANES, 4, 9, 16, -9, 0.0, True), (TWO_LANES, 3, 1, 5, -13, 2.0, False),
    # More cells than a register holds the gates of.
    (BASE, 3, 12, 65, -11, 0.0, False), (BASE, 2, 5, 86, -9, 3.0, True),
    (TWO_LANES, 4, 6, 17, -10, 0.0, False), (TWO_LANES, 2, 4, 30, -12, 1.5, True)])
def test_an_lstm_equals_golden_and_carries_its_state(
        config: AcceleratorConfig, steps: int, depth: int, count: int, power: int, clip: float,
        time_major: bool) -> None:
    rng = np.random.default_rng(steps * depth)
    graph = lstm_graph(rng, steps, depth, count, time_major=time_major, power=power, clip=clip)
    shape = graph.tensors[0].shape
    x = rng.integers(-20, 20, shape).astype(np.int8)
    session = assert_goes_on_as_golden(graph, config, (
        rng.integers(-128, 128, shape), np.full(shape, -128), np.full(shape, 127), x))
    assert session.program.macs == steps * 4 * count * (depth + count)
    session.reset()
    first = golden.run(graph, [x])[graph.outputs[0]]
    np.testing.assert_array_equal(session.run({"x": x})["y"], first)


FORMS: list[dict[str, Any]] = [
    {"coupled": True}, {"peepholes": True}, {"projected": 7}, {"projected": 40, "clip": 1.5},
    {"projected": 10, "projection_clip": 0.3}, {"coupled": True, "peepholes": True, "power": -15},
    {"coupled": True, "peepholes": True, "projected": 16, "power": -10}]


@pytest.mark.parametrize("config", [BASE, TWO_LANES])
@pytest.mark.parametrize("count", [16, 19, 70])
@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_a_cell_equals_golden(config: AcceleratorConfig, count: int,
                                            form: dict[str, Any]) -> None:
    """Gates of one pass and one by one, of 3 and of 4 gates; the hidden state is a projection."""
    if config is TWO_LANES:
        config, count = replace(config, memory_bytes=1 << 18), min(count, 31)
    rng = np.random.default_rng(count)
    graph = lstm_graph(rng, 4, 9, count, time_major=False, **form)
    session = assert_goes_on_as_golden(graph, config, rng.integers(-128, 128, (3, 1, 4, 9)))
    gates, outputs = 3 if "coupled" in form else 4, form.get("projected", 0)
    assert session.program.macs == 4 * count * (gates * (9 + (outputs or count)) + outputs)


@pytest.mark.parametrize("config", [BASE, TWO_LANES])
@pytest.mark.parametrize("time_major", [False, True])
@pytest.mark.parametrize("form", [{}, {"coupled": True, "peepholes": True, "projected": 7}])
def test_sequences_of_a_batch(config: AcceleratorConfig, time_major: bool,
                              form: dict[str, Any]) -> None:
    """Each one has states of its own, which go on."""
    rng = np.random.default_rng(6)
    graph, one = (lstm_graph(rng, 3, 9, 13, time_major=time_major, batch=batch, **form)
                  for batch in (3, 1))
    shape = graph.tensors[0].shape
    config = replace(config, memory_bytes=1 << 18)
    session = assert_goes_on_as_golden(graph, config, rng.integers(-128, 128, (3, *shape)))
    alone = compile(one, config)
    assert session.program.macs == 3 * alone.macs
    assert session.program.resident and len(session.program.state) == 6
    products, of_one = ([row["name"] for row in summary(p)["layers"] if row["macs"]]
                        for p in (session.program, alone))
    assert len(products) == 3 * len(of_one)
    x = np.full(shape, 5, np.int8)
    session.reset()
    np.testing.assert_array_equal(session.run({"x": x})["y"],
                                  golden.run(graph, [x])[graph.outputs[0]])


def test_as_many_cells_stay_as_memory_holds() -> None:
    """The host has them one by one, until the rest fits."""
    graph = lstm_graph(np.random.default_rng(1), 28, 28, 20, time_major=False, batch=9)
    session = Session(compile(graph, BASE), devices.open("emulator", BASE))
    kinds = [op.kind for op in session.program.host_ops]
    assert kinds.count("UNIDIRECTIONAL_SEQUENCE_LSTM") == 3
    x = np.random.default_rng(2).integers(-128, 128, (9, 28, 28)).astype(np.int8)
    np.testing.assert_array_equal(session.run({"x": x})["y"],
                                  golden.run(graph, [x])[graph.outputs[0]])


def test_a_state_that_is_an_output_keeps_its_batch() -> None:
    """Such a cell is the host's."""
    graph = lstm_graph(np.random.default_rng(1), 3, 6, 6, time_major=False, batch=2)
    graph = replace(graph, outputs=(*graph.outputs, graph.state[0].following))
    with pytest.raises(CompileError, match="runs 2 sequences at once, whose states are used else"):
        compile(graph, BASE, require_accelerator=True)
    session = Session(compile(graph, BASE), devices.open("emulator", BASE))
    x = np.full((1, 2, 3, 6), 9, np.int8)[0]
    values, outputs = golden.run(graph, [x]), session.run({"x": x})
    for i in graph.outputs:
        np.testing.assert_array_equal(outputs[graph.tensors[i].name], values[i])


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_a_cell_step_by_step(form: dict[str, Any]) -> None:
    rng = np.random.default_rng(8)
    graph = lstm_graph(rng, 40, 21, 40, time_major=False, **form)
    program = compile(graph, BASE, require_accelerator=True)
    short = replace(BASE, memory_bytes=program.local_bytes - BASE.read_bytes)
    session = assert_goes_on_as_golden(graph, short, rng.integers(-128, 128, (2, 1, 40, 21)))
    assert session.program.local_bytes < program.local_bytes


@pytest.mark.parametrize("config", [BASE, TWO_LANES])
@pytest.mark.parametrize("zero", [-128, 0, 127])
def test_any_zero_point_of_the_hidden_state(config: AcceleratorConfig, zero: int) -> None:
    """What the sums have besides is one more product, or as many as there are cells, or none."""
    rng = np.random.default_rng(7)
    graph = lstm_graph(rng, 3, 5, 15, time_major=False, zero=zero)
    assert_goes_on_as_golden(graph, config, rng.integers(-128, 128, (2, 1, 3, 5)))


def both_ways(rng: np.random.Generator, steps: int, depth: int, count: int) -> Graph:
    """Two LSTMs, of which the second one has the steps in reverse: Keras' Bidirectional."""
    first, second = (lstm_graph(rng, steps, depth, count, time_major=False) for _ in range(2))
    tensors, states = list(first.tensors), list(first.state)
    base, q = len(tensors), tensors[first.inputs[0]].quantization
    tensors += [replace(t, id=t.id + base, name=f"{t.name}-backwards", quantization=(
        q if t.id == second.inputs[0] else tensors[first.outputs[0]].quantization
        if t.name in ("y", "h", "h2") else t.quantization)) for t in second.tensors]
    states += [replace(s, tensor=s.tensor + base, following=s.following + base)
               for s in second.state]

    def like(i: int, **changes: Any) -> int:
        tensors.append(replace(tensors[i], id=len(tensors), name=f"t{len(tensors)}", **changes))
        return len(tensors) - 1

    (x,), (y,), again = first.inputs, first.outputs, second.outputs[0] + base
    turned, joined = like(again), like(y, shape=(1, steps, 2 * count))
    cell = replace(second.ops[0], inputs=tuple(i if i == -1 else i + base
                                               for i in second.ops[0].inputs),
                   outputs=tuple(i + base for i in second.ops[0].outputs),
                   attributes={**second.ops[0].attributes,
                               "hidden": first.ops[0].attributes["hidden"]})
    ops = (first.ops[0], Op("REVERSE_V2", "", (x,), (second.inputs[0] + base,), {"axes": (1,)},
                            "exact", 1), cell,
           Op("REVERSE_V2", "", (again,), (turned,), {"axes": (1,)}, "exact", 3),
           Op("CONCATENATION", "", (y, turned), (joined,), {"axis": 2}, "exact", 4))
    return check(replace(first, tensors=tuple(tensors), ops=ops, outputs=(joined,),
                         state=tuple(states)))


@pytest.mark.parametrize("config", [BASE, TWO_LANES])
def test_an_lstm_in_both_directions(config: AcceleratorConfig) -> None:
    rng = np.random.default_rng(5)
    graph = both_ways(rng, 9, 12, 16)
    assert_goes_on_as_golden(graph, config, rng.integers(-128, 128, (3, 1, 9, 12)))


@pytest.mark.parametrize("config, steps, depth, count, zero", [
    (BASE, 30, 20, 20, 3), (BASE, 25, 16, 16, 0), (BASE, 20, 33, 70, -128),
    (TWO_LANES, 16, 20, 18, 127)])
def test_products_of_inputs_are_part_of_the_steps_where_memory_is_short(
        config: AcceleratorConfig, steps: int, depth: int, count: int, zero: int) -> None:
    rng = np.random.default_rng(count)
    graph = lstm_graph(rng, steps, depth, count, time_major=False, zero=zero)
    program = compile(graph, config, require_accelerator=True)
    short = replace(config, memory_bytes=program.local_bytes - config.read_bytes)
    session = assert_goes_on_as_golden(graph, short, rng.integers(-128, 128, (3, 1, steps, depth)))
    assert session.program.local_bytes < program.local_bytes
    assert session.program.macs == program.macs
    cells, all_at_once = ([row for row in summary(p)["layers"] if row["macs"]]
                          for p in (session.program, program))
    assert [row["steps"] for row in cells] == [steps]
    assert [row["steps"] for row in all_at_once] == [1, steps]


def test_what_takes_more_memory_step_by_step_is_named_as_it_is() -> None:
    graph = lstm_graph(np.random.default_rng(1), 20, 9, 5, time_major=False)
    needed = compile(graph, TWO_LANES).local_bytes
    short = replace(TWO_LANES, memory_bytes=needed - TWO_LANES.read_bytes)
    with pytest.raises(MemoryTooSmallError) as error:
        compile(graph, short, require_accelerator=True)
    assert error.value.needed_bytes == needed


def test_every_tensor_of_a_materialized_lstm_is_there() -> None:
    graph = lstm_graph(np.random.default_rng(3), 4, 10, 12, time_major=False)
    session = Session(compile(graph, BASE, materialize=True), devices.open("emulator", BASE))
    x = np.random.default_rng(4).integers(-128, 128, (1, 4, 10)).astype(np.int8)
    session.run({"x": x})
    values = golden.run(graph, [x], keep=graph.ops[0].outputs)
    for i in graph.ops[0].outputs:
        np.testing.assert_array_equal(session.tensor(graph.tensors[i].name), values[i])


@pytest.mark.parametrize("changes, message", [
    ({"count": 257}, "257 cells are more than the 256 elements of a register"),
    ({"count": 240}, "needs 2[0-9]{2} KiB .* target 'base_vector' has 192 KiB on chip"),
    ({"projected": 257}, "257 elements of the hidden state are more than the 256 elements"),
    ({"normalized": True}, "it has layer normalisation; export it without"),
    ({"weight_scale": 40.0, "depth": 3000}, "a gate's sum may reach [0-9]+ in magnitude, and its "
     "rescaling by [0-9.]+ takes that beyond 32 bits; reduce its weights"),
    ({"peepholes": True, "peephole_scale": 9.0}, "a gate's sum may reach [0-9]{9,} in magnitude"),
])
def test_what_the_unit_cannot_do_is_the_hosts(changes: dict[str, Any], message: str) -> None:
    arguments: dict[str, Any] = {"steps": 3, "depth": 6, "count": 6, "time_major": False} | changes
    graph = lstm_graph(np.random.default_rng(1), **arguments)
    program = compile(graph, BASE)
    assert [op.kind for op in program.host_ops] == ["UNIDIRECTIONAL_SEQUENCE_LSTM"]
    with pytest.raises(CompileError, match=message):
        compile(graph, BASE, require_accelerator=True)


def test_more_steps_than_instructions_fit_are_the_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FIELDS, "ifm_wait", replace(FIELDS["ifm_wait"], high=50))
    graph = lstm_graph(np.random.default_rng(1), 12, 6, 6, time_major=False)
    message = "it takes 49 of 51 instructions, at most 50 fit; use a target with larger buffers, or"
    with pytest.raises(CompileError, match=message):
        compile(graph, BASE, require_accelerator=True)
    assert len(compile(graph, BASE).host_ops) == 1


def test_random_cells_equal_litert() -> None:
    """All forms in one model, with as many sequences as they have; what is normalised is the
    host's. States go on in both."""
    pytest.importorskip("ai_edge_litert")
    from kaniwa.verify.litert import LiteRT

    kind, cases = "UNIDIRECTIONAL_SEQUENCE_LSTM", Cases()
    for seed in range(40):
        DRAWS[kind](cases, np.random.default_rng([seed, *kind.encode()]), kind)
    content = cases.builder.build(cases.inputs, cases.outputs)
    graph = import_tflite(content, "cells.tflite")
    config = replace(BASE, memory_bytes=1 << 20, name="large")
    program = compile(graph, config, outside="ideal")
    normalized = [op for op in graph.ops if op.inputs[NORMALIZATION + 1] != -1]
    cells = [op for op in program.host_ops if op.kind == kind]
    assert {op.outputs[0] for op in cells} == {op.outputs[0] for op in normalized}
    assert len(normalized) < 25
    session, litert = Session(program, devices.open("emulator", config)), LiteRT(content, graph)
    rng = np.random.default_rng(1)
    for _ in range(2):
        inputs = {graph.tensors[i].name: rng.integers(-128, 128, graph.tensors[i].shape).astype(
            np.int8) for i in graph.inputs}
        outputs, expected = session.run(inputs), litert.run(inputs)
        for i in graph.outputs:
            np.testing.assert_array_equal(outputs[graph.tensors[i].name], expected[i])


def test_computed_biases_are_the_hosts() -> None:
    graph = lstm_graph(np.random.default_rng(1), 3, 6, 6, time_major=False)
    bias = graph.tensors[graph.ops[0].inputs[BIAS]]
    tensors = tuple(replace(t, data=None) if t is bias else t for t in graph.tensors)
    with pytest.raises(CompileError, match="'b0' is computed; make it constant"):
        compile(replace(graph, tensors=tensors, inputs=(*graph.inputs, bias.id)), BASE,
                require_accelerator=True)


def test_without_a_vector_unit_the_host_has_the_cell() -> None:
    graph = lstm_graph(np.random.default_rng(1), 3, 6, 6, time_major=False)
    assert len(compile(graph, "base").host_ops) == 1
    with pytest.raises(CompileError, match="target 'base' has no vector unit"):
        compile(graph, "base", require_accelerator=True)


def test_the_digits_lstm_is_whole_on_the_device(models: Path) -> None:
    """All its products are the array's, all its gates the vector unit's; state goes on."""
    path = models / "tflm_mnist_lstm.tflite"
    program, graph = compile(path, BASE, require_accelerator=True), load_model(path)
    kinds = [v["opcode"] for v in program.instructions]
    assert not program.host_ops and program.macs == 113120
    assert kinds.count(Opcode.VECTOR) == 28 * 2 + 2      # two each step, states, softmax
    assert [row["steps"] for row in summary(program)["layers"]] == [1, 28, 1, 1, 1]
    assert estimate(program).cycles <= 71_800
    session = Session(program, devices.open("emulator", BASE))
    digits = load_inputs(models / "inputs" / "mnist_1000.npz", program.inputs, True, 20)
    state: dict[int, np.ndarray] = {}
    for sample in (*recorded_inputs(path, program.inputs), *digits):
        values, outputs = golden.run(graph, sample, state=state), session.run(sample)
        for i in graph.outputs:
            np.testing.assert_array_equal(outputs[graph.tensors[i].name], values[i])
