"""The end of verbs that go on until Ctrl-C."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from typing import Any

__all__ = ["until_ended"]


@contextlib.contextmanager
def until_ended() -> Iterator[None]:
    """Ctrl-C or a request to terminate ends what is inside, and that is no failure."""
    def end(number: int, frame: Any) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    except KeyboardInterrupt:
        pass
    finally:
        signal.signal(signal.SIGTERM, before)
