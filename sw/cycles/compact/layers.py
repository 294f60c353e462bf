"""Cycle model of the compact core, which runs one instruction after the other.

The array waits for a place for its results, and for input rows and weights, which share the reads
of memory with operands, and give way to writes. The cycles are the core's own, on chip and outside.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Final

from kaniwa.config import AcceleratorConfig
from kaniwa.cycles.compact.memory import CompactMemories
from kaniwa.cycles.compact.post import CompactPost
from kaniwa.cycles.compact.reads import CompactReads
from kaniwa.cycles.compact.steady import Array, CompactSteady
from kaniwa.cycles.compact.units import AGAIN, CompactLoad, CompactWeights
from kaniwa.cycles.log import Log
from kaniwa.cycles.readers.streams import Read, region_shapes
from kaniwa.isa import COUNTERS, INSTRUCTION_BYTES, Mode
from kaniwa.isa.counters import RunStatistics
from kaniwa.isa.formats import Buffer
from kaniwa.isa.weight_stream import decode_stream
from kaniwa.program.instruction import Values
from kaniwa.timing import Timing

__all__ = ["model_compact"]

CLEAR: Final = 2     # from the last step of a block to the next one


def model_compact(config: AcceleratorConfig, instructions: Sequence[Values], read: Read | None,
                  outside: Timing, program_address: int, log: Log | None,
                  stepping: bool) -> RunStatistics:
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
        cycle = layer.run(stepping) + 1
        if log:
            log.lose("fill", layer.array.told, cycle - 1)
            log.retire(cycle)
        for name, count in layer.array.counts.items():
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
        self._dot_width, self._v, self._log = config.dot_width, v, log
        self._memories = memories
        self._post = CompactPost(config, v, log)
        self._load = CompactLoad(config, v, begin + 1)
        self._weights = CompactWeights(config, v, region_shapes(config, v, read), begin + 1)
        self._reads = CompactReads(self._load, self._weights, memories, self._post, log)
        self._shifts = _shifts(config, v, read)
        issued = v["ofm_rows"] * v["ofm_columns"] * v["blocks"] * v["steps"]
        self.array = Array(begin + 1, 0, -1, -1, 0,
                           {"issued": issued, "load": 0, "weights": 0, "requantize": 0})

    def run(self, stepping: bool) -> int:
        """Returns the cycle in which the sequencer sees its end.

        Without ``stepping`` no pixel and no row is left out.
        """
        v, array = self._v, self.array
        steady = CompactSteady(v, self._memories, self._reads, self._post,
                               self._log) if stepping else None
        y = 0
        while y < v["ofm_rows"]:
            x = 0
            while x < v["ofm_columns"]:
                self._pixel(y, x)
                x += 1 + (steady.pixels(array, y, x) if steady else 0)
            array.cycle += v["stride_rows"] - 1
            row = (y + 1) * v["stride_rows"] - v["pad_top"]
            self._load.freed.append((array.cycle, max(row, 0) * v["line_pitch"]))
            y += 1 + (steady.rows(array, y) if steady else 0)
        return self._reads.end()

    def _pixel(self, y: int, x: int) -> None:
        """All blocks of an output pixel."""
        v, array = self._v, self.array
        stream = bool(v["weights_stream"])
        fresh = stream or not (x or y)
        for block in range(v["blocks"]):
            array.cycle = max(array.cycle, array.clear)
            if fresh or not (x or block):
                self._steps(y, array.word if fresh else -1, stream)
            else:
                self._rows_of_steps(v["kernel_rows"])
            if fresh:
                array.word += v["block_words"]
            last = issued = array.cycle - 1
            if array.block >= 0:
                issued = max(last, self._reads.taken(array.block) + 1)
            array.block += 1
            self._tell("requantize", last, issued)
            self._tell("", issued, issued + 1)
            array.counts["requantize"] += issued - last
            self._post.block(issued, self._shifts[block])
            array.cycle, array.clear = issued + 1, issued + CLEAR
            if stream:
                self._weights.used.append(array.cycle)

    def _steps(self, y: int, word: int, stream: bool) -> None:
        """The steps of a block, one by one: ``word`` is its first ring word, -1 if all are there.

        The last step may still wait for a place; the cycle is set to the one after it.
        """
        v, reads, array = self._v, self._reads, self.array
        per_word = self._dot_width if v["mode"] == Mode.DEPTHWISE else 1
        row_steps = v["steps"] // v["kernel_rows"]
        for step in range(v["steps"]):
            if step % row_steps == 0:
                ky = step // row_steps
                array.cycle += (v["dilation_rows"] - 1) * (ky > 0)
                row = y * v["stride_rows"] + ky * v["dilation_rows"] - v["pad_top"]
                if row >= 0:
                    self._wait("load", reads.until(self._load.ready, min(row, v["ifm_rows"] - 1)))
            if word >= 0 and step % per_word == 0:
                self._wait("weights", reads.until(self._weights.ready, word + step // per_word))
            if step < v["steps"] - 1:
                self._tell("", array.cycle, array.cycle + 1)
            array.cycle += 1
            last_of_word = step % per_word == per_word - 1
            if stream and last_of_word and step < v["steps"] - 1:
                self._weights.used.append(array.cycle)

    def _rows_of_steps(self, rows: int) -> None:
        """The steps of a block for which all is there, with pauses between rows of the kernel."""
        array = self.array
        count, pause = self._v["steps"] // rows, self._v["dilation_rows"] - 1
        if self._log:
            for first in range(array.cycle, array.cycle + rows * (count + pause), count + pause):
                self._tell("", first, first + count)
            array.told -= 1    # the last one may wait
        array.cycle += rows * (count + pause) - pause

    def _tell(self, cause: str, first: int, after: int) -> None:
        """Log steps, or a wait for ``cause``; what comes before without being told is fill."""
        if self._log:
            self._log.lose("fill", self.array.told, first)
            if cause:
                self._log.lose(cause, first, after)
            self.array.told = after

    def _wait(self, cause: str, ready: int) -> None:
        array = self.array
        if ready > array.cycle:
            self._tell(cause, array.cycle, ready)
            array.counts[cause] += ready - array.cycle
            array.cycle = ready


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
