"""A device of a pool or a pipeline: its session, its clock, and what it has done."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Self

from kaniwa.data.arguments import expect
from kaniwa.driver.cores.open import has_cores, open_cores
from kaniwa.driver.device_clock import CLOCK_MHZ, DeviceClock
from kaniwa.driver.devices import Device, open as open_device
from kaniwa.driver.session import Arrays, Outputs, Session
from kaniwa.errors import DeviceError, Error
from kaniwa.program.program import Program

__all__ = ["CLOCK_MHZ", "Member", "MemberStatistics", "Members", "open_members"]


@dataclass(frozen=True)
class MemberStatistics:
    """What a device has done since its pool was opened.

    ``seconds`` are those of the device's own clock: of its line, or its cycles at the clock that
    the pool was given. ``lost`` says why it takes no more inferences; empty where it does.
    """

    name: str
    inferences: int
    cycles: int
    seconds: float
    lost: str


class Member:
    """``device`` with a session for each of ``programs``. ``owned``: ``close`` closes the device.

    ``simulated``: the device's clock is not that of the host. A program's image is loaded again
    where another one ran before it.
    """

    def __init__(self, device: Device, programs: Sequence[Program], name: str, *,
                 clock_mhz: float, owned: bool) -> None:
        self.device = device
        self.name = name
        self._clock = DeviceClock(device, clock_mhz)
        self.simulated = self._clock.simulated
        self.sessions = tuple(Session(program, device) for program in programs)
        self.inferences = self.cycles = 0
        self.seconds = 0.0
        self.lost: DeviceError | None = None
        self._owned = owned

    @property
    def session(self) -> Session:
        """The session of the only program, or of the first one."""
        return self.sessions[0]

    def infer(self, sequence: Sequence[Arrays], as_float: bool,
              program: int = 0) -> list[Outputs]:
        """The outputs of each inference of ``sequence``, which begins with cleared state."""
        self.sessions[program].reset()
        return [self.step(arrays, as_float, program) for arrays in sequence]

    def step(self, arrays: Arrays, as_float: bool, program: int = 0) -> Outputs:
        """One inference, its time taken."""
        timed = self._clock.run(self.sessions[program], arrays, as_float)
        self.inferences += 1
        self.cycles += timed.cycles
        self.seconds += timed.seconds
        return timed.outputs

    @property
    def statistics(self) -> MemberStatistics:
        """What the device has done so far."""
        return MemberStatistics(self.name, self.inferences, self.cycles, self.seconds,
                                str(self.lost or ""))

    def close(self) -> None:
        """Close a device that the pool has opened."""
        if self._owned:
            self.device.close()


class Members:
    """What pools and pipelines share: their devices, what these have done, and their end.

    ``what`` is the name in messages.
    """

    def __init__(self, what: str, members: Sequence[Member]) -> None:
        self._what = what
        self._members = tuple(members)
        self._closed = False

    @property
    def stats(self) -> tuple[MemberStatistics, ...]:
        """What each device has done, in the order in which they were given."""
        return tuple(member.statistics for member in self._members)

    @property
    def seconds(self) -> float:
        """Time that the inferences so far took: the longest of the devices' clocks."""
        return max(member.seconds for member in self._members)

    def close(self) -> None:
        """Close the devices that were given by name; a second call does nothing."""
        if not self._closed:
            self._closed = True
            close_all(self._members)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _check_open(self) -> None:
        if self._closed:
            raise DeviceError(f"the {self._what} is closed")


def open_members(devices: Sequence[str | Device], programs: Sequence[Sequence[Program]],
                 clock_mhz: float, progress: Callable[[str], None] | None, *,
                 every_core: bool = False) -> tuple[Member, ...]:
    """A member for each device, with the programs of its place; all or none of them.

    A device given by name is opened, and closed with its member; with ``every_core`` a board has a
    member for each of its cores, unless its name has ``core=C``. Raises DeviceError naming the
    device, also for one that is given twice.
    """
    expect("clock_mhz", clock_mhz, Real)
    members: list[Member] = []
    try:
        for number, (given, own) in enumerate(zip(devices, programs, strict=True)):
            name = f"device {number} ({given if isinstance(given, str) else given.name})"
            if any(other.device is given for other in members):
                raise DeviceError(f"{name}: is in the list twice: each device once")
            try:
                opened = [given] if not isinstance(given, str) else _open(
                    given, own, progress, every_core)
            except Error as error:
                raise DeviceError(f"{name}: {error}") from None
            try:
                for device in opened:
                    if len(opened) > 1:
                        name = f"device {number} ({device.name})"
                    members.append(Member(device, own, name, clock_mhz=clock_mhz,
                                          owned=isinstance(given, str)))
            except BaseException as error:
                if isinstance(given, str):
                    for device in opened:
                        device.close()
                if isinstance(error, Error):
                    raise DeviceError(f"{name}: {error}") from None
                raise
    except BaseException:
        close_all(members)
        raise
    return tuple(members)


def _open(name: str, programs: Sequence[Program], progress: Callable[[str], None] | None,
          every_core: bool) -> list[Device]:
    """The device of that name, or one for each of its cores."""
    config = programs[0].config
    outside = next((p.outside for p in programs if p.outside is not None), None)
    if every_core and outside is None and has_cores(name):
        return open_cores(name, config, progress=progress)
    return [open_device(name, target=config, outside=outside, progress=progress)]


def close_all(members: Sequence[Member]) -> None:
    """Close every member, whatever closing one of them raises."""
    errors = []
    for member in members:
        try:
            member.close()
        except Error as error:
            errors.append(error)
    if errors:
        raise errors[0]
