"""Time of an inference by the device's own clock: its line's, its cycles, or the host's for golden.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from kaniwa.driver.devices import BOARDS, MAPPED, Device, GoldenDevice
from kaniwa.driver.session import Arrays, Outputs, Session

__all__ = ["CLOCK_MHZ", "DeviceClock", "TimedInference"]

CLOCK_MHZ = 100.0     # of devices that have no clock: emulator and simulated core


@runtime_checkable
class _HasLine(Protocol):
    """A device at the end of a line, whose clock counts the time on the line, too."""

    def line_seconds(self) -> float: ...


@dataclass(frozen=True, eq=False)
class TimedInference:
    """Outputs of one inference, its cycles as the device counts them, and its seconds."""

    outputs: Outputs
    cycles: int
    seconds: float


class DeviceClock:
    """The clock of ``device``; ``clock_mhz`` is that of a device without a line.

    ``simulated``: the clock is not that of the host.
    """

    def __init__(self, device: Device, clock_mhz: float = CLOCK_MHZ) -> None:
        self._is_host = isinstance(device, GoldenDevice)
        self.simulated = not self._is_host and not device.name.startswith((*BOARDS, *MAPPED))
        self._device = device
        self._hz = clock_mhz * 1e6

    def run(self, session: Session, arrays: Arrays, as_float: bool = False) -> TimedInference:
        """One inference of ``session``, which runs on this device."""
        began = self._seconds()
        outputs = session.run(arrays, as_float)
        statistics = session.stats
        cycles = statistics.cycles if statistics is not None else 0
        ended = self._seconds()
        seconds = cycles / self._hz if began is None or ended is None else ended - began
        return TimedInference(outputs, cycles, seconds)

    def _seconds(self) -> float | None:
        if self._is_host:
            return time.perf_counter()
        return self._device.line_seconds() if isinstance(self._device, _HasLine) else None
