"""Bands of rows: the order in which a stack of layers computes its rows, and the rows it stores."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from kaniwa.compiler.plan.geometry import Geometry, Pair

__all__ = ["Band", "Member", "Pass", "Source", "Stack", "stack_of"]


@dataclass(frozen=True)
class Source:
    """What a pass reads: a ``tensor``, with ``pitch`` bytes from one row to the next, which the
    layer at ``place`` in the stack makes; None: it is whole before the stack begins.

    The pass sees rows of its own, ``span`` bytes each: from byte ``first`` on, ``row`` bytes from
    one to the next. ``windows`` is the geometry with which it does; None: it reads where it writes.
    """

    tensor: int
    place: int | None
    first: int
    row: int
    span: int
    pitch: int
    windows: Geometry | None = None

    def seen(self, rows: Pair) -> Pair:
        """The rows, as the pass sees them, for ``rows`` of what it writes."""
        return rows if self.windows is None else _needed(self.windows, rows)

    def needed(self, rows: Pair) -> Pair:
        """The map's rows for ``rows`` of what the pass writes."""
        first, last = self.seen(rows)
        if not self.first and self.row == self.span == self.pitch:
            return first, last
        return ((self.first + first * self.row) // self.pitch,
                (self.first + (last - 1) * self.row + self.span - 1) // self.pitch + 1)


@dataclass(frozen=True)
class Pass:
    """A pass of the array that writes some bytes of a map, ``rows`` of its own: from byte ``first``
    on, ``row`` bytes from one to the next. Each is a part of one row of the map, which has
    ``pitch`` bytes."""

    rows: int
    first: int
    row: int
    pitch: int
    sources: tuple[Source, ...]

    def part(self, rows: Pair) -> Pair:
        """The pass's own rows that are parts of ``rows`` of the map."""
        if not self.first and self.row == self.pitch:
            return rows
        return self._own(rows[0]), self._own(rows[1])

    def _own(self, row: int) -> int:
        """The first of the pass's own rows that is in ``row`` of the map or behind it."""
        return min(max(-((self.first - row * self.pitch) // max(self.row, 1)), 0), self.rows)


@dataclass(frozen=True)
class Member:
    """A layer of a stack, which makes ``height`` rows in one or several ``passes``. ``whole``: all
    rows of the result have their own memory, for others read them."""

    height: int
    passes: tuple[Pass, ...]
    whole: bool = False

    def needs(self, rows: Pair) -> Iterator[tuple[int, Pair]]:
        """The rows that ``rows`` of the result need of each place in the stack."""
        return ((source.place, source.needed(own)) for source, own in self._sources(rows)
                if source.place is not None)

    def loads(self, rows: Pair) -> Iterator[tuple[int, int]]:
        """The tensors that are read for ``rows`` of the result, each with the number of bytes."""
        for source, own in self._sources(rows):
            first, last = source.seen(own)
            yield source.tensor, (last - first) * source.span

    def _sources(self, rows: Pair) -> Iterator[tuple[Source, Pair]]:
        """What is read for ``rows`` of the result, each with the rows of its pass."""
        for each in self.passes:
            own = each.part(rows)
            if own[1] > own[0]:
                yield from ((source, own) for source in each.sources)


@dataclass(frozen=True)
class Band:
    """Rows [first, past the last) of a layer, by its place in the stack. ``bases``: of each layer
    the first row that the memory of its result holds by then. ``moved``: the rows are not computed,
    but moved to the beginning of their memory, whose first row was this one."""

    place: int
    rows: Pair
    bases: tuple[int, ...]
    moved: int | None = None


@dataclass(frozen=True)
class Stack:
    """The bands in the order of their execution. ``held``: rows that the memory of each result has,
    0 for a whole one; ``kept``: whether some of them stay from band to band."""

    bands: tuple[Band, ...]
    held: tuple[int, ...]
    kept: tuple[bool, ...]

    def computed(self, place: int) -> int:
        """Rows that the layer computes in all bands."""
        return sum(band.rows[1] - band.rows[0] for band in self.bands
                   if band.place == place and band.moved is None)

    def moved(self, place: int) -> int:
        """Rows of the layer's result that are moved, each as often as it is."""
        return sum(band.rows[1] - band.rows[0] for band in self.bands
                   if band.place == place and band.moved is not None)

    def count(self, place: int) -> int:
        """Number of the layer's bands, and of the moves of its rows."""
        return sum(band.place == place for band in self.bands)


def stack_of(members: Sequence[Member], lap: int, sub: int, most: int | None = None) -> Stack:
    """The bands of layers in the order in which they read each other, the last one ``whole``.

    Rows of the last result come ``sub`` at a time. What two bands have in common is kept within a
    ``lap`` of rows. Before the next one it is moved to the beginning of its memory, where the two
    places do not overlap; else all of it is computed again. ``most``: laps, where not all are asked
    for.
    """
    again = _laps(members, lap, sub, most, ())
    if len(again.laps) > 1 and any(again.kept):
        moved = _laps(members, lap, sub, most, again.kept)
        if not any(now and not before for now, before in zip(moved.kept, again.kept, strict=True)):
            stack = _in_memory(members, moved, again.kept)
            if stack is not None:
                return stack
    stack = _in_memory(members, again, again.kept)
    assert stack is not None      # nothing is moved
    return stack


@dataclass(frozen=True)
class _Laps:
    """Of each lap the rows that are left of those before it, by place, and the bands' rows;
    ``kept``: as in a stack."""

    laps: tuple[tuple[dict[int, Pair], tuple[tuple[int, Pair], ...]], ...]
    kept: tuple[bool, ...]


def _laps(members: Sequence[Member], lap: int, sub: int, most: int | None,
          left: Sequence[bool]) -> _Laps:
    """The laps of a stack; ``left``: of which layers rows are left of the lap before."""
    progress, height = _Progress(members, left), members[-1].height
    laps = []
    for start in range(0, height, lap)[:most]:
        end = min(start + lap, height)
        staying = progress.new_lap(end)
        laps.append((staying, tuple(
            item for first in range(start, end, sub)
            for item in progress.turn(min(first + sub, end)))))
    return _Laps(tuple(laps), tuple(progress.again))


def _in_memory(members: Sequence[Member], laps: _Laps, kept: Sequence[bool]) -> Stack | None:
    """The stack with the places of its rows; None where rows would be moved onto themselves."""
    bands, held, bases = list[Band](), [0] * len(members), [0] * len(members)
    for staying, turns in laps.laps:
        begun = set(staying)
        for place, (first, last) in staying.items():
            before, bases[place] = bases[place], first
            if last - first > first - before:
                return None
            bands.append(Band(place, (first, last), tuple(bases), before))
        for place, rows in turns:
            if not members[place].whole:
                if place not in begun or not kept[place]:
                    begun.add(place)
                    bases[place] = rows[0]
                held[place] = max(held[place], rows[1] - bases[place])
            bands.append(Band(place, rows, tuple(bases)))
    return Stack(tuple(bands), tuple(held), tuple(kept))


class _Progress:
    """How far each layer of a stack has come. ``done``: rows below are there, -1: none is in this
    lap; ``again``: layers of which rows are read in a turn behind the one that made them. ``left``:
    those of which rows are left from lap to lap."""

    def __init__(self, members: Sequence[Member], left: Sequence[bool]) -> None:
        self._members = members
        self._left = left or (False,) * len(members)
        self.done = [0 if member.whole else -1 for member in members]
        self.again = [False] * len(members)
        self._lowest: list[int | None] = [None] * len(members)     # rows that the lap reads
        readers = Counter(source.place for member in members for own in member.passes
                          for source in own.sources)
        self._several = [readers[place] > 1 for place in range(len(members))]

    def new_lap(self, end: int) -> dict[int, Pair]:
        """Begin a lap, whose rows of the last layer are those up to ``end``; the rows that are left
        of those before it, by place."""
        again = list(self.again)
        self.done = [rows if member.whole or left else -1 for rows, member, left in zip(
            self.done, self._members, self._left, strict=True)]
        self._lowest = [None] * len(self._members)
        self._missing_up_to(end, self._lowest)
        self.again = again
        staying = dict[int, Pair]()
        for place, (lowest, done) in enumerate(zip(self._lowest, self.done, strict=True)):
            if not self._members[place].whole and done >= 0:
                if lowest is not None and lowest < done:
                    staying[place] = lowest, done
                else:
                    self.done[place] = -1
        return staying

    def turn(self, end: int) -> Iterator[tuple[int, Pair]]:
        """The rows of each layer, the first one first, for the last one's rows up to ``end``."""
        for place, rows in enumerate(self._missing_up_to(end)):
            if rows is not None:
                self.done[place] = rows[1]
                yield place, rows

    def _missing_up_to(self, end: int,
                       lowest: list[int | None] | None = None) -> list[Pair | None]:
        """The rows of each layer that are to be computed; ``lowest`` takes in which one is the
        first that is read."""
        members, last = self._members, len(self._members) - 1
        wanted: list[Pair | None] = [None] * len(members)
        wanted[last] = self.done[last], end
        for place in reversed(range(len(members))):
            if lowest is not None and (first := wanted[place]):
                lowest[place] = first[0]
            rows = self._missing(place, wanted[place], end == members[last].height)
            wanted[place] = rows
            for source, needed in () if rows is None else members[place].needs(rows):
                other = wanted[source] or needed
                wanted[source] = min(other[0], needed[0]), max(other[1], needed[1])
        return wanted

    def _missing(self, place: int, wanted: Pair | None, is_end: bool) -> Pair | None:
        """What is not there of the rows ``wanted``, and of a whole result all rows before them."""
        member, done = self._members[place], self.done[place]
        if member.whole:
            high = member.height if is_end else wanted[1] if wanted else done
            return (done, high) if high > done else None
        if wanted is None:
            return None
        self.again[place] |= wanted[0] < done
        lowest = self._lowest[place]
        if done < 0:
            low = wanted[0] if lowest is None else min(wanted[0], lowest)
        else:      # what one reader skips another may read later
            low = done if self._several[place] else max(wanted[0], done)
        return (low, wanted[1]) if wanted[1] > low else None


def _needed(g: Geometry, rows: Pair) -> Pair:
    """The rows of the input for ``rows`` of the result; at least one."""
    first = min(max(0, rows[0] * g.stride[0] - g.padding[0]), g.ifm[0] - 1)
    last = min(g.ifm[0], (rows[1] - 1) * g.stride[0] - g.padding[0] + g.extent[0])
    return first, max(first + 1, last)
