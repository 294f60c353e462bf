"""Mutation, ``python -m kaniwa.sim.harness.mutate --bench NAME``: a block with one fault at a time.

Yosys puts many one-fault mutants behind a selector input, so that a device is built once. Bits that
nothing uses are taken away first, as synthesis does: a fault in them is none. So is one in a
register that keeps its value, if it turns itself back a cycle later: such registers get enables.
What a bench puts around a block (``*_harness.py``) gets no faults.
Mutants go to processes, or to a scheduler's workers.
A mutant is killed if the bench fails on it, crashes, or takes far longer than without a fault.
One that is not killed but proved equal to the block is no fault: it is listed, and not counted.
"""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import click

from kaniwa.commands.options import scheduler_option
from kaniwa.errors import DeviceError
from kaniwa.parallel import scheduler as open_scheduler
from kaniwa.parallel.workers import Work, Workers
from kaniwa.sim.harness.bench import Bench, Dut
from kaniwa.sim.harness.bench_job import dut_names, find_bench, find_dut
from kaniwa.sim.harness.command import one_line
from kaniwa.sim.harness.mutants import Fate, Mutants, yosys
from kaniwa.sim.primitives.models import primitive_ports

# Of a primitive only the directions of its ports matter: a fault in an output is one of what reads
# it, and would cut the output off where yosys does not know it for one.
SCRIPT = """
read_verilog -lib primitives.v
read_rtlil dut.il
hierarchy -top dut
proc
flatten
opt_expr
opt_clean
opt_dff
wreduce
splitcells
opt_clean
select -set block t:* t:$meminit* a:src=*_harness.py:* %u %d
mutate -list {count} -seed {seed} -ctrl mutsel 16 1 -o mutants.ys @block
write_rtlil plain.il
"""
# What cannot be faulty: a read port of a memory gets no asynchronous reset, and one without a clock
# neither a reset nor an enable.
MODE = re.compile(r"-mode \S+(?= .*-cell (\S+) -port (\S+) )")
UNCLOCKED = re.compile(r"cell \$memrd_v2 (\S+)\n(?: +parameter .*\n)*? +parameter \\CLK_ENABLE 0\n")
PLANT = """
read_verilog -lib primitives.v
read_rtlil plain.il
script mutants.ys
opt_clean
write_verilog -noattr mutants.v
dffunmap
opt_clean
write_rtlil mutants.il
"""


def make_mutants(dut: Dut, count: int, seed: int) -> tuple[str, str, list[str]]:
    """Verilog and RTLIL with ``count`` mutants selected by ``mutsel`` (0: none); what each is."""
    from amaranth.back import rtlil

    from kaniwa.hw.verilog import elaborating, ports

    with tempfile.TemporaryDirectory(prefix="kaniwa-mutate-") as folder:
        with elaborating():
            text = rtlil.convert(dut.component, name="dut", ports=ports(dut.component),
                                 emit_src=True)
        Path(folder, "dut.il").write_text(text)
        Path(folder, "primitives.v").write_text(primitive_ports())
        _run_yosys(folder, SCRIPT.format(count=count, seed=seed), dut)
        planned = Path(folder, "mutants.ys")
        planned.write_text(leave_out_impossible(
            planned.read_text(), Path(folder, "plain.il").read_text()))
        _run_yosys(folder, PLANT, dut)
        lines = planned.read_text().splitlines()
        text = Path(folder, "mutants.v").read_text()
        netlist = Path(folder, "mutants.il").read_text()
        # A fault in a state's number may make two cases the same, one in a clock splits a register.
        quiet = "".join(f"/* verilator lint_off {rule} */\n"
                        for rule in ("CASEOVERLAP", "MULTIDRIVEN"))
        return quiet + text, netlist, [_describe(line) for line in lines]


def leave_out_impossible(planned: str, netlist: str) -> str:
    """The ``mutate`` commands of yosys with no fault in place of those that ``netlist``, RTLIL,
    cannot have."""
    unclocked = set(UNCLOCKED.findall(netlist))

    def mode(found: re.Match[str]) -> str:
        cell, port = found.groups()
        impossible = port == "ARST" or (cell in unclocked and port in ("SRST", "EN"))
        return "-mode none" if impossible else found[0]

    return MODE.sub(mode, planned)


def _run_yosys(folder: str, script: str, dut: Dut) -> None:
    Path(folder, "run.ys").write_text(script)
    done = subprocess.run([yosys(), "-q", "run.ys"], cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise DeviceError(f"yosys failed on {dut.name}: {done.stderr.strip()[-300:]}")


def _describe(line: str) -> str:
    """The mutation command without the selector and with short source paths."""
    line = re.sub(r"mutate -ctrl mutsel 16 \d+ -mode", "", line).strip()
    return re.sub(r"-src \S*/(\S+)", r"\1", line)


@dataclass
class Outcome:
    """Mutants made of a device, and descriptions of those that the bench does not kill."""

    made: int
    survivors: list[str] = field(default_factory=list)
    equal: list[str] = field(default_factory=list)   # proved: the fault changes nothing


def run_dut(bench: Bench, dut: Dut, count: int, seed: int, workers: Workers) -> Outcome:
    """Run the bench on ``count`` mutants of a device, and try to prove those it does not kill."""
    text, netlist, mutants = make_mutants(dut, count, seed)
    outcome = Outcome(len(mutants))
    listed = {Fate.EQUAL: outcome.equal, Fate.SURVIVES: outcome.survivors}
    work = Work(Mutants.fate, partial(Mutants, bench.name, dut.name, text, netlist, seed),
                f"{dut.name}, mutant {{1}}".format, "mutants", device="sim")
    with contextlib.closing(workers.map(work, range(1, len(mutants) + 1))) as fates:
        for number, (mutant, fate) in enumerate(zip(mutants, fates, strict=True), 1):
            if fate in listed:
                listed[fate].append(f"{dut.name}: {mutant}")
            if sys.stderr.isatty() or number % 50 == 0:
                print(f"\r{dut.name}: {number}/{len(mutants)}, {len(outcome.survivors)} survive",
                      end="" if sys.stderr.isatty() else "\n", file=sys.stderr, flush=True)
    return outcome


@click.command()
@click.option("--bench", "name", required=True, help="Bench whose block gets the faults.")
@click.option("--count", default=200, show_default=True, help="Mutants in all.")
@click.option("--seed", default=1, show_default=True, help="Seed of the mutants and the bench.")
@click.option("--jobs", default=2, show_default=True, help="Mutants run at a time.")
@click.option("--least", default=95.0, show_default=True, help="Percentage that must be killed.")
@scheduler_option
def main(name: str, count: int, seed: int, jobs: int, least: float, scheduler: str | None) -> None:
    """Plant faults in a block and print the share that its bench kills."""
    bench = find_bench(name)
    if not isinstance(bench, Bench):
        raise click.UsageError(f"bench '{name}' has no block of its own to plant faults in")
    names = dut_names(bench)
    total = alive = equal = 0
    with open_scheduler(scheduler, jobs) as workers:
        for dut_name in names:
            outcome = run_dut(bench, find_dut(bench, dut_name), -(-count // len(names)), seed,
                              workers)
            total += outcome.made
            alive += len(outcome.survivors)
            equal += len(outcome.equal)
            for mutant in outcome.survivors:
                print(f"survives: {mutant}", flush=True)
            for mutant in outcome.equal:
                print(f"equivalent (proved): {mutant}", flush=True)
    faults = total - equal
    share = 100 * (faults - alive) / max(faults, 1)
    print(f"{name}: {faults - alive} of {faults} mutants killed, {share:.1f} %"
          f" ({equal} more are equivalent to the block)")
    sys.exit(0 if share >= least else 1)


if __name__ == "__main__":
    one_line(main)
