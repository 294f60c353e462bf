"""A virtual board with several bitstreams in its flash: as it leaves one, the next one starts."""

from __future__ import annotations

from collections.abc import Sequence

from kaniwa.boards.families.family import load_family
from kaniwa.sim.board.board_design import BoardDesign
from kaniwa.sim.board.pin_transport import PinTransport

__all__ = ["SlotTransport"]

LOOK_SECONDS = 0.0005     # between two looks whether it has left
VECTOR_BYTES, VECTOR_ADDRESS = 32, 9


class SlotTransport:
    """The board of ``designs``, one for each slot, with ``flash`` from its first byte on.

    What stands for the bitstream of a slot has ``mark`` and the slot's number. An FPGA whose slots
    go in turn starts the one behind its own. Another one starts what its jump vectors lead to.
    ``started`` has the slots that were started, the first one at power-up; ``pins`` is the board.
    """

    mark = b"bitstream of slot "

    def __init__(self, designs: Sequence[BoardDesign], flash: bytes) -> None:
        self._designs, self._flash = designs, flash
        self._slots = load_family(designs[0].board.family).slots
        self.name = f"sim:{designs[0].board.name}"
        self.started: list[int] = []
        self._seconds = 0.0     # of the boards before
        self._start(0 if self._slots.IN_TURN else self._jump(0))

    @property
    def pace(self) -> float | None:
        """Bytes a second of the board's line."""
        return self.pins.pace

    def _start(self, slot: int) -> None:
        self.started.append(slot)
        self.pins = PinTransport(self._designs[slot], flash=self._flash)

    def _jump(self, vector: int) -> int:
        """The slot whose bitstream a vector leads to."""
        begin = vector * VECTOR_BYTES + VECTOR_ADDRESS
        address = int.from_bytes(self._flash[begin:begin + 3], "big")
        length = len(self.mark)
        found = self._flash[address:address + length + 1]
        assert found[:length] == self.mark, f"no bitstream at {address:#x}"
        return found[length] - ord("0")

    def write(self, data: bytes) -> None:
        self.pins.write(data)

    def read(self, seconds: float) -> bytes:
        end = self.now() + seconds
        while True:
            data = self.pins.read(max(min(end - self.now(), LOOK_SECONDS), 1e-6))
            if (asked := self.pins.left()) is not None:
                self._seconds += self.pins.now()
                self._start((self.started[-1] + 1) % len(self._designs) if self._slots.IN_TURN
                            else self._jump(1 + asked))
            if data or self.now() >= end:
                return data

    def now(self) -> float:
        return self._seconds + self.pins.now()

    def close(self) -> None:
        self.pins.close()
