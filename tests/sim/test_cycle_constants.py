"""The numbers of the cycle models that the gateware has too are the same in both."""

from __future__ import annotations

import pytest

from kaniwa.cycles import array, memory, pipeline
from kaniwa.cycles.compact import post
from kaniwa.cycles.readers import load, operand, weights
from kaniwa.hw.memory import system
from kaniwa.hw.results import (
    operand_dma,
    operand_queue,
    pipelined_requantizer,
    rounding,
    serial_requantizer,
)
from kaniwa.hw.steps import switch
from kaniwa.hw.units.cell import fetch as cell_fetch, function, gates, rescale
from kaniwa.hw.units.vector import issue, store
from kaniwa.hw.weights import fetch
from kaniwa.units.cell import timing as cell
from kaniwa.units.vector import timing as vector


@pytest.mark.parametrize("modelled, built", [
    (memory.READS_IN_FLIGHT, system.READS_IN_FLIGHT),
    (load.IN_FLIGHT, system.READS_IN_FLIGHT),
    (weights.FETCH_DEPTH, fetch.DEPTH),
    (operand.BEATS_AHEAD, operand_dma.BEATS_AHEAD),
    (operand.BEATS_AHEAD, operand_queue.DEPTH),
    (pipeline.PIPELINED, pipelined_requantizer.LATENCY),
    (pipeline.SERIAL, serial_requantizer.LATENCY),
    (post.QUOTIENT, rounding.QUOTIENT + 1),            # and the half
    (array.RELEASED, switch.RING_DELAY + 2),           # and the counter of free words
    (cell.FRAMES, cell_fetch.FRAMES),
    (cell.TURN, gates.FRAME),
    (cell.PRODUCT, function.LATENCY + 6),              # and the product with the output gate
    (cell.RESULT, rescale.LATENCY + 3),                # and zero point, clamp and register
    (vector.GAP, 2 * issue.GAP),                       # of slots of two cycles
])
def test_a_number_of_the_model_is_that_of_the_gateware(modelled: int, built: int) -> None:
    assert modelled == built


@pytest.mark.parametrize("lanes", [4, 8, 16, 32])
def test_the_queue_of_the_vector_units_stores_is_as_deep_as_modelled(lanes: int) -> None:
    assert vector.queue_depth(lanes) == store.queue_depth(lanes)
