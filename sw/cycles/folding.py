"""Entries of the event record: spans of a unit, with what repeats told once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from kaniwa.cycles.log import CODE_BITS, PACE, Spans

__all__ = ["Entry", "entries_of"]

DEPTH = 3      # of repeats within repeats
TABLE = 1 << 22

# [first, cycles, instruction, state] or [first, period, count, [entry, ...]]
Entry = list[Any]


def entries_of(spans: Spans) -> list[Entry]:
    """Spans as entries: work at the unit's own pace is one, and so is what repeats at one pace."""
    spans = _joined(spans)
    columns = np.stack((spans.first, spans.after - spans.first, spans.instruction, spans.state), 1)
    folded, kept = {}, np.ones(len(columns), bool)
    for repeat in spans.repeats:
        period = columns[repeat.first:repeat.after].copy()
        period[:, 0] -= period[0, 0]
        folded[repeat.first] = [repeat.period, repeat.times + 1, period.tolist()]
        kept[repeat.first + 1:repeat.after] = False
    # Of each entry a number that stands for all of it but its first cycle.
    lengths, _ = _dense(columns[:, 1])
    codes, count = _dense(columns[:, 2] << CODE_BITS | columns[:, 3])
    kinds = lengths * count + codes
    known: dict[str, int] = {}
    for place, inner in folded.items():
        kinds[place] = -1 - known.setdefault(str(inner), len(known))
    places = np.flatnonzero(kept)
    repeated = dict(zip(np.searchsorted(places, list(folded)).tolist(), folded.values(),
                        strict=True))

    def rest(number: int) -> Entry:
        return repeated.get(number) or columns[places[number], 1:].tolist()

    entries = _folded(columns[places, 0].tolist(), rest, kinds[places])
    for _ in range(DEPTH - 1):
        entries = _folded_again(entries)
    return entries


def _dense(values: np.ndarray) -> tuple[np.ndarray, int]:
    """Numbers from 0 on, equal where the integers ``values`` are, and how many there are of them.

    By a table where that is small, which is much faster than by sorting.
    """
    if not len(values):
        return values, 0
    low, high = int(values.min()), int(values.max())
    if high - low >= TABLE:
        found, numbers = np.unique(values, return_inverse=True)
        return numbers, len(found)
    seen = np.zeros(high - low + 1, bool)
    seen[values - low] = True
    number_of = np.cumsum(seen) - 1
    return number_of[values - low], int(number_of[-1]) + 1


def _folded_again(entries: Sequence[Entry]) -> list[Entry]:
    known: dict[str, int] = {}
    kinds = [known.setdefault(str(entry[1:]), len(known)) for entry in entries]
    return _folded([entry[0] for entry in entries], lambda number: entries[number][1:],
                   np.array(kinds, np.int64))


def _joined(spans: Spans) -> Spans:
    """Spans of which work that goes on at the unit's own pace is one, but not across repeats."""
    first, after, instruction, state, repeats = spans
    begins = np.ones(len(first), bool)
    begins[1:] = ((state[1:] != 0) | (state[:-1] != 0) | (instruction[1:] != instruction[:-1])
                  | (first[1:] > after[:-1] + PACE))
    for repeat in repeats:
        begins[repeat.first] = True
        begins[repeat.after:repeat.after + 1] = True
    heads = np.flatnonzero(begins)
    lasts = np.append(heads[1:], len(first))[:len(heads)] - 1
    number = np.append(np.cumsum(begins) - 1, len(heads))
    return Spans(first[heads], after[lasts], instruction[heads], state[heads], [
        repeat._replace(first=int(number[repeat.first]), after=int(number[repeat.after]))
        for repeat in repeats])


def _folded(firsts: Sequence[int], rest: Callable[[int], Entry],
            kinds: np.ndarray) -> list[Entry]:
    """Entries, of which a sequence that comes again and again at one pace becomes a repeat.

    ``rest``: what an entry has beside its first cycle; ``kinds``: equal where that is equal.
    """
    count = len(firsts)
    sort, sort_count = _dense(kinds)
    pace, _ = _dense(np.diff(np.array(firsts, np.int64), prepend=-1))
    numbers, _ = _dense(pace * sort_count + sort)
    # Of each entry the place where it is the next time: what repeats from there on has that length.
    nexts = np.zeros(count + 1, np.int64)
    order = np.argsort(numbers.astype(np.min_scalar_type(numbers.max(initial=0))), kind="stable")
    again = numbers[order[1:]] == numbers[order[:-1]]
    nexts[order[:-1][again]] = order[1:][again]
    lengths = (nexts[1:] - np.arange(count) - 1).tolist()
    tokens, sorts = numbers.tolist(), sort.tolist()
    folded: list[Entry] = []
    i = 0
    while i < count:
        # An entry may begin a sequence whatever is before it, so those behind it are compared.
        length = lengths[i]
        if length > 0 and i + length < count and sorts[i] == sorts[i + length]:
            end = i + length + 1
            while end < count and tokens[end] == tokens[end - length]:
                end += 1
            times = (end - i) // length
            if (times - 1) * length > 1:
                folded.append([firsts[i], firsts[i + length] - firsts[i], times, [
                    [firsts[j] - firsts[i], *rest(j)] for j in range(i, i + length)]])
                i += times * length
                continue
        folded.append([firsts[i], *rest(i)])
        i += 1
    return folded
