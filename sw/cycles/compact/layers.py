"""Cycle model of the compact core, which runs one instruction after the other.

The array waits for a place for its results, and for input rows and weights, which share the reads
of memory with operands, and give way to writes. The cycles are the core's own, on chip and outside.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from kaniwa.config import AcceleratorConfig
from kaniwa.cycles.compact.memory import CompactMemories
from kaniwa.cycles.compact.post import CompactPost
from kaniwa.cycles.compact.reads import AGAIN, CompactReads
from kaniwa.cycles.log import Log
from kaniwa.cycles.readers.streams import Read, region_shapes
from kaniwa.isa import COUNTERS, INSTRUCTION_BYTES, Mode
from kaniwa.isa.counters import RunStatistics
from kaniwa.isa.formats import Buffer
from kaniwa.isa.weight_stream import decode_stream
from kaniwa.program.instruction import Values
from kaniwa.timing import Timing

__all__ = ["model_compact"]

CLEAR = 2            # from the last step of a block to the next one


def model_compact(config: AcceleratorConfig, instructions: Sequence[Values], read: Read | None,
                  outside: Timing, program_address: int, log: Log | None = None) -> RunStatistics:
    """Counters of a run of the LAYER ``instructions``; the arguments are those of ``model_run``."""
    memories = CompactMemories(config, outside)
    cycle = 0
    counters = dict.fromkeys(COUNTERS, 0)
    snapshots = {}
    for index, v in enumerate(instructions):
        fetched = _fetch(config, memories, program_address + index * INSTRUCTION_BYTES, cycle)
        if log:
            log.part(0, index)
            log.tracks["commands"].work(cycle, fetched, 0)
        layer = _Layer(config, v, read, memories, fetched + 1, log)
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
    end = _fetch(config, memories, program_address + len(instructions) * INSTRUCTION_BYTES, cycle)
    return RunStatistics(end + 2, len(instructions), snapshots)


def _fetch(config: AcceleratorConfig, memories: CompactMemories, address: int, cycle: int) -> int:
    """When the instruction at ``address`` is there; its first word is chosen in ``cycle``."""
    for word in range(address, address + INSTRUCTION_BYTES, config.read_bytes):
        cycle = memories.read(cycle + 1, word) + AGAIN
    return cycle


class _Layer:
    """One instruction; ``begin``: the cycle in which the units begin."""

    def __init__(self, config: AcceleratorConfig, v: Values, read: Read | None,
                 memories: CompactMemories, begin: int, log: Log | None) -> None:
        self._config, self._v, self._log = config, v, log
        self._post = CompactPost(config, v, log)
        self._reads = CompactReads(
            config, v, region_shapes(config, v, read), begin + 1, memories, self._post, log)
        self._shifts = _shifts(config, v, read)
        self._cycle = begin + 1      # of the next step
        self.told = -1               # the log knows all before
        self._clear = 0              # from when on the accumulators are those of the next block
        self.counts = dict.fromkeys(("issued", "load", "weights", "requantize"), 0)

    def run(self) -> int:
        """Returns the cycle in which the sequencer sees its end."""
        v, reads = self._v, self._reads
        stream = bool(v["weights_stream"])
        self.counts["issued"] = v["ofm_rows"] * v["ofm_columns"] * v["blocks"] * v["steps"]
        word = blocks = 0
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
                    issued = max(last, reads.taken(blocks - 1) + 1) if blocks else last
                    blocks += 1
                    self._tell("requantize", last, issued)
                    self._tell("", issued, issued + 1)
                    self.counts["requantize"] += issued - last
                    self._post.block(issued, self._shifts[block])
                    self._cycle, self._clear = issued + 1, issued + CLEAR
                    if stream:
                        reads.used.append(self._cycle)
            self._cycle += v["stride_rows"] - 1
            row = (y + 1) * v["stride_rows"] - v["pad_top"]
            reads.freed.append((self._cycle, max(row, 0) * v["line_pitch"]))
        return reads.end()

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
