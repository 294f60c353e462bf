"""The multiply-accumulate array: out_lanes dot products of dot_width bytes a cycle."""

from amaranth import *
from amaranth.lib import data, stream
from amaranth.lib.wiring import Component, In, Out
from amaranth.utils import exact_log2

from kaniwa.config import AcceleratorConfig
from kaniwa.hw.interfaces import array_layout, result_layout
from kaniwa.hw.multiplier.plain import PlainMultiplier, adder_tree, delay
from kaniwa.hw.parts.adders import times_signed

__all__ = ["MacArray"]


class MacArray(Component):
    """Output-stationary array: lane m adds up ``activations[m] . (weights[m] - zero point)``.

    What ``weight_zero_point`` takes away is the same for all lanes, which share their activations
    where it is not 0: it is summed up beside them, and comes off as they leave. A compact core has
    no such zero point.

    Throughput: one step a cycle. ``o`` has the 32-bit accumulators ``config.array_latency`` cycles
    after a step with ``last``; a step with ``first`` starts them anew. The compiler proves that
    what leaves has not wrapped. With ``clear_after_last`` (fewer cells) ``first`` does not matter:
    they start anew once ``o`` had them, and no step may come in the cycle after a ``last`` one.

    Lanes m and m + activation_lanes use the same activations, and ``multiplier``, the strategy for
    the FPGA, may make their products in one block.
    """

    def __init__(self, config: AcceleratorConfig, multiplier=PlainMultiplier, *,
                 clear_after_last: bool = False):
        self._config = config
        self._multiplier = multiplier
        self._clear_after_last = clear_after_last
        super().__init__({
            "i": In(stream.Signature(array_layout(config), always_ready=True)),
            "o": Out(stream.Signature(result_layout(config), always_ready=True)),
        })

    def elaborate(self, platform):
        m = Module()
        config, step = self._config, self.i.payload
        lanes = config.activation_lanes
        sums = [None] * config.out_lanes
        for lane in range(lanes):
            m.submodules[f"multiplier_{lane}"] = group = self._multiplier(
                config.dot_width, config.multiplier_rows, config.dot_latency)
            m.d.comb += group.activations.eq(step.activations[lane])
            for row in range(config.multiplier_rows):
                m.d.comb += group.weights[row].eq(step.weights[lane + row * lanes])
                sums[lane + row * lanes] = group.sums[row]

        # What goes with a step, until its sums come out.
        valid = self.i.valid
        tag = Cat(step.first, step.last)
        for stage in range(config.dot_latency):
            next_valid = Signal(name=f"valid_{stage}")
            next_tag = Signal(len(tag), name=f"tag_{stage}", reset_less=True)
            m.d.sync += [next_valid.eq(valid), next_tag.eq(tag)]
            valid, tag = next_valid, next_tag
        first, last = tag[0], tag[1]

        # Where a carry chain takes both operands as they are, the zero of ``first`` is a gate for
        # each bit; a reset costs nothing.
        clear_after_last = self._clear_after_last
        accumulators = Signal(data.ArrayLayout(signed(32), config.out_lanes),
                              reset_less=not clear_after_last)
        with m.If(valid):
            m.d.sync += [
                accumulator.eq((accumulator if clear_after_last else Mux(first, 0, accumulator))
                               + total)
                for accumulator, total in zip(accumulators, sums, strict=True)]
        if clear_after_last:
            with m.If(self.o.valid):
                m.d.sync += Value.cast(accumulators).eq(0)
        m.d.sync += self.o.valid.eq(valid & last)
        if config.compact:
            m.d.comb += self.o.payload.eq(accumulators)
            return m
        excess = Signal(signed(32), reset_less=True)   # of the accumulators
        product = self._excess(m, step)
        with m.If(valid):
            m.d.sync += excess.eq(Mux(first, 0, excess) + product)
        m.d.comb += [leaving.eq(accumulator - excess) for leaving, accumulator
                     in zip(self.o.payload, accumulators, strict=True)]
        return m

    def _excess(self, m, step):
        """The weights' zero point times the sum of the activations, with the sums of products."""
        config, levels = self._config, exact_log2(self._config.dot_width)
        total = adder_tree(m, list(step.activations[0]), "activations")
        zero_point = delay(m, step.weight_zero_point, levels, "weight_zero_point")
        product = Signal(signed(len(total) + 8), reset_less=True)
        m.d.sync += product.eq(times_signed(m, total, zero_point))   # multiplier blocks are scarce
        return delay(m, product, config.dot_latency - levels - 1, "excess")
