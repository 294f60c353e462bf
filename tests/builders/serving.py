"""A server of models in a thread, and the plainest client of it."""

import contextlib
import http.client
import json
import threading
from urllib.parse import urlsplit

from builders.gated_device import WAIT
from kaniwa.serve import Limits, Server


class Reply:
    """Status, headers and body of an answer; ``json`` where it is that."""

    def __init__(self, response):
        self.status, self.headers = response.status, response.headers
        self.body = response.read()

    @property
    def json(self):
        assert self.headers["content-type"] == "application/json"
        return json.loads(self.body)


class Client:
    """Requests to ``server``, each on a connection of its own."""

    def __init__(self, server, headers=None):
        self.address = urlsplit(server.url).netloc
        self._headers = headers or {}

    def get(self, path):
        return self._ask("GET", path, None, {})

    def post(self, path, body, headers=None):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self._ask("POST", path, data, headers or {})

    def infer(self, model, *inputs, headers=None, **more):
        return self.post(f"/v2/models/{model}/infer", {"inputs": list(inputs), **more}, headers)

    def _ask(self, method, path, body, headers):
        with contextlib.closing(http.client.HTTPConnection(self.address, timeout=WAIT)) as line:
            line.request(method, path, body, {**self._headers, **headers})
            return Reply(line.getresponse())


@contextlib.contextmanager
def serving(models, devices, **options):
    """The server while it runs; it must end by itself once it is stopped.

    With ``rpc`` it has gRPC, too, at its ``rpc``.
    """
    limits, rpc = Limits(**options.pop("limits", {})), options.pop("rpc", False)
    server = Server(models, devices, limits=limits, **options)
    if rpc:
        server.rpc = server.offer_grpc()
    ready = threading.Event()
    thread = threading.Thread(target=server.run, args=(ready.set,))
    thread.start()
    try:
        assert ready.wait(WAIT)
        yield server
    finally:
        server.stop()
        thread.join(WAIT)
        assert not thread.is_alive()


def tensor(name, array, datatype, shape=None):
    """An input in JSON."""
    return {"name": name, "datatype": datatype, "shape": list(shape or array.shape),
            "data": array.ravel().tolist()}
