"""The C driver, compiled for this machine with its accesses to the window sent to Python."""

from __future__ import annotations

import ctypes
import enum
import shutil
import subprocess
from collections.abc import Sequence
from ctypes import CFUNCTYPE, c_size_t, c_uint8, c_uint32, c_uint64, c_void_p
from pathlib import Path

import numpy as np

from builders.bus_window import BusWindow
from kaniwa.export.c_source import DRIVER_FILES, driver_file, header, source
from kaniwa.export.interface import interface
from kaniwa.program.program import Program

__all__ = ["BASE", "RISCV", "STRICT", "CDevice", "CDriver", "Result", "bytes_on_rv32", "build",
           "compile_strictly", "write_model"]

STRICT = ["-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-Wconversion", "-Wshadow"]
RISCV = shutil.which("riscv64-unknown-elf-gcc")
BASE = 0x4000_0000     # of the window, as the driver is told
SHIM_H = """
#include <stdint.h>
extern uint32_t (*test_read32)(uint32_t);
extern void (*test_write32)(uint32_t, uint32_t);
extern void (*test_write8)(uint32_t, uint8_t);
#define KANIWA_READ32(address) test_read32((uint32_t)(address))
#define KANIWA_WRITE32(address, value) test_write32((uint32_t)(address), value)
#define KANIWA_WRITE8(address, value) test_write8((uint32_t)(address), value)
"""
SHIM_C = """
uint32_t (*test_read32)(uint32_t);
void (*test_write32)(uint32_t, uint32_t);
void (*test_write8)(uint32_t, uint8_t);
"""
READ32, WRITE32 = CFUNCTYPE(c_uint32, c_uint32), CFUNCTYPE(None, c_uint32, c_uint32)
WRITE8 = CFUNCTYPE(None, c_uint32, c_uint8)
WAIT = CFUNCTYPE(None, c_void_p)
MAINTAIN = CFUNCTYPE(None, c_void_p, c_void_p, c_size_t)


class Result(enum.IntEnum):
    """``enum kaniwa_result``."""

    OK = 0
    NO_CORE = 1
    OTHER_BUS = 2
    OTHER_VERSION = 3
    OTHER_CONFIG = 4
    MEMORY = 5
    NO_OUTSIDE = 6
    NOT_LOADED = 7
    BUS_ERROR_SEEN = 8
    RUN_ERROR = 9
    WATCHDOG_BITE = 10
    NO_END = 11
    NO_SENSOR = 12
    LINE_FAILED = 13
    NO_ANSWER = 14
    WAS_RESET = 15
    OTHER_HOST = 16
    BUSY = 17


class CDevice(ctypes.Structure):
    """``struct kaniwa``."""

    _fields_ = [
        ("window", c_size_t), ("outside", c_void_p), ("outside_base", c_uint64),
        ("outside_bytes", c_uint32), ("watchdog", c_uint32), ("limit", c_uint32),
        ("wait", WAIT), ("clean", MAINTAIN), ("invalidate", MAINTAIN), ("context", c_void_p),
        ("loaded", c_void_p), ("memory_offset", c_uint32), ("memory_bytes", c_uint32),
        ("error_code", c_uint32), ("error_instruction", c_uint32), ("bus_error", c_uint32),
        ("bus_error_address", c_uint32)]


def build(folder: Path, sources: Sequence[Path] = (), flags: Sequence[str] = ()) -> Path:
    """A shared library of the driver and ``sources``, made in ``folder``."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    assert compiler is not None, "the tests need a C compiler"
    for name in DRIVER_FILES:
        (folder / name).write_bytes(driver_file(name))
    (folder / "shim.h").write_text(SHIM_H)
    (folder / "shim.c").write_text(SHIM_C)
    library = folder / "driver.so"
    subprocess.run([compiler, *STRICT, "-O1", "-shared", "-fPIC", f"-I{folder}", *flags,
                    "-include", folder / "shim.h", folder / "kaniwa.c", folder / "shim.c",
                    *sources, "-o", library], check=True)
    return library


def write_model(folder: Path, program: Program, stem: str = "model") -> Path:
    """The C file of ``program`` in ``folder``, with its header beside it."""
    face = interface(program, transposed=True)
    (folder / f"{stem}.h").write_text(header(face, stem))
    path = folder / f"{stem}.c"
    path.write_text(source(face, stem))
    return path


class CDriver:
    """The library's functions on ``window``; ``device`` is the C structure that they work on."""

    def __init__(self, library: Path, window: BusWindow) -> None:
        self.c = ctypes.CDLL(str(library))
        self.window = window
        self.device = CDevice()
        self._kept = [READ32(lambda address: window.read32(address - BASE)),
                      WRITE32(lambda address, value: window.write32(address - BASE, value)),
                      WRITE8(lambda address, value: window.write8(address - BASE, value))]
        for name, function in zip(("read32", "write32", "write8"), self._kept, strict=True):
            c_void_p.in_dll(self.c, f"test_{name}").value = ctypes.cast(function, c_void_p).value
        self.c.kaniwa_init(self._pointer, c_size_t(BASE))

    @property
    def _pointer(self) -> object:
        return ctypes.byref(self.device)

    def call(self, name: str, *arguments: object) -> Result:
        """Call function ``name`` with the device; arrays become pointers."""
        pointers = [argument.ctypes.data_as(c_void_p) if isinstance(argument, np.ndarray)
                    else argument for argument in arguments]
        return Result(getattr(self.c, name)(self._pointer, *pointers))

    def cycles(self) -> int:
        """``kaniwa_cycles``."""
        function = self.c.kaniwa_cycles
        function.restype = c_uint32
        return int(function(self._pointer))

    def acknowledge(self) -> None:
        """``kaniwa_acknowledge``."""
        self.c.kaniwa_acknowledge(self._pointer)

    def text(self, function: str, number: int) -> str:
        """What ``function``, kaniwa_text or kaniwa_error_text, says."""
        found = getattr(self.c, function)
        found.restype = ctypes.c_char_p
        return str(found(number).decode())

    def use_outside(self, memory: ctypes.Array[c_uint8], base: int) -> None:
        """Give the device outside memory: ``memory``, which its bus master sees at ``base``."""
        self.device.outside = ctypes.addressof(memory)
        self.device.outside_base, self.device.outside_bytes = base, len(memory)


def compile_strictly(folder: Path, sources: Sequence[str], flags: Sequence[str]) -> None:
    """Compile files of the driver as C99 by themselves, and its header in C++."""
    _write_driver(folder)
    compiler = shutil.which("cc") or shutil.which("gcc")
    assert compiler is not None, "the tests need a C compiler"
    for name in sources:
        subprocess.run([compiler, *STRICT, *flags, "-c", name, "-o", "k.o"], cwd=folder,
                       check=True)
    (folder / "user.cpp").write_text('#include "kaniwa.h"\n')
    subprocess.run([compiler, "-Wall", "-Wextra", "-Werror", *flags, "-c", "user.cpp"],
                   cwd=folder, check=True)


def bytes_on_rv32(folder: Path, sources: Sequence[str], flags: Sequence[str] = ()) -> int:
    """Bytes of code of the driver's files, which have no variables and need no library."""
    assert RISCV is not None
    _write_driver(folder)
    subprocess.run([RISCV, *STRICT, "-ffreestanding", "-march=rv32imc", "-mabi=ilp32", "-Os",
                    *flags, "-nostdlib", "-r", *sources, "-o", "k.o"], cwd=folder, check=True)

    def told(tool: str, *options: str) -> str:
        return subprocess.run([RISCV.replace("gcc", tool), *options, "k.o"], cwd=folder,
                              check=True, capture_output=True, text=True).stdout

    assert told("nm", "-u") == ""
    text, data, bss = map(int, told("size").splitlines()[1].split()[:3])
    assert data == bss == 0
    return text


def _write_driver(folder: Path) -> None:
    for name in DRIVER_FILES:
        (folder / name).write_bytes(driver_file(name))
