"""The products that the array's loops need before an instruction begins."""

from amaranth import *
from amaranth.lib.wiring import Component, In, Out
from amaranth.utils import exact_log2

from kaniwa.config import AcceleratorConfig
from kaniwa.hw.interfaces import line_lane_bits, products_layout, unit_layout

__all__ = ["ArraySetup"]


class ArraySetup(Component):
    """Multiplies an offered instruction's row counts by its pitches, bit by bit.

    It works while the array is still busy with the instruction before. ``done`` is 1 from 1 + n
    cycles after ``valid`` on, until ``taken``; n is the number of bits of the largest of
    dilation_rows, stride_rows, pad_top and ifm_rows. ``products`` stay one cycle longer. The next
    instruction may be offered in the cycle after ``taken``.
    """

    def __init__(self, config: AcceleratorConfig):
        self._config = config
        super().__init__({
            "valid": In(1),
            "instruction": In(unit_layout("array", config)),
            "taken": In(1),
            "done": Out(1),
            "products": Out(products_layout(config)),
        })

    def elaborate(self, platform):
        m = Module()
        low = exact_log2(self._config.read_bytes)
        fields = self.instruction
        products = Signal(products_layout(self._config), reset_less=True)
        lanes = Signal.like(products.input_lanes, reset_less=True)
        shift = Signal(low, reset_less=True)
        factors = {
            "dilation": fields.dilation_rows, "stride": fields.stride_rows,
            "pad": fields.pad_top, "input": fields.ifm_rows,
        }
        left = {name: Signal(len(factor), name=f"{name}_left", reset_less=True)
                for name, factor in factors.items()}

        # A flip-flop, for what takes the instruction goes far. One bit ahead is in time, since
        # ifm_rows is at least 1.
        active = Signal()
        m.d.sync += self.done.eq(active & ~self.taken & ~Cat(f[1:] for f in left.values()).any())
        m.d.comb += self.products.eq(products)
        with m.If(self.taken):
            m.d.sync += active.eq(0)
        with m.Elif(self.valid):
            m.d.sync += active.eq(1)
        # Once it is done nothing is left to be added, so what is taken changes nothing here.
        with m.If(~active & self.valid):
            m.d.sync += [
                Value.cast(products).eq(0),
                lanes.eq(fields.line_pitch[line_lane_bits(self._config):]),
                shift.eq(fields.ifm_pitch),
                *(left[name].eq(factor) for name, factor in factors.items()),
            ]
        with m.Elif(active):
            m.d.sync += [lanes.eq(lanes << 1), shift.eq(shift << 1)]
            for name, factor in left.items():
                m.d.sync += factor.eq(factor >> 1)
                with m.If(factor[0]):
                    total = products[f"{name}_lanes"]
                    m.d.sync += total.eq(total + lanes)
                    if name != "input":
                        total = products[f"{name}_shift"]
                        m.d.sync += total.eq(total + shift)
        return m
