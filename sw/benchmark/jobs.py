"""Programs to measure: in this process as each is compiled, or shared out to workers.

Seconds are those of this process, with nothing beside: workers begin when all is compiled.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from kaniwa.benchmark.measure import ESTIMATE, Progress, measure, open_device
from kaniwa.config import AcceleratorConfig
from kaniwa.data.inputs import Inputs
from kaniwa.driver.devices import Device
from kaniwa.graph import Graph
from kaniwa.parallel.workers import OneProcess, Work, Workers
from kaniwa.program.program import Program

__all__ = ["Devices", "Job", "measure_jobs"]


class Devices:
    """The devices of a process: one is open at a time."""

    def __init__(self, progress: Progress | None) -> None:
        self._progress = progress
        self._wanted: tuple[str, AcceleratorConfig] | None = None
        self._device: Device | None = None

    def opened(self, name: str, config: AcceleratorConfig) -> Device | None:
        """A device for ``config``, the one of before where it is the same; None: an estimate."""
        if name != ESTIMATE and self._wanted != (name, config):
            self.close()
            self._device = open_device(name, config, self._progress)
            self._wanted = (name, config)
        return None if name == ESTIMATE else self._device

    def close(self) -> None:
        """Give the device up that is open."""
        device, self._device, self._wanted = self._device, None, None
        if device is not None:
            device.close()


@dataclass(frozen=True)
class Job:
    """A program to measure on ``device``. Its row begins with what is ``known`` before."""

    title: str
    known: Mapping[str, Any]
    graph: Graph
    program: Program
    inputs: Inputs
    device: str

    def row(self, devices: Devices) -> dict[str, Any]:
        """Measure."""
        opened = devices.opened(self.device, self.program.config)
        return {**self.known,
                **measure(self.graph, self.program, opened, self.device, self.inputs)}


def measure_jobs(jobs: Iterable[Any], device: str, unit: str, progress: Progress,
                 workers: Workers | None = None) -> Iterator[dict[str, Any]]:
    """The row of each of the ``jobs`` (a ``Job``, or another with ``title`` and ``row``), in order.

    ``device``: the one of them that is hardest to have. ``workers`` measure at the same time. So
    they measure no seconds, and ``run_seconds`` is None.
    """
    alone = workers is None or isinstance(workers, OneProcess)
    work = Work(_row, partial(Devices, progress if alone else None), _title, unit,
                device="" if device == ESTIMATE else device)
    if alone:
        with contextlib.closing(OneProcess().map(work, jobs)) as rows:
            yield from rows
        return
    assert workers is not None
    with contextlib.closing(workers.map(work, list(jobs), progress)) as rows:
        for row in rows:
            yield row | {"run_seconds": None} if "run_seconds" in row else row


def _row(devices: Devices, job: Job) -> dict[str, Any]:
    return job.row(devices)


def _title(place: int, job: Job) -> str:
    return job.title
