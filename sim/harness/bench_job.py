"""Builds one device under test of a bench and runs the bench's cocotb tests on it."""

from __future__ import annotations

import fcntl
import hashlib
import importlib
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import kaniwa.sim.benches
from kaniwa.cache_folder import cache_folder
from kaniwa.sim.device.toolchain import FAST_COMPILE, environment, verilator
from kaniwa.sim.harness.bench import Bench, Dut, PythonBench
from kaniwa.sim.harness.coverage import Tally
from kaniwa.sim.primitives.models import primitive_models

__all__ = ["JobResult", "bench_modules", "find_bench", "dut_names", "find_dut", "run_job",
           "run_tests", "build_dut", "build_verilog"]

BUILD_ARGUMENTS = ["-Wno-WIDTH", "-Wno-UNOPTFLAT", "-Wno-CASEINCOMPLETE", "-Wno-CMPCONST",
                   "-Wno-UNSIGNED", "-Wno-ASCRANGE", "-Wno-SELRANGE", "-Wno-WIDTHCONCAT",
                   "-Wno-CASEOVERLAP",   # of priorities
                   "-CFLAGS", FAST_COMPILE]
# What runs once (Verilator's "slow" files) is not optimized: the table of all signals' names is one
# function, for which the compiler takes minutes otherwise.
OPTIMIZATION = "OPT_FAST=-O1 OPT_SLOW=-O0 OPT_GLOBAL=-O1"
# Verilog of fewer characters is compiled as one C++ file: its build takes half of the time, for the
# headers are read once. It is not optimized, unless its bench asks for it: tests run mostly in
# Python, the build takes half of the time again, the tests a quarter more.
ONE_FILE = 400_000
ONE_FILE_OPTIMIZATION = "OPT_FAST=-O0 OPT_SLOW=-O0 OPT_GLOBAL=-O1"


@dataclass
class JobResult:
    """Outcome of a bench on one device: tests run and failed, and where the log is."""

    bench: str
    dut: str
    passed: int
    failed: int
    tally: Tally
    seconds: float
    log: str
    message: str = ""


def bench_modules() -> dict[str, str]:
    """The module of each bench, a file ``bench_NAME.py`` anywhere below sim/benches, by NAME."""
    folder = Path(kaniwa.sim.benches.__path__[0])
    return {path.stem.removeprefix("bench_"):
            ".".join(["kaniwa.sim.benches", *path.relative_to(folder).with_suffix("").parts])
            for path in sorted(folder.rglob("bench_*.py"), key=lambda path: path.stem)}


def find_bench(name: str) -> Bench | PythonBench:
    """The ``BENCH`` of the module that ``bench_modules`` has under ``name``."""
    bench: Bench | PythonBench = importlib.import_module(bench_modules()[name]).BENCH
    return bench


def dut_names(bench: Bench) -> list[str]:
    """The names of a bench's devices."""
    from kaniwa.hw.verilog import elaborating

    with elaborating():     # what is made to be named is dropped in here, without a warning
        return [dut.name for dut in bench.duts()]


def find_dut(bench: Bench, name: str) -> Dut:
    """The device of a bench that is called so; without Amaranth's warnings of the others."""
    from kaniwa.hw.verilog import elaborating

    with elaborating():
        return next(dut for dut in bench.duts() if dut.name == name)


def run_job(name: str, dut_name: str, seed: int, options: dict[str, int]) -> JobResult:
    """Run a bench on one of its devices, in this process."""
    began = time.monotonic()
    bench = find_bench(name)
    if isinstance(bench, PythonBench):
        return _run_python(bench, seed, options, began)
    dut = find_dut(bench, dut_name)
    folder, inputs = build_dut(bench, dut)
    work = Path(tempfile.mkdtemp(prefix="kaniwa-bench-"))
    log, tally_path = work / "test.log", work / "tally.json"
    tests, failed = run_tests(name, dut.name, folder, inputs, work, seed)
    result = JobResult(name, dut.name, tests - failed, failed, Tally.load(tally_path),
                       time.monotonic() - began, str(log))
    if tests == 0:
        result.failed, result.message = 1, "no test ran"
    if result.failed:
        result.message = result.message or _last_failure(log)
    else:
        shutil.rmtree(work, ignore_errors=True)
    return result


def run_tests(name: str, dut_name: str, folder: Path, inputs: str, work: Path, seed: int,
              extra_env: dict[str, str] | None = None) -> tuple[int, int]:
    """Run the bench's tests on the build in ``folder``; (tests, failed). Files go to ``work``."""
    from cocotb_tools.check_results import get_results
    from cocotb_tools.runner import get_runner

    runner = get_runner("verilator")
    with _environment():
        results = runner.test(
            test_module=bench_modules()[name], hdl_toplevel="dut",
            hdl_toplevel_lang="verilog", build_dir=folder, test_dir=work, seed=seed,
            results_xml=str(work / "results.xml"), log_file=work / "test.log",
            extra_env={"KANIWA_DUT": dut_name, "KANIWA_INPUTS": inputs,
                       "KANIWA_TALLY": str(work / "tally.json"), **(extra_env or {})})
    return get_results(Path(results))


def _run_python(bench: PythonBench, seed: int, options: dict[str, int],
                began: float) -> JobResult:
    try:
        tally = bench.run(seed, options)
    except AssertionError as error:
        return JobResult(bench.name, "-", 0, 1, Tally(), time.monotonic() - began, "", str(error))
    return JobResult(bench.name, "-", 1, 0, tally, time.monotonic() - began, "")


def build_dut(bench: Bench, dut: Dut) -> tuple[Path, str]:
    """Verilate a device, or find the build of the same Verilog; (folder, names of input ports)."""
    from kaniwa.hw.verilog import to_verilog

    text = to_verilog(dut.component, "dut")
    return build_verilog(f"{bench.name}-{dut.name}", text, bench.optimized)


def build_verilog(label: str, text: str, optimized: bool = False) -> tuple[Path, str]:
    """Verilate Verilog whose top is ``dut``, or find the build; (folder, names of input ports).

    Models of the FPGA primitives that it has are added to it. ``optimized``: as in ``Bench``.
    """
    text = primitive_models(text) + text
    inputs = ",".join(_input_names(text))
    optimization = (ONE_FILE_OPTIMIZATION if len(text) < ONE_FILE and not optimized
                    else OPTIMIZATION)
    # The build is linked to the libraries of this very environment, which may go or be moved.
    parts = [text, *_build_arguments(text), optimization, sys.prefix]
    key = hashlib.sha256(" ".join(parts).encode()).hexdigest()[:20]
    folder = cache_folder() / "benches" / f"{label}-{key}"
    folder.mkdir(parents=True, exist_ok=True)
    with _locked(folder / "lock"):
        if not (folder / "built").exists():
            _build(folder, text, optimization)
            for header in folder.glob("*.gch"):     # precompiled: most of a build's size
                header.unlink()
            (folder / "built").touch()
    return folder, inputs


def _input_names(text: str) -> list[str]:
    """The input ports of the top module, the last of the file."""
    top = text[text.rindex("module dut("):]
    return [line.split()[-1].rstrip(";") for line in top.splitlines()
            if line.lstrip().startswith("input ")]


def _build_arguments(text: str) -> list[str]:
    """What Verilator is called with for a device of this Verilog."""
    return [*BUILD_ARGUMENTS, *(["--output-split", "0"] if len(text) < ONE_FILE else [])]


def _build(folder: Path, text: str, optimization: str) -> None:
    from cocotb_tools.runner import get_runner

    source = folder / "dut.v"
    source.write_text(text)
    verilator()
    runner = get_runner("verilator")
    with _environment(optimization):
        runner.build(sources=[source], hdl_toplevel="dut", build_dir=folder,
                     build_args=_build_arguments(text), timescale=("1ns", "1ps"),
                     log_file=folder / "build.log")


@contextmanager
def _environment(optimization: str = OPTIMIZATION) -> Iterator[None]:
    """The toolchain's environment, and none of pytest's, for the duration."""
    before = dict(os.environ)
    os.environ.update(environment())
    os.environ["MAKEFLAGS"] += f" {optimization}"
    os.environ.pop("PYTEST_CURRENT_TEST", None)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with open(path, "w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _last_failure(log: Path) -> str:
    """The line of the log that says why a test failed."""
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    errors = [line.strip() for line in lines if "Error" in line and "Traceback" not in line]
    return errors[-1][:300] if errors else "see the log"
