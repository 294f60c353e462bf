"""What a server takes at most, and the answer to a request that it does not take."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

__all__ = ["BODIES", "Limits", "Refused", "answered_within"]

MOST_TOLD = 400     # characters of a refusal
BODIES = 8     # of the largest size that are there together, beside those of the queue


@dataclass(frozen=True)
class Limits:
    """``max_body``: bytes of a request's body. ``queue``: inferences that wait or run at a time.

    ``seconds``: for a request to come in, for its answer from then on, for a client to take it,
    and for requests that were begun when the server ends.
    """

    max_body: int = 8 << 20
    seconds: float = 30.0
    queue: int = 64


@dataclass
class Refused(Exception):
    """A request that gets no inference: HTTP status, one line that says why, more headers."""

    status: int
    message: str
    headers: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # What a client has sent is told back to it, and gRPC's messages go into a header.
        if len(self.message) > MOST_TOLD:
            self.message = f"{self.message[:MOST_TOLD]}..."

    def __str__(self) -> str:
        return self.message


@asynccontextmanager
async def answered_within(seconds: float, model: str) -> AsyncIterator[None]:
    """Raise Refused (504) where the answer of ``model`` takes longer."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        raise Refused(504, f"model '{model}': no answer within {seconds:g} s") from None
