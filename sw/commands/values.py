"""What options take: numbers that are finite, and files that a verb writes.

Files to be written are looked at before the work, which may take hours.
"""

from __future__ import annotations

import functools
import math
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click

from kaniwa.errors import InputError

__all__ = ["FiniteRange", "OutputFile", "with_checked_outputs"]


class FiniteRange(click.FloatRange):
    """As click's, but without infinity, and without nan, for which all limits hold."""

    def convert(self, value: Any, param: click.Parameter | None,
                ctx: click.Context | None) -> float:
        """The number. Fails as click's does."""
        number: float = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is no finite number.", param, ctx)
        return number


class OutputFile(click.Path):
    """A file that the verb writes; ``text``: as a string, where "-" is standard output."""

    def __init__(self, text: bool = False) -> None:
        super().__init__(path_type=str if text else Path, allow_dash=text)


def with_checked_outputs(work: Callable[..., Any]) -> Callable[..., Any]:
    """The function of a verb, behind a look at the files that it is to write.

    It raises what writing them would: where one is a folder, or its folder is not there. And
    InputError where one is a file that the verb reads, or is given twice.
    """
    @functools.wraps(work)
    def checked(*arguments: Any, **options: Any) -> Any:
        _check_outputs(click.get_current_context())
        return work(*arguments, **options)

    return checked


def _check_outputs(ctx: click.Context) -> None:
    from kaniwa.files import check_writable

    outputs = [one for one in ctx.command.params if isinstance(one.type, OutputFile)]
    read = [path for one in ctx.command.params if one not in outputs for path in _paths(ctx, one)]
    written: dict[str, str] = {}
    for one in outputs:
        for path in _paths(ctx, one):
            check_writable(path)
            name = one.opts[-1]
            if path.is_file() and any(_same(path, other) for other in read):
                raise InputError(f"{path}: is read, too: give another {name}")
            if path.is_file() or not path.exists():     # a device may take two
                before = written.setdefault(os.path.realpath(path), name)
                if before != name:
                    raise InputError(f"{path}: is given for {before} and for {name}")


def _paths(ctx: click.Context, parameter: click.Parameter) -> Iterator[Path]:
    """What a parameter was given that may be a file."""
    value = ctx.params.get(parameter.name or "")
    for one in value if isinstance(value, tuple) else (value,):
        if isinstance(one, Path) or isinstance(one, str) and one not in ("", "-"):
            yield Path(one)


def _same(path: Path, other: Path) -> bool:
    try:
        return os.path.samefile(path, other)
    except (OSError, ValueError):
        return False
