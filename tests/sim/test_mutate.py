"""Planted faults: what they may not do to a block when none is chosen."""

import re

import pytest

from kaniwa.sim.harness.bench import Bench
from kaniwa.sim.harness.bench_job import find_bench, find_dut
from kaniwa.sim.harness.mutate import leave_out_impossible, make_mutants

pytestmark = pytest.mark.rtl


def test_a_fault_in_an_output_of_a_primitive_leaves_it_connected() -> None:
    bench = find_bench("requantizer")
    assert isinstance(bench, Bench)
    dut = find_dut(bench, "two_lanes_ecp5")
    verilog, _, faults = make_mutants(dut, 34, 1)
    assert any(re.search(r"-port P\d", fault) for fault in faults)
    outputs = re.findall(r"\.P\d+\((.*?)\)[,\n]", verilog)
    assert len(outputs) == 4 * 36
    for net in outputs:       # driven by the primitive, so nothing but a net
        assert re.fullmatch(r"\\?[\w.$\[\]\\]+ ?(\[\d+\])?", net), net


def test_a_read_port_without_a_clock_gets_no_fault_in_reset_or_enable() -> None:
    def read_port(name: str, clocked: int) -> str:
        return (f"  cell $memrd_v2 {name}\n    parameter \\MEMID \"words\"\n"
                f"    parameter \\CLK_ENABLE {clocked}\n    connect \\EN 1'1\n  end\n")

    def faults(mode: str, cell: str) -> str:
        return "".join(f"mutate -mode {mode} -module dut -cell {cell} -port {port} -portbit 0\n"
                       for port in ("SRST", "EN", "ADDR"))

    netlist = read_port("$other", 1) + read_port("$looked_up", 0)
    planned = faults("inv", "$other") + faults("const1", "$looked_up")
    assert leave_out_impossible(planned, netlist) == planned.replace(
        "const1 -module dut -cell $looked_up -port SRST",
        "none -module dut -cell $looked_up -port SRST").replace(
        "const1 -module dut -cell $looked_up -port EN",
        "none -module dut -cell $looked_up -port EN")
