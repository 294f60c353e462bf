"""Runs of a double-buffered program: while one goes on, the next one's inputs are written."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress

from kaniwa.driver.devices import Device, ServesDuringRuns
from kaniwa.driver.session_state import Values
from kaniwa.errors import DeviceError
from kaniwa.isa.counters import RunStatistics
from kaniwa.program.program import Program

__all__ = ["DoubleBuffer", "settle"]


def settle(device: Device) -> None:
    """Wait for the end of a run that was begun on ``device``: nobody asks for what it gives."""
    if isinstance(device, ServesDuringRuns) and device.under_way is not None:
        with suppress(DeviceError):
            device.finish()


class DoubleBuffer:
    """The two places of ``program`` on ``device``, whose image is loaded.

    A device that serves memory during runs is given the inputs of one inference while it computes
    the one before, and begins with them before the outputs of that are read. Others do one after
    the other, on both places in turn. ``place`` is that of the next run, ``last`` of the last one.
    """

    def __init__(self, program: Program, device: Device) -> None:
        (self._run,) = program.runs
        self._program, self._device = program, device
        self.place = self.last = 0
        self._ahead: tuple[Values, object] | None = None     # values of a run that was begun

    def forget(self) -> None:
        """Device memory is no longer what it was."""
        self._ahead = None

    def ahead(self) -> bool:
        """True where the device has begun with another inference than the last one done."""
        return self._ahead is not None

    def run(self, values: Values, following: Values | None,
            tags: Iterable[int]) -> RunStatistics:
        """Run with ``values``, which get the outputs; ``following`` are those of the next run.

        The statistics have the counters of ``tags`` where nothing follows: else these would take
        the line's time from the inputs.
        """
        device = self._device
        if not isinstance(device, ServesDuringRuns) or not device.serves:
            self._write(values, self.place)
            statistics = device.run(self._program.address_of(self._run, self.place), tags)
            self._take(values, [device.read(*span) for span in self._outputs()])
            return statistics
        if not self._has_begun(values, device.under_way):
            settle(device)
            self._write(values, self.place)
            device.start(self._program.address_of(self._run, self.place))
        self._ahead = None
        spans, other = self._outputs(), 1 - self.place
        if following is None:
            statistics = device.finish(tags)
            self._take(values, [device.read(*span) for span in spans])
            return statistics
        statistics = device.finish((), list(self._inputs(following, other)))
        data = device.start(self._program.address_of(self._run, other), spans)
        self._ahead = following, device.under_way
        self._take(values, data)
        return statistics

    def _has_begun(self, values: Values, under_way: object) -> bool:
        return (self._ahead is not None and self._ahead[0] is values
                and self._ahead[1] is under_way)

    def _write(self, values: Values, place: int) -> None:
        for address, data in self._inputs(values, place):
            self._device.write(address, data)

    def _inputs(self, values: Values, place: int) -> Iterator[tuple[int, bytes]]:
        for i in self._run.takes:
            yield self._address(i, place), self._program.tensor(i).to_device(values[i])

    def _outputs(self) -> list[tuple[int, int]]:
        """(address, bytes) of what the run in ``place`` gives."""
        return [(self._address(i, self.place), self._program.tensor(i).bytes)
                for i in self._run.gives]

    def _address(self, tensor: int, place: int) -> int:
        address = self._program.place_of(tensor, place)
        assert address is not None
        return address

    def _take(self, values: Values, outputs: list[bytes]) -> None:
        """Give the outputs to ``values``, and go on to the other place."""
        values.update((i, self._program.tensor(i).from_device(data))
                      for i, data in zip(self._run.gives, outputs, strict=True))
        self.last, self.place = self.place, 1 - self.place
