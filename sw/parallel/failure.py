"""Errors of items: carried from one process to another, and raised with the item's name."""

from __future__ import annotations

import os
import traceback
from dataclasses import dataclass, field
from typing import Any

from kaniwa.errors import Error

__all__ = ["Failure"]


@dataclass(frozen=True)
class Failure:
    """An error as plain values, for not every exception can be pickled.

    ``kind`` is the class of a ``kaniwa.Error``, with the error's attributes in ``more``; of all
    other errors it is RuntimeError. ``trace`` is the traceback where the error was raised.
    """

    kind: type[Exception]
    text: str
    trace: str
    more: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, error: Exception) -> Failure:
        """What ``error`` says, in one line."""
        trace = "".join(traceback.format_exception(error))
        if isinstance(error, Error):
            return cls(type(error), str(error), trace, vars(error))
        if isinstance(error, OSError):
            where = "" if error.filename is None else f"{error.filename}: "
            return cls(Error, f"{where}{error.strerror or error}", trace)
        if isinstance(error, MemoryError):
            return cls(Error, "out of memory", trace)
        last = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{os.path.basename(last.filename)}:{last.lineno}"
        return cls(RuntimeError, f"{type(error).__name__} at {where}: {error}", trace)

    def error(self, where: str) -> Exception:
        """The error again, with ``where``, the name of an item or a worker, before its text."""
        # Not by calling the class: some errors take more arguments than their text.
        error = self.kind.__new__(self.kind, f"{where}: {self.text}")
        error.__dict__.update(self.more)
        error.__cause__ = _Elsewhere(f"\n{self.trace}")
        return error


class _Elsewhere(Exception):
    """Shows the traceback of another process above that of this one."""
