"""The C driver of a board on SPI, compiled for this machine with its exchanges sent to Python."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from collections.abc import Callable, Sequence
from ctypes import CFUNCTYPE, POINTER, c_int, c_size_t, c_uint8, c_uint16, c_uint32, c_void_p
from pathlib import Path

import numpy as np

from builders.c_driver import STRICT, CDevice, Result
from kaniwa.export.c_source import DRIVER_FILES, driver_file

__all__ = ["CLink", "LinkedDriver", "build_linked"]

EXCHANGE = CFUNCTYPE(c_int, c_void_p, POINTER(c_uint8), POINTER(c_uint8), c_size_t)
FRAME = 256


class CLink(ctypes.Structure):
    """``struct kaniwa_link``."""

    _fields_ = [
        ("exchange", EXCHANGE), ("context", c_void_p), ("tries", c_uint32),
        ("patience", c_uint32), ("result", c_int), ("repeated", c_uint32), ("damaged", c_uint32),
        ("outside", c_uint8), ("session", c_uint8), ("sequence", c_uint8), ("payload", c_uint8),
        ("frame", c_uint8 * (FRAME + 1)), ("reply", c_uint8 * FRAME), ("frame_bytes", c_uint16),
        ("reply_bytes", c_uint16)]


def build_linked(folder: Path, sources: Sequence[Path] = (), flags: Sequence[str] = ()) -> Path:
    """A shared library of the driver over the link and ``sources``, made in ``folder``."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    assert compiler is not None, "the tests need a C compiler"
    for name in DRIVER_FILES:
        (folder / name).write_bytes(driver_file(name))
    library = folder / "linked.so"
    subprocess.run([compiler, *STRICT, "-O1", "-fsanitize=undefined", "-fno-sanitize-recover",
                    "-shared", "-fPIC", "-DKANIWA_LINK", f"-I{folder}", *flags,
                    folder / "kaniwa.c", folder / "kaniwa_link.c", *sources, "-o", library],
                   check=True)
    return library


class LinkedDriver:
    """The library's functions; ``exchange`` takes the bytes of one and gives as many.

    It gives None where the exchange is to fail.
    """

    def __init__(self, library: Path, exchange: Callable[[bytes], bytes | None]) -> None:
        self.c = ctypes.CDLL(str(library))
        self.link, self.device = CLink(), CDevice()
        self.sizes: list[int] = []
        self._exchange = exchange
        self._kept = EXCHANGE(self._pass)
        self.c.kaniwa_link_init(ctypes.byref(self.link), self._kept, None)
        self.c.kaniwa_init(ctypes.byref(self.device), ctypes.byref(self.link))

    def call(self, name: str, *arguments: object) -> Result:
        """Call function ``name`` with the device; arrays become pointers."""
        return self._call(name, self.device, arguments)

    def on_link(self, name: str, *arguments: object) -> Result:
        """The same with the link."""
        return self._call(name, self.link, arguments)

    def cycles(self) -> int:
        """``kaniwa_cycles``."""
        function = self.c.kaniwa_cycles
        function.restype = c_uint32
        return int(function(ctypes.byref(self.device)))

    def _call(self, name: str, first: ctypes.Structure, arguments: Sequence[object]) -> Result:
        pointers = [argument.ctypes.data_as(c_void_p) if isinstance(argument, np.ndarray)
                    else argument for argument in arguments]
        return Result(getattr(self.c, name)(ctypes.byref(first), *pointers))

    def _pass(self, _: object, out: ctypes.Array, into: ctypes.Array, count: int) -> int:
        self.sizes.append(count)
        came = self._exchange(bytes(out[:count]))
        if came is None:
            return 1
        assert len(came) == count
        ctypes.memmove(into, came, count)
        return 0
