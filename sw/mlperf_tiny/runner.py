"""The runner's end of MLPerf Tiny's text protocol, and its two modes.

The procedure is that of C. Banbury and others, *MLPerf Tiny Benchmark* (arXiv 2106.07597), section
5.3. Commands are given as ``benchmark/runner/device_under_test.py`` of mlcommons/tiny gives them.
"""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import numpy as np

from kaniwa.errors import DeviceError
from kaniwa.evaluation.accuracy import Accuracy
from kaniwa.evaluation.roc import area_under_roc
from kaniwa.mlperf_tiny.benchmarks import Benchmark
from kaniwa.mlperf_tiny.dut import END, READY

__all__ = ["RULES", "Connection", "Inferred", "Log", "Performance", "Quality", "Rules", "Sample",
           "measure_performance", "measure_quality"]

PIECE_BYTES = 31      # of `db HEX`, as the official runner has it
ATTEMPTS = 5          # to find how many inferences last long enough
MARGIN = 1.02         # more of them than the last attempt asks for

Progress = Callable[[str, int, int], None]     # what, how many are done, of how many


@dataclass(frozen=True)
class Rules:
    """How long a run of the performance mode lasts, on the device's clock, and how many there are.
    """

    seconds: float = 10.0
    iterations: int = 10
    runs: int = 5
    warmups: int = 1


RULES = Rules()


@dataclass(frozen=True)
class Sample:
    """A sample of the accuracy mode: its inputs as bytes of the line, and its label.

    A file of anomaly detection has an input for each window, all others have one.
    """

    inputs: Sequence[bytes]
    label: int


class Log:
    """What was sent and answered, with the host's times, as ``benchmark/runner/script.py`` of
    mlcommons/tiny writes them: MMDD.HHMMSS.
    """

    def __init__(self, now: Callable[[], datetime] = datetime.now) -> None:
        self._now = now
        self._lines: list[str] = []

    def add(self, who: str, text: str) -> None:
        """A line of ``who``: "ulp-mlperf", the runner, or "dut"."""
        self._lines.append(f"{self._now():%m%d.%H%M%S} {who}: {text}")

    @property
    def text(self) -> str:
        """All lines so far."""
        return "".join(f"{line}\n" for line in self._lines)


class _Takes(Protocol):
    """A device under test, or a line to one."""

    def feed(self, data: bytes) -> bytes: ...


@dataclass(frozen=True)
class Inferred:
    """The answer to ``infer``: seconds of the device's clock, and the results."""

    seconds: float
    results: tuple[float, ...]


class Connection:
    """Commands to ``dut``, and what it answers. ``name`` is that of the device in messages.

    Each method raises DeviceError where the answer is an error, or none.
    """

    def __init__(self, dut: _Takes, name: str, log: Log | None = None) -> None:
        self._dut = dut
        self._name = name
        self.log = log or Log()

    def command(self, text: str) -> list[str]:
        """The lines of the answer to ``text``, without the last one, which says ready."""
        self.log.add("dut", f"{text}{END}")
        answer = self._dut.feed(f"{text}{END}".encode()).decode("ascii", "replace")
        lines = [line for line in answer.splitlines() if line]
        for line in lines:
            self.log.add("dut", line)
        if not lines or lines[-1] != READY:
            raise DeviceError(f"{self._name}: no {READY} to '{_short(text)}': the device does not "
                              "answer; switch it off and on")
        for line in lines:
            if line.startswith("e-["):
                raise DeviceError(f"{self._name}: '{_short(text)}': "
                                  f"{line.removeprefix('e-[').removesuffix(']')}")
        return lines[:-1]

    def identify(self, benchmark: Benchmark) -> str:
        """The name of the device, which must have the benchmark's model."""
        vendor = self._found("name", r"m-name-dut-\[([^]]+)\]")
        model = self._found("profile", r"m-model-\[([^]]+)\]")
        if model != benchmark.name:
            raise DeviceError(f"{self._name}: has the model of {model}, not of {benchmark.name}")
        return vendor

    def load(self, data: bytes) -> None:
        """Send an input."""
        self.command(f"db load {len(data)}")
        lines: list[str] = []
        for at in range(0, len(data), PIECE_BYTES):
            lines = self.command(f"db {data[at:at + PIECE_BYTES].hex()}")
        if "m-load-done" not in lines:
            raise DeviceError(f"{self._name}: no m-load-done after {len(data)} bytes: some were "
                              "lost on the line")

    def infer(self, count: int, warmups: int) -> Inferred:
        """``count`` inferences of the loaded input, timed as one."""
        text = f"infer {count} {warmups}"
        lines = self.command(text)
        stamps = [int(found[1]) for line in lines
                  if (found := re.fullmatch(r"m-lap-us-([0-9]{1,18})", line))]
        results = [found[1] for line in lines
                   if (found := re.fullmatch(r"m-results-\[([^]]+)\]", line))]
        if len(stamps) != 2 or len(results) != 1:
            raise DeviceError(f"{self._name}: '{text}': expected two m-lap-us and one m-results, "
                              f"found {len(stamps)} and {len(results)}")
        try:
            values = tuple(float(word) for word in results[0].split(",") if word.strip())
        except ValueError:
            values = (math.nan,)
        if not values or not all(map(math.isfinite, values)):
            raise DeviceError(f"{self._name}: '{text}': results that are no numbers: "
                              f"{_short(results[0])}")
        if stamps[1] < stamps[0]:
            raise DeviceError(f"{self._name}: '{text}': the clock went back by "
                              f"{stamps[0] - stamps[1]} microseconds")
        return Inferred((stamps[1] - stamps[0]) / 1e6, values)

    def _found(self, command: str, pattern: str) -> str:
        for line in self.command(command):
            if found := re.fullmatch(pattern, line):
                return found[1]
        raise DeviceError(f"{self._name}: an answer to '{command}' that names nothing")


@dataclass(frozen=True)
class Performance:
    """Inferences a second of each run; the score is their median. ``iterations``: those of all."""

    rates: tuple[float, ...]
    iterations: int
    seconds: float

    @property
    def rate(self) -> float:
        """The median of the runs, inferences a second."""
        return statistics.median(self.rates)

    @property
    def latency(self) -> float:
        """Seconds of an inference, by the median."""
        return 1.0 / self.rate


@dataclass(frozen=True)
class Quality:
    """Top-1 accuracy or AUC (``value``) over ``samples``, and how many inferences it took."""

    measure: str
    value: float
    samples: int
    inferences: int
    seconds: float


def measure_performance(connection: Connection, inputs: Sequence[bytes], rules: Rules = RULES,
                        progress: Progress | None = None) -> Performance:
    """Runs of ``rules``, each with the next of ``inputs`` (bytes of the line).

    Raises DeviceError where the device's clock stands still.
    """
    rates, total, seconds = [], 0, 0.0
    for number in range(rules.runs):
        if progress is not None:
            progress("performance", number, rules.runs)
        connection.load(inputs[number % len(inputs)])
        count, found = _long_enough(connection, rules)
        rates.append(count / found.seconds)
        total, seconds = total + count, seconds + found.seconds
        for line in (f"Performance results for window {number + 1}:",
                     f"  # Inferences : {count:>13}",
                     f"  Runtime      : {found.seconds:>10.3f} sec.",
                     f"  Throughput   : {rates[-1]:>10.3f} inf./sec."):
            connection.log.add("ulp-mlperf", line)
    if progress is not None:
        progress("performance", rules.runs, rules.runs)
    return Performance(tuple(rates), total, seconds)


def _long_enough(connection: Connection, rules: Rules) -> tuple[int, Inferred]:
    """As many inferences as last ``rules.seconds``, and what they took."""
    count, warmups = rules.iterations, rules.warmups
    if rules.seconds:
        once = connection.infer(1, warmups)
        warmups = 0
        count = _enough(once, 1, rules)
    for _ in range(ATTEMPTS):
        found = connection.infer(count, warmups)
        if not found.seconds:
            raise DeviceError("the device's clock stands still: it counts no cycles")
        if found.seconds >= rules.seconds:
            return count, found
        count = _enough(found, count, rules)
    raise DeviceError(f"{count} inferences last less than {rules.seconds:g} s, each time that "
                      "their number is raised: the device's clock is not steady")


def _enough(found: Inferred, count: int, rules: Rules) -> int:
    if not found.seconds:
        raise DeviceError("the device's clock stands still: it counts no cycles")
    return max(rules.iterations, math.ceil(MARGIN * rules.seconds * count / found.seconds))


def measure_quality(connection: Connection, benchmark: Benchmark, samples: Iterable[Sample],
                    count: int, progress: Progress | None = None) -> Quality:
    """One inference of each input of ``count`` samples, and what their answers are worth.

    The score of a file of anomaly detection is the mean of its windows' errors. Raises
    DeviceError for answers of another length than before, InputError for labels that do not fit.
    """
    accuracy, scores, labels = Accuracy(), list[float](), list[int]()
    inferences, seconds, length = 0, 0.0, 0
    for number, sample in enumerate(samples):
        if progress is not None:
            progress("accuracy", number, count)
        answers = []
        for data in sample.inputs:
            connection.load(data)
            found = connection.infer(1, 0)
            answers.append(found.results)
            inferences, seconds = inferences + 1, seconds + found.seconds
        length = length or len(answers[0])
        if any(len(answer) != length for answer in answers):
            raise DeviceError(f"sample {number}: expected {length} results, as of the one before")
        mean = np.mean(answers, axis=0)
        if benchmark.quality == "AUC":
            scores.append(float(mean[0]))
            labels.append(sample.label)
        else:
            accuracy.take(mean, sample.label)
    if progress is not None:
        progress("accuracy", count, count)
    value = (area_under_roc(np.array(scores), np.array(labels)) if benchmark.quality == "AUC"
             else accuracy.accuracy)
    connection.log.add("ulp-mlperf", f"{benchmark.quality}: {value:.3f} over {count} samples")
    return Quality(benchmark.quality, value, count, inferences, seconds)


def _short(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:40]}..."
