"""Check that a reader's data are in memory, by the progress of its instruction's producer."""

from amaranth import *
from amaranth.lib.wiring import Component, In, Out

from kaniwa.hw.signatures import producer_progress

__all__ = ["ProducerWatch"]


class ProducerWatch(Component):
    """Permission for a reader's request to leave: ``allowed``, of two flip-flops.

    ``begin``: a new ``wait`` and ``use_watermark``, from the next cycle on; the first request of
    theirs may be there 3 cycles after it. The request there needs its word up to the byte
    ``last``; if it ``moves``, from the next cycle on ``following_word`` up to ``following_last``.
    Words have 2 ** ``low`` bytes.

    It is allowed a cycle after the ``watermark`` has passed it or ``retired`` has reached ``wait``.
    """

    def __init__(self, low: int):
        self._low = low
        super().__init__({
            "begin": In(1),
            "wait": In(16),
            "use_watermark": In(1),
            "moves": In(1),
            "following_word": In(32 - low),
            "following_last": In(low),
            "word": In(32 - low),
            "last": In(low),
            "progress": In(producer_progress()),
            "allowed": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        store = self.progress
        wait = Signal(16, reset_less=True)
        use_watermark = Signal(reset_less=True)
        with m.If(self.begin):
            m.d.sync += [wait.eq(self.wait), use_watermark.eq(self.use_watermark)]
        reached, one_short, two_short, below = Signal(), Signal(), Signal(), Signal()
        running = (store.watermark_valid & use_watermark
                   & Mux(store.retire, two_short, one_short))
        m.d.sync += [
            reached.eq(store.retired >= wait),
            one_short.eq(wait == store.retired + 1),
            two_short.eq(wait == store.retired + 2),
            # Two comparators, for ``moves`` comes late.
            below.eq(running & Mux(self.moves,
                                   self._below(self.following_word, self.following_last),
                                   self._below(self.word, self.last))),
        ]
        m.d.comb += self.allowed.eq(reached | below)
        return m

    def _below(self, word, last):
        """True for a byte below the mark; ``last`` comes late, and goes in at the end."""
        mark = self.progress.watermark[self._low:]
        return (word < mark) | ((word == mark) & (last < self.progress.watermark[:self._low]))
