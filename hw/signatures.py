"""Signatures of the side-bands: bundles of wires between blocks that are no streams."""

from amaranth import *
from amaranth.lib import data
from amaranth.lib.wiring import In, Out, Signature

from kaniwa.config import AcceleratorConfig
from kaniwa.hw.interfaces import line_position_bits
from kaniwa.isa import COUNTERS

__all__ = ["transfer", "producer_progress", "ring_reader", "line_reader", "line_level",
           "step_events", "counter_access"]


def transfer() -> Signature:
    """The handshake of a stream, seen from it, for a block that only watches transfers."""
    return Signature({"valid": Out(1), "ready": Out(1)})


def producer_progress() -> Signature:
    """Progress of the store unit, seen from it: what readers of its results wait for.

    ``retired`` counts instructions; ``retire`` is 1 in the cycle in which ``retired`` shows a new
    count. All results of the present instruction below ``watermark`` are in memory while
    ``watermark_valid`` is 1.
    """
    return Signature({
        "retired": Out(16), "retire": Out(1), "watermark": Out(32), "watermark_valid": Out(1),
    })


def ring_reader(words: int) -> Signature:
    """Reader of a ``RingMemory`` of ``words`` words, seen from it.

    ``enable`` and ``index`` read a word, which comes in ``read_data`` of the ring. ``written``
    counts complete words modulo 2 * words; ``release`` gives back the ``release_count`` oldest.
    """
    return Signature({
        "enable": Out(1),
        "index": Out(range(words)),
        "written": In(range(2 * words)),
        "release": Out(1),
        "release_count": Out(range(words + 1)),
    })


def line_reader(config: AcceleratorConfig) -> Signature:
    """Reader of the line buffer, seen from it: N bytes at ``position``, or a column of lanes.

    ``column_enable`` reads a lane at each of ``column_positions``; only windows of several rows
    have these two.
    """
    position = line_position_bits(config)
    rows = config.column_window[0]
    return Signature({
        "enable": Out(1),
        "position": Out(position),
        **({"column_enable": Out(1),
            "column_positions": Out(data.ArrayLayout(unsigned(position), rows))}
           if config.depthwise and rows > 1 else {}),
    })


def line_level(config: AcceleratorConfig) -> Signature:
    """Level of the line buffer, seen from its reader: bytes below ``loaded`` are there, bytes below
    ``freed`` are used up. Both are positions in the ring."""
    return Signature({
        "loaded": In(line_position_bits(config)), "freed": Out(line_position_bits(config)),
    })


def step_events() -> Signature:
    """Events of the array in a cycle: at most one of the four is 1."""
    return Signature({
        "issued": Out(1), "stall_load": Out(1), "stall_weights": Out(1), "stall_result": Out(1),
    })


def counter_access() -> Signature:
    """Reading of the counters, seen from the registers: ``data`` of the ``tag`` and ``index`` of
    the cycle before; ``idle``: no snapshot is on its way."""
    return Signature({
        "tag": Out(11),
        "index": Out(range(len(COUNTERS))),
        "data": In(32),
        "idle": In(1, init=1),
    })
