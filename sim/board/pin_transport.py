"""A virtual board as a transport for the host's link: bytes go over the pins of its UART."""

from __future__ import annotations

import ctypes
import functools
import weakref

from kaniwa.errors import DeviceError
from kaniwa.sim.board.board_design import BoardDesign
from kaniwa.sim.device.verilate import Progress

__all__ = ["PinTransport"]

ROOM = 1024              # bytes from the board taken at once
SLICE_CYCLES = 20_000   # between two looks for Ctrl-C


class PinTransport:
    """Time is the board's: reading runs it until bytes come or the time is over.

    A second is as many cycles as the bytes of the pace that the board tells take on its line.
    ``host_baud``: of the host's UART, relative to the board's. ``line_cycles``, ``bytes_taken`` and
    ``bytes_given`` count cycles and the bytes to and from the board. The first one of a design
    builds its ``library``, which takes minutes; ``progress`` hears of it. Raises DeviceError where
    that fails.
    ``flash``: what is in the board's flash from its first byte on, blank behind it; only a design
    that starts from flash reads it.
    """

    def __init__(self, design: BoardDesign, progress: Progress | None = None, *,
                 host_baud: float = 1.0, flash: bytes = b"") -> None:
        self.name = f"sim:{design.board.name}"
        self.pace: float | None = float(design.pace)
        self.line_cycles = self.bytes_taken = self.bytes_given = 0
        self.byte_cycles = design.byte_cycles
        self.library = design.library(progress)
        self._library = _load(str(self.library))
        figures = design.chip_figures()
        self._chip = None if figures is None else (ctypes.c_uint32 * len(figures))(*figures)
        self._flash = flash
        self._bits = design.bit_cycles / host_baud, design.bit_cycles
        self._hz = design.pace * self.byte_cycles
        self._out = ctypes.create_string_buffer(ROOM)
        self._pending = b""
        self._close: weakref.finalize | None = None
        self.power_cycle()

    @property
    def waiting(self) -> int:
        """Bytes for the board that are not on the line yet."""
        return len(self._pending)

    def power_cycle(self) -> None:
        """Take the board's power away and give it back: its memory is lost."""
        if self._close is not None:
            self._close()
        self._pending = b""
        self._handle = self._library.kaniwa_board_open(
            *self._bits, self._chip, self._flash, len(self._flash))
        self._close = weakref.finalize(self, self._library.kaniwa_board_close, self._handle)

    def write(self, data: bytes) -> None:
        self._pending += data

    def read(self, seconds: float) -> bytes:
        left = max(1, round(seconds * self._hz))
        taken, given = ctypes.c_uint64(), ctypes.c_uint64()
        while left > 0:
            cycles = self._library.kaniwa_board_run(
                self._handle, self._pending, len(self._pending), min(left, SLICE_CYCLES),
                self._out, ROOM, ctypes.byref(taken), ctypes.byref(given))
            if self._library.kaniwa_board_failed(self._handle):
                raise DeviceError(f"{self.name}: {self._failure()}")
            left -= cycles
            self.line_cycles += cycles
            self.bytes_taken += taken.value
            self.bytes_given += given.value
            self._pending = self._pending[taken.value:]
            if given.value:
                break
        return self._out.raw[:given.value]

    def _failure(self) -> str:
        broken = self._library.kaniwa_board_broken_rule(self._handle).decode()
        return broken or "an assertion failed (see above)"

    def now(self) -> float:
        return self.line_cycles / self._hz

    def leds(self) -> int:
        """Which LEDs of ``class_pins`` are lit, the first one in bit 0."""
        return int(self._library.kaniwa_board_leds(self._handle))

    def left(self) -> int | None:
        """The slot that the FPGA is to start from instead of its own; None while it goes on. An
        FPGA whose slots go in turn tells 0."""
        slot = int(self._library.kaniwa_board_left(self._handle))
        return None if slot < 0 else slot

    def outside_memory(self, offset: int, size: int) -> ctypes.Array[ctypes.c_uint8] | None:
        """``size`` bytes of the SDRAM from ``offset`` on, to be looked at and changed past the
        board; None where there are none."""
        address = self._library.kaniwa_board_memory(self._handle, offset, size)
        return (ctypes.c_uint8 * size).from_address(address) if address else None

    def close(self) -> None:
        """The board goes on being there; what is not on its way yet is not sent."""
        self._pending = b""


@functools.cache
def _load(path: str) -> ctypes.CDLL:
    library = ctypes.CDLL(path)
    handle, u64, double = ctypes.c_void_p, ctypes.c_uint64, ctypes.c_double
    count = ctypes.POINTER(u64)
    for name, result, arguments in (
            ("open", handle, [double, double, ctypes.c_void_p, ctypes.c_char_p, u64]),
            ("close", None, [handle]), ("leds", ctypes.c_uint32, [handle]),
            ("left", ctypes.c_int32, [handle]),
            ("broken_rule", ctypes.c_char_p, [handle]), ("memory", handle, [handle, u64, u64]),
            ("failed", ctypes.c_bool, [handle]),
            ("run", u64, [handle, ctypes.c_char_p, u64, u64, ctypes.c_char_p, u64, count, count])):
        function = getattr(library, f"kaniwa_board_{name}")
        function.restype, function.argtypes = result, arguments
    return library
