"""Whether what a reader waits for is in memory: how its instruction's producer stands."""

from amaranth import *
from amaranth.lib.wiring import Component, In, Out

__all__ = ["ProducerWatch", "progress_ports"]


def progress_ports() -> dict:
    """How far the store unit is, as a reader gets it; ``retire`` is 1 as ``retired`` goes up."""
    return {"retired": In(16), "retire": In(1), "watermark": In(32), "watermark_valid": In(1)}


class ProducerWatch(Component):
    """Whether a reader's request may leave: ``allowed``, of two flip-flops.

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
            **progress_ports(),
            "allowed": Out(1),
        })

    def watch(self, unit):
        """Statements that make the store unit's progress that which ``unit`` sees."""
        return [getattr(self, name).eq(getattr(unit, name)) for name in progress_ports()]

    def elaborate(self, platform):
        m = Module()
        wait = Signal(16, reset_less=True)
        use_watermark = Signal(reset_less=True)
        with m.If(self.begin):
            m.d.sync += [wait.eq(self.wait), use_watermark.eq(self.use_watermark)]
        reached, one_short, two_short, below = Signal(), Signal(), Signal(), Signal()
        running = (self.watermark_valid & use_watermark
                   & Mux(self.retire, two_short, one_short))
        m.d.sync += [
            reached.eq(self.retired >= wait),
            one_short.eq(wait == self.retired + 1),
            two_short.eq(wait == self.retired + 2),
            # Two comparators, for ``moves`` comes late.
            below.eq(running & Mux(self.moves,
                                   self._below(self.following_word, self.following_last),
                                   self._below(self.word, self.last))),
        ]
        m.d.comb += self.allowed.eq(reached | below)
        return m

    def _below(self, word, last):
        """Whether the byte ``last`` of the word is; that comes late, and goes in at the end."""
        mark = self.watermark[self._low:]
        return (word < mark) | ((word == mark) & (last < self.watermark[:self._low]))
