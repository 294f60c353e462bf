"""Writes, reads and releases words of a ``RingMemory`` at random beside a model of its contract."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import Any

from cocotb.triggers import RisingEdge

from kaniwa.sim.harness.bench import Driver, Env, check, cover

__all__ = ["BINS", "RingExercise"]

BINS = ("full", "wrapped_twice", "released_all", "released_in_write_cycle", "read_newest",
        "read_in_release_cycle", "held")


@dataclass
class RingExercise:
    """Fills a ring with random lanes and checks each cycle what comes back.

    ``pace`` is the chance of a release in a cycle, of as many words as there are at most; with 1
    each word is released in the cycle in which it is counted. ``whole`` is the share of
    words that come in one transfer, which all of their lanes then hold, None where none can.
    """

    env: Env
    layout: Any
    lanes: int
    words: int
    stall: float = 0.0
    pace: float = 0.5
    whole: float | None = None

    async def run(self, total: int) -> Driver:
        """Bring ``total`` words through; returns the driver that wrote them."""
        from amaranth.hdl import Shape

        env, lanes, words = self.env, self.lanes, self.words
        width = Shape.cast(self.layout).width
        transfers, values, ends = [], [], []
        for _ in range(total):
            whole = env.rng.random() < (self.whole or 0)
            given = [env.rng.getrandbits(width) for _ in range(1 if whole else lanes)]
            transfers += [value | whole << width for value in given]
            ends.append(len(transfers))
            values.append(sum(value << (width * i)
                              for i, value in enumerate(given * (lanes if whole else 1))))
            if whole:
                cover("whole")
        source = Driver(env, "i", width + (self.whole is not None), self.stall)
        source.send(transfers)
        accepted = released = release = 0
        counted = freed = 0   # words complete and released, a cycle later
        reading: int | None = None   # the word read in this cycle
        expected: int | None = None  # what read_data shows in this cycle
        edge = RisingEdge(env.dut.clk)
        while released < total:
            await edge
            complete = bisect_right(ends, accepted)
            assert env.get("reader__written") == counted % (2 * words), "written"
            assert env.get("i__ready") == (complete - freed < words), "ready"
            assert expected is None or env.get("read_data") == expected, "read_data"
            if reading is not None:
                expected = values[reading]
            elif expected is not None:
                cover("held")
            if env.get("i__valid") and env.get("i__ready"):
                accepted += 1
                if release and bisect_right(ends, accepted) > complete:
                    cover("released_in_write_cycle")
            counted, freed = complete, released
            released += release
            reading, release = self._choose(released, counted)
        check(env.get("i__valid"), 0, "all was written")
        return source

    def _choose(self, released: int, complete: int) -> tuple[int | None, int]:
        """Drive the read side for the next cycle: what is read, how many words are released."""
        env, rng = self.env, self.env.rng
        reading, release = None, 0
        if complete > released and rng.random() < 0.7:
            reading = rng.choice([released, complete - 1, rng.randrange(released, complete)])
            if reading == complete - 1:
                cover("read_newest")
        if self.pace == 1:
            release = complete - released
        elif rng.random() < self.pace:
            release = rng.choice([complete - released, rng.randint(0, complete - released)])
        if release == self.words:
            cover("released_all")
        if release and reading is not None and reading < released + release:
            cover("read_in_release_cycle")
        if complete - released == self.words:
            cover("full")
        if complete >= 4 * self.words:
            cover("wrapped_twice")
        # Where nothing is read or released, what the index and count say must not matter.
        env.set("reader__enable", reading is not None)
        if self.words > 1:
            index = rng.randrange(self.words) if reading is None else reading % self.words
            env.set("reader__index", index)
        env.set("reader__release", release > 0)
        env.set("reader__release_count", release or rng.randrange(self.words + 1))
        return reading, release
