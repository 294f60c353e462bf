"""A benchmark on a device: compiled, measured by the protocol, and what the result is not."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from kaniwa.driver.device_clock import DeviceClock
from kaniwa.driver.devices import Device
from kaniwa.driver.session import Session
from kaniwa.errors import InputError
from kaniwa.mlperf_tiny.benchmarks import Benchmark
from kaniwa.mlperf_tiny.dut import DutAdapter
from kaniwa.mlperf_tiny.energy import Energy, estimate_energy
from kaniwa.mlperf_tiny.runner import (
    RULES,
    Connection,
    Log,
    Performance,
    Progress,
    Quality,
    Rules,
    measure_performance,
    measure_quality,
)
from kaniwa.mlperf_tiny.samples import SampleSet, own_samples, performance_inputs, shipped_samples
from kaniwa.program.program import Program

__all__ = ["Plan", "Result", "run_benchmark"]


@dataclass(frozen=True)
class Plan:
    """What to measure. ``folder``: of the shipped models. ``data``: the user's own file, or None.
    """

    folder: Path
    performance: bool = True
    quality: bool = True
    rules: Rules = RULES
    data: Path | None = None
    limit: int | None = None


@dataclass(frozen=True)
class Result:
    """What was measured of a benchmark. ``notes`` say what is missing, ``reasons`` why it is no
    valid submission. ``cycles`` are of one inference, as the device counts them.
    """

    benchmark: Benchmark
    performance: Performance | None
    quality: Quality | None
    energy: Energy
    cycles: int
    notes: tuple[str, ...]
    reasons: tuple[str, ...]

    @property
    def latency(self) -> float:
        """Seconds of an inference: of the performance mode, or else the mean of accuracy's."""
        if self.performance is not None:
            return self.performance.latency
        assert self.quality is not None
        return self.quality.seconds / self.quality.inferences


def run_benchmark(benchmark: Benchmark, program: Program, device: Device, plan: Plan, *,
                  clock_mhz: float | None, log: Log, progress: Progress | None = None) -> Result:
    """Measure ``program``, of the benchmark's model, on ``device``.

    Raises InputError where nothing can be measured, and DeviceError where the device fails.
    """
    adapter = DutAdapter(Session(program, device), benchmark, clock_mhz=clock_mhz)
    log.add("ulp-mlperf", f"{benchmark.name}, {benchmark.title}, on {device.name}, target "
                          f"{program.config.name}")
    for line in adapter.boot().decode().splitlines():
        log.add("dut", line)
    connection = Connection(adapter, device.name, log)
    connection.identify(benchmark)
    tensor, notes = program.inputs[0], list[str]()
    quality, found = None, None
    if plan.quality:
        try:
            found = _samples(benchmark, plan, tensor)
        except InputError as error:
            if not plan.performance or plan.data is not None:
                raise
            notes.append(str(error))
        else:
            quality = measure_quality(connection, benchmark, found.samples, found.count, progress)
    performance = None
    if plan.performance:
        performance = measure_performance(
            connection, performance_inputs(benchmark, plan.folder / f"{benchmark.model}.tflite",
                                           tensor), plan.rules, progress)
    simulated = DeviceClock(device).simulated
    return Result(benchmark, performance, quality, estimate_energy(program),
                  adapter.cycles // adapter.inferences, tuple(notes),
                  tuple(_reasons(benchmark, program, plan, found, simulated)))


def _samples(benchmark: Benchmark, plan: Plan, tensor: object) -> SampleSet:
    if plan.data is not None:
        return own_samples(benchmark, plan.data, tensor, plan.limit)
    return shipped_samples(benchmark, plan.folder, tensor, plan.limit)


def _reasons(benchmark: Benchmark, program: Program, plan: Plan, found: SampleSet | None,
             simulated: bool) -> list[str]:
    """Why the result is no valid submission."""
    reasons = ["measured by kaniwa's runner, not by MLCommons' or EEMBC's"]
    if simulated:
        reasons.append("the device is simulated")
    rules = plan.rules
    if plan.performance and (rules.seconds < RULES.seconds or rules.iterations < RULES.iterations):
        plural = "s" * (rules.iterations != 1)
        reasons.append(f"runs of {rules.seconds:g} s and {rules.iterations} inference{plural}, "
                       f"not of {RULES.seconds:g} s and {RULES.iterations}")
    if simulated and any(step.where == "host" for step in program.steps):
        reasons.append("what the host computes (SOFTMAX) takes no time in simulation")
    if found is not None and (plan.data is not None or not benchmark.whole
                              or found.count < benchmark.official):
        reasons.append(f"{benchmark.name}: accuracy over {found.count:,} samples of "
                       f"{found.source}, the official set has {benchmark.official:,}")
    return reasons
