"""A unit's track keeps its sums, however few spans it may have."""

from __future__ import annotations

import numpy as np
import pytest

from kaniwa.report.unit_track import UnitTrack

STATES = 4


def drawn(seed: int, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Spans in order, with gaps, of instructions that follow each other."""
    rng = np.random.default_rng(seed)
    cycles = rng.integers(1, 9, count)
    cycles[rng.random(count) < 0.01] = 500
    first = np.cumsum(cycles + rng.integers(0, 3, count)) - cycles
    return first, cycles, np.sort(rng.integers(0, 5, count)), rng.integers(1, STATES, count)


def sums(instruction: np.ndarray, cycles: np.ndarray) -> np.ndarray:
    """Cycles by instruction and state."""
    return np.array([cycles[instruction == i].sum(axis=0) for i in range(5)])


@pytest.mark.parametrize("most", [10_000, 900, 60])
@pytest.mark.parametrize("parts", [1, 7])
def test_joined_spans_have_the_same_cycles_by_instruction_and_state(most: int, parts: int) -> None:
    columns = drawn(most, 3000)
    track = UnitTrack(STATES, most)
    for part in zip(*(np.array_split(column, parts) for column in columns), strict=True):
        track.add(*part)
    spans = track.spans()
    alone = np.zeros((3000, STATES), np.int64)
    alone[np.arange(3000), columns[3]] = columns[1]
    np.testing.assert_array_equal(sums(spans.instruction, spans.cycles), sums(columns[2], alone))
    assert len(spans) <= most and (track.window > 1) == (most < 3000)
    assert (spans.first[1:] >= spans.after[:-1]).all() and (spans.after > spans.first).all()
    assert (spans.cycles.sum(axis=1) <= spans.after - spans.first).all()
    assert (np.diff(spans.instruction) >= 0).all()


def test_a_long_span_stays_alone() -> None:
    track = UnitTrack(STATES, 3)
    track.add(np.array([0, 1, 2, 3, 503]), np.array([1, 1, 1, 500, 1]), np.zeros(5, int),
              np.array([1, 2, 1, 3, 1]))
    spans = track.spans()
    assert (spans.first.tolist(), spans.after.tolist()) == ([0, 3, 503], [3, 503, 504])
    assert spans.cycles.tolist() == [[0, 2, 1, 0], [0, 0, 0, 500], [0, 1, 0, 0]]


def test_a_track_without_spans_is_empty() -> None:
    assert len(UnitTrack(STATES).spans()) == 0
