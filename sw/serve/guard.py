"""What every request passes before the paths: the token, the count, the log."""

from __future__ import annotations

import asyncio
import hmac
import logging
import time

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kaniwa.serve.metrics import Metrics

__all__ = ["Guard", "is_bearer"]

logger = logging.getLogger(__name__)


class Guard:
    """``app`` behind a token, if there is one, as `Authorization: Bearer TOKEN` (RFC 6750)."""

    def __init__(self, app: ASGIApp, metrics: Metrics, token: str | None) -> None:
        self._app, self._metrics = app, metrics
        self._token = None if token is None else token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        began, status = time.monotonic(), 0

        async def counted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                self._metrics.requests.labels(str(status)).inc()
            await send(message)

        app = self._app if self._may(scope) else JSONResponse(
            {"error": "expected the header Authorization: Bearer with the server's token"}, 401,
            {"www-authenticate": "Bearer"})
        try:
            await app(scope, receive, counted)
        except asyncio.CancelledError:     # of the server's end, which comes once
            if not status:
                await JSONResponse({"error": "the server ends"}, 503)(scope, receive, counted)
        except Exception as error:
            logger.error("internal error, %s: %s", type(error).__name__, error)
            logger.debug("where it was", exc_info=True)
        logger.info("%s %s: %d after %.1f ms", scope["method"], scope["path"], status,
                    1e3 * (time.monotonic() - began))

    def _may(self, scope: Scope) -> bool:
        return self._token is None or is_bearer(
            dict(scope["headers"]).get(b"authorization", b""), self._token)


def is_bearer(given: bytes, token: bytes) -> bool:
    """Whether ``given`` is `Bearer TOKEN` with that token, in a time that does not tell."""
    scheme, _, word = given.partition(b" ")
    return hmac.compare_digest(word.strip(), token) and scheme.lower() == b"bearer"
