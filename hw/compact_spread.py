"""From bytes of the line buffer to the operands of the compact core's array."""

from amaranth import *
from amaranth.lib import data, stream
from amaranth.lib.wiring import Component, In, Out

from kaniwa.config import AcceleratorConfig
from kaniwa.hw.compact_array import tap_layout
from kaniwa.hw.interfaces import array_layout

__all__ = ["CompactSpread"]


class CompactSpread(Component):
    """Masks the padding of a read and gives each lane what it multiplies.

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
        taps = Signal(4, reset_less=True)   # the column in use, unless dense
        m.d.sync += [
            tap.eq(self.tap),
            taps.eq(Mux(self.tap.dense, 0, 1 << self.tap.column)),
            self.o.valid.eq(self.valid),
        ]
        masked = [Signal(8, name=f"masked_{j}") for j in range(4)]
        m.d.comb += [
            *(byte.eq(Mux(tap.real[j], self.bytes[j], self.pad_value))
              for j, byte in enumerate(masked)),
            Value.cast(operands.weights).eq(self.weights),
            operands.first.eq(tap.first),
            operands.last.eq(tap.last),
        ]
        for lane in range(config.out_lanes):
            for j, byte in enumerate(masked):
                used = byte & tap.dense.replicate(8)
                if lane < config.depthwise_lanes:
                    used = used | (masked[lane] & taps[j].replicate(8))
                m.d.comb += operands.activations[lane][j].eq(used)
        return m
