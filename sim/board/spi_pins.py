"""A virtual board at the pins of SPI: bytes out for bytes in, at the highest rate."""

from __future__ import annotations

import ctypes
import functools
import weakref

from kaniwa.driver.spi.format import CYCLES_OF_SCK
from kaniwa.errors import DeviceError
from kaniwa.sim.board.board_design import BoardDesign
from kaniwa.sim.device.verilate import Progress

__all__ = ["SpiPins"]


class SpiPins:
    """Exchanges with a simulated board, which is still between them.

    ``bytes`` counts those in each direction. The first one of a design builds it, which takes
    minutes; ``progress`` hears of it. Raises DeviceError where that fails.
    """

    def __init__(self, design: BoardDesign, progress: Progress | None = None) -> None:
        assert design.board.by_spi
        self.name = f"sim:{design.board.name}"
        self.bytes = 0
        self._library = _load(str(design.library(progress)))
        self._handle = self._library.kaniwa_spi_open(CYCLES_OF_SCK)
        self._close = weakref.finalize(self, self._library.kaniwa_spi_close, self._handle)

    @property
    def cycles(self) -> int:
        """Cycles of the board since its power came."""
        count: int = self._library.kaniwa_spi_cycles(self._handle)
        return count

    def exchange(self, data: bytes) -> bytes:
        """What comes for ``data`` within one selection of the board."""
        into = ctypes.create_string_buffer(len(data))
        self._library.kaniwa_spi_exchange(self._handle, data, into, len(data))
        self.bytes += len(data)
        self._check()
        return into.raw

    def rest(self, cycles: int) -> None:
        """Let the board run without an exchange."""
        self._library.kaniwa_spi_run(self._handle, cycles)
        self._check()

    def _check(self) -> None:
        if self._library.kaniwa_spi_failed(self._handle):
            raise DeviceError(f"{self.name}: an assertion failed (see above)")


@functools.cache
def _load(path: str) -> ctypes.CDLL:
    library = ctypes.CDLL(path)
    handle, u64, text = ctypes.c_void_p, ctypes.c_uint64, ctypes.c_char_p
    for name, result, arguments in (
            ("open", handle, [ctypes.c_uint32]), ("close", None, [handle]),
            ("failed", ctypes.c_bool, [handle]), ("cycles", u64, [handle]),
            ("run", None, [handle, u64]), ("exchange", None, [handle, text, text, u64])):
        function = getattr(library, f"kaniwa_spi_{name}")
        function.restype, function.argtypes = result, arguments
    return library
