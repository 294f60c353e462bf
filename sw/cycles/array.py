"""Cycle model: the array's loops, step by step where something may be missing."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Final

from kaniwa.config import AcceleratorConfig
from kaniwa.cycles.events import Events
from kaniwa.cycles.gather import FREED, GATHERED, Gather, InputRows, free_rows
from kaniwa.cycles.log import STATES
from kaniwa.cycles.lost import GATHER
from kaniwa.cycles.memory import MemoryTimeline
from kaniwa.cycles.readers.streams import Read, list_words_of, step_counts
from kaniwa.cycles.results import Results
from kaniwa.cycles.steady import Steady
from kaniwa.isa import Mode
from kaniwa.program.instruction import Values, blocks_at_once, column_window, pixel_words

__all__ = ["Array", "Idle"]

START: Final = 5      # from the acceptance of an instruction to its first step
TURN: Final = 2       # from the last step of a controller to the first one of another
BEHIND: Final = 4     # from the step before the last one to the next instruction, at the earliest
LONG_AGO: Final = -1 << 60
RELEASED: Final = 4   # from a step to the ring's room
LIST_READ: Final = 5  # from the first word of a list to the acceptance of its instruction
LIST_NEXT: Final = 5  # from the end of a list to the acceptance of an instruction with the next one
LIST_ROOM: Final = 0  # and to the room of its words
LOAD, WEIGHTS, REQUANTIZE, FILL = (STATES[cause]
                                   for cause in ("load", "weights", "requantize", "fill"))


# Cycles from the first one up to before the second are lost to the cause.
Idle = tuple[int, int, int]


class Array:
    """Issues the steps of the instructions one after the other.

    ``idle``: cycles without a step, in order. Of them, *gather* is load while ``gather`` lacks
    bytes and else fill; *load* and *requantize* may have other reasons, which other units know.
    """

    def __init__(self, config: AcceleratorConfig, instructions: Sequence[Values], events: Events,
                 memory: MemoryTimeline, results: Results, steady: Steady | None,
                 read: Read | None) -> None:
        self._config, self._instructions, self._read = config, instructions, read
        self._events, self._memory, self._results = events, memory, results
        self.idle: list[Idle] = []
        self.end = -1            # cycle of the last step
        self.gather = Gather(config, events)
        memory.follow += [self.gather, results]
        memory.undecided = results.sums
        self._steady = steady
        if steady:
            steady.gather = self.gather
            steady.logs = [self.idle, self.gather.lacking, events.waits, results.store.held_back]
        self._accepted = self._leaving = -1
        self._turn = 0           # when the controller of the instruction before had its turn
        # The last three steps of this controller: at the step that is issued next there is room for
        # one behind it, so one arrives 2 cycles after the step before the one before it went.
        self._earlier = self._before = self._last = LONG_AGO
        self._first_word = self._line_base = self._ring_base = 0
        self._kind = (False, 0)
        # Lists so far, their words, and the cycle in which the last one left the array's loops.
        self._lists = self._list_words = 0
        self._list_left = LONG_AGO
        self._slots = 0          # results so far
        self._slot_free = 0      # from here on a step may take a slot again
        self._arrived = self._arrived_before = 0   # when it came first: the last step, one before

    def run(self, index: int) -> None:
        """All steps of an instruction."""
        v, events = self._instructions[index], self._events
        offered = self._memory.until(events.offered["array"], index)
        bits = max(v[name].bit_length()
                   for name in ("dilation_rows", "stride_rows", "pad_top", "ifm_rows"))
        self._accepted = max(max(offered, self._accepted + 1) + 1 + bits, self._leaving, self._turn)
        if v["listed"]:
            self._take_list(v)
        events.opens("array", self._accepted)
        kind = (v["mode"] == Mode.COLUMN, v["patch"])   # of the controller
        there = self._accepted + START
        cycle = max(there, self.end + 1)
        if kind != self._kind:
            self._kind, self._turn = kind, self.end + TURN
            self._earlier = self._before = self._last = LONG_AGO
            cycle = max(there, self._turn)
        elif not v["patch"]:
            there = max(there, self._before + BEHIND)
            cycle = max(there, cycle)
        if cycle > self.end + 1:
            self._stall(self.end + 1, cycle, FILL)
        self._rows = InputRows(self._config, v, self._first_word)
        self._line_base += v["ifm_rows"] * v["line_pitch"]
        if v["patch"]:
            self.gather.begin(v, self._rows, max(there, self._turn), self._line_base)
            self._patches(index, v, cycle)
        else:
            previous = self._last
            (self._columns if v["mode"] == Mode.COLUMN else self._steps)(index, v, cycle)
            events.frees.append((self.end + FREED, self._line_base))
            events.news = True
            several = self._before != previous
            self._leaving = max(there + several, self._earlier + 2)
            if v["listed"]:
                self._leave_list(v)
        self._first_word = self._rows.end

    def _take_list(self, v: Values) -> None:
        """The instruction is accepted when the first step of its list is there."""
        ready = self._memory.until(self._events.list_ready, self._lists) + LIST_READ
        self._accepted = max(self._accepted, ready, self._list_left + LIST_NEXT)
        self._lists += 1

    def _leave_list(self, v: Values) -> None:
        """The list is given back as the last step leaves the loops."""
        self._list_left = self._leaving
        self._list_words += list_words_of(v)
        self._events.list_releases.append((self._leaving + LIST_ROOM, self._list_words))
        self._events.news = True

    def _next_row(self, index: int, y: int, read: int = 0) -> int:
        """The output row behind ``y``, past those that are left out; ``read``: gathered so far."""
        if self._steady is None:
            return y + 1
        times = (self.end, self._accepted, self._leaving, self._turn, self._earlier, self._before,
                 self._last, self._arrived, self._arrived_before)
        own = (times, self._slots - len(self._results.returned), read)
        return y + 1 + self._steady.rows(index, y, self.end + 1, self._rows, own)

    def _loaded(self, row: int, end: int) -> int:
        """First cycle of a step that needs the row up to byte ``end``."""
        word = self._rows.word(row, end)
        if word < 0:
            return 0
        ready = self._events.load_ready
        return ready[word] if word < len(ready) else self._memory.until(ready, word)

    def _stall(self, cycle: int, ready: int, cause: int) -> int:
        skipped = self._events.skipped
        self.idle.append((cycle + skipped, ready + skipped, cause))
        return ready

    def _result(self, cycle: int, block: int, parameters: bool, count: int = 1) -> int:
        """The last step of a block, or of a ``count`` of two, arrives; returns the cycle in which
        it is issued."""
        self._slots += count
        waiting = self._slots - 1 - self._config.result_slots
        ready = self._slot_free
        if waiting >= 0:
            returned = self._results.returned
            ready = max(ready, (returned[waiting] if waiting < len(returned)
                                else self._memory.until(returned, waiting)) + 1)
        if ready > cycle:
            cycle = self._stall(cycle, ready, REQUANTIZE)
        self._results.blocks.append((cycle, block, parameters))
        if count > 1:
            self._results.blocks.append((cycle + 1, block + 1, parameters))
            self._slot_free = cycle + count
        self._events.news = True
        return cycle

    def _issued(self, cycle: int, steps: int) -> None:
        """The last one of a block's ``steps`` is issued; those before went as the next arrived."""
        if steps == 1:
            self._earlier, self._before = self._before, self._last
        elif steps == 2:
            self._earlier, self._before = self._last, self._arrived - 1
        else:
            self._earlier, self._before = self._arrived_before - 1, self._arrived - 1
        self.end = self._last = cycle

    def _release(self, v: Values, words: int) -> None:
        """The instruction's weights are used up, unless they were one by one."""
        self._ring_base += words
        if not v["weights_stream"]:
            self._events.ring_releases.append((self.end + RELEASED, self._ring_base))
            self._events.news = True

    def _steps(self, index: int, v: Values, cycle: int) -> None:
        """DENSE, DEPTHWISE and MAX_POOL."""
        blocks = v["blocks"]
        at_once = blocks_at_once(self._config, v)
        stream, uses = bool(v["weights_stream"]), v["mode"] != Mode.MAX_POOL
        per_word = self._config.dot_width if v["mode"] == Mode.DEPTHWISE else 1
        sizes, befores, firsts = _blocks(v, step_counts(self._config, v, self._read)
                                         if v["listed"] else None)
        base, load_ready = self._ring_base, self._events.load_ready
        words = pixel_words(v)
        y = 0
        while y < v["ofm_rows"]:
            rows = [y * v["stride_rows"] + ky * v["dilation_rows"] - v["pad_top"]
                    for ky in range(v["kernel_rows"])]
            real = [(ky, row) for ky, row in enumerate(rows) if 0 <= row < v["ifm_rows"]]
            for x in range(v["ofm_columns"]):
                end = min(x * v["pixel_step"] - v["pad_left_bytes"] + v["window_span"],
                          v["ifm_row_bytes"])
                fresh = uses and (stream or not (x or y))
                needed = self._rows.word(real[-1][1], end) if real and end >= 0 else -1
                late = needed >= 0 and not self._memory.there(load_ready, needed, cycle)
                for block in range(0, blocks, at_once):
                    steps = sizes[block]
                    if fresh or (late and not block):
                        starts = ({firsts[ky]: row for ky, row in real}
                                  if late and not block else {})
                        cycle = self._block(starts, end, steps, cycle, per_word,
                                            base + befores[block] if fresh else -1, stream)
                    else:
                        cycle += steps - 1
                        self._arrived, self._arrived_before = cycle, cycle - 1
                    cycle = self._result(cycle, block, not (x or y), min(at_once, blocks - block))
                    self._issued(cycle, steps)
                    if stream and uses:
                        self._events.ring_releases.append(
                            (cycle + RELEASED, base + befores[block + 1]))
                        self._events.news = True
                    cycle += 1
                if stream:
                    base += words
            free_rows(self._events, v, y, self.end, self._line_base)
            y = self._next_row(index, y)
        self._release(v, base - self._ring_base + (0 if stream else words))

    def _block(self, rows: dict[int, int], end: int, steps: int, cycle: int, per_word: int,
               word: int, stream: bool) -> int:
        """Step by step through a block; returns when the last one is there to be issued.

        ``rows``: the input row that a step is the first one in; ``word``: the block's first ring
        word, -1 where all are there.
        """
        ring, memory = self._events.ring_ready, self._memory
        for step in range(steps):
            self._arrived, self._arrived_before = cycle, self._arrived
            if step in rows:
                ready = self._loaded(rows[step], end)
                if ready > cycle:
                    cycle = self._stall(cycle, ready, LOAD)
            if word >= 0 and step % per_word == 0:
                index = word + step // per_word
                if stream and step:
                    self._events.ring_releases.append((self._arrived - 1 + RELEASED, index))
                    self._events.news = True
                ready = ring[index] if index < len(ring) else memory.until(ring, index)
                if ready > cycle:
                    cycle = self._stall(cycle, ready, WEIGHTS)
            cycle += 1
        return cycle - 1

    def _columns(self, index: int, v: Values, cycle: int) -> None:
        """COLUMN: y, block, x, phases, columns."""
        _, width = column_window(self._config, v)
        sliding, blocks = bool(v["sliding"]), v["blocks"]
        before = v["pad_left_bytes"] if v["phase_windows"] else 0   # of a row of a sliding window
        y = 0
        while y < v["ofm_rows"]:
            rows = self._lowest_rows(v, y)
            for block in range(blocks):
                offset = block * v["block_width"] - before
                for x in range(v["ofm_columns"]):
                    count = v["columns_next"] if x else v["columns_first"]
                    if not sliding:
                        offset = (x * v["pixel_step"] - v["pad_left_bytes"]
                                  + block * v["block_width"])
                    words = 1 if sliding else -(-count // width)   # of a phase, with its columns
                    again = range(1, v["chunks"])                  # and without
                    word = self._ring_base + block * v["block_words"]
                    for phase, row in enumerate(rows):
                        first = -1 if x or y else word + phase * (words + len(again))
                        cycle = self._phase(v, cycle, row, offset, count, words, first)
                        for number in again:
                            cycle = self._again(cycle, -1 if x or y else first + number)
                    if sliding:
                        offset += count * v["segment_step"]
                    self.end = self._last = self._result(cycle - 1, block, not (y or x))
                    cycle = self.end + 1
            free_rows(self._events, v, y, self.end, self._line_base)
            y = self._next_row(index, y)
        self._release(v, blocks * v["block_words"])

    def _again(self, cycle: int, word: int) -> int:
        """Another step with the window as it is; ``word``: -1 where it is there."""
        if word >= 0:
            ready = self._memory.until(self._events.ring_ready, word)
            if ready > cycle:
                cycle = self._stall(cycle, ready, WEIGHTS)
        self._earlier, self._before, self._last = self._before, self._last, cycle
        return cycle + 1

    def _lowest_rows(self, v: Values, y: int) -> list[int]:
        """The lowest input row that each phase of an output row reads, -1 for none."""
        height, _ = column_window(self._config, v)
        rows = []
        for first in range(0, height * v["phases"], height):
            top = y * v["stride_rows"] - v["pad_top"] + first
            lowest = min(top + min(height, v["kernel_rows"] - first), v["ifm_rows"]) - 1
            rows.append(lowest if lowest >= max(top, 0) else -1)
        return rows

    def _phase(self, v: Values, cycle: int, row: int, offset: int, count: int, words: int,
               word: int) -> int:
        """``count`` columns, with a step at the end of each of ``words`` groups of them.

        ``word``: their first ring word, -1 where all are there. Returns the cycle after them.
        """
        size, empty = v["ifm_row_bytes"], 0      # empty: columns without a step up to here
        _, width = column_window(self._config, v)
        lane, segment = self._config.lane_bytes, v["segment_step"]
        for column in range(count):
            place = offset + column * segment
            steps = column == count - 1 or (words > 1 and column % width == width - 1)
            ready = 0
            if row >= 0 and 0 <= place < size:
                ready = self._loaded(row, min(place + lane, size))
            if empty and (steps or ready > cycle):
                self._stall(cycle - empty, cycle, FILL)
                empty = 0
            if ready > cycle:
                cycle = self._stall(cycle, ready, LOAD)
            if steps and word >= 0:
                ready = self._memory.until(self._events.ring_ready,
                                           word + (column // width if words > 1 else 0))
                if ready > cycle:
                    cycle = self._stall(cycle, ready, WEIGHTS)
            empty += not steps
            self._earlier, self._before, self._last = self._before, self._last, cycle
            cycle += 1
        return cycle

    def _patches(self, index: int, v: Values, cycle: int) -> None:
        """DENSE with patches: reads run ahead of the steps as far as the patch buffer has room."""
        steps, blocks, memory = v["steps"], v["blocks"], self._memory
        stream, ring = bool(v["weights_stream"]), self._events.ring_ready
        base, gather = self._ring_base, self.gather
        issued, read = gather.issued, 0
        y = 0
        while y < v["ofm_rows"]:
            for x in range(v["ofm_columns"]):
                fresh = stream or not (x or y)
                for block in range(blocks):
                    for step in range(steps):
                        if not block:
                            ready = memory.until(issued, read + gather.completes[step]) + GATHERED
                            if ready > cycle:
                                cycle = self._stall(cycle, ready, GATHER)
                        if fresh:
                            ready = memory.until(ring, base + step)
                            if ready > cycle:
                                cycle = self._stall(cycle, ready, WEIGHTS)
                        if step == steps - 1:
                            cycle = self.end = self._result(cycle, block, not (x or y))
                        self._earlier, self._before, self._last = self._before, self._last, cycle
                        if block == blocks - 1:
                            gather.used.append(cycle)
                        if stream:
                            self._events.ring_releases.append((cycle + RELEASED, base + step + 1))
                        self._events.news = True
                        cycle += 1
                    base += steps if fresh else 0
                read += len(gather.ends)
            y = self._next_row(index, y, read)
        # The last step is held back until all reads have been issued.
        self._leaving = max(self._earlier, issued[-1]) + 2
        self._release(v, base - self._ring_base)


def _blocks(v: Values, listed: list[list[int]] | None) -> tuple[list[int], list[int], list[int]]:
    """Of DENSE, DEPTHWISE and MAX_POOL: the steps of each block, the ring words before each one
    and in all, and for each kernel row the step of the first block that begins it.

    ``listed``: the steps of each block and segment, where a list says so.
    """
    if listed is None:
        blocks, row = v["blocks"], v["steps"] // v["kernel_rows"]
        return ([v["steps"]] * blocks, [block * v["block_words"] for block in range(blocks + 1)],
                [ky * row for ky in range(v["kernel_rows"])])
    sizes = [sum(counts) for counts in listed]
    befores = [0, *accumulate(sizes)]
    begins = [0, *accumulate(listed[0])]
    return sizes, befores, [begins[ky * v["segments"]] for ky in range(v["kernel_rows"])]
