"""Planted faults: what they may not do to a block when none is chosen."""

import re

import pytest

from kaniwa.sim.harness.bench_job import find_bench
from kaniwa.sim.harness.mutate import make_mutants

pytestmark = pytest.mark.rtl


def test_a_fault_in_an_output_of_a_primitive_leaves_it_connected() -> None:
    dut = next(d for d in find_bench("requantizer").duts() if d.name == "two_lanes_ecp5")
    verilog, _, faults = make_mutants(dut, 34, 1)
    assert any(re.search(r"-port P\d", fault) for fault in faults)
    outputs = re.findall(r"\.P\d+\((.*?)\)[,\n]", verilog)
    assert len(outputs) == 4 * 36
    for net in outputs:       # driven by the primitive, so nothing but a net
        assert re.fullmatch(r"\\?[\w.$\[\]\\]+ ?(\[\d+\])?", net), net
