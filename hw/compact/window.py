"""From bytes of the line buffer to the operands of the compact core's array."""

from amaranth import *
from amaranth.lib import data, stream
from amaranth.lib.wiring import Component, In, Out

from kaniwa.config import AcceleratorConfig
from kaniwa.hw.compact.array import tap_layout
from kaniwa.hw.interfaces import array_layout

__all__ = ["CompactWindow"]


class CompactWindow(Component):
    """Masks the padding of a read and gives each lane what it multiplies.

    Dense: byte j with weight j. Else lane m multiplies byte m alone, with the weight of ``column``:
    that is the one weight which moves, to where the byte is, and the other bytes become zero. So
    all lanes share two words of bytes.

    A step's ``bytes`` and ``weights`` come a cycle after its ``tap``; with them, and without any
    further cycle, its operands leave.
    """

    def __init__(self, config: AcceleratorConfig):
        self._config = config
        super().__init__({
            "tap": In(tap_layout()),
            "valid": In(1),
            "pad_value": In(signed(8)),
            "bytes": In(data.ArrayLayout(unsigned(8), 4)),
            "weights": In(8 * config.tile_bytes),
            "o": Out(stream.Signature(array_layout(config), always_ready=True)),
        })

    def elaborate(self, platform):
        m = Module()
        config, operands = self._config, self.o.payload
        tap = Signal(tap_layout(), reset_less=True)
        m.d.sync += [tap.eq(self.tap), self.o.valid.eq(self.valid)]
        m.d.comb += [
            Value.cast(operands.weights).eq(self.weights),
            operands.last.eq(tap.last),
        ]
        masked = [Signal(8, name=f"masked_{j}") for j in range(4)]
        shared = [Signal(8, name=f"shared_{j}") for j in range(4)]   # with other lanes
        for j in range(4):
            m.d.comb += [
                masked[j].eq(Mux(tap.real[j], self.bytes[j], self.pad_value)),
                shared[j].eq(masked[j] & tap.dense.replicate(8)),
            ]
        for lane in range(config.out_lanes):
            for j in range(4):
                own = lane == j
                m.d.comb += operands.activations[lane][j].eq(masked[j] if own else shared[j])
            if lane < config.depthwise_lanes:
                column = Signal(2, name=f"column_{lane}", reset_less=True)
                m.d.sync += column.eq(Mux(self.tap.dense, lane, self.tap.column))
                m.d.comb += operands.weights[lane][lane].eq(
                    self.weights.word_select(lane, 32).word_select(column, 8))
        return m
