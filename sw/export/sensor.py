"""What a processor writes once to have a compiled program fed by the sensor ports."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from kaniwa.errors import InputError, UnsupportedError
from kaniwa.export.interface import Interface, interface
from kaniwa.isa import OUTSIDE, Register
from kaniwa.isa.sensor import TABLE_INDEX_SHIFT, SensorControl, SensorRegister
from kaniwa.program.program import Program, TensorInfo

__all__ = ["SensorSetup", "is_fed_by_sensors", "sensor_setup"]

FLIP = 0x80     # between uint8 and the device's int8


@dataclass(frozen=True)
class SensorSetup:
    """The tensor that samples fill, the one that is offered, and where the program begins."""

    program_address: int
    input: TensorInfo
    output: TensorInfo

    def writes(self, control: SensorControl = SensorControl.RUN,
               table: bytes | None = None) -> Iterator[tuple[int, int]]:
        """Index and value of each register to write, in this order, behind the program's images.

        ``table``: 256 values of the input, one for each sample; without it samples are such values
        themselves. An input of uint8 always has a table, for the device has int8. The ports must
        be off, and WATCHDOG is left to the caller. Raises InputError for a table of another size.
        """
        if table is not None and len(table) != 256:
            raise InputError(f"the table of samples has {len(table)} bytes: give 256")
        flip = FLIP if self.input.dtype == "uint8" else 0
        if table is not None or flip:
            control |= SensorControl.TABLE
            for index, value in enumerate(table or range(256)):
                yield SensorRegister.SENSOR_TABLE, index << TABLE_INDEX_SHIFT | value ^ flip
        of = SensorRegister
        for place, length, tensor in (
                (of.SENSOR_INPUT_ADDRESS, of.SENSOR_INPUT_LENGTH, self.input),
                (of.SENSOR_OUTPUT_ADDRESS, of.SENSOR_OUTPUT_LENGTH, self.output)):
            assert tensor.address is not None
            yield place, tensor.address
            yield length, tensor.bytes
        yield Register.PROGRAM_ADDRESS, self.program_address
        yield of.SENSOR_CONTROL, int(control | SensorControl.ENABLE)


def sensor_setup(program: Program) -> SensorSetup:
    """How the sensor ports feed ``program``.

    Operators at the float edges are left to whoever has the samples and the results. Raises
    UnsupportedError where the host has more to do, where there is not one input and one output, or
    where one of them is outside or has gaps.
    """
    face = interface(program)
    why = _obstacle(face)
    if why:
        raise UnsupportedError(
            f"{program.name}: the sensor ports cannot feed this model: {why}")
    return SensorSetup(face.address, face.inputs[0].tensor, face.outputs[0].tensor)


def is_fed_by_sensors(face: Interface) -> bool:
    """True for a model that ``sensor_setup`` does not refuse."""
    return not _obstacle(face)


def _obstacle(face: Interface) -> str:
    """Why the ports cannot feed the model; empty where they can."""
    for what, ports in (("input", face.inputs), ("output", face.outputs)):
        if len(ports) != 1:
            return f"it has {len(ports)} {what}s, not one"
        tensor = ports[0].tensor
        assert tensor.address is not None
        if tensor.address & OUTSIDE:
            return f"its {what} is outside; compile it for memory on chip"
        if ports[0].axes is not None:
            return f"its {what} has gaps between its elements, or other axes last"
    if any(not state.resident for state in face.states):
        return "its state goes by the host from one run to the next"
    return ""
