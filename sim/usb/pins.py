"""A virtual board at D+ and D-: does the steps of a host of USB, cycle by cycle of 48 MHz."""

from __future__ import annotations

import ctypes
import functools
import itertools
import random
import weakref

from kaniwa.errors import DeviceError
from kaniwa.sim.board.board_design import BoardDesign
from kaniwa.sim.device.verilate import Progress
from kaniwa.sim.usb.host import Exchange, Idle, Reset, Steps, T
from kaniwa.sim.usb.line import GAP_BITS, SE0, TIMEOUT_BITS, J, decode, encode

__all__ = ["BIT_CYCLES", "UsbPins"]

BIT_CYCLES = 4       # of 48 MHz
LONGEST = BIT_CYCLES * 8 * 100      # cycles of an answer: 64 bytes and stuffed bits are less


class UsbPins:
    """The line of a simulated board, which is still between two steps. ``seed``: of the phase of
    the host's bits.

    The core has the clock of 48 MHz here, too. The first one of a design builds it, which takes
    minutes; ``progress`` hears of it. Raises DeviceError where that fails.
    """

    def __init__(self, design: BoardDesign, seed: int = 0, progress: Progress | None = None
                 ) -> None:
        assert design.board.by_usb
        self.name = f"sim:{design.board.name}"
        self._rng = random.Random(seed)
        self._library = _load(str(design.library(progress)))
        self._states = ctypes.create_string_buffer(LONGEST)
        self._handle = self._library.kaniwa_usb_open()
        self._close = weakref.finalize(self, self._library.kaniwa_usb_close, self._handle)

    @property
    def cycles(self) -> int:
        """Cycles of the board since its power came."""
        count: int = self._library.kaniwa_usb_cycles(self._handle)
        return count

    def do(self, steps: Steps[T]) -> T:
        """Run a host's steps; gives what they do."""
        answer: bytes | None = None
        try:
            while True:
                answer = self._step(steps.send(answer))
        except StopIteration as end:
            return end.value

    def rest(self, cycles: int) -> None:
        """Let the board run while the line rests."""
        self._library.kaniwa_usb_run(self._handle, cycles)
        self._check()

    def _step(self, step: Exchange | Idle | Reset) -> bytes | None:
        if isinstance(step, Idle):
            self.rest(step.bits * BIT_CYCLES)
        elif isinstance(step, Reset):
            self._send([SE0] * step.bits)
        else:
            for packet in step.packets:
                self.rest(GAP_BITS * BIT_CYCLES + self._rng.randrange(BIT_CYCLES))
                self._send(encode(packet))
            if step.awaited:
                return self._take()
        return None

    def _send(self, states: list[int]) -> None:
        self._library.kaniwa_usb_send(self._handle, bytes(states), len(states), BIT_CYCLES)
        self._check()

    def _take(self) -> bytes | None:
        count = self._library.kaniwa_usb_take(self._handle, TIMEOUT_BITS * BIT_CYCLES,
                                              self._states, LONGEST)
        self._check()
        states = itertools.dropwhile(lambda state: state == J, self._states.raw[:count])
        runs = [(state, len(list(same)) / BIT_CYCLES) for state, same in itertools.groupby(states)]
        return decode(runs) if runs else None

    def _check(self) -> None:
        if self._library.kaniwa_usb_failed(self._handle):
            raise DeviceError(f"{self.name}: the board drove the line while the host did, or an "
                              "assertion failed (see above)")


@functools.cache
def _load(path: str) -> ctypes.CDLL:
    library = ctypes.CDLL(path)
    handle, u64, text = ctypes.c_void_p, ctypes.c_uint64, ctypes.c_char_p
    for name, result, arguments in (
            ("open", handle, []), ("close", None, [handle]), ("failed", ctypes.c_bool, [handle]),
            ("cycles", u64, [handle]), ("run", None, [handle, u64]),
            ("send", None, [handle, text, u64, ctypes.c_uint32]),
            ("take", u64, [handle, u64, text, u64])):
        function = getattr(library, f"kaniwa_usb_{name}")
        function.restype, function.argtypes = result, arguments
    return library
