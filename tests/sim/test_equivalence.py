"""Proofs that a fault is none: beside registers and memories, and only where it is."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
from amaranth import Module, Signal, unsigned
from amaranth.back import rtlil
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import Component, In, Out

from kaniwa.sim.harness.equivalence import proved_equal
from kaniwa.sim.harness.mutants import yosys

# What the faults do, by number: mutsel 1 to 7.
FAULTS = {1: (True, "a bit that another one decides"), 2: (False, "an output"),
          3: (False, "a register's next value"), 4: (True, "what a register without enable gets"),
          5: (False, "what is written to the memory"), 6: (False, "where it is read"),
          7: (False, "when a port with a clock reads")}


class Block(Component):
    """A memory and a register with planted faults."""

    def __init__(self) -> None:
        super().__init__({"mutsel": In(16), "a": In(4), "enable": In(1), "y": Out(1),
                          "word": Out(4), "late": Out(4)})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.memory = memory = Memory(shape=unsigned(4), depth=16, init=[])
        write, read = memory.write_port(), memory.read_port(domain="comb")
        fault = [self.mutsel == number for number in range(8)]
        clocked = memory.read_port(domain="sync")
        m.d.comb += [clocked.addr.eq(self.a), clocked.en.eq(self.enable ^ fault[7]),
                     self.late.eq(clocked.data)]
        count = Signal(4)
        at_least_8 = self.a[3] | (self.a[2] & self.a[3] & ~fault[1])
        with m.If(self.enable):
            m.d.sync += count.eq(count + self.a + fault[3])
        unused = Signal(4)
        m.d.comb += [
            unused.eq(self.a ^ (fault[4] & ~self.enable).replicate(4)),
            self.y.eq(at_least_8 ^ fault[2]), self.word.eq(read.data),
            read.addr.eq(self.a ^ fault[6]), write.addr.eq(count), write.en.eq(self.enable),
            write.data.eq(self.a ^ fault[5]),
        ]
        last = Signal(4)
        with m.If(self.enable):
            m.d.sync += last.eq(unused)
        with m.If(last == 3):
            m.d.comb += self.y.eq(0)
        return m


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder: Path = tmp_path_factory.mktemp("block")
    (folder / "block.il").write_text(rtlil.convert(Block(), name="dut"))
    (folder / "run.ys").write_text("read_rtlil block.il\nhierarchy -top dut\nproc\nflatten\nopt\n"
                                   "dffunmap\nopt_clean\nwrite_rtlil cut.il\n")
    subprocess.run([yosys(), "-q", "run.ys"], cwd=folder, check=True, capture_output=True)
    return (folder / "cut.il").read_text()


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_proved_to_be_none_only_where_it_is(fault: int, text: str) -> None:
    equal, what = FAULTS[fault]
    assert proved_equal(yosys(), text, fault) == equal, what
