"""The frameworks' quantisers without what they print, log and warn of beside their result."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator

__all__ = ["quiet"]


@contextlib.contextmanager
def quiet(level: int = logging.ERROR) -> Iterator[None]:
    """Within it only what is of ``level`` or above is logged; what is raised goes on."""
    logger, before = logging.getLogger(), logging.getLogger().level
    logger.setLevel(level)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before)
