"""Cycle model of the compact core, which runs one instruction after the other.

The results leave the post unit at a pace that only they decide; the array waits for a place for
them, and for input rows and weights, which share the reads of memory. Left out is what the
operands and the writes take of these reads: a few cycles a layer.
"""

from __future__ import annotations

import itertools
from collections.abc import Generator, Sequence

from kaniwa.config import AcceleratorConfig
from kaniwa.cycles.streams import BlockShape, Read, region_shapes
from kaniwa.isa import COUNTERS, INSTRUCTION_BYTES, Mode
from kaniwa.isa.counters import RunStatistics
from kaniwa.isa.formats import Buffer
from kaniwa.isa.weight_stream import decode_stream
from kaniwa.program.instruction import Values
from kaniwa.timing import NEVER

__all__ = ["model_compact"]

AGAIN = 3            # from a read to the next one of the same unit; its response is a cycle before
OTHER = 2            # to the next one of another
CLEAR = 2            # from the last step of a block to the next one
POST = 6             # from the last step of a block to the post unit
QUOTIENT = 10        # bits of the product that a requantization waits for from its shift on
_Unit = Generator[int | None, int, None]


def model_compact(config: AcceleratorConfig, instructions: Sequence[Values],
                  read: Read | None = None) -> RunStatistics:
    """Counters of a run of the LAYER ``instructions``; ``read`` as for ``model_run``."""
    fetch = AGAIN * INSTRUCTION_BYTES // config.read_bytes
    cycle = 0
    counters = dict.fromkeys(COUNTERS, 0)
    snapshots = {}
    for v in instructions:
        layer = _Layer(config, v, read, cycle + fetch + 1)
        cycle = layer.run() + 1
        for name, count in layer.counts.items():
            counters[name] += count
        counters["cycles"] = cycle
        counters["fill"] = 0
        counters["fill"] = cycle - sum(counters[name] for name in COUNTERS[1:])
        snapshots[v["tag"]] = dict(counters)
    return RunStatistics(cycle + fetch + 2, len(instructions), snapshots)


class _Layer:
    """One instruction; ``begin``: the cycle in which the units begin."""

    def __init__(self, config: AcceleratorConfig, v: Values, read: Read | None,
                 begin: int) -> None:
        self._config, self._v = config, v
        self._reads = _Reads(config, v, region_shapes(config, v, read), begin + 1)
        self._periods = _periods(config, v, read)
        self._cycle = begin + 1      # of the next step
        self._slot = self._post = 0  # from when on there is a place for results; post is free
        self._clear = 0              # from when on the accumulators are those of the next block
        self.counts = dict.fromkeys(("issued", "load", "weights", "requantize"), 0)

    def run(self) -> int:
        """Returns the cycle in which the sequencer sees its end."""
        v, reads = self._v, self._reads
        pauses = (v["kernel_rows"] - 1) * (v["dilation_rows"] - 1)
        stream = bool(v["weights_stream"])
        self.counts["issued"] = v["ofm_rows"] * v["ofm_columns"] * v["blocks"] * v["steps"]
        word = 0
        for y in range(v["ofm_rows"]):
            for x in range(v["ofm_columns"]):
                fresh = stream or not (x or y)
                for block in range(v["blocks"]):
                    self._cycle = max(self._cycle, self._clear)
                    if fresh or not (x or block):
                        self._steps(y, word if fresh else -1, stream)
                    else:
                        self._cycle += v["steps"] + pauses
                    if fresh:
                        word += v["block_words"]
                    last = self._cycle - 1
                    issued = max(last, self._slot)
                    self.counts["requantize"] += issued - last
                    begins = max(issued + POST, self._post)
                    total, last_period = self._periods[block]
                    self._post = begins + total
                    self._slot = self._post - last_period + 1
                    self._cycle, self._clear = issued + 1, issued + CLEAR
                    if stream:
                        reads.used.append(self._cycle)
            self._cycle += v["stride_rows"] - 1
            row = (y + 1) * v["stride_rows"] - v["pad_top"]
            reads.freed.append((self._cycle, max(row, 0) * v["line_pitch"]))
        return self._post

    def _steps(self, y: int, word: int, stream: bool) -> None:
        """The steps of a block, one by one: ``word`` is its first ring word, -1 if all are there.

        The last step may still wait for a place; the cycle is set to the one after it.
        """
        v, reads = self._v, self._reads
        per_word = self._config.dot_width if v["mode"] == Mode.DEPTHWISE else 1
        row_steps = v["steps"] // v["kernel_rows"]
        for step in range(v["steps"]):
            if step % row_steps == 0:
                ky = step // row_steps
                self._cycle += (v["dilation_rows"] - 1) * (ky > 0)
                row = y * v["stride_rows"] + ky * v["dilation_rows"] - v["pad_top"]
                if row >= 0:
                    self._wait("load", reads.until(reads.rows, min(row, v["ifm_rows"] - 1)))
            if word >= 0 and step % per_word == 0:
                self._wait("weights", reads.until(reads.words, word + step // per_word))
            self._cycle += 1
            last_of_word = step % per_word == per_word - 1
            if stream and last_of_word and step < v["steps"] - 1:
                reads.used.append(self._cycle)

    def _wait(self, cause: str, ready: int) -> None:
        if ready > self._cycle:
            self.counts[cause] += ready - self._cycle
            self._cycle = ready


def _periods(config: AcceleratorConfig, v: Values, read: Read | None) -> list[tuple[int, int]]:
    """For each block of channels the cycles that post takes for its results, and for the last.

    Without ``read`` the shifts of the records are taken as small.
    """
    widths = [v["block_width"]] * (v["blocks"] - 1) + [v["last_width"]]
    shifts: list[int] = [0] * sum(widths)
    if read is not None:
        stored = decode_stream(read(v["parameter_address"], v["parameter_bytes"]), config)
        records = (block.values["shift"].ravel().tolist() for block in stored
                   if block.buffer == Buffer.RECORDS)
        shifts[:] = itertools.islice(itertools.chain(*records, shifts), len(shifts))
    rest = _requantization(config, v["add_shift"]) + 13 if v["add"] else 7 + v["table"]
    periods = iter(_requantization(config, shift) + rest for shift in shifts)
    blocks = [list(itertools.islice(periods, width)) for width in widths]
    return [(sum(block), block[-1]) for block in blocks]


def _requantization(config: AcceleratorConfig, shift: int) -> int:
    """Cycles of a requantization: bits of the product leave in turn, the ones that count last."""
    digit = 64 // config.requant_cycles
    return max(config.requant_cycles, shift // digit + -(-(QUOTIENT + digit - 1) // digit))


class _Reads:
    """Input rows and weights on their way through the one channel of memory.

    ``rows``, ``words``: first cycles of steps that may use them. The array tells ``freed``, cycles
    and bytes of the line buffer that it is past, and ``used``, cycles from which on there is room
    for one more ring word (only of weights that stream).
    """

    def __init__(self, config: AcceleratorConfig, v: Values,
                 regions: tuple[Sequence[BlockShape], Sequence[BlockShape]], begin: int) -> None:
        self.rows: list[int] = []
        self.words: list[int] = []
        self.freed: list[tuple[int, int]] = []
        self.used: list[int] = []
        self._config, self._v, self._regions = config, v, regions
        self._free = 0       # from when on memory takes the next read
        self._units = (self._load(begin), self._weights(begin))
        self._asks = [next(unit, NEVER) for unit in self._units]

    def until(self, ready: list[int], index: int) -> int:
        """``ready[index]``; what can never come is there at once."""
        while len(ready) <= index:
            if not self._step() and len(ready) <= index:
                ready.append(ready[-1] if ready else 0)
        return ready[index]

    def _step(self) -> bool:
        """Serve the next read, the load unit's first; False if there is none."""
        for number, ask in enumerate(self._asks):
            if ask is None:
                self._asks[number] = next(self._units[number], NEVER)
        times = [NEVER if ask is None else ask for ask in self._asks]
        cycle = max(self._free, min(times))
        if cycle >= NEVER:
            return False
        number = 0 if times[0] <= cycle else 1
        self._free = cycle + OTHER
        try:
            self._asks[number] = self._units[number].send(cycle)
        except StopIteration:
            self._asks[number] = NEVER
        return True

    def _load(self, ask: int) -> _Unit:
        v, width = self._v, self._config.read_bytes
        room, events = self._config.line_bytes, 0
        for row in range(v["ifm_rows"]):
            while (row + 1) * v["line_pitch"] > room:
                while len(self.freed) <= events:
                    yield None
                cycle, freed = self.freed[events]
                room, events = self._config.line_bytes + freed, events + 1
                ask = max(ask, cycle)
            first = v["ifm_address"] + row * v["ifm_pitch"]
            for _ in range(first // width, (first + v["ifm_row_bytes"] - 1) // width + 1):
                ask = AGAIN + (yield ask)
            self.rows.append(ask)

    def _weights(self, ask: int) -> _Unit:
        """``ask``: when the next word may be read; ``ready``: when the next byte is looked at."""
        v, ready = self._v, 0
        streams = [self._regions[0], *([self._regions[1]] * v["weight_repeat"])]
        for blocks in streams:
            for shape in blocks:
                ready = max(ready, AGAIN + (yield ask)) + 8
                ask, ready = ready, ready + 1
                if shape.kind == Buffer.WEIGHTS:
                    for item in range(shape.items):
                        ready = max(ready, AGAIN + (yield ask))
                        place = len(self.words) - self._config.ring_words
                        if place >= 0 and v["weights_stream"]:
                            while len(self.used) <= place:
                                yield None
                            ready = max(ready, self.used[place])
                        ready += 1
                        ask = ready
                        if (item + 1) % shape.per_word == 0:
                            self.words.append(ready)
                elif shape.items:
                    ask, ready = yield from self._bytes(shape, ask, ready)
            ask += 1    # from one pass over a stream to the next

    def _bytes(self, shape: BlockShape, ask: int,
               ready: int) -> Generator[int | None, int, tuple[int, int]]:
        """A block that is taken byte by byte, and one cycle an item."""
        place = 0
        for _ in range(shape.items):
            for _ in range(shape.step):
                if not place:
                    ready = max(ready, AGAIN + (yield ask))
                ready += 1
                place = (place + 1) % self._config.read_bytes
                ask = ready
            ready += 1
        return (ready if place else ask), ready
