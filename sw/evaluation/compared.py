"""Inferences on a device, each compared with a reference: the items that workers share out."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from kaniwa.driver.devices import Device, open as open_any
from kaniwa.driver.session import Session
from kaniwa.graph import Graph
from kaniwa.program.program import Program

__all__ = ["Compared", "ComparedRun", "Reference", "compare", "open_device", "open_run"]

Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Compared:
    """A first output, how many of its elements the reference has not, and the device's seconds."""

    output: np.ndarray
    different: int
    seconds: float


@dataclass(frozen=True)
class Reference:
    """What outputs are compared with: "golden" or "litert", with model file and graph."""

    against: str
    model: bytes
    graph: Graph

    def opened(self) -> Callable[[Arrays], np.ndarray]:
        """A function from inputs to the first output. Raises UnsupportedError without LiteRT."""
        graph, output = self.graph, self.graph.outputs[0]
        if self.against == "golden":
            from kaniwa import golden

            return lambda item: golden.run(graph, item)[output]
        from kaniwa.verify.litert import LiteRT

        litert = LiteRT(self.model, graph)
        return lambda item: litert.run_cleared(item, [output])[output]


class ComparedRun:
    """A program on an open device, and the reference beside it. ``close`` closes the device."""

    def __init__(self, program: Program, device: Device, reference: Reference) -> None:
        self._device, self._session = device, Session(program, device)
        self._output, self._expected = program.outputs[0].name, reference.opened()

    def infer(self, item: Arrays) -> Compared:
        """An inference with cleared state."""
        self._session.reset()
        began = time.monotonic()
        outputs = self._session.run(item)
        seconds = time.monotonic() - began
        return compare(outputs[self._output], self._expected(item), seconds)

    def close(self) -> None:
        """Give the device up."""
        self._device.close()


def compare(output: np.ndarray, expected: np.ndarray, seconds: float) -> Compared:
    """``output`` beside what was ``expected``."""
    return Compared(output, int(np.count_nonzero(output != expected)), seconds)


def open_device(program: Program, name: str, options: Mapping[str, Any],
                progress: Callable[[str], None] | None = None) -> Device:
    """The device called ``name``, for ``program``; ``options`` are those of its kind."""
    return open_any(name, target=program.config, outside=program.outside, progress=progress,
                    **options)


def open_run(program: Program, name: str, options: Mapping[str, Any], reference: Reference
             ) -> ComparedRun:
    """A run on the device called ``name``, opened here. Raises DeviceError where it is not."""
    device = open_device(program, name, options)
    try:
        return ComparedRun(program, device, reference)
    except BaseException:
        device.close()
        raise
