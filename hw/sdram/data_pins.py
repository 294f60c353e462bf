"""The words of SDRAM bursts on their way between the controller's ports and the data pins."""

from amaranth import *
from amaranth.lib.wiring import Component, In, Out

__all__ = ["DataPins"]


class DataPins(Component):
    """Puts a write's words on the pins one after the other, and gathers a read's.

    ``words_read``, ``words_written``: of ``width`` bytes, in a request. ``write``, ``read``: that
    column command is given in this cycle; the first word written goes with it. A read's word is in
    ``word`` while ``valid``, which is 1 + ``cas`` + words_read cycles later.

    A burst of the chip is as long as a read, or of one word where writes are of one: what follows
    a shorter write is masked, until the next command.
    """

    def __init__(self, *, width: int, words_read: int, words_written: int, cas: int):
        self._width, self._cas = width, cas
        self._read, self._written = words_read, words_written
        super().__init__({
            "write": In(1),
            "data": In(8 * width * words_written),
            "enables": In(width * words_written),
            "read": In(1),
            "valid": Out(1),
            "word": Out(8 * width * words_read),
            "drive": Out(1),
            "mask": Out(width),
            "to_chip": Out(8 * width),
            "from_chip": In(8 * width),
        })

    def elaborate(self, platform):
        m = Module()
        self._to_chip(m)
        self._from_chip(m)
        return m

    def _to_chip(self, m):
        bits, width = 8 * self._width, self._width
        more = self._written - 1
        tail = self._read - self._written if self._written > 1 else 0
        driving, masking = Signal(more), Signal(tail)   # a one for each clock left
        data = Signal(bits * more, reset_less=True)
        enables = Signal(width * more, reset_less=True)
        m.d.comb += [
            self.drive.eq(self.write | driving.any()),
            self.to_chip.eq(Mux(self.write, self.data, data)),
            self.mask.eq(Mux(self.write, ~self.enables[:width], Mux(
                driving.any(), ~enables[:width],
                (masking.any() & ~self.read).replicate(width)))),
        ]
        with m.If(self.write):
            m.d.sync += [driving.eq(~0), masking.eq(~0), data.eq(self.data[bits:]),
                         enables.eq(self.enables[width:])]
        with m.Else():
            m.d.sync += [driving.eq(driving >> 1), data.eq(data >> bits),
                         enables.eq(enables >> width)]
            with m.If(self.read):
                m.d.sync += masking.eq(0)
            with m.Elif(~driving.any()):
                m.d.sync += masking.eq(masking >> 1)

    def _from_chip(self, m):
        """A word is whole in the cycle in which its last column is in the register at the pins."""
        bits = 8 * self._width
        on_the_way = Signal(1 + self._cas + self._read)
        before = Signal(bits * (self._read - 1), reset_less=True)
        m.d.sync += [on_the_way.eq(Cat(self.read, on_the_way)),
                     before.eq(Cat(before, self.from_chip)[bits:])]
        m.d.comb += [self.valid.eq(on_the_way[-1]), self.word.eq(Cat(before, self.from_chip))]
