"""Place of a session's state: with the host, or left in device memory for the next inference."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from kaniwa.errors import DeviceError
from kaniwa.program.program import Program, TensorInfo

__all__ = ["SessionState", "Values"]

Values = dict[int, np.ndarray]      # by tensor id


class SessionState:
    """The state of a session, ``own``, and which state device memory has of the program's
    ``resident`` tensors.

    An inference has ``own``, or a state that nobody goes on with and that began cleared. Values
    that device memory has are not in the dict. ``read`` gives what it holds of a tensor.
    """

    def __init__(self, program: Program, resident: frozenset[int],
                 read: Callable[[TensorInfo], np.ndarray]) -> None:
        self.own: Values = {}
        self._program, self._resident, self._read = program, resident, read
        self._on_device: Values | None = None
        self._lost = False      # of ``own`` that was on the device

    def reset(self) -> None:
        """Clear ``own``."""
        if self._on_device is self.own:
            self._on_device = None
        self._lost = False
        self.own.clear()

    def begin(self, takes: tuple[int, ...], values: Values, state: Values) -> tuple[int, ...]:
        """Tensors of ``takes`` to write to device memory for a run of an inference with ``state``.

        What is there goes out of ``values``, and counts as lost until ``finish``. ``own`` is
        fetched before another state is written over it. Raises DeviceError where it is lost.
        """
        if not self._resident.intersection(takes):
            return takes
        if self._on_device is not state:
            self.fetch()
            if self._lost and state is self.own:
                raise DeviceError(f"{self._program.name}: its state was in the device's memory and "
                                  "has been lost; begin anew with session.reset()")
            return takes
        self.forget()
        for i in self._resident:
            del values[i]
        return tuple(i for i in takes if i not in self._resident)

    def finish(self, values: Mapping[int, np.ndarray], state: Values) -> None:
        """An inference with ``state`` has ended with these values."""
        state.clear()
        state.update({s.tensor: values[s.following] for s in self._program.state
                      if s.tensor not in self._resident})
        if self._resident:
            self._on_device = state
            self._lost &= state is not self.own

    def fetch(self) -> None:
        """Take ``own`` from device memory, if it is there: that will be another's."""
        if self._on_device is self.own:
            self.forget()
            self.own.update({i: self._read(self._program.tensor(i)) for i in self._resident})
            self._lost = False
        self._on_device = None

    def forget(self) -> None:
        """Device memory is no longer what it was."""
        self._lost |= self._on_device is self.own
        self._on_device = None
