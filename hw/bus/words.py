"""Words of device memory from the beats of a bus."""

from amaranth import *
from amaranth.lib.wiring import Component, In, Out

from kaniwa.config import AcceleratorConfig

__all__ = ["WordOfBeats"]


class WordOfBeats(Component):
    """Puts words of read_bytes together of beats of ``data_bits``, low ones first.

    ``ends``: the beat in this cycle is the last of its word, which comes in the next cycle:
    ``word``, with ``word_valid``. A word with a beat that failed is 0; ``word_failed``, with the
    ``word_code`` of the first such beat.
    """

    def __init__(self, config: AcceleratorConfig, data_bits: int):
        self._beats = 8 * config.read_bytes // data_bits
        self._data_bits = data_bits
        super().__init__({
            "valid": In(1),
            "data": In(data_bits),
            "error": In(1),
            "code": In(2),
            "ends": Out(1),
            "word_valid": Out(1),
            "word": Out(8 * config.read_bytes),
            "word_failed": Out(1),
            "word_code": Out(2),
        })

    def elaborate(self, platform):
        m = Module()
        beats = self._beats
        beat = Signal(range(beats))
        failed, code = Signal(), Signal(2)   # of the beats before
        kept = Signal((beats - 1) * self._data_bits, reset_less=True)
        is_last = beat == beats - 1
        fails = failed | self.error
        m.d.comb += self.ends.eq(self.valid & is_last)
        m.d.sync += [
            self.word_valid.eq(self.ends),
            self.word.eq(Mux(fails, 0, Cat(kept, self.data))),
            self.word_failed.eq(fails),
            self.word_code.eq(Mux(failed, code, self.code)),
        ]
        with m.If(self.valid):
            m.d.sync += [
                beat.eq(Mux(is_last, 0, beat + 1)),
                failed.eq(fails & ~is_last),
                kept.eq(Cat(kept, self.data)[self._data_bits:]),
            ]
            with m.If(~failed):
                m.d.sync += code.eq(self.code)
        return m
