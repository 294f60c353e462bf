"""Projects of two boards: a state machine that runs a program, and what vendors' tools need."""

from __future__ import annotations

from typing import Any

from kaniwa.generate.design import Design
from kaniwa.generate.vectors import Run
from kaniwa.isa import Command, Register
from kaniwa.isa.bus import BusRegister, Interrupt

__all__ = ["has_projects", "project_templates", "selftest_values"]

LONGEST_RUN = 10_000_000     # cycles


def has_projects(design: Design) -> bool:
    """True for AXI without other ports, at which a project would need memory or a sensor."""
    return design.bus == "axi4" and not design.outside and not design.sensor


def project_templates(name: str) -> dict[str, str]:
    """The template of each file of the projects, but for the hex files of the self-test."""
    arty, nano = "projects/arty_a7", "projects/de10_nano"
    return {
        f"projects/{name}_selftest.v": "projects/selftest.v",
        f"{arty}/arty_a7.v": "projects/arty_a7.v", f"{arty}/arty_a7.xdc": "projects/arty_a7.xdc",
        f"{arty}/build.tcl": "projects/arty_a7.tcl", f"{arty}/README.md": "projects/arty_a7.md",
        f"{nano}/de10_nano.v": "projects/de10_nano.v",
        f"{nano}/{name}.qpf": "projects/de10_nano.qpf",
        f"{nano}/{name}.qsf": "projects/de10_nano.qsf",
        f"{nano}/{name}.sdc": "projects/de10_nano.sdc",
        f"{nano}/README.md": "projects/de10_nano.md",
    }


def selftest_values(design: Design, run: Run) -> dict[str, Any]:
    """What the template of the self-test names: sizes, and the registers that start ``run``."""
    write_bits, check_bits = (max(1, (len(words) - 1).bit_length())
                              for words in (run.writes, run.checks))
    return {
        "selftest_writes": len(run.writes), "selftest_checks": len(run.checks),
        "write_bits": write_bits, "check_bits": check_bits,
        "index_bits": max(write_bits, check_bits, 2), "status_offset": 4 * Register.STATUS,
        "selftest_registers": [(4 * register, f"32'd{int(value)}", register.name)
                               for register, value in (
            (BusRegister.IRQ_ENABLE, Interrupt.RUN_ENDED),
            (Register.PROGRAM_ADDRESS, run.program_address), (Register.WATCHDOG, LONGEST_RUN),
            (Register.CONTROL, Command.RUN))],
    }
