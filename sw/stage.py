"""A line on what is being done, with how far it is, for whoever hears of progress."""

from __future__ import annotations

from typing import Self

__all__ = ["Stage"]


class Stage(str):
    """The text of a stage: a plain string to whoever takes progress as text.

    ``done`` of ``total`` is how far it is, both in ``unit``; 0 in total: not known. ``short``: the
    text beside a bar, which has the numbers. ``task`` names what is done beside others at the same
    time; without a text it is through. ``steady``: each unit takes about as long as the others, so
    that a rate and the time left mean something.
    """

    done: float
    total: float
    unit: str
    short: str
    task: str
    steady: bool

    def __new__(cls, text: str, done: float = 0, total: float = 0, unit: str = "", *,
                short: str | None = None, task: str = "", steady: bool = True) -> Self:
        stage = super().__new__(cls, text)
        stage.done, stage.total, stage.unit = done, total, unit
        stage.short = text if short is None else short
        stage.task, stage.steady = task, steady
        return stage

    @classmethod
    def of(cls, text: str) -> Stage:
        """``text``, as a stage where it is a plain string."""
        return text if isinstance(text, Stage) else Stage(text)

    def behind(self, part: str) -> Stage:
        """The same stage with ``part`` before its texts."""
        return Stage(part + self, self.done, self.total, self.unit, short=part + self.short,
                     task=self.task, steady=self.steady)
