"""Many inferences at once: the device has one while the host has another.

Each inference is a row of steps, done in order. A thread takes the next step of the oldest
inference that waits for a place (host or device) which is free; so inferences end in the order in
which they came, and the result is that of one after the other.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Generic, TypeVar, cast

from kaniwa.program.program import Step

__all__ = ["Item", "Overlap", "PLACES", "WINDOW"]

PLACES = ("device", "host")
WINDOW = 4      # inferences begun and not finished: one in each place, and one waiting for each
State = TypeVar("State")
Result = TypeVar("Result")


@dataclass(eq=False)
class Item(Generic[State, Result]):
    """An inference on its way: ``state`` is what its steps work on."""

    state: State
    future: Future[Result]
    alone: bool = False      # begins when all before it have ended, and those behind it wait
    done: int = 0            # steps
    busy: bool = False
    began: float = field(default_factory=time.perf_counter)

    @property
    def finished(self) -> bool:
        """True for an inference that has its result or its error."""
        return self.future.done()


class Overlap(Generic[State, Result]):
    """Inferences that each go through ``steps``.

    ``do`` does a step of an inference, ``finish`` gives the result of one behind its last step;
    both may raise, which becomes the inference's own error. Threads work as ``work`` says: one
    that calls it, and those that ``start`` makes, which end when nothing is left to do.
    """

    def __init__(self, steps: Sequence[Step], do: Callable[[Step, State], None],
                 finish: Callable[[Item[State, Result]], Result]) -> None:
        self._steps = tuple(steps)
        self._do = do
        self._finish = finish
        self._last_run = max((i for i, step in enumerate(steps) if step.where == "device"),
                             default=-1)
        # Device memory that outlives a run belongs to one inference at a time.
        self._holds = any(step.holds for step in steps)
        self._items: list[Item[State, Result]] = []      # in the order of submission
        self._taken: set[str] = set()
        self._changed = threading.Condition()
        self._threads: dict[str, threading.Thread] = {}

    def submit(self, state: State, alone: bool = False) -> Item[State, Result]:
        """Put an inference behind those that are there; ``alone``: none other runs meanwhile."""
        item: Item[State, Result] = Item(state, Future(), alone)
        item.future.set_running_or_notify_cancel()
        with self._changed:
            self._items.append(item)
            self._changed.notify_all()
        return item

    def start(self, places: Collection[str] = PLACES) -> None:
        """See that each of these places has a thread of its own."""
        with self._changed:
            for place in places:
                if place not in self._threads:
                    thread = threading.Thread(target=self._serve, args=(place,), daemon=False,
                                              name=f"kaniwa-{place}")
                    self._threads[place] = thread
                    thread.start()

    def following(self, state: State) -> State | None:
        """The inference behind that of ``state`` if it has come as far, and may run with it."""
        with self._changed:
            window = self._items[:WINDOW]
            for item, behind in pairwise(window):
                if item.state is state:
                    ready = behind.done == item.done and not (
                        item.alone or behind.alone or behind.busy)
                    return behind.state if ready else None
        return None

    def cancel(self, items: Collection[Item[State, Result]]) -> None:
        """Give inferences up; steps that are being done end first."""
        with self._changed:
            given_up = [item for item in self._items if item in items]
            self._items = [item for item in self._items if item not in items]
            for item in given_up:
                item.future.set_exception(CancelledError())
            self._changed.notify_all()

    def work(self, item: Item[State, Result], places: Collection[str] = PLACES) -> None:
        """Do steps in these places, of any inference, until ``item`` is finished."""
        while True:
            with self._changed:
                # What comes behind it stays: the next inference overlaps with those that follow.
                while not item.finished and (work := self._next(places)) is None:
                    self._changed.wait()
                if item.finished:
                    return
            assert work is not None
            self._step(work)

    def _serve(self, place: str) -> None:
        while True:
            with self._changed:
                while (work := self._next((place,))) is None and self._items:
                    self._changed.wait()
                if work is None:
                    del self._threads[place]
                    return
            self._step(work)

    def _next(self, places: Collection[str]) -> Item[State, Result] | None:
        """The oldest inference whose next step can be done in one of ``places``, now taken."""
        for number, item in enumerate(self._items[:WINDOW]):
            if number and (item.alone or self._items[0].alone):
                return None
            if item.busy:
                continue
            if item.done == len(self._steps):
                item.busy = True      # nothing to do but to give the result
                return item
            where = self._steps[item.done].where
            if where in places and where not in self._taken and self._may_run(number, where):
                item.busy = True
                self._taken.add(where)
                return item
        return None

    def _may_run(self, number: int, where: str) -> bool:
        return where == "host" or not self._holds or all(
            item.done > self._last_run for item in self._items[:number])

    def _step(self, item: Item[State, Result]) -> None:
        result, error = None, None
        step = self._steps[item.done] if item.done < len(self._steps) else None
        try:
            if step is not None:
                self._do(step, item.state)
                item.done += 1
            if item.done == len(self._steps):
                result = self._finish(item)
        except BaseException as raised:
            error = raised
        with self._changed:
            item.busy = False
            if step is not None:
                self._taken.discard(step.where)
            if (error is not None or item.done == len(self._steps)) and item in self._items:
                self._items.remove(item)
                if error is not None:
                    item.future.set_exception(error)
                else:
                    item.future.set_result(cast(Result, result))
            self._changed.notify_all()
        if error is not None and not isinstance(error, Exception):
            raise error      # an interrupt is for this thread, too
