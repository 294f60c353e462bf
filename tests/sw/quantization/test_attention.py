"""Attention as exporters write it: hidden scores, and rows that are no numbers."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from kaniwa.importers import load_model
from kaniwa.quantization.quantize import quantize
from kaniwa.quantization.recipe import Recipe

TOKENS, DEPTH = 12, 16
CAUSAL = np.tril(np.ones((TOKENS, TOKENS), bool))


def attention(hidden, form="sum", guarded=True, few=-0.7):
    """Each token sees itself and those before it: ``hidden`` is added to the other scores.

    ``form``: a sum; a choice by a constant; a sum in another shape than the softmax has; a sum or a
    choice by what the input has.
    """
    rng = np.random.default_rng(3)
    weights = {name: rng.normal(0, 0.35, (DEPTH, DEPTH)).astype(np.float32) for name in "qkv"}
    constants = dict(weights, zero=np.float32(0), hidden=np.float32(hidden), seen=CAUSAL,
                     addend=np.where(CAUSAL, 0, hidden).astype(np.float32)[None],
                     begin=np.array([0]), end=np.array([1]), last=np.array([2]),
                     few=np.float32(few), one=np.float32(1),
                     flat=np.array([TOKENS, TOKENS]), whole=np.array([1, TOKENS, TOKENS]))
    nodes = [helper.make_node("MatMul", ["x", name], [f"{name}s"]) for name in "qkv"]
    nodes += [helper.make_node("Transpose", ["ks"], ["turned"], perm=[0, 2, 1]),
              helper.make_node("MatMul", ["qs", "turned"], ["scores"])]
    if form in ("computed", "computed choice"):      # by what tokens there are
        nodes += [helper.make_node("Slice", ["x", "begin", "end", "last"], ["length"]),
                  helper.make_node("Greater", ["length", "few"], ["there"]),
                  helper.make_node("Transpose", ["there"], ["seen_too"], perm=[0, 2, 1]),
                  helper.make_node("Cast", ["seen_too"], ["ones"], to=TensorProto.FLOAT),
                  helper.make_node("Sub", ["one", "ones"], ["others"]),
                  helper.make_node("Mul", ["others", "hidden"], ["addends"])]
    if form == "computed":
        nodes.append(helper.make_node("Add", ["addends", "scores"], ["sums"]))
    elif form == "computed choice":
        nodes.append(helper.make_node("Where", ["seen_too", "scores", "hidden"], ["sums"]))
    elif form == "choice":
        nodes.append(helper.make_node("Where", ["seen", "scores", "hidden"], ["sums"]))
    else:
        nodes.append(helper.make_node("Add", ["scores", "addend"], ["sums"]))
    of_softmax = "sums"
    if form == "views":
        nodes.append(helper.make_node("Reshape", ["sums", "flat"], ["rows"]))
        of_softmax = "rows"
    nodes.append(helper.make_node("Softmax", [of_softmax], ["parts"], axis=-1))
    result = "parts"
    if guarded:
        nodes += [helper.make_node("IsNaN", ["parts"], ["none"]),
                  helper.make_node("Where", ["none", "zero", "parts"], ["kept"])]
        result = "kept"
    nodes += [helper.make_node("Reshape", [result, "whole"], ["weights"]),
              helper.make_node("MatMul", ["weights", "vs"], ["y"])]
    shape = [1, TOKENS, DEPTH]
    return helper.make_model(helper.make_graph(
        nodes, "attention", [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]),
        opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def quantised(tmp_path, model, **recipe):
    """The quantised model, and its signal-to-noise ratio in dB over samples of its own."""
    path, samples = tmp_path / "model.onnx", tmp_path / "samples.npz"
    onnx.save(model, path)
    rng = np.random.default_rng(1)
    x = rng.normal(size=(16, TOKENS, DEPTH)).astype(np.float32)
    np.savez(samples, x=x)
    made = onnx.load_from_string(quantize(path, samples, Recipe(**recipe)).data)
    onnx.save(made, tmp_path / "made.onnx")
    exact, got = (onnxruntime.InferenceSession(m.SerializeToString()).run(None, {"x": x[:1]})[0]
                  for m in (model, made))
    return made, 10 * np.log10(np.square(exact).sum() / np.square(exact - got).sum())


@pytest.mark.parametrize("form", ["sum", "choice", "views"])
@pytest.mark.parametrize("hidden", [-np.inf, float(np.finfo(np.float32).min), -1e9, -100])
def test_hidden_scores_leave_the_others_their_steps(tmp_path, form, hidden):
    made, ratio = quantised(tmp_path, attention(hidden, form))
    assert ratio > 20
    assert {"IsNaN", "Where"}.isdisjoint(node.op_type for node in made.graph.node)
    constants = {t.name: numpy_helper.to_array(t) for t in made.graph.initializer}
    assert constants["sums_scale"] < 0.5
    graph = load_model(tmp_path / "made.onnx")
    assert [op.kind for op in graph.ops if op.rule == "onnxruntime"] == []


@pytest.mark.parametrize("form", ["computed", "computed choice"])
def test_scores_that_an_input_hides(tmp_path, form):
    made, ratio = quantised(tmp_path, attention(float(np.finfo(np.float32).min), form))
    assert ratio > 20
    constants = {t.name: numpy_helper.to_array(t) for t in made.graph.initializer}
    assert constants["sums_scale"] < 0.5


def test_a_choice_hides_scores_though_no_sample_shows_it(tmp_path):
    made, ratio = quantised(tmp_path, attention(-1e9, "computed choice", few=-1e9))
    assert ratio > 20
    constants = {t.name: numpy_helper.to_array(t) for t in made.graph.initializer}
    scores, sums = ((-128.0 - constants[f"{name}_zero_point"]) * constants[f"{name}_scale"]
                    for name in ("scores", "sums"))
    assert sums < scores - 8        # of ln(512 * TOKENS), 8.7


@pytest.mark.parametrize("recipe", [{"method": "percentile", "percentile": 99.9},
                                    {"symmetric_activations": True}, {"activations": "int16"}])
def test_hidden_scores_of_other_recipes(tmp_path, recipe):
    assert quantised(tmp_path, attention(-np.inf), **recipe)[1] > 15


def test_an_addend_that_hides_nothing_stays(tmp_path):
    made, ratio = quantised(tmp_path, attention(-3.0, guarded=False))
    assert ratio > 20
    assert not any(tensor.name.startswith("sums:") for tensor in made.graph.initializer)


@pytest.mark.parametrize("form", ["computed", "computed choice"])
@pytest.mark.parametrize("method", ["percentile", "entropy"])
def test_a_histogram_has_room_beside_scores_that_an_input_hides(tmp_path, form, method):
    made, ratio = quantised(tmp_path, attention(float(np.finfo(np.float32).min), form),
                            method=method)
    assert ratio > 12
    constants = {t.name: numpy_helper.to_array(t) for t in made.graph.initializer}
    assert constants["sums_scale"] < 0.5


def test_the_error_of_sums_is_that_of_scores_which_are_not_hidden(tmp_path):
    onnx.save(attention(-1e9, "computed"), tmp_path / "model.onnx")
    np.savez(tmp_path / "samples.npz",
             x=np.random.default_rng(1).normal(size=(4, TOKENS, DEPTH)).astype(np.float32))
    found = quantize(tmp_path / "model.onnx", tmp_path / "samples.npz", Recipe())
    rows = {row.name: row for row in found.activations}
    assert rows["sums"].signal_to_noise_db > 20
    assert rows["sums"].low > -100
