"""The lines with bars that a terminal shows while something takes long."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import IO, Any

from rich.cells import cell_len, set_cell_size
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from kaniwa.stage import Stage

__all__ = ["Bars", "shown"]

DELAY = 0.5          # seconds before there is something to see: what is quick does not flicker
WINDOW = 30.0        # seconds that a rate is taken over,
FEWEST = 5           # or longer, for so many moves of the bar
LEAST = 1.0          # seconds before a rate means something
BAR_WIDTHS = (8, 24)
WITHOUT_BAR = 46     # columns that have no room for bars
ECHO = 2             # columns for the ^C that a terminal shows: it must not begin a new line


@dataclass
class _Row:
    """What one task shows: the newest stage, since when, and how far it was at which time."""

    stage: Stage
    began: float
    samples: deque[tuple[float, float]] = field(default_factory=deque)

    def take(self, now: float) -> None:
        """Remember how far the stage is now; those before another bar began are forgotten."""
        stage, samples = self.stage, self.samples
        if samples and stage.done < samples[-1][1]:
            samples.clear()
        if not samples or stage.done > samples[-1][1]:
            samples.append((now, stage.done))
        while len(samples) > FEWEST and now - samples[0][0] > WINDOW:
            samples.popleft()

    def rate(self, now: float) -> float:
        """Units a second; 0 where there is none to tell."""
        first, begun = self.samples[0]
        if not (self.stage.total and self.stage.steady) or now - first < LEAST:
            return 0.0
        return (self.samples[-1][1] - begun) / (now - first)


class Bars:
    """The lines of what is being done: the one of ``what``, and one for each task beside others.

    ``show`` only keeps the newest stage; lines are made when the terminal is drawn anew.
    """

    def __init__(self, what: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._what, self._clock = what, clock
        self._began = clock()
        self._rows = {"": _Row(Stage(what), self._began)}
        self._spinner = Spinner("dots")
        self._longest = 0     # of the texts so far: bars stay where they are

    def show(self, text: str) -> None:
        """Show ``text``, a Stage or a string, from now on. A task that is done has no line."""
        stage = Stage.of(text)
        row = self._rows.get(stage.task)
        if stage.task and not stage:
            self._rows = {task: row for task, row in self._rows.items() if task != stage.task}
        elif row is None:
            self._rows = self._rows | {stage.task: _Row(stage, self._clock())}
        else:
            if (stage.total, stage.unit) != (row.stage.total, row.stage.unit):
                row.samples.clear()
            row.stage = stage

    def lines(self, console: Console) -> RenderableType:
        """The lines as they are now; none while what is done may yet turn out to be quick."""
        now = self._clock()
        if now - self._began < DELAY:
            return Group()
        rows = list(self._rows.values())
        for row in rows:
            row.take(now)
        texts = [self._text(row) for row in rows]
        width = console.width - ECHO
        narrow = width < WITHOUT_BAR
        facts = [[_count(row.stage), "" if narrow else _rate(row, now), _time(row, now)]
                 for row in rows]
        facts = [list(column) for column in zip(*facts, strict=True) if any(column)]
        room = width - 2 - sum(max(map(cell_len, column)) + 1 for column in facts)
        self._longest = longest = max(self._longest, *map(cell_len, texts))
        bar = 0
        if not narrow and any(row.stage.total for row in rows):
            bar = min(max(room - longest - 1, BAR_WIDTHS[0]), BAR_WIDTHS[1])
        longest = min(longest, room - bar - (bar > 0))
        grid = Table.grid(padding=(0, 1, 0, 0))
        for _ in range(2 + (bar > 0)):
            grid.add_column(no_wrap=True)
        for _ in facts:
            grid.add_column(no_wrap=True, justify="right")
        for number, (row, text) in enumerate(zip(rows, texts, strict=True)):
            grid.add_row(self._mark(console), Text(_cut(text, longest)),
                         *([_bar(row.stage, bar)] if bar else ()),
                         *(Text(column[number]) for column in facts))
        return grid

    def _mark(self, console: Console) -> RenderableType:
        """What moves, to tell that the program still lives."""
        return self._spinner if console.encoding.startswith("utf") else Text("-")

    def _text(self, row: _Row) -> str:
        text = row.stage.short if row.stage.total else str(row.stage)
        if row.stage.task:
            return f"  {text}"
        return self._what if text in ("", self._what) else f"{self._what}: {text}"


def shown(bars: Bars, file: IO[str], **options: Any) -> Live:
    """A context in which ``file``, a terminal, shows ``bars``, and nothing of them behind it."""
    console = _Console(file=file, **options)
    return Live(get_renderable=lambda: bars.lines(console), console=console, transient=True,
                refresh_per_second=8, redirect_stdout=False)


class _Console(Console):
    """A console whose cursor stays visible: a program that is killed cannot show it again."""

    def show_cursor(self, show: bool = True) -> bool:
        return False


def _bar(stage: Stage, width: int) -> RenderableType:
    if not width or not stage.total:
        return Text("")
    return ProgressBar(total=stage.total, completed=min(stage.done, stage.total), width=width,
                       complete_style="cyan", finished_style="green")


def _count(stage: Stage) -> str:
    if not stage.total:
        return ""
    if stage.unit == "%":
        return f"{100 * stage.done / stage.total:.0f} %"
    return f"{_short(int(stage.done))}/{_short(stage.total)}"


def _rate(row: _Row, now: float) -> str:
    if row.stage.unit == "%" or not (rate := row.rate(now)) > 0:
        return ""
    return f"{_short(rate)}/s" if rate >= 1 else f"{1 / rate:.1f} s each"


def _time(row: _Row, now: float) -> str:
    if (rate := row.rate(now)) > 0:
        return f"{_clock_text((row.stage.total - row.stage.done) / rate)} left"
    return _clock_text(now - row.began)


def _short(value: float) -> str:
    """A number in at most five letters or so."""
    for limit, letter in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if value >= limit:
            size = {"G": 1e9, "M": 1e6, "k": 1e3}[letter]
            return f"{value / size:.{1 if value < 100 * size else 0}f}{letter}"
    return f"{value:.0f}" if value >= 10 or value == int(value) else f"{value:.1f}"


def _clock_text(seconds: float) -> str:
    minutes, rest = divmod(round(max(0.0, seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _cut(text: str, width: int) -> str:
    """``text`` in ``width`` columns: what does not fit is cut off at the end."""
    if cell_len(text) <= width:
        return set_cell_size(text, width)
    return set_cell_size(text, max(0, width - 1)) + "…" * (width > 0)
