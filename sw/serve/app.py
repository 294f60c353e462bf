"""The server's paths: those of the Open Inference Protocol, version 2, and the metrics."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request as HttpRequest
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from kaniwa import __version__
from kaniwa.driver.session import Outputs
from kaniwa.serve.limits import BODIES, Limits, Refused, answered_within
from kaniwa.serve.messages import HEADER_LENGTH, Request, answer, read_request
from kaniwa.serve.metrics import Metrics
from kaniwa.serve.model import Model, model_of
from kaniwa.serve.queue import RETRY_AFTER, Queue

__all__ = ["App"]

GONE = 499     # nobody gets it: the client closed the connection; counted among the others

logger = logging.getLogger(__name__)


class App:
    """``routes`` are the ASGI application of ``models`` on the devices of ``queue``."""

    def __init__(self, models: Sequence[Model], queue: Queue, metrics: Metrics,
                 limits: Limits) -> None:
        self._models = {model.name: model for model in models}
        self._queue, self._metrics, self._limits = queue, metrics, limits
        self._bytes = 0     # of bodies that are there
        model = "/v2/models/{name}"
        version = model + "/versions/{version}"
        self.routes = Starlette(
            routes=[Route("/v2", self._server),
                    Route("/v2/health/live", self._live),
                    Route("/v2/health/ready", self._ready),
                    *(Route(path, self._metadata) for path in (model, version)),
                    *(Route(f"{path}/ready", self._model_ready) for path in (model, version)),
                    *(Route(f"{path}/infer", self._infer, methods=["POST"])
                      for path in (model, version)),
                    Route("/metrics", self._counts)],
            exception_handlers={Refused: _refused, HTTPException: _no_route,
                                Exception: _failed})

    async def _server(self, request: HttpRequest) -> Response:
        return JSONResponse({"name": "kaniwa", "version": __version__,
                             "extensions": ["binary_tensor_data"]})

    async def _live(self, request: HttpRequest) -> Response:
        return JSONResponse({"live": True})

    async def _ready(self, request: HttpRequest) -> Response:
        self._queue.check_ready()
        return JSONResponse({"ready": True})

    async def _metadata(self, request: HttpRequest) -> Response:
        return JSONResponse(self._model(request).metadata())

    async def _model_ready(self, request: HttpRequest) -> Response:
        model = self._model(request)
        self._queue.check_ready()
        return JSONResponse({"name": model.name, "ready": True})

    async def _counts(self, request: HttpRequest) -> Response:
        return Response(self._metrics.text(), headers={"content-type": self._metrics.content_type})

    async def _infer(self, request: HttpRequest) -> Response:
        began = time.monotonic()
        model = self._model(request)
        self._queue.check_ready()
        if request.headers.get("content-encoding", "identity") != "identity":
            raise Refused(415, "expected a body without content-encoding, found "
                               f"{request.headers['content-encoding']:.80}")
        try:
            with self._room() as body:
                await self._read(request, body)     # the connection limits its time
                asked = await asyncio.to_thread(
                    read_request, body, request.headers.get(HEADER_LENGTH), model)
            async with answered_within(self._limits.seconds, model.name):
                results = await self._run(request, asked, model)
        except ClientDisconnect:
            return Response(status_code=GONE)
        content, headers = answer(asked, results, model)
        self._metrics.answered(model.name, len(results), time.monotonic() - began)
        return Response(content, headers=headers)

    def _model(self, request: HttpRequest) -> Model:
        return model_of(self._models, request.path_params["name"],
                        request.path_params.get("version", ""))

    @contextmanager
    def _room(self) -> Iterator[bytearray]:
        """Bytes for a body, which count among those of all bodies until it is read."""
        body = bytearray()
        try:
            yield body
        finally:
            self._bytes -= len(body)

    async def _read(self, request: HttpRequest, body: bytearray) -> None:
        """Read the body. Raises Refused: 413 for one too long, 503 where others take all room."""
        most = self._limits.max_body
        told = request.headers.get("content-length", "0")
        if int(told) > most:     # whose digits have been looked at
            raise Refused(413, f"expected a body of at most {most} bytes, found {told}")
        async for part in request.stream():
            if len(body) + len(part) > most:
                raise Refused(413, f"expected a body of at most {most} bytes, found more")
            if self._bytes + len(part) > BODIES * most:
                raise Refused(503, "the bodies of other requests take all room", RETRY_AFTER)
            self._bytes += len(part)
            body += part

    async def _run(self, request: HttpRequest, asked: Request, model: Model) -> list[Outputs]:
        """The outputs of the inferences. Raises ClientDisconnect as soon as the client is gone."""
        work = asyncio.ensure_future(self._queue.run(asked, model))
        gone = asyncio.ensure_future(_disconnected(request))
        try:
            await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                raise ClientDisconnect
            return work.result()
        finally:
            work.cancel()
            gone.cancel()
            # So that the places in the queue are free before the client hears that it failed.
            await asyncio.wait({work, gone})


async def _disconnected(request: HttpRequest) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _refused(request: HttpRequest, error: Exception) -> Response:
    assert isinstance(error, Refused)
    return JSONResponse({"error": error.message}, error.status, error.headers)


async def _failed(request: HttpRequest, error: Exception) -> Response:
    """The answer to an error that nobody expected, which then goes on to who logs it."""
    return JSONResponse({"error": f"internal error, {type(error).__name__}"}, 500)


async def _no_route(request: HttpRequest, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": f"{request.method} {request.url.path:.80}: {error.detail}"},
                        error.status_code, error.headers)
