"""The protocol's methods over gRPC: requests to those of HTTP's form, and back."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import grpc
import grpc.aio
from google.protobuf.message import DecodeError

from kaniwa import __version__
from kaniwa.serve.guard import is_bearer
from kaniwa.serve.limits import BODIES, Limits, Refused, answered_within
from kaniwa.serve.messages import outputs_of, request_of
from kaniwa.serve.metrics import Metrics
from kaniwa.serve.model import Model, model_of
from kaniwa.serve.queue import Queue
from kaniwa.serve.rpc.protocol import CONTENTS, METHODS, SERVICE, Message, messages

__all__ = ["Service"]

# Codes for the statuses of HTTP that the server refuses with.
CODES = {400: grpc.StatusCode.INVALID_ARGUMENT, 401: grpc.StatusCode.UNAUTHENTICATED,
         404: grpc.StatusCode.NOT_FOUND, 500: grpc.StatusCode.INTERNAL,
         503: grpc.StatusCode.UNAVAILABLE, 504: grpc.StatusCode.DEADLINE_EXCEEDED}

logger = logging.getLogger(__name__)

Method = Callable[[Message], Awaitable[Message]]


class Service:
    """``models`` on the devices of ``queue``, over gRPC at ``address`` (``host:port``).

    Limits and token are those of HTTP. A message holds ``max_body`` bytes at most. So many calls
    as there are places in the queue, and eight, are served at a time; gRPC refuses more with
    RESOURCE_EXHAUSTED.
    """

    def __init__(self, models: Sequence[Model], queue: Queue, metrics: Metrics, limits: Limits,
                 address: str, token: str | None) -> None:
        self._models = {model.name: model for model in models}
        self._queue, self._metrics, self._limits = queue, metrics, limits
        self._address = address
        self._token = None if token is None else token.encode()
        self._server: Any = None

    async def start(self) -> None:
        """Take calls from here on. Raises OSError where the port has gone to another program."""
        self._server = grpc.aio.server(
            maximum_concurrent_rpcs=self._limits.queue + BODIES, options=[
                ("grpc.max_receive_message_length", self._limits.max_body),
                ("grpc.max_send_message_length", -1),
                # Another program that listens at the port is an error, not a partner.
                ("grpc.so_reuseport", 0)])
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {
            name: grpc.unary_unary_rpc_method_handler(
                self._guarded(name, getattr(self, f"_{name}")),
                response_serializer=messages[f"{name}Response"].SerializeToString)
            for name in METHODS}),))
        try:
            bound = self._server.add_insecure_port(self._address)
        except RuntimeError:
            bound = 0
        if not bound:
            raise OSError(f"{self._address}: cannot listen for gRPC: choose another --grpc-port")
        await self._server.start()

    async def stop(self, seconds: float) -> None:
        """Take no more calls, and answer those that were begun within so many seconds."""
        if self._server is not None:
            await self._server.stop(seconds)

    def _guarded(self, name: str, method: Method) -> Callable[[bytes, Any], Awaitable[Message]]:
        """``method`` of bytes, behind the token. What it raises becomes a code; all is counted."""

        async def call(data: bytes, context: Any) -> Message:
            began, code, why = time.monotonic(), grpc.StatusCode.OK, ""
            try:
                self._check_token(context)
                return await method(_parsed(data, f"{name}Request"))
            except Refused as error:
                code, why = CODES[error.status], error.message
            except asyncio.CancelledError:     # the client has gone, or the server ends
                code = grpc.StatusCode.CANCELLED
                raise
            except Exception as error:
                logger.error("internal error, %s: %s", type(error).__name__, error)
                logger.debug("where it was", exc_info=True)
                code, why = grpc.StatusCode.INTERNAL, f"internal error, {type(error).__name__}"
            finally:
                self._metrics.calls.labels(code.name).inc()
                logger.info("gRPC %s: %s after %.1f ms", name, code.name,
                            1e3 * (time.monotonic() - began))
            await context.abort(code, why)

        return call

    def _check_token(self, context: Any) -> None:
        given = str(dict(context.invocation_metadata()).get("authorization", "")).encode()
        if self._token is not None and not is_bearer(given, self._token):
            raise Refused(401, "expected the metadata authorization: Bearer with the server's "
                               "token")

    async def _ServerLive(self, message: Message) -> Message:
        return messages["ServerLiveResponse"](live=True)

    async def _ServerReady(self, message: Message) -> Message:
        return messages["ServerReadyResponse"](ready=self._ready())

    async def _ServerMetadata(self, message: Message) -> Message:
        return messages["ServerMetadataResponse"](name="kaniwa", version=__version__)

    async def _ModelReady(self, message: Message) -> Message:
        model_of(self._models, message.name, message.version)
        return messages["ModelReadyResponse"](ready=self._ready())

    async def _ModelMetadata(self, message: Message) -> Message:
        model = model_of(self._models, message.name, message.version)
        return messages["ModelMetadataResponse"](**model.metadata())

    async def _ModelInfer(self, message: Message) -> Message:
        began = time.monotonic()
        model = model_of(self._models, message.model_name, message.model_version)
        self._queue.check_ready()
        async with answered_within(self._limits.seconds, model.name):
            asked = await asyncio.to_thread(_request_of, message, model)
            results = await self._queue.run(asked, model)
        header, blobs = outputs_of(asked, results, model)
        self._metrics.answered(model.name, len(results), time.monotonic() - began)
        return messages["ModelInferResponse"](
            model_name=model.name, model_version=header["model_version"], id=message.id,
            outputs=[{key: entry[key] for key in ("name", "datatype", "shape")}
                     for entry in header["outputs"]], raw_output_contents=blobs)

    def _ready(self) -> bool:
        try:
            self._queue.check_ready()
        except Refused:
            return False
        return True


def _parsed(data: bytes, name: str) -> Message:
    try:
        return messages[name].FromString(data)
    except DecodeError:
        raise Refused(400, f"expected a message {name}, found other bytes") from None


def _request_of(message: Message, model: Model) -> Any:
    """The inferences of a message. Raises Refused (400) for all that does not fit."""
    raw = list(message.raw_input_contents)
    if raw and len(raw) != len(message.inputs):
        raise Refused(400, f"model '{model.name}': expected raw_input_contents for each of "
                           f"{len(message.inputs)} inputs or for none, found {len(raw)}")
    inputs = [{"name": entry.name, "datatype": entry.datatype, "shape": list(entry.shape),
               "parameters": _parameters(entry.parameters)} for entry in message.inputs]
    for number, (entry, given) in enumerate(zip(inputs, message.inputs, strict=True)):
        if given.HasField("contents") and raw:
            raise Refused(400, f"model '{model.name}': input '{given.name}': expected contents "
                               "or raw_input_contents, found both")
        if raw:
            entry["parameters"]["binary_data_size"] = len(raw[number])
        elif given.datatype in CONTENTS:
            entry["data"] = list(getattr(given.contents, CONTENTS[given.datatype]))
    outputs = [{"name": entry.name,
                "parameters": {**_parameters(entry.parameters), "binary_data": True}}
               for entry in message.outputs]
    header: dict[str, Any] = {
        "inputs": inputs, "outputs": outputs,
        "parameters": {**_parameters(message.parameters), "binary_data_output": True}}
    return request_of(header, memoryview(b"".join(raw)), model)


def _parameters(given: Any) -> dict[str, Any]:
    return {name: getattr(value, value.WhichOneof("parameter_choice") or "bool_param")
            for name, value in given.items()}
