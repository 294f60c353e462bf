"""Maxima of bytes over the taps of a window."""

from amaranth import *
from amaranth.lib import data, stream
from amaranth.lib.wiring import Component, In, Out

from kaniwa.config import AcceleratorConfig
from kaniwa.hw.interfaces import pool_layout, result_layout

__all__ = ["MaxPool"]


class MaxPool(Component):
    """Lane m keeps the maximum of byte m from a step with ``first`` to one with ``last``.

    Throughput: one step a cycle. ``o`` has the maxima, sign-extended, 0 in lanes from
    depthwise_lanes on, ``config.array_latency`` cycles after ``last``: as the MAC array, so
    that results of both keep the order of their steps. With ``pair`` those of the lanes from
    depthwise_lanes on follow one cycle later, as another result. So no step with ``last`` may come
    in the cycle after one with ``last`` and ``pair``.
    """

    def __init__(self, config: AcceleratorConfig):
        self._config = config
        super().__init__({
            "i": In(stream.Signature(pool_layout(config), always_ready=True)),
            "o": Out(stream.Signature(result_layout(config), always_ready=True)),
        })

    def elaborate(self, platform):
        m = Module()
        lanes = self._config.depthwise_lanes
        step = self.i.payload
        maxima = Signal(data.ArrayLayout(signed(8), self._config.pool_lanes), reset_less=True)
        valid = Signal()
        with m.If(self.i.valid):
            for value, maximum in zip(step.bytes, maxima, strict=False):
                with m.If(step.first | self._larger(value, maximum)):
                    m.d.sync += maximum.eq(value)
        m.d.sync += valid.eq(self.i.valid & step.last)
        if self._config.pool_blocks > 1:
            valid, maxima = self._one_by_one(m, valid, maxima)

        for stage in range(self._config.array_latency - 1):
            next_valid = Signal(name=f"valid_{stage}")
            next_maxima = Signal.like(maxima, name=f"maxima_{stage}", reset_less=True)
            m.d.sync += [next_valid.eq(valid), next_maxima.eq(maxima)]
            valid, maxima = next_valid, next_maxima
        m.d.comb += self.o.valid.eq(valid)
        m.d.comb += [self.o.payload[lane].eq(maxima[lane]) for lane in range(lanes)]
        return m

    def _larger(self, value, maximum):
        """Whether ``value`` > ``maximum``.

        With twice the lanes by the sign of the difference, which is a carry chain without gates
        behind it: 135 LUTs less of 380 on ECP5. Others keep the netlists that were placed.
        """
        if self._config.pool_blocks > 1:
            return (maximum - value)[8]
        return value > maximum

    def _one_by_one(self, m, valid, maxima):
        """The maxima of the first block and, where there are two, those of the second behind."""
        lanes = self._config.depthwise_lanes
        pair, second, either = Signal(reset_less=True), Signal(), Signal()
        kept = Signal(data.ArrayLayout(signed(8), lanes), reset_less=True)
        shown = Signal.like(kept)
        m.d.sync += [pair.eq(self.i.payload.pair), second.eq(valid & pair)]
        m.d.sync += [kept[lane].eq(maxima[lanes + lane]) for lane in range(lanes)]
        m.d.comb += either.eq(valid | second)
        m.d.comb += [shown[lane].eq(Mux(second, kept[lane], maxima[lane]))
                     for lane in range(lanes)]
        return either, shown
