"""Cycle model of the compact core, which runs one instruction after the other.

The array waits for a place for its results, and for input rows and weights, which share the reads
of memory. Left out is what the operands and the writes take of these reads: a few cycles a layer,
up to 1 % of one whose weights come again for each pixel.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Generator, Sequence

from kaniwa.config import AcceleratorConfig
from kaniwa.cycles.log import Log
from kaniwa.cycles.readers.streams import BlockShape, Read, region_shapes
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
WRITE = 3            # from the second stage of the requantizer until a byte is in memory
OPERAND = 6          # from there until the first value of an ADD has its operand
QUOTIENT = 10        # bits of the product that a requantization waits for from its shift on
_Unit = Generator[int | None, int, None]


def model_compact(config: AcceleratorConfig, instructions: Sequence[Values],
                  read: Read | None = None, log: Log | None = None) -> RunStatistics:
    """Counters of a run of the LAYER ``instructions``; ``read``, ``log`` as for ``model_run``."""
    fetch = AGAIN * INSTRUCTION_BYTES // config.read_bytes
    cycle = 0
    counters = dict.fromkeys(COUNTERS, 0)
    snapshots = {}
    for index, v in enumerate(instructions):
        if log:
            log.part(0, index)
            log.tracks["commands"].work(cycle, cycle + fetch, 0)
        layer = _Layer(config, v, read, cycle + fetch + 1, log)
        cycle = layer.run() + 1
        if log:
            log.lose("fill", layer.told, cycle - 1)
            log.retire(cycle)
        for name, count in layer.counts.items():
            counters[name] += count
        counters["cycles"] = cycle
        counters["fill"] = 0
        counters["fill"] = cycle - sum(counters[name] for name in COUNTERS[1:])
        snapshots[v["tag"]] = dict(counters)
    if log:
        log.close()
    return RunStatistics(cycle + fetch + 2, len(instructions), snapshots)


class _Layer:
    """One instruction; ``begin``: the cycle in which the units begin."""

    def __init__(self, config: AcceleratorConfig, v: Values, read: Read | None,
                 begin: int, log: Log | None) -> None:
        self._config, self._v, self._log = config, v, log
        self._reads = _Reads(config, v, region_shapes(config, v, read), begin + 1, log)
        self._shifts = _shifts(config, v, read)
        self._post = _Post(config, v, log)
        self._cycle = begin + 1      # of the next step
        self.told = -1               # the log knows all before
        self._slot = 0               # from when on there is a place for results
        self._clear = 0              # from when on the accumulators are those of the next block
        self.counts = dict.fromkeys(("issued", "load", "weights", "requantize"), 0)

    def run(self) -> int:
        """Returns the cycle in which the sequencer sees its end."""
        v, reads = self._v, self._reads
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
                        self._rows_of_steps(v["kernel_rows"])
                    if fresh:
                        word += v["block_words"]
                    last = self._cycle - 1
                    issued = max(last, self._slot)
                    self._tell("requantize", last, issued)
                    self._tell("", issued, issued + 1)
                    self.counts["requantize"] += issued - last
                    self._slot = self._post.block(issued + POST, self._shifts[block]) + 1
                    self._cycle, self._clear = issued + 1, issued + CLEAR
                    if stream:
                        reads.used.append(self._cycle)
            self._cycle += v["stride_rows"] - 1
            row = (y + 1) * v["stride_rows"] - v["pad_top"]
            reads.freed.append((self._cycle, max(row, 0) * v["line_pitch"]))
        return self._post.end()

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
            if step < v["steps"] - 1:
                self._tell("", self._cycle, self._cycle + 1)
            self._cycle += 1
            last_of_word = step % per_word == per_word - 1
            if stream and last_of_word and step < v["steps"] - 1:
                reads.used.append(self._cycle)

    def _rows_of_steps(self, rows: int) -> None:
        """The steps of a block for which all is there, with pauses between rows of the kernel."""
        count, pause = self._v["steps"] // rows, self._v["dilation_rows"] - 1
        if self._log:
            for first in range(self._cycle, self._cycle + rows * (count + pause), count + pause):
                self._tell("", first, first + count)
            self.told -= 1    # the last one may wait
        self._cycle += rows * (count + pause) - pause

    def _tell(self, cause: str, first: int, after: int) -> None:
        """Log steps, or a wait for ``cause``; what comes before without being told is fill."""
        if self._log:
            self._log.lose("fill", self.told, first)
            if cause:
                self._log.lose(cause, first, after)
            self.told = after

    def _wait(self, cause: str, ready: int) -> None:
        if ready > self._cycle:
            self._tell(cause, self._cycle, ready)
            self.counts[cause] += ready - self._cycle
            self._cycle = ready


class _Post:
    """Values on their way through the two stages of the requantizer."""

    def __init__(self, config: AcceleratorConfig, v: Values, log: Log | None) -> None:
        self._cycles = config.requant_cycles
        self._digit = 32 // config.requant_cycles    # bits of the product in a cycle
        self._v = v
        self._log = log
        self._free = self._upper = 0      # from when on the first, the second stage is
        self._sums: deque[int] = deque()  # first values of an ADD: from when on the sum may begin

    def block(self, cycle: int, shifts: Sequence[int]) -> int:
        """Results that are there from ``cycle`` on; returns when the last one begins."""
        begins = cycle
        for shift in shifts:
            # A sum goes first where it may before the result, or two results have gone before.
            while self._sums and (len(self._sums) == 2
                                  or max(self._sums[0], self._free) < cycle):
                self._sum()
            begins = max(cycle, self._free)
            after = self._value(begins, shift)
            if self._v["add"]:
                self._sums.append(after + OPERAND)
        return begins

    def end(self) -> int:
        """When all bytes are in memory."""
        while self._sums:
            self._sum()
        return self._upper + WRITE + self._v["table"]

    def _sum(self) -> None:
        self._value(max(self._sums.popleft(), self._free) + 1, self._v["add_shift"])

    def _value(self, begins: int, shift: int) -> int:
        """A value begins; returns when it has left the second stage."""
        words = -(-(QUOTIENT + self._digit - 1) // self._digit)
        self._free = max(begins + self._cycles + 1, self._upper)
        self._upper = self._free + 1 + max(
            self._cycles, shift // self._digit + words - self._cycles)
        if self._log:
            self._log.tracks["post"].work(begins, self._free, 0)
        return self._upper


def _shifts(config: AcceleratorConfig, v: Values, read: Read | None) -> list[list[int]]:
    """The shifts of each block of channels; without ``read`` they are taken as small."""
    widths = [v["block_width"]] * (v["blocks"] - 1) + [v["last_width"]]
    shifts: list[int] = [0] * sum(widths)
    if read is not None:
        stored = decode_stream(read(v["parameter_address"], v["parameter_bytes"]), config)
        records = (block.values["shift"].ravel().tolist() for block in stored
                   if block.buffer == Buffer.RECORDS)
        shifts[:] = itertools.islice(itertools.chain(*records, shifts), len(shifts))
    remaining = iter(shifts)
    return [list(itertools.islice(remaining, width)) for width in widths]


class _Reads:
    """Input rows and weights on their way through the one channel of memory.

    ``rows``, ``words``: first cycles of steps that may use them. The array tells ``freed``, cycles
    and bytes of the line buffer that it is past, and ``used``, cycles from which on there is room
    for one more ring word (only of weights that stream).
    """

    def __init__(self, config: AcceleratorConfig, v: Values,
                 regions: tuple[Sequence[BlockShape], Sequence[BlockShape]], begin: int,
                 log: Log | None) -> None:
        self.rows: list[int] = []
        self.words: list[int] = []
        self.freed: list[tuple[int, int]] = []
        self.used: list[int] = []
        self._config, self._v, self._regions = config, v, regions
        self._free = 0       # from when on memory takes the next read
        self._tracks = log and (log.tracks["load"], log.tracks["weights"])
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
        if self._tracks:
            self._tracks[number].wait(times[number], cycle, 0, "memory")
            self._tracks[number].work(cycle, cycle + AGAIN, 0)
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
        for item in range(shape.items):
            for _ in range(shape.steps[item % len(shape.steps)]):
                if not place:
                    ready = max(ready, AGAIN + (yield ask))
                ready += 1
                place = (place + 1) % self._config.read_bytes
                ask = ready
            ready += 1
        return (ready if place else ask), ready
