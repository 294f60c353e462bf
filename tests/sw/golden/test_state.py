"""Variables keep their values from one inference to the next."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kaniwa import golden
from kaniwa.benchmark.networks.tflite_file import ModelBuilder
from kaniwa.errors import Error, ModelError
from kaniwa.graph import Graph, State, check
from kaniwa.importers import load_model
from kaniwa.importers.tflite.importer import import_tflite


def digits(models: Path) -> tuple[Graph, list[np.ndarray]]:
    graph = load_model(models / "tflm_mnist_lstm.tflite")
    rng = np.random.default_rng(0)
    return graph, list(rng.integers(-128, 128, (4, 1, 28, 28)).astype(np.int8))


def test_state_begins_as_real_zero_and_is_carried_on(models: Path) -> None:
    graph, samples = digits(models)
    assert [graph.tensors[s.tensor].dtype for s in graph.state] == ["int8", "int16"]
    assert all(not s.initial.any() for s in graph.state)
    state: dict[int, np.ndarray] = {}
    fresh = [golden.run(graph, [x])[graph.outputs[0]] for x in samples]
    carried = [golden.run(graph, [x], state=state)[graph.outputs[0]] for x in samples]
    assert np.array_equal(fresh[0], carried[0])
    assert any(not np.array_equal(a, b) for a, b in zip(fresh[1:], carried[1:], strict=True))
    values = golden.run(graph, [samples[3]], state=dict(state))
    assert all(np.array_equal(values[s.tensor], state[s.tensor]) for s in graph.state)


def test_state_equals_litert_with_and_without_reset(models: Path) -> None:
    pytest.importorskip("ai_edge_litert")
    from kaniwa.verify.litert import LiteRT

    graph, samples = digits(models)
    reference = LiteRT(models / "tflm_mnist_lstm.tflite", graph)
    ids = [i for op in graph.ops for i in op.outputs]
    state: dict[int, np.ndarray] = {}
    for number, x in enumerate(samples):
        if number == 2:
            state.clear()
            reference.reset()
        ours = golden.run(graph, [x], keep=ids, state=state)
        theirs = reference.run([x], ids)
        assert all(np.array_equal(ours[i], theirs[i]) for i in ids)


def remembering(form: str) -> bytes:
    """An SVDF, or a model that uses its state in a way that is refused."""
    b = ModelBuilder()
    x = b.tensor("x", [1, 4], scale=0.1, zero_point=0)
    f = b.tensor("f", [2, 4], scale=0.01, zero_point=0, data=np.ones((2, 4), np.int8))
    t = b.tensor("t", [2, 3], "int16", scale=2e-5, zero_point=0, data=np.ones((2, 3), np.int16))
    dtype = "int8" if form == "dtype" else "int16"
    s = b.tensor("s", [1, 6], dtype, scale=1e-3, zero_point=0, variable=form != "plain")
    y, z = (b.tensor(n, [1, 2], scale=0.1, zero_point=0) for n in "yz")
    options = {"Rank": 2 if form == "rank" else 1,
               "FusedActivationFunction": 0 if form == "activation" else 1}
    b.op("SVDF", [x, f, t, -1, -1 if form == "absent" else s], [y], **options)
    if form == "shared":
        b.op("SVDF", [x, f, t, -1, s], [z], **options)
    if form == "read":
        b.op("LOGISTIC", [s], [z])
    return b.build([x, s] if form == "input" else [x], [y])


@pytest.mark.parametrize("form, message", [
    ("plain", "op 0 SVDF 'y': operand 4, 's', must be a variable"),
    ("absent", "op 0 SVDF 'y': operand 4, which is absent, must be a variable"),
    ("shared", "op 1 SVDF 'z': variable 's' is changed by two operators"),
    ("read", "op 1 LOGISTIC 'z': tensor 's' is a variable; convert the model without state"),
    ("input", "tensor 's': a variable that is an input, a constant, or listed twice"),
    ("dtype", "op 0 SVDF 'y': state 's' must be quantised int16 with zero point 0"),
    ("rank", "op 0 SVDF 'y': 'y' [1, 2] should be [1, 1]"),
    ("activation", "op 0 SVDF 'y': fused activation NONE must be RELU"),
])
def test_what_makes_no_sense_is_refused(form: str, message: str) -> None:
    with pytest.raises(Error) as raised:
        import_tflite(remembering(form), "model.tflite")
    assert str(raised.value) == f"model.tflite: {message}"


def test_state_is_checked() -> None:
    graph = import_tflite(remembering(""), "model.tflite")
    (state,) = graph.state
    with pytest.raises(ModelError, match="'s': a variable's values must have one dtype and shape"):
        check(replace(graph, state=(replace(state, initial=np.zeros(3, np.int16)),)))
    with pytest.raises(ModelError, match="output tensor 4 is never written"):
        unwritten = State(state.tensor, 4, np.zeros((1, 2), np.int8))
        check(replace(graph, ops=(), outputs=(), state=(replace(unwritten, tensor=5),)))


def resources(form: str) -> bytes:
    """Reads a variable and assigns it, or something like it that is refused."""
    b, once = ModelBuilder(), ModelBuilder()
    handles = []
    for each in (b, once):
        handles.append(each.tensor("handle", [1], "resource"))
        each.op("VAR_HANDLE", [], handles[-1:], SharedName="" if form == "name" else "v")
    dtype = "int32" if form == "form" else "float32"
    initial = once.tensor("initial", [2], dtype,
                          data=None if form == "computed" else np.ones(2, dtype))
    once.op("ASSIGN_VARIABLE", [handles[1], initial], [])
    if form == "operator":
        once.op("LOGISTIC", [initial], [once.tensor("more", [2])])
    x = b.tensor("x", [2], "float32")
    y, z = b.tensor("y", [2], "float32"), b.tensor("z", [2], "float32")
    if form != "value":
        b.op("CALL_ONCE", [], [], InitSubgraphIndex=3 if form == "subgraph" else 1)
    if form == "twice":
        b.op("CALL_ONCE", [], [], InitSubgraphIndex=1)
    read = x if form == "handle" else handles[0]
    b.op("READ_VARIABLE", [read], [y])
    b.op("LOGISTIC", [handles[0] if form == "read" else x], [z])
    b.op("ASSIGN_VARIABLE", [handles[0], z], [])
    return b.build([handles[0]] if form == "input" else [x], [y], once)


def test_variable_has_the_value_of_the_inference_before() -> None:
    graph = import_tflite(resources(""), "model.tflite")
    assert [op.kind for op in graph.ops] == ["READ_VARIABLE", "LOGISTIC"]
    state: dict[int, np.ndarray] = {}
    zero = np.zeros(2, np.float32)
    found = [golden.run(graph, [zero], state=state)[graph.outputs[0]] for _ in range(3)]
    assert [y.tolist() for y in found] == [[1, 1], [0.5, 0.5], [0.5, 0.5]]


@pytest.mark.parametrize("form, message", [
    ("value", "op 1 READ_VARIABLE 'y': reads a variable that has no value yet; assign it in a "
              "subgraph that CALL_ONCE names, or before"),
    ("form", "op 2 READ_VARIABLE 'y': 'y' [2] of float32 is another form than the variable's [2] "
             "of int32"),
    ("handle", "op 2 READ_VARIABLE 'y': 'x' is no variable's handle"),
    ("read", "op 3 LOGISTIC 'z': activation 'handle' is resource, must be int8, uint8, int16 or "
             "float32"),
    ("name", "op 0 VAR_HANDLE 'handle': the variable has no name"),
    ("subgraph", "op 1 CALL_ONCE '': subgraph 3 does not exist, or is called twice"),
    ("twice", "op 2 CALL_ONCE '': subgraph 1 does not exist, or is called twice"),
    ("operator", "op 2 LOGISTIC 'more': activation 'more' is int8, must be float32"),
    ("computed", "op 1 CALL_ONCE '': its subgraph has ASSIGN_VARIABLE of what is computed; only "
                 "constants can be assigned"),
    ("input", "input 'handle' is a variable's handle"),
])
def test_variables_that_make_no_sense_are_refused(form: str, message: str) -> None:
    with pytest.raises(Error) as raised:
        import_tflite(resources(form), "model.tflite")
    assert str(raised.value) == f"model.tflite: {message}"


def test_other_subgraphs_are_refused() -> None:
    b, other = ModelBuilder(), ModelBuilder()
    x, y = (b.tensor(name, [2], "float32") for name in "xy")
    b.op("LOGISTIC", [x], [y])
    with pytest.raises(Error, match="has 2 subgraphs, must have 1 besides those that CALL_ONCE"):
        import_tflite(b.build([x], [y], other), "model.tflite")
