"""Gathers reads of consecutive words into bursts."""

from amaranth import *
from amaranth.lib import data, stream
from amaranth.lib.wiring import Component, In, Out
from amaranth.utils import exact_log2

from kaniwa.config import AcceleratorConfig
from kaniwa.errors import ConfigError

__all__ = ["Gather", "burst_layout", "MOST_WORDS", "MOST_BEATS", "PAGE_BYTES"]

PAGE_BYTES = 4096   # no burst crosses such a boundary (Arm IHI 0022, A3.4.1)
MOST_WORDS = 16     # of a burst: half of what the core has on its way
MOST_BEATS = 256


def burst_layout(config: AcceleratorConfig) -> data.StructLayout:
    """A burst: the number of its first ``word`` in outside memory, and how many follow it."""
    return data.StructLayout({
        "word": 31 - exact_log2(config.read_bytes), "further": range(MOST_WORDS)})


class Gather(Component):
    """Takes the numbers of words, one a cycle, and gives bursts of at most ``words`` of them.

    A burst leaves as soon as ``o`` is free and the next word does not come in the same cycle; until
    then it grows. So it never waits for a word that may not come. ``further`` counts the words
    behind the first. Latency: 2 cycles. ``o`` comes from flip-flops.
    """

    def __init__(self, config: AcceleratorConfig, words: int):
        most = min(MOST_WORDS, PAGE_BYTES // config.read_bytes)
        if not 1 <= words <= most:
            raise ConfigError(f"burst_words must be 1..{most}, not {words}")
        self._page_words = PAGE_BYTES // config.read_bytes
        self._words = words
        layout = burst_layout(config)
        super().__init__({
            "i": In(stream.Signature(layout["word"].shape)),
            "o": Out(stream.Signature(layout)),
        })

    def elaborate(self, platform):
        m = Module()
        grows = Signal()                                        # there is a burst in front of ``o``
        burst = Signal.like(self.o.payload, reset_less=True)
        following = Signal.like(burst.word, reset_less=True)    # behind its last word
        may_grow = Signal()   # it has not the most words, and its last is not the last of a page
        joins = grows & may_grow & (self.i.payload == following)
        leaves = grows & (~self.o.valid | self.o.ready) & ~(self.i.valid & joins)
        begins = self.i.valid & ~joins & (~grows | leaves)
        m.d.comb += self.i.ready.eq(joins | ~grows | leaves)
        inside_page = (self.i.payload + 1)[:exact_log2(self._page_words)] != 0
        with m.If(leaves):
            m.d.sync += [self.o.valid.eq(1), self.o.payload.eq(burst)]
        with m.Elif(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(begins | leaves):
            m.d.sync += grows.eq(begins)
        with m.If(begins):
            m.d.sync += [burst.word.eq(self.i.payload), burst.further.eq(0),
                         may_grow.eq(inside_page & (self._words > 1))]
        with m.If(self.i.valid & joins):
            m.d.sync += [burst.further.eq(burst.further + 1),
                         may_grow.eq(inside_page & (burst.further < self._words - 2))]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += following.eq(self.i.payload + 1)
        return m
