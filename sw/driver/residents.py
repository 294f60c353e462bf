"""What a device's memory holds: the images of sessions that do not overlap, each whole."""

from __future__ import annotations

import threading
import weakref
from typing import Protocol

from kaniwa.driver.devices import Device
from kaniwa.program.program import Program

__all__ = ["Resident", "Residents", "residents_of"]


class Resident(Protocol):
    """A session: its program, and what it does before others take its memory."""

    @property
    def program(self) -> Program: ...

    def leave(self) -> None:
        """Fetch what device memory alone has."""


class Residents:
    """Sessions whose images a device holds; ``lock`` is held by whoever uses the device."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self._sessions: list[weakref.ref[Resident]] = []

    def hold(self, session: Resident) -> bool:
        """Tell whether the image of ``session`` is in device memory, and nothing over it."""
        return any(held() is session for held in self._sessions)

    def make_room(self, session: Resident, simulated: bool) -> None:
        """Have all leave that ``session`` cannot be beside, itself included.

        A ``simulated`` device gets outside memory of another kind anew, and then all of its memory.
        """
        program = session.program
        live = [other for held in self._sessions if (other := held()) is not None]
        renewed = (simulated and program.outside is not None
                   and program.outside not in {other.program.outside for other in live})
        leaving = [other for other in live
                   if other is session or renewed or other.program.overlaps(program)]
        self._sessions = [weakref.ref(other) for other in live if other not in leaving]
        for other in leaving:
            if other is not session:
                other.leave()

    def add(self, session: Resident) -> None:
        """Say that the image of ``session`` is there, all of it."""
        self._sessions.append(weakref.ref(session))

    def forget(self) -> None:
        """Say that device memory may hold anything."""
        self._sessions.clear()


_OF_DEVICES: weakref.WeakKeyDictionary[Device, Residents] = weakref.WeakKeyDictionary()


def residents_of(device: Device) -> Residents:
    """Record of what ``device`` holds, one for all of its sessions."""
    return _OF_DEVICES.setdefault(device, Residents())
