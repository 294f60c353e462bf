"""LiteDRAM's controller, PHY and AXI port as one module of Verilog, for a board's design."""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from kaniwa.boards.board import DDR3_BYTES, Ddr3
from kaniwa.errors import BuildError
from kaniwa.extras import needed
from kaniwa.hw.ddr3.signatures import Command, Control, Ddr3Shape
from kaniwa.hw.ddr3.start import ON, StartStep

__all__ = ["MODULE", "MemoryCore", "memory_core"]

MODULE = "ddr3_memory"       # of Verilog
# Microseconds with RESET# low, and with CKE low behind it. Source: JEDEC JESD79-3F, 3.3.1.
RESET_US, CKE_US = 200, 500
COMMAND_CYCLES = 16          # more than tMRD and tMOD: 12 clocks of the chips
ZQ_CYCLES = 512              # more than tZQinit, of 512 clocks of the chips
AFTER_CKE_US = 1             # more than tXPR
READ_MARGIN = 8              # cycles between a burst and the look at it; also more than tWR


@dataclass(frozen=True)
class MemoryCore:
    """``verilog`` of the module, and what its start needs to know.

    A beat of its AXI port is a burst of the chips. ``times``: keyword arguments of ``Ddr3Start``.
    """

    verilog: str
    shape: Ddr3Shape
    steps: tuple[StartStep, ...]
    times: Mapping[str, int]


def memory_core(ddr3: Ddr3, mhz: float) -> MemoryCore:
    """The core for a board's chip, with a clock of ``mhz`` MHz.

    What is simulated of it is a cell ``DDR3_CHIPS``, a model of PHY and chips. Raises BuildError
    without the extra ``bitstream``.
    """
    with needed("a board with DDR3 memory", "bitstream", BuildError):
        from litedram import modules
        from litedram.init import get_sdram_phy_init_sequence

        from kaniwa.boards.ddr3.migen_core import MigenCore

    part = getattr(modules, ddr3.module)(mhz * 1e6, "1:2")
    shape = Ddr3Shape(DDR3_BYTES, int(math.log2(part.nrows)), int(math.log2(part.nbanks)))
    core = MigenCore(ddr3, part, shape, mhz)
    settings = core.settings
    sequence, _ = get_sdram_phy_init_sequence(settings, part.timing_settings)
    return MemoryCore(
        core.verilog(MODULE), shape, _steps(sequence, mhz),
        {"settle": settings.read_latency + READ_MARGIN, "refresh": part.timing_settings.tRFC,
         "read_phase": settings.rdphase, "write_phase": settings.wrphase})


def _steps(sequence: Iterable[tuple[str, int, int, str, int]],
           mhz: float) -> tuple[StartStep, ...]:
    """LiteDRAM's steps with the times of the standard, behind one in which RESET# is low."""
    steps = [StartStep(Control(0), Command(0), 0, 0, math.ceil(RESET_US * mhz))]
    for _, address, bank, names, _ in sequence:
        words = [name.removeprefix("DFII_").split("_", 1) for name in names.split("|")]
        if words[0][0] == "CONTROL":
            control = functools.reduce(operator.or_, (Control[word] for _, word in words))
            us = AFTER_CKE_US if Control.CKE in control else CKE_US
            steps.append(StartStep(control, Command(0), 0, 0, math.ceil(us * mhz)))
        else:
            command = functools.reduce(operator.or_, (Command[word] for _, word in words))
            cycles = COMMAND_CYCLES if Command.RAS in command else ZQ_CYCLES
            steps.append(StartStep(ON, command, bank, address, cycles))
    return tuple(steps)
