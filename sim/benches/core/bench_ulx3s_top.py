"""ULX3S-85F as its bitstream is, simulated at its pins: ``base`` with block RAM, link and UART."""

from __future__ import annotations

from kaniwa.sim.board.board_exercise import BINS, exercise_board
from kaniwa.sim.harness.bench import PythonBench
from kaniwa.sim.harness.coverage import Tally


def run(seed: int, options: dict[str, int]) -> Tally:
    """Hello, load, a layer of each kind over the UART's pins."""
    return exercise_board("ulx3s_85f", seed)


BENCH = PythonBench("ulx3s_top", run, required=BINS, long=True)
