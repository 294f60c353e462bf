"""Requests that do not fit: one line that names the tensor, what is expected, and what is there."""

import json

import numpy as np
import pytest
from builders.graphs.attention_case import matmul_graph
from builders.serving import Client, serving, tensor

from kaniwa.compiler.pipeline import compile
from kaniwa.serve.limits import Refused
from kaniwa.serve.messages import answer, read_request
from kaniwa.serve.model import Model

GOOD = {"name": "input_1", "datatype": "INT8", "shape": [1, 49, 10, 1], "data": [0] * 490}
WHERE = "model 'kws': input 'input_1': "


@pytest.fixture(scope="module")
def client(words):
    with serving({"kws": words.program}, ["emulator"], limits={"queue": 3}) as server:
        yield Client(server)


def changed(**values):
    return {**GOOD, **values}


@pytest.mark.parametrize(("entry", "text"), [
    (changed(shape=[49, 10]), "expected shape [-1, 49, 10, 1], found [49, 10]"),
    (changed(shape=[0, 49, 10, 1], data=[]), "expected shape [-1, 49, 10, 1], found [0, 49, 10, 1"),
    (changed(shape="x"), "expected a shape, a list of numbers, found 'x'"),
    (changed(shape=[1, 49, 10, True]), "expected a shape, a list of numbers"),
    (changed(shape=[1, 49, -10, 1]), "expected a shape, a list of numbers"),
    (changed(datatype="INT16"), "expected datatype INT8 or FP32, found 'INT16'"),
    (changed(datatype=100_000 * "A"), "expected datatype INT8 or FP32, found 'AAAA"),
    (changed(datatype=["INT8"]), "expected datatype INT8 or FP32, found ['INT8']"),
    (changed(data=[0] * 489), "expected 490 elements for shape [1, 49, 10, 1], found 489"),
    (changed(shape=[10**9, 49, 10, 1]), "expected 490000000000 elements for shape"),
    (changed(shape=[10**12, 49, 10, 1]), "expected a shape of at most 16 axes, and 2,147,483,647"),
    (changed(shape=[10**4200, 49, 10, 1]), "expected a shape of at most 16 axes"),
    (changed(shape=[2] * 20000), "expected a shape of at most 16 axes"),
    (changed(data=[[0] * 49] * 10), "expected data flat or nested as [1, 49, 10, 1], found [10,"),
    (changed(data=[[0] * 489, [0]]), "expected data flat or nested as its shape, found lists of"),
    (changed(data=[[0] * 489, 0]), "expected data flat or nested as its shape, found lists of"),
    (changed(data=[0] * 489 + [[0]]), "expected whole numbers for INT8, found list"),
    (changed(data=[0] * 489 + [128]), "expected values from -128 to 127, found 128"),
    (changed(data=[-10**50] * 490), "expected values from -128 to 127, found -1000000000"),
    (changed(data=[0.5] * 490), "expected whole numbers for INT8, found float"),
    (changed(data=["0", True] * 245), "expected whole numbers for INT8, found bool, str"),
    (changed(data=[None] * 490, datatype="FP32"), "expected numbers for FP32, found NoneType"),
    (changed(data=[1e39] * 490, datatype="FP32"), "expected numbers that FP32 can hold"),
    (changed(data=[10**400] * 490, datatype="FP32"), "expected numbers that FP32 can hold"),
    (changed(data={}), "expected data, a list of numbers, found dict"),
    (changed(parameters=3), "expected parameters, an object, found int"),
    (changed(parameters={"shared_memory_region": "x"}), "parameter 'shared_memory_region' is of"),
    (changed(parameters={"binary_data_size": 490}), "expected data or binary_data_size"),
])
def test_a_tensor_that_does_not_fit(client, entry, text):
    reply = client.infer("kws", entry)
    assert reply.status == 400 and set(reply.json) == {"error"}
    assert reply.json["error"].startswith(WHERE + text), reply.json
    assert "\n" not in reply.json["error"] and len(reply.json["error"]) < 500


@pytest.mark.parametrize(("body", "text"), [
    (b"nonsense", "expected JSON, found other text: Expecting value: line 1 column 1 (char 0)"),
    (b"\xff\xfe\x00", "expected JSON, found other text: "),
    (b'{"inputs": [NaN]}', "expected JSON, found other text: NaN is no JSON"),
    (b"[" * 100_000, "expected JSON, found other text: "),
    (b"[" + b"9" * 5000 + b"]", "expected JSON, found other text: "),
    (b"3", "expected a JSON object, found another value"),
    (b"", "expected JSON, found other text: "),
    ({}, "model 'kws': expected inputs, a list of objects, found NoneType"),
    ({"inputs": [3]}, "model 'kws': expected inputs, a list of objects"),
    ({"inputs": []}, "model 'kws': expected input 'input_1', found none"),
    ({"inputs": [changed(name="x")]}, "model 'kws': expected inputs of ['input_1'], found 'x'"),
    ({"inputs": [changed(name=[])]}, "model 'kws': expected inputs of ['input_1'], found []"),
    ({"inputs": [GOOD, GOOD]}, "model 'kws': input 'input_1' is there twice"),
    ({"inputs": [GOOD], "outputs": [{"name": "y"}]},
     "model 'kws': expected outputs of ['Identity'], found 'y'"),
    ({"inputs": [GOOD], "id": 3}, "expected id, a string, found 3"),
    ({"inputs": [GOOD], "parameters": {"sequence_id": 3}}, "model 'kws': parameter 'sequence_id'"),
    ({"inputs": [GOOD], "outputs": [{"name": "Identity", "parameters": {"classification": 3}}]},
     "model 'kws': output 'Identity': parameter 'classification'"),
    ({"inputs": [tensor("input_1", np.zeros((4, 49, 10, 1), np.int8), "INT8")]},
     "model 'kws': expected at most 3 inferences in a request, found 4"),
])
def test_a_request_that_does_not_fit(client, body, text):
    reply = client.post("/v2/models/kws/infer", body)
    assert reply.status == 400 and reply.json["error"].startswith(text), reply.json
    assert "\n" not in reply.json["error"]


def binary(size, **more):
    entry = {name: GOOD[name] for name in ("name", "datatype", "shape")}
    return json.dumps({"inputs": [{**entry, "parameters": {"binary_data_size": size}, **more}]}
                      ).encode()


@pytest.mark.parametrize(("head", "blob", "length", "text"), [
    (binary(490), bytes(490), "x", "expected inference-header-content-length, at most"),
    (binary(490), bytes(490), "-1", "expected inference-header-content-length, at most"),
    (binary(490), bytes(490), "100000", "expected inference-header-content-length, at most"),
    (binary(489), bytes(489), None,
     WHERE + "expected 490 bytes for INT8[1, 49, 10, 1], found 489"),
    (binary(490), bytes(480), None,
     WHERE + "expected 490 bytes for INT8[1, 49, 10, 1], found 480"),
    (binary(490), bytes(491), None, "model 'kws': expected 490 bytes behind the JSON object,"),
    (binary(-1), b"", None, WHERE + "expected data or binary_data_size, a number of bytes"),
    (binary(4 * 490, datatype="FP32"), np.full(490, np.inf, np.float32).tobytes(), None,
     "mlperf_kws_dscnn.tflite: input 'input_1': expected finite numbers, found inf or nan"),
])
def test_bytes_that_do_not_fit(client, head, blob, length, text):
    reply = client.post("/v2/models/kws/infer", head + blob, {
        "Inference-Header-Content-Length": length or str(len(head))})
    assert reply.status == 400 and reply.json["error"].startswith(text), reply.json


def model_of(batch):
    """A product of matrices, whose two inputs have a first axis of ``batch``."""
    return Model("product", compile(matmul_graph((batch, 4, 8), (batch, 8, 4)), target="base"), 0)


def asked(model, *arrays, names=None, **more):
    names = names or [t.name for t in model.program.inputs]
    datatypes = {"int8": "INT8", "float32": "FP32"}
    inputs = [tensor(name, array, datatypes[str(array.dtype)])
              for name, array in zip(names, arrays, strict=True)]
    return read_request(json.dumps({"inputs": inputs, **more}).encode(), None, model)


def test_inputs_have_one_batch_and_one_kind_of_numbers():
    model = model_of(1)
    a, b = (np.arange(96, dtype=np.int8).reshape(3, *t.shape[1:]) for t in model.program.inputs)
    request = asked(model, a, b)
    assert (request.batch, request.as_float, len(request.inferences)) == ("first", False, 3)
    for n, arrays in enumerate(request.inferences):
        for tensor_info, whole in zip(model.program.inputs, (a, b), strict=True):
            np.testing.assert_array_equal(arrays[tensor_info.name], whole[n:n + 1])
    first, second = (t.name for t in model.program.inputs)
    with pytest.raises(Refused, match="expected the same batch in all inputs, found .*: 3, .*: 2"):
        asked(model, a, b[:2])
    with pytest.raises(Refused, match=f"input '{second}': expected FP32, as '{first}' is, found"):
        asked(model, a.astype(np.float32), b)
    with pytest.raises(Refused, match=f"expected input '{second}', found"):
        asked(model, a, names=[first])
    assert asked(model, a.astype(np.float32), b.astype(np.float32)).as_float


def test_a_model_whose_first_axis_is_no_batch_takes_one_before_it():
    model = model_of(2)
    assert [t["shape"] for t in model.metadata()["inputs"]] == [[2, 4, 8], [2, 8, 4]]
    a, b = (np.ones((3, *t.shape), np.int8) for t in model.program.inputs)
    request = asked(model, a, b)
    assert (request.batch, len(request.inferences)) == ("before", 3)
    with pytest.raises(Refused, match=r"expected shape \[2, 4, 8\], found \[3, 4, 8\]"):
        asked(model, a[:, 0], b[:, 0])


def test_values_that_json_cannot_hold_are_given_as_bytes_only():
    model = model_of(2)
    a, b = (np.ones(t.shape, np.int8) for t in model.program.inputs)
    (name,) = (t.name for t in model.program.outputs)
    results = [{name: np.array([[1, np.inf]], np.float32)}]
    with pytest.raises(Refused, match=f"output '{name}' has values that JSON cannot hold"):
        answer(asked(model, a, b), results, model)
    body, headers = answer(asked(model, a, b, parameters={"binary_data_output": True}), results,
                           model)
    length = int(headers["inference-header-content-length"])
    (output,) = json.loads(body[:length])["outputs"]
    assert output["parameters"] == {"binary_data_size": 8} and "data" not in output
    np.testing.assert_array_equal(np.frombuffer(body[length:], "<f4"), [1, np.inf])


def test_after_all_that_a_good_request_is_answered(client, words):
    (output,) = client.infer("kws", tensor("input_1", words.inputs[0], "INT8")).json["outputs"]
    assert output["data"] == words.answers[0].ravel().tolist()
