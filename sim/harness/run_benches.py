"""Run benches: ``python -m kaniwa.sim.harness.run_benches [--bench NAME] [--seed N]``.

Runs every device of every bench, two at a time or on a scheduler's workers. Prints a table of
seeds, tests, checks and coverage. Fails if a test fails, no test ran, or a required bin was never
hit.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import sys
import traceback
from dataclasses import dataclass, field
from functools import partial

import click

from kaniwa.commands.options import scheduler_option
from kaniwa.parallel import scheduler as open_scheduler
from kaniwa.parallel.processes import LocalProcesses
from kaniwa.parallel.workers import Work
from kaniwa.sim.harness.bench import Bench, PythonBench
from kaniwa.sim.harness.bench_job import JobResult, bench_modules, dut_names, find_bench, run_job
from kaniwa.sim.harness.command import one_line
from kaniwa.sim.harness.coverage import Tally


@dataclass
class Summary:
    """Results of the devices of one bench together."""

    name: str
    required: tuple[str, ...]
    passed: int = 0
    failed: int = 0
    seconds: float = 0.0
    tally: Tally = field(default_factory=Tally)
    messages: list[str] = field(default_factory=list)

    def add(self, result: JobResult) -> None:
        """Take a device's result in."""
        self.passed += result.passed
        self.failed += result.failed
        self.seconds += result.seconds
        self.tally.merge(result.tally)
        if result.message:
            self.messages.append(f"{self.name}/{result.dut}: {result.message} {result.log}".strip())

    @property
    def missing(self) -> list[str]:
        """Required bins that were never hit."""
        return [name for name in self.required if not self.tally.bins[name]]


def bench_names() -> list[str]:
    """The benches there are, by their files."""
    return list(bench_modules())


def _guarded(seed: int, options: dict[str, int], job: tuple[str, str]) -> JobResult:
    """run_job of a bench and a device; whatever goes wrong becomes a failed result."""
    name, dut = job
    os.environ.setdefault("PYTHONHASHSEED", "0")     # of simulators, as `main` has it
    try:
        return run_job(name, dut, seed, options)
    except BaseException as error:
        return JobResult(name, dut, 0, 1, Tally(), 0.0, "",
                         f"{type(error).__name__}: {error}\n{traceback.format_exc()}")


def _job_name(place: int, job: tuple[str, str]) -> str:
    return "/".join(job)


def devices(bench: Bench | PythonBench, long: bool = True) -> list[str]:
    """The names of a bench's devices, without ``long`` only those of `make test`."""
    if isinstance(bench, PythonBench):
        return ["-"] if long or not bench.long else []
    return [name for name in dut_names(bench) if long or name not in bench.long]


def run(names: list[str], seed: int, jobs: int, options: dict[str, int],
        scheduler: str | None = None, long: bool = True) -> list[Summary]:
    """Run the benches' devices ``jobs`` at a time, or on a scheduler's workers; sum up by bench.

    Without ``long`` only those of `make test`; a bench without a device is left out.
    """
    todo, summaries = [], {}
    for name in names:
        bench = find_bench(name)
        duts = devices(bench, long)
        if duts:
            summaries[name] = Summary(name, tuple(bench.required))
        todo += [(name, dut) for dut in duts]
    work = Work(partial(_guarded, seed, options), device="sim",
                name=_job_name)
    # Not in this process: a bench changes the environment, and may end the process that it is in.
    opened = (contextlib.closing(LocalProcesses(jobs)) if scheduler is None
              else open_scheduler(scheduler))
    with opened as workers:
        for result in workers.map(work, todo):
            summaries[result.bench].add(result)
            state = "FAILED" if result.failed else "ok"
            print(f"{result.bench}/{result.dut}: {state}, {result.passed} tests, "
                  f"{result.tally.checks} checks, {result.seconds:.1f} s", flush=True)
    return list(summaries.values())


@click.command()
@click.option("--bench", "names", multiple=True, help="Bench to run; all by default.")
@click.option("--seed", type=int, default=None, help="Seed of all randomness; random by default.")
@click.option("--jobs", type=int, default=2, show_default=True, help="Devices run at a time.")
@click.option("--layers", type=int, default=None, help="Random layers (core_random).")
@click.option("--configs", type=int, default=None, help="Random configs (core_random).")
@click.option("--quick", is_flag=True, help="Only the devices of `make test`, not of `make long`.")
@scheduler_option
def main(names: tuple[str, ...], seed: int | None, jobs: int, layers: int | None,
         configs: int | None, quick: bool, scheduler: str | None) -> None:
    """Run RTL benches in Verilator and print a table."""
    known = bench_names()
    for name in names:
        if name not in known:
            raise click.UsageError(f"no bench '{name}'; there are {', '.join(known)}")
    seed = secrets.randbelow(1 << 31) if seed is None else seed
    print(f"seed {seed} (replay with SEED={seed})", flush=True)
    options = {k: v for k, v in (("layers", layers), ("configs", configs)) if v is not None}
    summaries = run(list(names) or known, seed, jobs, options, scheduler, not quick)
    print(f"\n{'bench':20} {'tests':>6} {'failed':>6} {'checks':>8} {'required':>9} "
          f"{'bins':>5} {'s':>7}")
    for s in summaries:
        hit = len(s.required) - len(s.missing)
        print(f"{s.name:20} {s.passed + s.failed:6} {s.failed:6} {s.tally.checks:8} "
              f"{hit:4}/{len(s.required):<4} {len(s.tally.bins):5} {s.seconds:7.1f}")
    for s in summaries:
        for name, values in s.tally.measures.items():
            print(f"{s.name}: {name}: max {max(values):.4g}, mean {sum(values) / len(values):.4g} "
                  f"({len(values)} values)")
    problems = [m for s in summaries for m in s.messages]
    problems += [f"{s.name}: required bins never hit: {', '.join(s.missing)}"
                 for s in summaries if s.missing]
    for problem in problems:
        print(problem, file=sys.stderr)
    failed = sum(s.failed + bool(s.missing) for s in summaries)
    print(f"{sum(s.passed for s in summaries)} passed, {failed} failed", flush=True)
    sys.exit(1 if failed or problems else 0)


if __name__ == "__main__":
    os.environ.setdefault("PYTHONHASHSEED", "0")
    one_line(main)
