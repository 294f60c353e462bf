"""The log of the library on standard error, for -v and -vv."""

from __future__ import annotations

import logging
import sys
from typing import IO

__all__ = ["hide_log", "show_log"]

LEVELS = (logging.WARNING, logging.INFO, logging.DEBUG)
FORMAT = "%(asctime)s.%(msecs)03d %(levelname)-5s %(name)s: %(message)s"


class _StandardError(logging.StreamHandler[IO[str]]):
    """Writes to what standard error is at the time: a bar that is shown puts itself below."""

    @property
    def stream(self) -> IO[str]:
        return sys.stderr

    @stream.setter
    def stream(self, stream: IO[str]) -> None:
        pass


def show_log(verbosity: int) -> None:
    """Show what the library logs from now on: with 1 what it does, with 2 the details too."""
    hide_log()
    handler = _StandardError()
    handler.setFormatter(logging.Formatter(FORMAT, datefmt="%H:%M:%S"))
    logger = logging.getLogger("kaniwa")
    logger.addHandler(handler)
    logger.setLevel(LEVELS[min(verbosity, len(LEVELS) - 1)])


def hide_log() -> None:
    """Show it no more."""
    logger = logging.getLogger("kaniwa")
    for handler in [h for h in logger.handlers if isinstance(h, _StandardError)]:
        logger.removeHandler(handler)
        logger.setLevel(logging.NOTSET)
