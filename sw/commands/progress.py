"""Display while something takes long: on a terminal, and nothing where output is piped."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import click

from kaniwa.stage import Stage

if TYPE_CHECKING:
    from kaniwa.program.program import Program

__all__ = ["NO_PROGRESS", "device_progress", "expected_cycles", "hide_progress", "progress",
           "track"]

NO_PROGRESS = "KANIWA_NO_PROGRESS"     # set to anything: no bars
HIDDEN = "kaniwa.progress.hidden"      # of click's context: --no-progress was given
Item = TypeVar("Item")


def hide_progress(ctx: click.Context) -> None:
    """Show no progress in this command."""
    ctx.meta[HIDDEN] = True


@contextmanager
def progress(what: str) -> Iterator[Callable[..., None]]:
    """Show what is being done on a terminal; yields a function that changes the text.

    A Stage shows how far it is as well. The optional second argument, the seconds that a stage
    took, is not shown.
    """
    with _shown(what) as show:
        yield lambda text, seconds=0.0: show(text)


@contextmanager
def device_progress(device: Any, what: str) -> Iterator[None]:
    """Show ``what`` with what ``device`` tells of long transfers and runs."""
    with _shown(what) as show, _heard(device, show):
        yield


def expected_cycles(program: Program, device: str) -> int | None:
    """What an inference takes by the cycle model, where a bar of the simulated core shows it."""
    if device != "sim" or not _wanted():
        return None
    from kaniwa.cycles.estimate import estimate

    with progress("estimating the cycles"):
        return estimate(program).cycles


def track(results: Iterable[Item], count: int, what: str, device: Any,
          cycles: int | None = None) -> Iterator[Item]:
    """The ``count`` ``results`` of inferences, with a bar and what ``device`` tells of each.

    ``cycles``: what an inference is expected to take.
    """
    iterator = iter(results)
    with _shown(what) as show:
        for number in range(count):
            show(Stage("", number, count if count > 1 else 0, "inferences"))

            with _heard(device, _Part(show, number, count, cycles)):
                result = next(iterator)
            show(Stage("", number + 1, count, "inferences"))
            yield result


class _Part:
    """Takes what the device tells of the inference behind ``done`` others, of ``count``.

    One inference has its own bar; of several each moves the bar of all by its part. ``cycles``:
    what an inference is expected to take. A device counts the cycles of each of its runs anew.
    """

    def __init__(self, show: Callable[[str], None], done: int, count: int,
                 cycles: int | None) -> None:
        self._show, self._done, self._count, self._cycles = show, done, count, cycles
        self._before = self._last = 0.0

    def __call__(self, text: str) -> None:
        stage = Stage.of(text)
        done, total = stage.done, stage.total
        if stage.unit == "cycles" and self._cycles:
            if done < self._last:
                self._before += self._last
            self._last = done
            done, total = self._before + done, self._cycles
        done = min(done, total)
        if self._count > 1:
            share = done / total if total else 0.0
            self._show(Stage("", self._done + share, self._count, "inferences"))
        else:
            self._show(Stage(stage, done, total, stage.unit, short="" if total else stage,
                             steady=stage.steady))


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
def _shown(what: str) -> Iterator[Callable[[str], None]]:
    """Lines on a terminal with ``what`` and the time; yields a function that takes the newest."""
    if not _wanted():
        yield lambda text: None
        return
    from kaniwa.terminal.bars import Bars, shown

    bars = Bars(what)
    with shown(bars, sys.stderr) as live:
        if context := click.get_current_context(silent=True):
            context.call_on_close(live.stop)     # where an error leaves `track` half-way
        yield bars.show


def _wanted() -> bool:
    """True where standard error is a terminal that can draw a line anew, and none said no."""
    context = click.get_current_context(silent=True)
    if os.environ.get(NO_PROGRESS) or (context and context.meta.get(HIDDEN)):
        return False
    return sys.stderr.isatty() and os.environ.get("TERM") not in ("dumb", "unknown")
