"""Cycle model: input rows on their way from memory into the line buffer."""

from __future__ import annotations

from collections.abc import Sequence

from kaniwa.config import AcceleratorConfig
from kaniwa.cycles.events import Events, Reader
from kaniwa.program.instruction import Values
from kaniwa.timing import NEVER

__all__ = ["Load"]

LOADED = 3        # from a response to the first step that may use it
IN_FLIGHT = 32    # words requested and not in the line buffer
LEFT = 2          # from a response to a request in its place


class Load:
    """Reads input rows word by word, as the ring has room and the producer's watermark allows."""

    def __init__(self, config: AcceleratorConfig, instructions: Sequence[Values],
                 events: Events) -> None:
        self._config, self._instructions, self._events = config, instructions, events
        self.address = 0
        self.reader = self._read()

    def respond(self, cycle: int) -> None:
        self._events.load_ready.append(cycle + LOADED)

    def _read(self) -> Reader:
        events, width, size = self._events, self._config.read_bytes, self._config.line_bytes
        load_ready = events.load_ready
        before, granted = -1, -1   # grants of the last two requests
        base, free = 0, 0          # free: from when on an instruction is taken
        next_free, freed, number = 0, 0, 0
        events.open["load"].append(0)
        for index, v in enumerate(self._instructions):
            offered = events.offered["load"]
            while len(offered) <= index:
                yield None
            leave = max(offered[index], free) + 2
            allowed, known = 0, 0     # cycle from which reads up to ``known`` are allowed
            if not v["ifm_wait"]:
                known = NEVER
            mark = 0
            for row in range(v["ifm_rows"]):
                address = v["ifm_address"] + row * v["ifm_pitch"]
                row_end = address + v["ifm_row_bytes"]
                address -= address % width
                end = base + row * v["line_pitch"]
                while address < row_end:
                    end += width
                    if address + width >= row_end:
                        end = base + (row + 1) * v["line_pitch"]
                    pending = leave + 1
                    leave = max(pending, before + 1)
                    if number >= IN_FLIGHT:
                        while len(load_ready) <= number - IN_FLIGHT:
                            yield None
                        leave = max(leave, load_ready[number - IN_FLIGHT] - LOADED + LEFT)
                    while end - size > freed:
                        while len(events.frees) <= next_free:
                            yield None
                        cycle, freed = events.frees[next_free]
                        next_free += 1
                        leave = max(leave, cycle + 1)
                    last = min(address + width, row_end) - 1
                    if last >= known:
                        waiting = v["ifm_wait"] - 1
                        while last >= known:
                            if mark < len(events.watermarks[waiting][0] if waiting < len(
                                    events.watermarks) else ()) and v["ifm_watermark"]:
                                allowed = events.watermarks[waiting][0][mark] + 1
                                known = events.watermarks[waiting][1][mark]
                                mark += 1
                            elif len(events.retired) > waiting:
                                allowed, known = events.retired[waiting] + 1, NEVER
                            else:
                                yield None
                        if allowed > pending:
                            events.waits.append((pending, allowed))
                    leave = max(leave, allowed)
                    self.address = address
                    number += 1
                    address += width
                    if row == v["ifm_rows"] - 1 and address >= row_end:
                        free = leave + 1
                        events.open["load"].append(free)
                    before, granted = granted, (yield max(leave, granted) + 1)
            base += v["ifm_rows"] * v["line_pitch"]
        while True:
            yield None
