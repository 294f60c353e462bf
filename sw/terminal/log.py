"""The log of the library on standard error, for -v and -vv, and the driver's warnings without."""

from __future__ import annotations

import logging
import sys
from typing import IO

__all__ = ["hide_log", "show_log", "show_warnings"]

LEVELS = (logging.WARNING, logging.INFO, logging.DEBUG)
WARNING = "kaniwa: %(message)s"
DRIVER = "kaniwa.driver"
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
    _show("kaniwa", logging.Formatter(FORMAT, datefmt="%H:%M:%S"),
          LEVELS[min(verbosity, len(LEVELS) - 1)])


def show_warnings() -> None:
    """Show, a line each, what the driver warns of: a device that works has something wrong."""
    hide_log()
    _show(DRIVER, logging.Formatter(WARNING), logging.WARNING)


def hide_log() -> None:
    """Show neither any more."""
    for logger in (logging.getLogger("kaniwa"), logging.getLogger(DRIVER)):
        for handler in [h for h in logger.handlers if isinstance(h, _StandardError)]:
            logger.removeHandler(handler)
            logger.setLevel(logging.NOTSET)


def _show(name: str, formatter: logging.Formatter, level: int) -> None:
    handler = _StandardError()
    handler.setFormatter(formatter)
    logger = logging.getLogger(name)
    logger.addHandler(handler)
    logger.setLevel(level)
