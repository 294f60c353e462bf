"""A virtual board as a device: as any board, but that its SDRAM is filled past its line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kaniwa.config import AcceleratorConfig
from kaniwa.driver.board_device import BoardDevice
from kaniwa.isa import OUTSIDE
from kaniwa.sim.board.virtual_line import VirtualTransport

__all__ = ["PAST_THE_LINE", "VirtualBoard"]

PAST_THE_LINE = 4096   # bytes for the SDRAM from which on they do not go over the line


class VirtualBoard(BoardDevice):
    """The board ``name`` (``sim:...``), simulated at the pins of ``transport``.

    A byte on the line is 80 simulated cycles, so the weights of a large model would be hours on
    their way. What is written to the SDRAM in one piece of PAST_THE_LINE bytes or more is put into
    the model of the chip. All else goes over the line, and everything that is read. ``options`` are
    those of ``BoardDevice``.
    """

    def __init__(self, name: str, target: str | Path | AcceleratorConfig | None,
                 transport: VirtualTransport, **options: Any) -> None:
        self._transport = transport
        super().__init__(name, target, **{"connect": lambda: transport} | options)

    def write(self, address: int, data: bytes) -> None:
        """Copy ``data`` into device memory."""
        if address >= OUTSIDE and len(data) >= PAST_THE_LINE:
            memory = self._transport.outside_memory(address - OUTSIDE, len(data))
            if memory is not None:
                memoryview(memory).cast("B")[:] = bytes(data)
                return
        super().write(address, data)
