"""Many clients at once: every answer is golden's, the queue is bounded, and devices may be lost."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from builders.gated_device import WAIT, Gated
from builders.serving import Client, serving, tensor
from prometheus_client.parser import text_string_to_metric_families


def metrics(client):
    """The samples of /metrics by name and labels."""
    reply = client.get("/metrics")
    assert reply.status == 200 and reply.headers["content-type"].startswith("text/plain")
    return {(sample.name, *sorted(sample.labels.values())): sample.value
            for family in text_string_to_metric_families(reply.body.decode())
            for sample in family.samples}


def asked(words, number, count=1):
    return tensor("input_1", words.inputs[number:number + count, 0], "INT8")


def check(reply, words, number):
    assert reply.status == 200, reply.body
    (output,) = reply.json["outputs"]
    assert output["data"] == words.answers[number].ravel().tolist()


def test_no_answer_is_wrong_under_load(words):
    held = []

    def ask(thread):
        for turn in range(25):
            number = (7 * thread + turn) % len(words.inputs)
            check(client.infer("kws", asked(words, number)), words, number)
            held.append(server.queue.held)

    with serving({"kws": words.program}, ["emulator", "emulator"],
                 limits={"queue": 8}) as server:
        client = Client(server)
        with ThreadPoolExecutor(8) as threads:
            list(threads.map(ask, range(8)))
        found = metrics(client)
        assert max(held) <= 8 and server.queue.held == 0
    assert found["kaniwa_requests_total", "200"] == 200
    assert found["kaniwa_inferences_total", "kws"] == 200
    assert found["kaniwa_request_seconds_count", "kws"] == 200
    assert found["kaniwa_request_seconds_bucket", "+Inf", "kws"] == 200
    assert found["kaniwa_queue_inferences",] == 0 and found["kaniwa_queue_limit",] == 8
    devices = [f"device {n} (emulator)" for n in range(2)]
    done = [found["kaniwa_device_inferences_total", name] for name in devices]
    cycles = [found["kaniwa_device_cycles_total", name] for name in devices]
    assert sum(done) == 200 and abs(done[0] - done[1]) <= 1
    assert cycles[0] / done[0] == cycles[1] / done[1] > 0
    assert not any(found["kaniwa_device_lost", name] for name in devices)


def test_the_queue_is_bounded(words):
    """One inference is held on the device, so what is in the queue stays there."""
    device = Gated("base")
    with serving({"kws": words.program}, [device], limits={"queue": 4}) as server:
        client = Client(server)
        with ThreadPoolExecutor(2) as threads:
            first = threads.submit(client.infer, "kws", asked(words, 0, 3))
            assert device.begun.wait(WAIT)
            assert server.queue.held == 3
            reply = client.infer("kws", asked(words, 0, 2))
            assert reply.status == 503 and reply.headers["retry-after"] == "1"
            assert reply.json["error"] == (
                "the queue is full: it has 3 of 4 inferences, and 2 more came")
            assert metrics(client)["kaniwa_queue_inferences",] == 3
            device.may.set()
            reply = first.result(WAIT)
        assert np.array_equal(reply.json["outputs"][0]["data"], words.answers[:3].ravel())
        check(client.infer("kws", asked(words, 5)), words, 5)
        assert metrics(client)["kaniwa_requests_total", "503"] == 1


def test_a_lost_device_loses_no_request(words, caplog):
    device = Gated("base")
    device.fails = True
    device.may.set()
    with serving({"kws": words.program}, [device, "emulator"]) as server:
        client = Client(server)
        with ThreadPoolExecutor(4) as threads:
            for number, reply in enumerate(threads.map(
                    lambda n: client.infer("kws", asked(words, n)), range(8))):
                check(reply, words, number)
        assert client.get("/v2/health/ready").status == 200
        found = metrics(client)
        assert [found["kaniwa_device_lost", f"device {n} (emulator)"] for n in range(2)] == [1, 0]
    assert "device 0 (emulator) is lost: the line is gone" in caplog.text


def test_all_devices_lost_is_told_to_everybody(words):
    device = Gated("base")
    device.fails = True
    with serving({"kws": words.program}, [device]) as server:
        client = Client(server)
        assert client.get("/v2/health/ready").status == 200
        with ThreadPoolExecutor(3) as threads:
            waiting = [threads.submit(client.infer, "kws", asked(words, n)) for n in range(3)]
            assert device.begun.wait(WAIT)
            device.may.set()
            replies = [reply.result(WAIT) for reply in waiting]
        replies += [client.infer("kws", asked(words, 0)), client.get("/v2/health/ready"),
                    client.get("/v2/models/kws/ready")]
        for reply in replies:
            assert reply.status == 503
            assert reply.json["error"] == "device 0 (emulator) is lost: the line is gone"
        assert client.get("/v2/health/live").status == 200
        assert client.get("/v2/models/kws").status == 200


@pytest.mark.parametrize("queue", [1, 2])
def test_the_queue_is_free_again_after_every_kind_of_end(words, queue):
    with serving({"kws": words.program}, ["emulator"], limits={"queue": queue}) as server:
        client = Client(server)
        for number in range(3):
            check(client.infer("kws", asked(words, number)), words, number)
            bad = np.full((1, 49, 10, 1), np.inf, np.float32)
            head = (b'{"inputs": [{"name": "input_1", "datatype": "FP32", "shape": [1, 49, 10, 1],'
                    b'"parameters": {"binary_data_size": 1960}}]}')
            assert client.post("/v2/models/kws/infer", head + bad.tobytes(), {
                "Inference-Header-Content-Length": str(len(head))}).status == 400
            assert server.queue.held == 0
