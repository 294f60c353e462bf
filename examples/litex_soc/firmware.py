"""The firmware: the network as C source, the driver, `main.c`, and what LiteX brings."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import litex
import numpy as np
from litex.soc.integration.common import get_mem_data
from soc import AcceleratorSoC

from kaniwa.errors import BuildError
from kaniwa.export.c_source import DRIVER_FILES, driver_file, header, segments, source
from kaniwa.export.interface import interface
from kaniwa.isa.table import OUTSIDE
from kaniwa.program.program import Program

COMPILER = "riscv64-unknown-elf-gcc"
FLAGS = ("-Os", "-std=gnu11", "-Wall", "-Wextra", "-Werror", "-ffreestanding", "-nostdlib",
         "-ffunction-sections", "-fdata-sections", "-Wl,--gc-sections")
IN_PLACE = ".outside."     # sections that a boot loader has put into the SDRAM
SOFTWARE = Path(litex.__file__).parent / "soc" / "software"
CPU = Path(litex.__file__).parent / "soc" / "cores" / "cpu" / "vexriscv"


def build_firmware(soc: AcceleratorSoC, program: Program, inputs: np.ndarray,
                   names: Sequence[str], folder: Path, in_place: bool = False) -> list[int]:
    """The words of the ROM of a finalized ``soc``: ``program`` runs on each of ``inputs``.

    ``inputs``: int8, a first axis for the inferences, then the shape of the network's input.
    ``names``: of the classes. ``in_place``: what is for the SDRAM is there already, and not in the
    ROM; ``sdram_contents`` has it.
    """
    if shutil.which(COMPILER) is None:
        raise BuildError(f"the firmware needs {COMPILER}: install gcc-riscv64-unknown-elf")
    soc.write_headers(folder)
    face = interface(program)
    (folder / "model.c").write_text(source(face, "model"))
    (folder / "model.h").write_text(header(face, "model"))
    for name in DRIVER_FILES:
        (folder / name).write_bytes(driver_file(name))
    (folder / "inputs.h").write_text(inputs_header(inputs, names))
    binary = folder / "firmware.bin"
    compiler = [COMPILER, *soc.cpu.gcc_flags.split(), *FLAGS]
    places = _places(soc, program) if in_place else []
    includes = [f"-I{folder}", "-isystem", str(CPU), "-isystem", str(SOFTWARE / "include")]
    # LiteX's linker script finds the start-up code by the name of its object file.
    for command in ([*compiler, *includes, "-c", str(CPU / "crt0.S"), "-o", "crt0.o"],
                    [*compiler, *includes, *places, f"-L{folder}",
                     "-T", str(SOFTWARE / "bios/linker.ld"), "crt0.o",
                     str(Path(__file__).with_name("main.c")), "model.c", "kaniwa.c",
                     "-lgcc", "-o", "firmware.elf"],
                    [COMPILER.replace("gcc", "objcopy"), "-O", "binary", "-R", f"{IN_PLACE}*",
                     "firmware.elf", str(binary)]):
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        if done.returncode:
            raise BuildError(f"the firmware could not be built: {done.stderr.strip()}")
    words: list[int] = get_mem_data(str(binary), data_width=32, endianness="little")
    return words


def sdram_contents(program: Program) -> bytes:
    """What a boot loader puts into the SDRAM, from its begin on."""
    contents = bytearray()
    for address, data in segments(program):
        if address >= OUTSIDE:
            contents += bytes(address - OUTSIDE - len(contents)) + data
    return bytes(contents)


def _places(soc: AcceleratorSoC, program: Program) -> list[str]:
    """Options of the compiler that put each segment for the SDRAM where the core wants it."""
    base = soc.bus.regions["main_ram"].origin
    offsets = [address - OUTSIDE for address, _ in segments(program) if address >= OUTSIDE]
    return [f'-DKANIWA_IN_OUTSIDE(offset)=__attribute__((section("{IN_PLACE}" #offset)))',
            *(f"-Wl,--section-start={IN_PLACE}{offset:#x}={base + offset:#x}"
              for offset in offsets)]


def inputs_header(inputs: np.ndarray, names: Sequence[str]) -> str:
    """Inputs and names of classes as arrays in C."""
    shape = "".join(f"[{size}]" for size in inputs.shape[1:])
    values = ",\n".join(_braces(one) for one in inputs)
    quoted = ", ".join(f'"{name}"' for name in names)
    return (f"#include <stdint.h>\n\n#define INPUTS {len(inputs)}\n#define CLASSES {len(names)}\n\n"
            f"static const int8_t inputs[INPUTS]{shape} = {{\n{values}\n}};\n"
            f"static const char *const names[CLASSES] = {{{quoted}}};\n")


def _braces(values: np.ndarray) -> str:
    if not values.ndim:
        return str(int(values))
    return "{" + ", ".join(_braces(part) for part in values) + "}"
