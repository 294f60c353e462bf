"""Mutants shared out: their fates are those of one process, and their processes end with it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from builders.parallel_items import Killer, ends

from kaniwa.parallel import scheduler
from kaniwa.parallel.workers import Work
from kaniwa.sim.harness import bench_job, mutants as mutants_module, mutate
from kaniwa.sim.harness.bench import Bench
from kaniwa.sim.harness.bench_job import find_bench, find_dut
from kaniwa.sim.harness.mutants import Fate, Mutants

# A stand-in for a simulator: without a fault it passes, with one it tells of itself and hangs.
SIMULATOR = """#!/bin/sh
if test "$KANIWA_MUTANT" = 0; then
    echo '<r><testsuite tests="1" failures="0" errors="0"/></r>' > "$COCOTB_RESULTS_FILE"
else
    echo $$ > {told}; exec sleep 600
fi
"""


# Another: the bench finds the faults of odd numbers.
ODD = """#!/bin/sh
echo "<r><testsuite tests='1' failures='$(( KANIWA_MUTANT % 2 ))' errors='0'/></r>" \\
    > "$COCOTB_RESULTS_FILE"
"""


def test_fates_are_those_of_one_process_though_a_worker_is_killed(
        monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def build(folder: Path, *_: str) -> None:
        (folder / "dut").write_text(ODD)
        (folder / "dut").chmod(0o755)

    bench = find_bench("selftest")
    assert isinstance(bench, Bench)
    dut = find_dut(bench, "stage")
    dut.component._MustUse__silence = True      # nothing elaborates it: its mutants are told
    monkeypatch.setenv("KANIWA_CACHE", str(tmp_path))     # where workers find the build, too
    monkeypatch.setattr(bench_job, "_build", build)
    faults = [f"fault {number}" for number in range(1, 4)]
    monkeypatch.setattr(mutate, "make_mutants", lambda dut, count, seed: (
        "module dut(\n", "no netlist, so nothing is proved", faults))
    with scheduler() as alone:
        here = mutate.run_dut(bench, dut, 3, 1, alone)
    with scheduler("2") as workers:
        share, killer = workers.map, Killer(workers, 1)     # type: ignore[arg-type]

        def killing(work: Work, items: Iterable[Any]) -> Any:
            return share(work, items, killer)

        monkeypatch.setattr(workers, "map", killing)
        there = mutate.run_dut(bench, dut, 3, 1, workers)
    assert killer.killed and there == here
    assert here.made == 3 and not here.equal
    assert here.survivors == ["stage: fault 2"]


@pytest.fixture
def built(tmp_path: Path) -> Path:
    """The folder of a build; the simulator tells its process to the pipe ``told`` in it."""
    os.mkfifo(tmp_path / "told")
    (tmp_path / "dut").write_text(SIMULATOR.format(told=tmp_path / "told"))
    (tmp_path / "dut").chmod(0o755)
    return tmp_path


def simulator(built: Path) -> Path:
    """A file with the simulator's process, which has begun then."""
    (built / "begun").write_text((built / "told").read_text())
    return built / "begun"


def test_a_mutant_ends_with_the_process_that_began_it(built: Path, tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "kaniwa.sim.harness.mutants", "selftest", "stage", str(built), "",
         "1", "1", str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, start_new_session=True)
    begun = simulator(built)
    assert process.stdin is not None
    process.stdin.close()     # as it is when this process is killed
    assert process.wait(60) == -9 and ends(begun)


def test_a_mutant_that_nobody_waits_for_is_ended(built: Path,
                                                 monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mutants_module, "build_verilog", lambda *_: (built, ""))
    mutants = Mutants("selftest", "stage", "", "", 1)
    with ThreadPoolExecutor(1) as thread:
        fate = thread.submit(mutants.fate, 1)
        begun = simulator(built)
        mutants.stop()
        assert fate.result(60) is Fate.KILLED and ends(begun)
        assert mutants.fate(2) is Fate.KILLED     # ended before it begins
