"""Pool: the same program on several devices, which share out the inferences."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from numbers import Integral

from kaniwa.data.arguments import expect, expect_each
from kaniwa.driver.devices import Device
from kaniwa.driver.session import Arrays, Outputs
from kaniwa.errors import DeviceError, InputError
from kaniwa.pool.deal import Deal
from kaniwa.pool.member import CLOCK_MHZ, Members, open_members
from kaniwa.program.program import Program

__all__ = ["Pool"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Inference:
    arrays: Arrays
    as_float: bool
    program: int


class Pool(Members):
    """``program`` on each of ``devices``, of any kind: names as for ``kaniwa.open``, or open ones.

    The name of a board with several cores stands for all of them; ``core=C`` in it for one.
    Outputs are those of one device, in the order of the inputs. A device that fails is lost, and
    another one does its inference. ``clock_mhz`` is the clock that an emulator or a simulated core
    is taken to have; boards have their own. ``progress`` is told what takes long. Raises
    DeviceError naming the device that cannot be opened, or is not of the program's target.

    ``program`` may be several, for ``submit``. Each device then has them all, and loads the image
    of one again where another ran before it.
    """

    def __init__(self, devices: Iterable[str | Device], program: Program | Sequence[Program], *,
                 clock_mhz: float = CLOCK_MHZ,
                 progress: Callable[[str], None] | None = None) -> None:
        if isinstance(devices, str) or not (devices := expect_each(
                "devices", devices, str, Device)):
            raise DeviceError(f"a pool needs a list of one device or more, not {devices!r}")
        self.programs = (program,) if isinstance(program, Program) else tuple(
            expect_each("programs", program, Program))
        if not self.programs:
            raise DeviceError("a pool needs one program or more")
        super().__init__("pool", open_members(
            devices, [self.programs] * len(devices), clock_mhz, progress, every_core=True))
        self._deal: Deal[_Inference, Outputs] | None = None     # of submit

    def map(self, inputs: Iterable[Arrays], as_float: bool = False) -> Iterator[Outputs]:
        """The outputs of each of ``inputs``, in order; arrays are as for ``Session.run``.

        Each inference begins with cleared state. A few inputs for each device are taken ahead.
        Raises InputError in the turn of arrays that do not fit, and DeviceError once all devices
        are lost, or where an inference fails on two devices.
        """
        expect("inputs", inputs, Iterable)
        for (outputs,) in self.sequences(([arrays] for arrays in inputs), as_float):
            yield outputs

    def sequences(self, sequences: Iterable[Sequence[Arrays]],
                  as_float: bool = False) -> Iterator[list[Outputs]]:
        """As ``map``, for sequences of inferences: for each the outputs of all its inferences.

        State begins cleared with each sequence and goes from one inference of it to the next, on
        one device. Where that is lost, another begins the sequence anew.
        """
        self._check_open()
        expect("inputs", sequences, Iterable)
        if self._deal is not None:
            raise DeviceError("the pool takes inferences by submit: open another for map")
        yield from Deal[Sequence[Arrays], list[Outputs]](
            self._members, lambda member, sequence: member.infer(sequence, as_float)).run(sequences)

    def submit(self, arrays: Arrays, as_float: bool = False,
               program: int = 0) -> Future[Outputs]:
        """The outputs of one inference with cleared state, once a device has done it.

        ``program`` is the number of its program. Inferences are begun in the order in which they
        are given; one whose future is cancelled by then is left out. Raises InputError for a
        program that the pool has not. The future has InputError where arrays do not fit, and
        DeviceError once all devices are lost, or where the inference failed on two. From the first
        call on the pool has a thread for each device, until ``close``, and no ``map``.
        """
        self._check_open()
        if not 0 <= expect("program", program, Integral) < len(self.programs):
            raise InputError(f"the pool has programs 0 to {len(self.programs) - 1}, not {program}")
        if self._deal is None:
            self._deal = Deal(self._members, lambda member, inference: member.infer(
                [inference.arrays], inference.as_float, inference.program)[0])
            self._deal.start()
        return self._deal.submit(_Inference(arrays, as_float, program))

    def close(self, limit: float | None = None) -> None:
        """Close the devices that were given by name; a second call does nothing.

        Inferences of ``submit`` that wait are cancelled. Those that were begun are waited for, by
        default without a ``limit`` in seconds.
        """
        if not self._closed and self._deal is not None and not self._deal.close(limit):
            logger.warning("an inference did not end within %g s; its device is closed", limit)
        super().close()
