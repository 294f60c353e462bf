"""The protocol over gRPC, with the client that Triton's makers give out."""

from concurrent.futures import ThreadPoolExecutor

import grpc
import numpy as np
import pytest
import tritonclient.grpc as triton
from builders.gated_device import WAIT, Gated
from builders.serving import Client, serving
from tritonclient.grpc import service_pb2, service_pb2_grpc
from tritonclient.utils import InferenceServerException

import kaniwa
from kaniwa.data.labels import dequantize
from kaniwa.errors import DeviceError
from kaniwa.serve.rpc.protocol import messages

MOST = 20_000     # bytes of a message


@pytest.fixture(scope="module")
def server(words, recurrent):
    with serving({"kws": words.program, "lstm": recurrent}, ["emulator", "emulator"],
                 rpc=True, limits={"max_body": MOST}) as running:
        yield running


@pytest.fixture
def clerk(server):
    with triton.InferenceServerClient(server.rpc) as made:
        yield made


@pytest.fixture
def stub(server):
    with grpc.insecure_channel(server.rpc) as channel:
        yield service_pb2_grpc.GRPCInferenceServiceStub(channel)


def word(words, number=0, form="INT8"):
    array = words.inputs[number]
    made = triton.InferInput("input_1", list(array.shape), form)
    made.set_data_from_numpy(array if form == "INT8" else
                             dequantize(array, words.program.inputs[0]))
    return made


def typed(words, **more):
    """A request with its elements in typed contents, which that client cannot make."""
    request = service_pb2.ModelInferRequest(model_name="kws", **more)
    given = request.inputs.add(name="input_1", datatype="INT8", shape=[1, 49, 10, 1])
    given.contents.int_contents.extend(words.inputs[0].ravel().tolist())
    return request


def refusal(call, *arguments):
    with pytest.raises(grpc.RpcError) as refused:
        call(*arguments, timeout=WAIT)
    return refused.value.code().name, refused.value.details()


def test_messages_are_those_of_the_client():
    """Every field of ours has the number and the kind that the client's has, nested or not."""
    found = dict(service_pb2.DESCRIPTOR.message_types_by_name)
    for outer in list(found.values()):
        found |= outer.nested_types_by_name
    for name, ours in messages.items():
        theirs = found[name].fields_by_number
        for field in ours.DESCRIPTOR.fields:
            assert (field.name, field.type, field.is_repeated) == (
                theirs[field.number].name, theirs[field.number].type,
                theirs[field.number].is_repeated), f"{name}.{field.name}"


def test_a_standard_client_asks(clerk):
    assert clerk.is_server_live() and clerk.is_server_ready() and clerk.is_model_ready("kws")
    assert clerk.get_server_metadata(as_json=True) == {"name": "kaniwa",
                                                       "version": kaniwa.__version__}
    assert clerk.get_model_metadata("kws", as_json=True) == {
        "name": "kws", "versions": ["1"], "platform": "kaniwa",
        "inputs": [{"name": "input_1", "datatype": "INT8", "shape": ["-1", "49", "10", "1"]}],
        "outputs": [{"name": "Identity", "datatype": "INT8", "shape": ["-1", "12"]}]}


@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize("datatype", ["INT8", "FP32"])
def test_a_standard_client_infers(clerk, words, named, datatype):
    (given,), (made,) = words.program.inputs, words.program.outputs
    array, answers = words.inputs[:3, 0], words.answers[:3, 0]
    if datatype == "FP32":
        array, answers = dequantize(array, given), dequantize(answers, made)
    asked = triton.InferInput("input_1", list(array.shape), datatype)
    asked.set_data_from_numpy(array)
    outputs = [triton.InferRequestedOutput("Identity")] if named else None
    result = clerk.infer("kws", [asked], model_version="1", outputs=outputs, request_id="seven")
    assert result.get_response().id == "seven" and result.get_response().model_version == "1"
    np.testing.assert_array_equal(result.as_numpy("Identity"), answers)
    assert result.as_numpy("Identity").dtype == answers.dtype


def test_elements_of_typed_contents(stub, words):
    reply = stub.ModelInfer(typed(words), timeout=WAIT)
    assert list(reply.outputs[0].shape) == [1, 12]
    assert reply.raw_output_contents[0] == words.answers[0].tobytes()


def test_many_calls_at_a_time_have_their_own_answers(clerk, words):
    with ThreadPoolExecutor(8) as threads:
        results = list(threads.map(
            lambda number: clerk.infer("kws", [word(words, number % 25)]).as_numpy("Identity"),
            range(100)))
    for number, result in enumerate(results):
        np.testing.assert_array_equal(result, words.answers[number % 25])


def test_what_is_wrong_is_told_in_a_line(stub, words):
    def infer(change):
        request = typed(words)
        change(request)
        return refusal(stub.ModelInfer, request)

    assert infer(lambda r: r.inputs[0].ClearField("contents")) == (
        "INVALID_ARGUMENT", "model 'kws': input 'input_1': expected 490 elements for shape "
        "[1, 49, 10, 1], found 0")
    assert infer(lambda r: r.inputs[0].shape.pop()) == (
        "INVALID_ARGUMENT", "model 'kws': input 'input_1': expected shape [-1, 49, 10, 1], found "
        "[1, 49, 10]")
    assert infer(lambda r: setattr(r.inputs[0], "datatype", "FP64")) == (
        "INVALID_ARGUMENT", "model 'kws': input 'input_1': expected datatype INT8 or FP32, found "
        "'FP64'")
    assert infer(lambda r: r.raw_input_contents.append(b"1")) == (
        "INVALID_ARGUMENT", "model 'kws': input 'input_1': expected contents or "
        "raw_input_contents, found both")
    assert infer(lambda r: r.raw_input_contents.extend([b"1", b"2"])) == (
        "INVALID_ARGUMENT", "model 'kws': expected raw_input_contents for each of 1 inputs or "
        "for none, found 2")
    assert infer(lambda r: r.outputs.add(name="no")) == (
        "INVALID_ARGUMENT", "model 'kws': expected outputs of ['Identity'], found 'no'")
    assert infer(lambda r: r.parameters["sequence_id"].MergeFrom(
        service_pb2.InferParameter(int64_param=3))) == (
        "INVALID_ARGUMENT", "model 'kws': parameter 'sequence_id' is of an extension that is not "
        "here")
    assert infer(lambda r: setattr(r, "model_name", "no")) == (
        "NOT_FOUND", "no model 'no': the models are ['kws', 'lstm']")
    assert infer(lambda r: setattr(r, "model_version", "2")) == (
        "NOT_FOUND", "model 'kws' has version 1, not '2'")
    code, _ = infer(lambda r: r.inputs[0].contents.int_contents.extend([-1] * MOST))
    assert code == "RESOURCE_EXHAUSTED"
    code, _ = refusal(stub.ModelStatistics, service_pb2.ModelStatisticsRequest())
    assert code == "UNIMPLEMENTED"


def test_bytes_that_are_no_message(server):
    with grpc.insecure_channel(server.rpc) as channel:
        call = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
        assert refusal(call, b"\xff" * 40) == (
            "INVALID_ARGUMENT", "expected a message ModelInferRequest, found other bytes")


def test_calls_are_counted_by_code(server, stub, words):
    def counts():
        return [line for line in Client(server).get("/metrics").body.decode().splitlines()
                if line.startswith('kaniwa_grpc_calls_total{code="NOT_FOUND"}')]

    before = counts()
    refusal(stub.ModelReady, service_pb2.ModelReadyRequest(name="no"))
    assert counts() != before


def test_a_token_is_asked_of_every_call(words):
    with serving({"kws": words.program}, ["emulator"], rpc=True, token="s3cret") as server, \
            triton.InferenceServerClient(server.rpc) as clerk:
        for headers in (None, {"authorization": "Bearer other"}, {"authorization": "s3cret"}):
            with pytest.raises(InferenceServerException, match="UNAUTHENTICATED"):
                clerk.is_server_live(headers=headers)
        right = {"authorization": "Bearer s3cret"}
        assert clerk.is_server_live(headers=right)
        result = clerk.infer("kws", [word(words)], headers=right)
        np.testing.assert_array_equal(result.as_numpy("Identity"), words.answers[0])


def test_a_full_queue_refuses_and_begun_calls_are_answered(words):
    device = Gated("base")
    with ThreadPoolExecutor(1) as threads, \
            serving({"kws": words.program}, [device], rpc=True, limits={"queue": 1}) as server, \
            triton.InferenceServerClient(server.rpc) as clerk:
        asked = threads.submit(clerk.infer, "kws", [word(words)])
        assert device.begun.wait(WAIT)
        with pytest.raises(InferenceServerException, match="UNAVAILABLE.*the queue is full"):
            clerk.infer("kws", [word(words)])
        server.stop()
        device.may.set()
        np.testing.assert_array_equal(asked.result(WAIT).as_numpy("Identity"), words.answers[0])


def test_a_second_stop_does_not_wait_for_calls(words):
    device = Gated("base")
    with ThreadPoolExecutor(1) as threads:
        with serving({"kws": words.program}, [device], rpc=True) as server, \
                triton.InferenceServerClient(server.rpc) as clerk:
            asked = threads.submit(clerk.infer, "kws", [word(words)])
            assert device.begun.wait(WAIT)
            server.stop()
            server.stop()
            with pytest.raises(InferenceServerException):
                asked.result(WAIT)
            device.may.set()


def test_an_answer_that_is_late_and_a_device_that_is_lost(words):
    device = Gated("base")
    with serving({"kws": words.program}, [device], rpc=True, limits={"seconds": 0.2}) as server, \
            triton.InferenceServerClient(server.rpc) as clerk:
        with pytest.raises(InferenceServerException,
                           match=r"DEADLINE_EXCEEDED.*'kws': no answer within 0.2 s"):
            clerk.infer("kws", [word(words)])
        device.fails = True
        device.may.set()
        with pytest.raises(InferenceServerException):
            for _ in range(100):
                clerk.infer("kws", [word(words)])
        assert not clerk.is_server_ready() and not clerk.is_model_ready("kws")


def test_a_port_that_another_program_has(words):
    models = {"kws": words.program}
    with (serving(models, ["emulator"], rpc=True) as other,
          serving(models, ["emulator"]) as server,
          pytest.raises(DeviceError, match="cannot listen")):
        server.offer_grpc(int(other.rpc.rpartition(":")[2]))
