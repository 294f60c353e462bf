"""Run every part of the test suite, print what each took, and fail if any part failed.

All parts run even after one has failed: a broken lint line should not hide a broken bench.
"""

import argparse
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# A hang must not hold a CI machine.
LIMIT_SECONDS = 40 * 60
SEED = 7
# That every test file imports: `make lint` asks at once, where the other parts do not run.
IMPORTS = "imports"
# Targets that are parts of `make test`, or no tests at all.
NOT_TESTS = {"clean", "demo", "docs", "help", "lint", "release", "setup", "site", "test"}


@dataclass
class Counts:
    """Outcome of one part; a part that stopped without saying why counts as one failure."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0


def run(command: list[str]) -> tuple[int, str]:
    """Run ``command`` with its output shown as it comes; return the exit status and the output."""
    print(f"$ {' '.join(command)}", flush=True)
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
    )
    assert process.stdout is not None
    signal.signal(signal.SIGALRM, lambda *_: stop(process))
    signal.alarm(LIMIT_SECONDS)
    lines = []
    try:
        for raw in process.stdout:
            line = raw.decode(errors="replace")
            sys.stdout.write(line)
            sys.stdout.flush()
            lines.append(line)
        status = process.wait()
    except BaseException:
        stop(process)
        raise
    finally:
        signal.alarm(0)
    return status, "".join(lines)


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a part and the compilers and simulators it started: they share its session."""
    print(f"stopping {process.args!r}", flush=True)
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def settle(counts: Counts, status: int, what: str) -> Counts:
    """No part may pass by running nothing, or by dying after its tests."""
    if counts.passed + counts.failed == 0:
        print(f"{what}: no test ran")
        counts.failed = 1
    elif status != 0 and counts.failed == 0:
        print(f"{what}: exit status {status}")
        counts.failed = 1
    return counts


def commands(*lines: str) -> Callable[[int], Counts]:
    """Modules of Python with their arguments, each of which has to end well."""
    def part(jobs: int) -> Counts:
        counts = Counts()
        for line in lines:
            status, _ = run([sys.executable, "-m", *line.split()])
            counts.passed += status == 0
            counts.failed += status != 0
        return counts

    return part


def pytest(folder: str) -> Callable[[int], Counts]:
    def part(jobs: int) -> Counts:
        with tempfile.TemporaryDirectory() as temporary:
            report = Path(temporary) / "report.xml"
            status, _ = run(
                # One file stays on one worker: what its fixtures build is built once.
                [sys.executable, "-m", "pytest", "-q", "-m", "not long", "-n", str(jobs),
                 "--dist", "loadfile", "--durations=5", "--durations-min=5",
                 f"--junit-xml={report}", folder]
            )
            counts = read_junit(report)
        return settle(counts, status, folder)

    return part


def read_junit(report: Path) -> Counts:
    if not report.exists():
        return Counts(failed=1)
    counts = Counts()
    for suite in ElementTree.parse(report).getroot().iter("testsuite"):
        tests, failures, errors, skipped = (
            int(suite.get(name, "0")) for name in ("tests", "failures", "errors", "skipped")
        )
        counts.failed += failures + errors
        counts.skipped += skipped
        # A test that passes and then fails in its teardown is listed once and counted twice.
        counts.passed += max(0, tests - failures - errors - skipped)
    return counts


def benches(jobs: int) -> Counts:
    # The same seed each time, so that a failure is of the change; `make sim` draws a new one.
    status, output = run([sys.executable, "-m", "kaniwa.sim.harness.run_benches",
                          "--jobs", str(jobs), "--seed", str(SEED), "--quick"])
    return settle(read_closing_line(output), status, "benches")


def read_closing_line(output: str) -> Counts:
    """The benches' runner ends with ``N passed, N failed``, like this one."""
    found = re.findall(r"^(\d+) passed, (\d+) failed\b", output, flags=re.MULTILINE)
    if not found:
        return Counts()
    return Counts(passed=int(found[-1][0]), failed=int(found[-1][1]))


# Name, what must be there for the part to exist, how to run it.
PARTS: list[tuple[str, str, Callable[[int], Counts]]] = [
    ("lint", "pyproject.toml", commands("ruff check --no-cache .", "mypy")),
    (IMPORTS, "tests", commands("pytest --collect-only -qq tests")),
    ("host", "tests/sw", pytest("tests/sw")),
    ("gateware", "tests/hw", pytest("tests/hw")),
    ("simulation", "tests/sim", pytest("tests/sim")),
    ("benches", "sim/harness/run_benches.py", benches),
    ("boards", "tests/boards", pytest("tests/boards")),
    ("end-to-end", "tests/end_to_end", pytest("tests/end_to_end")),
]


def other_targets() -> list[str]:
    """What `make help` lists and no part here runs."""
    listed = re.findall(r"^([a-z]+):.*## (.*)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    return [f"make {name} ({text})" for name, text in listed if name not in NOT_TESTS]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    names = [name for name, _, _ in PARTS]
    parser.add_argument("--part", action="append", choices=names, help="run only this part")
    parser.add_argument("--jobs", type=int, default=2, help="processes a part may use (default: 2)")
    options = parser.parse_args()

    chosen = options.part or [name for name in names if name != IMPORTS]
    rows: list[tuple[str, Counts | None, float]] = []
    for name, needs, part in PARTS:
        if name not in chosen:
            continue
        if not (ROOT / needs).exists():
            rows.append((name, None, 0.0))
            continue
        print(f"\n== {name}", flush=True)
        start = time.monotonic()
        counts = part(options.jobs)
        rows.append((name, counts, time.monotonic() - start))

    print(f"\n{'part':<12}{'passed':>8}{'failed':>8}{'skipped':>9}{'minutes':>9}")
    for name, outcome, seconds in rows:
        if outcome is None:
            print(f"{name:<12}  absent")
        else:
            print(f"{name:<12}{outcome.passed:>8}{outcome.failed:>8}{outcome.skipped:>9}"
                  f"{seconds / 60:>9.1f}")
    total = sum(seconds for _, _, seconds in rows)
    print(f"{'all':<12}{'':>25}{total / 60:>9.1f}")
    if not options.part:
        print("Not run here: " + "; ".join(other_targets()))
    done = [outcome for _, outcome, _ in rows if outcome is not None]
    failed = sum(outcome.failed for outcome in done)
    print(f"{sum(outcome.passed for outcome in done)} passed, {failed} failed")
    return 1 if failed or not done else 0


if __name__ == "__main__":
    sys.exit(main())
