"""Display while something takes long: on a terminal, and nothing where output is piped."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

__all__ = ["progress", "device_progress", "track"]

Item = TypeVar("Item")


@contextmanager
def progress(what: str) -> Iterator[Callable[..., None]]:
    """Show what is being done on a terminal; yields a function that changes the text.

    Its optional second argument, the seconds a stage took, is not shown: the spinner moves on.
    """
    with _shown(what, None) as update:
        yield lambda text, seconds=0.0: update(f"{what}: {text}", 0)


@contextmanager
def device_progress(device: Any, what: str) -> Iterator[None]:
    """Show ``what`` with what ``device`` tells of long transfers and runs."""
    with _shown(what, None) as update, _heard(device, lambda text: update(f"{what}: {text}", 0)):
        yield


def track(results: Iterable[Item], count: int, what: str, device: Any,
          cycles: int | None = None) -> Iterator[Item]:
    """The ``count`` ``results`` of inferences, with a bar and what ``device`` tells of each.

    ``cycles``: what an inference is expected to take.
    """
    of = f" of about {cycles:,}" if cycles else ""
    iterator = iter(results)
    with _shown(what, count if count > 1 else None) as update:
        def hear(text: str) -> None:
            update(f"{what}: {text.replace(' cycles', f'{of} cycles')}", 0)

        for _ in range(count):
            with _heard(device, hear):
                result = next(iterator)
            update(what, 1)
            yield result


@contextmanager
def _heard(device: Any, hear: Callable[[str], None]) -> Iterator[None]:
    """Let ``hear`` have what ``device`` tells meanwhile; golden tells nothing."""
    before = getattr(device, "progress", None)
    if before is None:
        yield
        return
    device.progress = hear
    try:
        yield
    finally:
        device.progress = before


@contextmanager
def _shown(what: str, count: int | None) -> Iterator[Callable[[str, int], None]]:
    """A line on a terminal with ``what`` and the time since; with ``count`` a bar as well.

    Yields a function that changes the text and moves the bar on.
    """
    if not sys.stderr.isatty():
        yield lambda text, done: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        SpinnerColumn,
        TextColumn,
        TimeElapsedColumn,
    )

    bar = [] if count is None else [BarColumn(), MofNCompleteColumn()]
    with Progress(SpinnerColumn(), TextColumn("{task.description}", markup=False), *bar,
                  TimeElapsedColumn(), console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task(what, total=count)
        yield lambda text, done: shown.update(task, description=text, advance=done)
