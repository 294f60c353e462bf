"""Several bitstreams in the flash of an ECP5: each one names the next, and PROGRAMN goes there.

By Lattice's ECP5 sysCONFIG Usage Guide (FPGA-TN-02039) and its guide to multiple boot
(FPGA-TN-02203). The address of the next bitstream is a setting of the one that runs, in steps of
64 KiB. A design has no other way to configure its FPGA anew than a pin of its own at PROGRAMN.
The ring of addresses and the erased bytes in front of each bitstream are as Trellis' ``ecpmulti``
makes them.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from amaranth import *
from amaranth.lib import io

from kaniwa.boards.flow import tools
from kaniwa.errors import BuildError

__all__ = ["HEAD_BYTES", "IN_TURN", "chain", "head", "restart"]

IN_TURN = True         # the slot behind a slot is all that it can start
HEAD_BYTES = 256       # erased, as a flash may give wrong bytes at first


def head(addresses: Sequence[int]) -> bytes:
    """Nothing: at power-up the first bitstream behind address 0 starts."""
    return b""


def chain(bitstream: bytes, following: int) -> bytes:
    """The bitstream with the address of the one behind it. Raises BuildError where it is none."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "in.bit").write_bytes(bitstream)
        for tool, arguments in (
                ("ecpunpack", ("--input", "in.bit", "--textcfg", "out.config")),
                ("ecppack", ("--compress", "--bootaddr", f"{following:#x}", "--input",
                             "out.config", "--bit", "out.bit"))):
            log = folder / f"{tool}.log"
            if tools.run([*tools.command(tool), *arguments], folder, log):
                last = (log.read_text().strip().splitlines() or ["no message"])[-1]
                raise BuildError(f"{tool} does not take the bitstream ({last}): build it anew with "
                                 "kaniwa bitstream")
        return (folder / "out.bit").read_bytes()


class ProgramPin(Elaboratable):
    """Pulls PROGRAMN low once ``leave`` is 1; until then the board's pull-up has the pin."""

    def __init__(self, leave: Value, pin: tuple[str, int]):
        self._leave, self._pin = leave, pin

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        # As the FPGA begins anew it lets go of all its pins, this one among them.
        m.submodules.buffer = buffer = io.Buffer("o", platform.request(*self._pin, dir="-"))
        m.d.comb += [buffer.o.eq(1), buffer.oe.eq(self._leave)]
        return m


def restart(leave: Value, slot: Value, pin: tuple[str, int] | None) -> ProgramPin:
    """Configures the FPGA anew once ``leave`` is 1, whatever ``slot`` is; ``pin`` is PROGRAMN."""
    assert pin is not None
    return ProgramPin(leave, pin)
