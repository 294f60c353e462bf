"""The paths of the protocol, by hand and with the client that Triton's makers give out."""

import numpy as np
import pytest
import tritonclient.http as triton
from builders.serving import Client, serving, tensor
from tritonclient.utils import InferenceServerException

import kaniwa
from kaniwa import golden
from kaniwa.data.inputs import quantize
from kaniwa.data.labels import dequantize


@pytest.fixture(scope="module")
def server(words, recurrent):
    with serving({"kws": words.program, "lstm": recurrent}, ["emulator", "emulator"]) as running:
        yield running


@pytest.fixture(scope="module")
def client(server):
    return Client(server)


def test_the_server_tells_of_itself(client):
    assert client.get("/v2").json == {"name": "kaniwa", "version": kaniwa.__version__,
                                      "extensions": ["binary_tensor_data"]}
    for path in ("/v2/health/live", "/v2/health/ready", "/v2/models/kws/ready",
                 "/v2/models/kws/versions/1/ready"):
        assert client.get(path).status == 200
    for path in ("/v2/models/kws", "/v2/models/kws/versions/1"):
        assert client.get(path).json == {
            "name": "kws", "versions": ["1"], "platform": "kaniwa",
            "inputs": [{"name": "input_1", "datatype": "INT8", "shape": [-1, 49, 10, 1]}],
            "outputs": [{"name": "Identity", "datatype": "INT8", "shape": [-1, 12]}]}


def test_an_inference_in_json(client, words):
    for data in (words.inputs[0].ravel().tolist(), words.inputs[0].tolist()):
        reply = client.infer("kws", {"name": "input_1", "datatype": "INT8",
                                     "shape": [1, 49, 10, 1], "data": data}, id="seven")
        assert reply.status == 200
        assert reply.json == {
            "model_name": "kws", "model_version": "1", "id": "seven", "outputs": [
                {"name": "Identity", "datatype": "INT8", "shape": [1, 12],
                 "data": words.answers[0].ravel().tolist()}]}


def test_a_batch_is_split_into_inferences(client, words):
    many = words.inputs[:5]
    for array, shape in ((many[:, 0], [5, 12]), (many, [5, 1, 12])):
        (output,) = client.infer("kws", tensor("input_1", array, "INT8")).json["outputs"]
        assert output["shape"] == shape
        assert output["data"] == words.answers[:5].ravel().tolist()


def test_real_numbers_are_quantised_and_given_back(client, words):
    (given,), (made,) = words.program.inputs, words.program.outputs
    real = dequantize(words.inputs[3], given)
    assert (quantize(real, given) == words.inputs[3]).all()
    (output,) = client.infer("kws", tensor("input_1", real, "FP32")).json["outputs"]
    assert output["datatype"] == "FP32"
    np.testing.assert_array_equal(np.array(output["data"], np.float32),
                                  dequantize(words.answers[3], made).ravel())


def test_each_inference_begins_with_cleared_state(client, recurrent):
    graph = recurrent.graph
    (given,), (made,) = recurrent.inputs, recurrent.outputs
    image = np.random.default_rng(1).integers(-128, 128, given.shape).astype(np.int8)
    expected = golden.run(graph, [image])[graph.outputs[0]].ravel().tolist()
    twice = np.concatenate([image, image])
    for _ in range(2):
        (output,) = client.infer("lstm", tensor(given.name, twice, "INT8")).json["outputs"]
        assert output["name"] == made.name and output["data"] == 2 * expected


def test_paths_that_are_none(client):
    for path, text in (("/v2/models/no", "no model 'no': the models are ['kws', 'lstm']"),
                       ("/v2/models/kws/versions/2", "model 'kws' has version 1, not '2'"),
                       ("/v3", "GET /v3: Not Found")):
        reply = client.get(path)
        assert reply.status == 404 and reply.json == {"error": text}
    reply = client.get("/v2/models/kws/infer")
    assert reply.status == 405 and reply.headers["allow"] == "POST"
    assert client.infer("no").status == 404


@pytest.fixture
def clerk(client):
    with triton.InferenceServerClient(client.address) as made:
        yield made


def test_a_standard_client_asks(clerk):
    assert clerk.is_server_live() and clerk.is_server_ready()
    assert clerk.is_model_ready("kws") and not clerk.is_model_ready("no")
    assert clerk.get_server_metadata()["name"] == "kaniwa"
    assert clerk.get_model_metadata("kws")["inputs"][0]["datatype"] == "INT8"


@pytest.mark.parametrize("binary_in", [False, True])
@pytest.mark.parametrize("binary_out", [False, True, None])
@pytest.mark.parametrize("datatype", ["INT8", "FP32"])
def test_a_standard_client_infers(clerk, words, binary_in, binary_out, datatype):
    """``None``: the outputs are not named, so all are asked for."""
    (given,), (made,) = words.program.inputs, words.program.outputs
    array, answers = words.inputs[:3, 0], words.answers[:3, 0]
    if datatype == "FP32":
        array, answers = dequantize(array, given), dequantize(answers, made)
    asked = triton.InferInput("input_1", list(array.shape), datatype)
    asked.set_data_from_numpy(array, binary_data=binary_in)
    outputs = None if binary_out is None else [
        triton.InferRequestedOutput("Identity", binary_data=binary_out)]
    result = clerk.infer("kws", [asked], outputs=outputs, request_id="1")
    assert result.get_response()["id"] == "1"
    assert (result.get_output("Identity").get("data") is None) == (binary_out is not False)
    np.testing.assert_array_equal(result.as_numpy("Identity"), answers)
    assert result.as_numpy("Identity").dtype == answers.dtype


def test_a_standard_client_is_told_what_is_wrong(clerk, words):
    asked = triton.InferInput("input_1", [1, 49, 10], "INT8")
    asked.set_data_from_numpy(words.inputs[0][..., 0])
    with pytest.raises(InferenceServerException,
                       match=r"'input_1': expected shape \[-1, 49, 10, 1\], found \[1, 49, 10\]"):
        clerk.infer("kws", [asked])
    asked = triton.InferInput("input_1", [1, 49, 10, 1], "INT8")
    asked.set_data_from_numpy(words.inputs[0])
    with pytest.raises(InferenceServerException, match="without content-encoding, found gzip"):
        clerk.infer("kws", [asked], request_compression_algorithm="gzip")
