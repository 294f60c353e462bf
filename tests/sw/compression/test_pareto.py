"""The front has exactly the rows that no other one beats."""

import json

import numpy as np
import pytest

from kaniwa.compression.pareto import Measured, best, front, report, table
from kaniwa.compression.plot import plot
from kaniwa.errors import InputError

ROWS = [Measured(0.9, 100, 1000, {"a": 0, "b": 8}), Measured(0.9, 90, 900, {"a": 0.5, "b": 8}),
        Measured(0.95, 120, 900, {"a": 0.25, "b": 8}), Measured(0.8, 95, 950, {"a": 0.75, "b": 8}),
        Measured(0.7, 50, 990, {"a": 0.9, "b": 8})]


def test_the_front_is_what_no_other_row_beats():
    assert front(ROWS) == [ROWS[2], ROWS[1], ROWS[4]]
    assert front([]) == []
    assert front([ROWS[0], ROWS[0]]) == [ROWS[0]]


@pytest.mark.parametrize("seed", range(20))
def test_every_other_row_is_beaten_by_one_of_the_front(seed):
    rng = np.random.default_rng(seed)
    rows = [Measured(float(a) / 5, int(b), int(c)) for a, b, c in rng.integers(0, 6, (30, 3))]
    kept = front(rows)
    assert not [row for row in kept if any(other.beats(row) for other in rows)]
    for row in rows:
        assert row in kept or any(other.beats(row) for other in kept)


def test_the_best_is_accurate_enough():
    assert best(ROWS, 0.9) == ROWS[1]
    assert best(ROWS, 0.91) == ROWS[2]
    assert best(ROWS, 0.5, "bytes") == ROWS[4]
    assert best(ROWS, 0.99) is None and best([], 0) is None


def test_rows_as_json_and_as_a_table():
    told = json.loads(json.dumps(report(ROWS)))
    assert [row["pareto"] for row in told] == [False, True, True, False, True]
    assert told[2] == {"choice": {"a": 0.25, "b": 8}, "accuracy": 0.95, "bytes": 120,
                       "cycles": 900, "pareto": True}
    head, lines = table(ROWS)
    assert head == ("a", "accuracy", "bytes", "cycles", "pareto")     # b is the same in all
    assert lines[0] == ("0", "90.0%", "100", "1,000", "")
    assert lines[2] == ("0.25", "95.0%", "120", "900", "yes")


@pytest.mark.parametrize("call, why", [
    (lambda: Measured(1.2, 1, 1), r"accuracy: expected 0\.\.1, found 1.2"),
    (lambda: Measured(0.5, -1, 1), "bytes: expected a whole number from 0 on, found -1"),
    (lambda: Measured(0.5, 1, 1.5), "cycles: expected a whole number from 0 on, found 1.5"),
    (lambda: best(ROWS, 2), r"least accuracy: expected 0\.\.1"),
    (lambda: best(ROWS, 0.5, "energy"), "goal: expected one of cycles, bytes, found 'energy'"),
])
def test_wrong_values_are_one_line(call, why):
    with pytest.raises(InputError, match=why):
        call()


@pytest.mark.parametrize("suffix, begins", [(".png", b"\x89PNG"), (".svg", b"<?xml")])
@pytest.mark.parametrize("cost", ["cycles", "bytes"])
def test_a_picture_of_the_rows(tmp_path, suffix, begins, cost):
    pytest.importorskip("matplotlib", reason="needs matplotlib: pip install 'kaniwa[notebook]'")
    path = tmp_path / f"rows{suffix}"
    plot(ROWS, path, cost)
    assert path.read_bytes().startswith(begins)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("change, why", [
    ({"rows": []}, "rows: expected one at least"),
    ({"path": "a.txt"}, "suffix: expected one of .png, .svg, .pdf, found '.txt'"),
    ({"cost": "energy"}, "cost: expected one of cycles, bytes"),
])
def test_what_cannot_be_drawn_is_one_line(change, why):
    with pytest.raises(InputError, match=why):
        plot(**{"rows": ROWS, "path": "a.png", "cost": "cycles"} | change)
