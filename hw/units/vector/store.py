"""Data that the vector unit writes to device memory: groups of elements, packed into words."""

from amaranth import *
from amaranth.lib import data
from amaranth.lib.wiring import Component, In, Out
from amaranth.utils import exact_log2

from kaniwa.config import AcceleratorConfig
from kaniwa.hw.interfaces import write_port
from kaniwa.hw.units.vector.load import BYTES, units_of

__all__ = ["VectorStore"]


class VectorStore(Component):
    """Packs a group at a time, of elements already limited to ``kind`` (Width), and writes it.

    ``start``: from ``address`` on. ``give`` (only while ``ready`` is 1): a group, of which the
    first ``count`` elements are written; ``lane_data`` is there from the next cycle on, until
    ``ready`` is 1 again.
    ``busy`` until memory has accepted the last word. A group takes a cycle for each of its words,
    and one more.
    """

    def __init__(self, config: AcceleratorConfig):
        self._config = config
        lanes = config.requant_lanes
        super().__init__({
            "start": In(1), "kind": In(2), "address": In(32),
            "give": In(1), "count": In(range(lanes + 1)),
            "lane_data": In(data.ArrayLayout(signed(32), lanes)),
            "ready": Out(1), "busy": Out(1),
            "memory": Out(write_port(config)),
        })

    def elaborate(self, platform):
        m = Module()
        lanes, size = self._config.requant_lanes, self._config.write_bytes
        low = exact_log2(size)
        units = units_of(lanes, size)
        kind = Signal(2, reset_less=True)
        address = Signal(32, reset_less=True)
        count = Signal.like(self.count, reset_less=True)
        most = max(beats for _, beats in units.values())
        beat, packing = Signal(range(max(2, most))), Signal()
        request = self.memory.request
        free = ~request.valid | request.ready

        step, beats = Signal(range(size + 1)), Signal(range(max(2, most)))
        forms, masks, choice = [], [], Signal(range(sum(beats for _, beats in units.values())))
        with m.Switch(kind):
            for width, (unit, number) in units.items():
                with m.Case(width):
                    m.d.comb += [step.eq(unit), beats.eq(number - 1),
                                 choice.eq(len(forms) + beat)]
                for part in range(number):
                    form, mask = self._pack(width, unit, part, count, address)
                    forms.append(form)
                    masks.append(mask)
        word, mask = Array(forms)[choice], Array(masks)[choice]
        m.d.comb += [self.ready.eq(~packing), self.busy.eq(packing | request.valid)]
        with m.If(free):
            m.d.sync += [
                request.valid.eq(packing & mask.any()),
                request.payload.address.eq(Cat(C(0, low), address[low:])),
                request.payload.data.eq(word),
                request.payload.mask.eq(mask),
            ]
            with m.If(packing):
                m.d.sync += [address.eq(address + step), beat.eq(beat + 1)]
                with m.If(beat == beats):
                    m.d.sync += packing.eq(0)
        with m.If(self.give):
            m.d.sync += [packing.eq(1), beat.eq(0), count.eq(self.count)]
        with m.If(self.start):
            m.d.sync += [address.eq(self.address), kind.eq(self.kind)]
        return m

    def _pack(self, width, unit, part, count, address):
        """Data and mask of a unit: its bytes wherever they fit, masked where they belong."""
        size, port = BYTES[width], self._config.write_bytes
        elements = range(part * (unit // size), (part + 1) * (unit // size))
        bits = Cat(self.lane_data[n][:8 * size] for n in elements)
        real = Cat((n < count).replicate(size) for n in elements)
        places = range(port // unit)
        place = address[exact_log2(unit):exact_log2(port)]
        mask = Cat(real & (place == n).replicate(unit) if len(places) > 1 else real
                   for n in places)
        return bits.replicate(len(places)), mask
