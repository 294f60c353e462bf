"""Memory of this machine's bus, mapped into the process: a device's window, and outside memory.

A window is a UIO device (``/dev/uio0``) or a range of ``/dev/mem``. Outside memory is a buffer of
u-dma-buf (https://github.com/ikwzm/udmabuf, Readme.md), whose bus address Linux tells.
"""

from __future__ import annotations

import mmap
import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import parse_qsl

from kaniwa.errors import DeviceError
from kaniwa.isa import MAGIC, Register
from kaniwa.isa.bus import BusRegister

__all__ = ["Buffer", "DmaBuffer", "FORM", "MappedWindow", "Mapping", "Window", "open_window",
           "parse_mapping"]

FORM = "uio:PATH or mem:ADDRESS[:SIZE], in hexadecimal, and [?outside=UDMABUF]"
SYS = Path("/sys/class")
DEV = Path("/dev")
WORD = 4
UNCACHED = (1, 2, 3, 5, 6, 7)    # sync_mode of u-dma-buf with which O_SYNC leaves the cache out


class Window(Protocol):
    """A device's window of ``size`` bytes; offsets of 32-bit accesses are multiples of four."""

    size: int

    def read32(self, offset: int) -> int:
        """The word at ``offset``."""

    def write32(self, offset: int, value: int) -> None:
        """Write the word at ``offset``."""

    def read_bytes(self, offset: int, count: int) -> bytes:
        """``count`` bytes from any ``offset`` on."""

    def write_bytes(self, offset: int, data: bytes) -> None:
        """Write ``data`` from any ``offset`` on."""

    def close(self) -> None:
        """Give the window up; a second call does nothing."""


class Buffer(Protocol):
    """Memory of ``size`` bytes that process and device both see; the device at ``bus_address``."""

    name: str
    size: int
    bus_address: int

    def read(self, offset: int, count: int) -> bytes:
        """``count`` bytes from ``offset`` on."""

    def write(self, offset: int, data: bytes) -> None:
        """Write ``data`` from ``offset`` on."""

    def close(self) -> None:
        """Give the buffer up; a second call does nothing."""


@dataclass(frozen=True)
class Mapping:
    """A device's name taken apart: its file, the window's place in it, and outside memory.

    ``size`` is None where it is not told.
    """

    path: str
    address: int = 0
    size: int | None = None
    outside: str | None = None


def parse_mapping(name: str) -> Mapping:
    """The parts of ``uio:PATH`` or ``mem:ADDRESS[:SIZE]``, each with ``?outside=UDMABUF`` or not.

    Raises DeviceError for a name of another form.
    """
    place, _, query = name.partition("?")
    options = dict(parse_qsl(query, keep_blank_values=True))
    outside = options.pop("outside", None)
    uio = re.fullmatch(r"uio:(.+)", place)
    mem = re.fullmatch(r"mem:(?:0x)?([0-9a-fA-F]{1,16})(?::(?:0x)?([0-9a-fA-F]{1,16}))?", place)
    if (uio is None and mem is None) or options or (
            outside is not None and not re.fullmatch(r"[A-Za-z0-9_.-]+", outside)):
        raise DeviceError(f"device '{name}': expected {FORM}")
    if uio is not None:
        return Mapping(uio[1], outside=outside)
    assert mem is not None
    address, size = int(mem[1], 16), None if mem[2] is None else int(mem[2], 16)
    if address % mmap.PAGESIZE or size == 0:
        raise DeviceError(f"device '{name}': the address must be a multiple of {mmap.PAGESIZE:#x}, "
                          "and the size more than 0")
    return Mapping(str(DEV / "mem"), address, size, outside)


class MappedWindow:
    """``size`` bytes at ``address`` of the file ``path``; all of its accesses have 32 bits or 8.

    A bus may take no others, and copies of whole blocks are of any width that suits the CPU.
    """

    def __init__(self, path: str, address: int, size: int) -> None:
        self.size = size - size % WORD
        self._map = _map(path, address, self.size)
        self._bytes = memoryview(self._map)
        self._words = self._bytes[:self.size].cast("I")

    def read32(self, offset: int) -> int:
        """The word at ``offset``."""
        return self._words[offset // WORD]

    def write32(self, offset: int, value: int) -> None:
        """Write the word at ``offset``."""
        self._words[offset // WORD] = value

    def read_bytes(self, offset: int, count: int) -> bytes:
        """``count`` bytes from any ``offset`` on."""
        first, end = offset // WORD, -(-(offset + count) // WORD)
        data = b"".join(word.to_bytes(WORD, "little") for word in self._words[first:end].tolist())
        return data[offset - first * WORD:][:count]

    def write_bytes(self, offset: int, data: bytes) -> None:
        """Write ``data`` from any ``offset`` on."""
        end = offset + len(data)
        at = offset
        while at < end:
            if at % WORD or end - at < WORD:
                self._bytes[at] = data[at - offset]
                at += 1
            else:
                self._words[at // WORD] = int.from_bytes(data[at - offset:at - offset + WORD],
                                                         "little")
                at += WORD

    def close(self) -> None:
        """Give the window up; a second call does nothing."""
        self._words.release()
        self._bytes.release()
        self._map.close()


class DmaBuffer:
    """The buffer ``name`` of u-dma-buf, mapped without the CPU's cache."""

    def __init__(self, name: str) -> None:
        self.name = name
        folder = next((place for place in (SYS / "u-dma-buf" / name, SYS / "udmabuf" / name)
                       if place.is_dir()), None)
        if folder is None:
            raise DeviceError(f"{name}: no such buffer in {SYS / 'u-dma-buf'}: load the module "
                              "u-dma-buf with a buffer of this name")
        self.size = _number(folder / "size")
        self.bus_address = _number(folder / "phys_addr")
        if _number(folder / "sync_mode") not in UNCACHED:
            raise DeviceError(f"{name}: is cached whatever is asked for: write 1 to "
                              f"{folder / 'sync_mode'}")
        self._map = _map(str(DEV / name), 0, self.size)

    def read(self, offset: int, count: int) -> bytes:
        """``count`` bytes from ``offset`` on."""
        return self._map[offset:offset + count]

    def write(self, offset: int, data: bytes) -> None:
        """Write ``data`` from ``offset`` on."""
        self._map[offset:offset + len(data)] = data

    def close(self) -> None:
        """Give the buffer up; a second call does nothing."""
        self._map.close()


def open_window(mapping: Mapping) -> MappedWindow:
    """Map the window. Where its size is not told, Linux knows it, or the core's registers do.

    Raises DeviceError, one line that says what is wrong.
    """
    if mapping.size is not None:
        return MappedWindow(mapping.path, mapping.address, mapping.size)
    if mapping.path != str(DEV / "mem"):
        return MappedWindow(mapping.path, 0, _uio_size(mapping.path))
    window = MappedWindow(mapping.path, mapping.address, mmap.PAGESIZE)
    needed = 0
    if window.read32(WORD * Register.MAGIC) == MAGIC:
        offset = window.read32(WORD * BusRegister.MEMORY_OFFSET)
        needed = offset + window.read32(WORD * Register.MEMORY_BYTES) if offset else 0
    if needed <= window.size:
        return window
    window.close()
    return MappedWindow(mapping.path, mapping.address, needed)


def _uio_size(path: str) -> int:
    """Bytes of a UIO device's first map; a plain file stands for one as long as itself."""
    try:
        found = os.stat(path)
    except OSError as error:
        raise _not_opened(path, error) from None
    if stat.S_ISREG(found.st_mode):
        return found.st_size
    folder = SYS / "uio" / os.path.basename(os.path.realpath(path)) / "maps" / "map0"
    if not folder.is_dir():
        raise DeviceError(f"{path}: not a UIO device with a map (there is no {folder})")
    return _number(folder / "size")


def _map(path: str, address: int, size: int) -> mmap.mmap:
    try:
        handle = os.open(path, os.O_RDWR | os.O_SYNC | os.O_CLOEXEC)
    except OSError as error:
        raise _not_opened(path, error) from None
    try:
        return mmap.mmap(handle, size, offset=address)
    except (OSError, ValueError, OverflowError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise DeviceError(f"{path}: {size:#x} bytes at {address:#x} cannot be mapped ({why})"
                          ) from None
    finally:
        os.close(handle)


def _not_opened(path: str, error: OSError) -> DeviceError:
    if isinstance(error, FileNotFoundError):
        return DeviceError(f"{path}: no such file: is the device in the device tree, and its "
                           "driver loaded?")
    if isinstance(error, PermissionError):
        return DeviceError(f"{path}: no permission: run as root, or let your group have the file")
    return DeviceError(f"{path}: cannot be opened ({error.strerror})")


def _number(path: Path) -> int:
    """The number in a file of /sys, decimal or with 0x."""
    try:
        return int(path.read_text(), 0)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "no number"
        raise DeviceError(f"{path}: cannot be read ({why})") from None
