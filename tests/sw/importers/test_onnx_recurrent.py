"""LSTM and GRU of ONNX models: all results at once, states from outside, and what is refused."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pytest
from builders.files.onnx_compared import Compared
from builders.files.onnx_models import OnnxBuilder

import kaniwa
from kaniwa import golden
from kaniwa.errors import Error, ModelError, UnsupportedError
from kaniwa.golden.onnx.recurrent import GATES
from kaniwa.importers.onnx.model import import_onnx, read_graph
from kaniwa.verify.onnxruntime import OnnxRuntime, differences

STEPS, BATCH, FEATURES, SIZE = 5, 1, 3, 4


def operands(b: OnnxBuilder, kind: str, x: str = "") -> list[str]:
    """The input ``x``, by default a quantised one, and W, R and B of one direction."""
    rows = GATES[kind] * SIZE
    return [x or b.activation((STEPS, BATCH, FEATURES)), b.weights((1, rows, FEATURES)),
            b.weights((1, rows, SIZE)), b.constant(np.ones((1, 2 * rows), np.float32))]


def lstm_of_a_gru(b: OnnxBuilder, linear_before_reset: int = 1) -> bytes:
    """As exporters write two layers, all results of the second in use, one left in float32."""
    first = b.nodes_of("GRU", operands(b, "GRU"), 2, hidden_size=SIZE,
                       linear_before_reset=linear_before_reset)[0]
    x = b.quantized(b.node("Squeeze", [first, b.constant(np.array([1]))]), 0.01)
    weights = [b.weights((2, 4 * SIZE, SIZE)), b.weights((2, 4 * SIZE, SIZE))]
    y, hidden, cell = b.nodes_of("LSTM", [x, *weights], 3, direction="bidirectional",
                                 hidden_size=SIZE)
    y = b.node("Transpose", [y], perm=[0, 2, 1, 3])
    return b.model(b.quantized(y, 0.02), b.quantized(b.node("Relu", [hidden]), 0.02), cell)


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
def test_all_results_of_two_layers_equal_onnx_runtime(dtype: str) -> None:
    pytest.importorskip("onnxruntime")
    compared = Compared()
    for seed in range(20):
        b = OnnxBuilder(seed, dtype)
        model = lstm_of_a_gru(b)
        _, found = compared.add(model, b.samples(), seed)
        assert {d.op.kind for d in found} >= {"GRU", "LSTM"}
    compared.assert_few_next_to_ties()


@pytest.mark.parametrize(("target", "on_host"), [
    ("base", ["GRU", "LSTM", "LSTM", "LSTM"]), ("base_vector", ["GRU", "LSTM"])])
def test_the_program_is_exact_wherever_cells_run(target: str, on_host: list[str]) -> None:
    """A vector unit has not the GRU without linear_before_reset and the result in float32."""
    b = OnnxBuilder(1)
    graph = import_onnx(lstm_of_a_gru(b, linear_before_reset=0), "test.onnx")
    program = kaniwa.compile(graph, target)
    assert [op.kind for op in program.host_ops if op.kind in GATES] == on_host
    with kaniwa.open("emulator", target=target) as device:
        session = kaniwa.Session(program, device)
        for _ in range(4):
            sample = b.samples()
            expected = golden.run(graph, sample)
            for name, value in session.run(sample).items():
                tensor = next(t for t in graph.tensors if t.name == name)
                np.testing.assert_array_equal(value, expected[tensor.id])


@pytest.mark.parametrize("kind", GATES)
def test_an_input_in_float32_is_taken_and_must_be_a_number(kind: str) -> None:
    pytest.importorskip("onnxruntime")
    b = OnnxBuilder(3)
    values = operands(b, kind, b.input((STEPS, BATCH, FEATURES)))
    y = b.nodes_of(kind, values, 1, hidden_size=SIZE)[0]
    model = b.model(b.quantized(y, 0.01))
    imported = read_graph(model, "test.onnx")
    sample = b.samples()
    found = differences(imported, [sample["x0"]], OnnxRuntime(model, "test.onnx").run(sample))
    assert found and not any(d.wrong.any() for d in found)
    with pytest.raises(ModelError, match=f"{kind} .*: an input that is not a number has no"):
        golden.run(imported.graph, [np.full_like(sample["x0"], np.nan)])


def streaming(kind: str, dtype: str) -> tuple[OnnxBuilder, bytes]:
    """One step: states are inputs, and the next ones outputs."""
    b = OnnxBuilder(5, dtype)
    values = [*operands(b, kind, b.activation((1, BATCH, FEATURES))), ""]
    count = 2 if kind == "LSTM" else 1
    values += [b.activation((1, BATCH, SIZE), scale) for scale in (1 / 120, 0.03)[:count]]
    options = {} if kind == "LSTM" else {"linear_before_reset": 1}
    _, *states = b.nodes_of(kind, values, 1 + count, hidden_size=SIZE, **options)
    return b, b.model(*(b.quantized(state, scale) for state, scale in zip(
        states, (1 / 120, 0.03), strict=False)))


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
@pytest.mark.parametrize("kind", GATES)
def test_states_that_are_inputs_and_outputs(kind: str, dtype: str) -> None:
    pytest.importorskip("onnxruntime")
    compared, (b, model) = Compared(), streaming(kind, dtype)
    graph = import_onnx(model, "stream.onnx")
    program = kaniwa.compile(graph, "base_vector")
    assert {op.kind for op in program.host_ops} <= {"QUANTIZE", "DEQUANTIZE", "RESHAPE"}
    names = [graph.tensors[i].name for i in graph.inputs]
    inputs = b.samples()
    with kaniwa.open("emulator", target="base_vector") as device:
        session = kaniwa.Session(program, device)
        for step in range(6):
            inputs[names[0]] = b.samples()[names[0]]
            compared.add(model, inputs, step)
            expected, found = golden.run(graph, inputs), session.run(inputs)
            for name, i in zip(names[1:], graph.outputs, strict=True):
                inputs[name] = found[graph.tensors[i].name]
                np.testing.assert_array_equal(inputs[name], expected[i])


@pytest.mark.parametrize(("position", "what"), [
    (0, "its input"), (1, "W"), (2, "R"), (5, "initial_h"), (None, "its result")])
def test_what_is_not_quantised_is_named(position: int | None, what: str) -> None:
    b = OnnxBuilder(7)
    values = [*operands(b, "GRU"), "", b.activation((1, BATCH, SIZE), 0.01)]
    shapes = {0: (STEPS, BATCH, FEATURES), 5: (1, BATCH, SIZE)}
    if position in shapes:
        values[position] = b.input(shapes[position])
    elif position is not None:
        columns = FEATURES if position == 1 else SIZE
        values[position] = b.constant(np.ones((1, 3 * SIZE, columns), np.float32))
    y = b.nodes_of("GRU", values, 1, hidden_size=SIZE, linear_before_reset=1)[0]
    model = b.model(y if position is None else b.quantized(y))
    program = kaniwa.compile(import_onnx(model, "test.onnx"), "base_vector")
    (why,) = (op.why for op in program.host_ops if op.kind == "GRU")
    assert why == (f"{what} is float32; quantize it by tensor (ONNX Runtime's quantize_static does "
                   "if op_types_to_quantize names GRU)")


@pytest.mark.parametrize(("largest", "rule"), [(2, "qdq_fixed_point"), (127, "qdq")])
def test_the_rule_has_numbers_for_both_directions_or_none(largest: int, rule: str) -> None:
    b, rows = OnnxBuilder(6), 3 * SIZE
    x = b.activation((STEPS, BATCH, FEATURES), 0.1)
    weights = np.zeros((2, rows, FEATURES), np.int8)
    weights[1] = largest
    w = b.node("DequantizeLinear", [b.constant(weights), b.constant(np.float32(1.0))])
    y = b.nodes_of("GRU", [x, w, b.weights((2, rows, SIZE))], 1, direction="bidirectional",
                   hidden_size=SIZE, linear_before_reset=1)[0]
    graph = import_onnx(b.model(b.quantized(y, 1 / 127)), "test.onnx")
    assert [op.rule for op in graph.ops if op.kind == "GRU"] == [rule]
    golden.run(graph, b.samples())


def test_results_that_nothing_reads_are_left_out() -> None:
    """Quantisers write QuantizeLinear and DequantizeLinear behind them all the same."""
    b = OnnxBuilder(4)
    y, *states = b.nodes_of("LSTM", operands(b, "LSTM"), 3, hidden_size=SIZE)
    for state in states:
        b.quantized(state)
    graph = import_onnx(b.model(b.quantized(y)), "test.onnx")
    assert [op.attributes["result"] for op in graph.ops if op.kind == "LSTM"] == ["Y"]


def refused(b: OnnxBuilder, kind: str = "LSTM", change: dict[int, str] | None = None,
            outputs: int = 1, **attributes: object) -> bytes:
    """A model of one node, with ``change`` in its operands."""
    values = operands(b, kind)
    for position, name in (change or {}).items():
        values += [""] * (position + 1 - len(values))
        values[position] = name
    y = b.nodes_of(kind, values, outputs, **attributes)[0]
    return b.model(b.quantized(y))


REFUSED: dict[str, tuple[Callable[[OnnxBuilder], bytes], type[Error], str]] = {
    "lengths": (lambda b: refused(b, change={4: b.constant(np.int32([STEPS - 1]))}),
                UnsupportedError, "sequence_lens is not supported; leave it out or make it"),
    "peepholes": (lambda b: refused(b, change={7: b.weights((1, 3 * SIZE))}), UnsupportedError,
                  "peepholes (P) are not supported; export without them"),
    "activations": (lambda b: refused(b, "GRU", activations=["Sigmoid", "Relu"]), UnsupportedError,
                    "activations other than Sigmoid and Tanh in their usual places"),
    "clip": (lambda b: refused(b, clip=1.0), UnsupportedError, "clip is not supported; export"),
    "layout": (lambda b: refused(b, "GRU", layout=1), UnsupportedError, "layout is not supported"),
    "coupled gates": (lambda b: refused(b, input_forget=1), UnsupportedError,
                      "input_forget is not supported"),
    "computed state": (lambda b: refused(b, change={5: b.activation((BATCH, SIZE))}), ModelError,
                       "initial_h is [1, 4], expected [1, 1, 4]"),
    "computed weights": (lambda b: refused(b, change={1: b.activation((1, 16, FEATURES))}),
                         UnsupportedError, "W is computed; only a constant is supported"),
    "type": (lambda b: refused(b, change={3: b.constant(np.ones((1, 32), np.int32))}),
             UnsupportedError, "B is int32, expected float32"),
    "shape": (lambda b: refused(b, change={3: b.constant(np.ones((1, 16), np.float32))}),
              ModelError, "B is [1, 16], expected [1, 32]"),
    "infinity": (lambda b: refused(b, change={3: b.constant(np.full((1, 32), np.inf, np.float32))}),
                 ModelError, "B is not finite"),
    "input": (lambda b: refused(b, change={0: b.activation((STEPS, FEATURES))}), ModelError,
              "its input is [5, 3], expected [steps, batch, features]"),
    "direction": (lambda b: refused(b, direction="both"), ModelError,
                  "direction must be forward, reverse or bidirectional"),
    "hidden size": (lambda b: refused(b, hidden_size=5), ModelError, "hidden_size is not 4, the"),
    "no number": (lambda b: refused(b, hidden_size="4"), ModelError,
                  "attribute 'hidden_size' is of type 's'"),
    "outputs": (lambda b: refused(b, "GRU", outputs=3), ModelError, "has 3 outputs"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refusals_name_node_and_reason(case: str) -> None:
    build, error, text = REFUSED[case]
    with pytest.raises(error, match=re.escape(text)) as caught:
        import_onnx(build(OnnxBuilder(2)), "net.onnx")
    assert re.match(r"net\.onnx: node \d+ (LSTM|GRU) '\w+': [^\n]*$", str(caught.value))
