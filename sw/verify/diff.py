"""``diff``: where two devices first disagree, over every tensor that the program stores."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from kaniwa import isa
from kaniwa.driver.devices import Device, GoldenDevice, open
from kaniwa.driver.session import Session
from kaniwa.errors import InputError
from kaniwa.isa import INSTRUCTION_BYTES, Opcode
from kaniwa.program.program import Program, TensorInfo
from kaniwa.stage import Stage

__all__ = ["diff", "same"]

Values = dict[int, np.ndarray]  # by tensor id
END = isa.encode({"opcode": Opcode.END})


def diff(program: Program, devices: Sequence[str | Device], inputs: Mapping[str, np.ndarray],
         progress: Callable[[str], None] | None = None) -> dict[str, Any]:
    """Run ``program`` on two devices, by name or open, and compare every stored tensor.

    The result has ``devices`` (names), ``tensors`` (how many were compared) and
    ``first_difference``: None, or a dict of instruction, layer, tensor, index, values (one a
    device), different and elements, for the first tensor in the order of completion that differs.
    ``progress`` is told what takes long.
    """
    if len(devices) != 2:
        raise InputError(f"expected two devices, found {len(devices)}")
    stored = sorted((t for t in program.tensors if t.address is not None and t.kind != "input"),
                    key=lambda t: (t.ready, t.id))
    names = [device if isinstance(device, str) else device.name for device in devices]
    first, second = (_collect(program, device, inputs, stored, progress) for device in devices)
    found = next((difference for tensor in stored if (difference := _difference(
        program, tensor, names, first[tensor.id], second[tensor.id])) is not None), None)
    return {"devices": names, "tensors": len(stored), "first_difference": found}


def _collect(program: Program, device: str | Device, inputs: Mapping[str, np.ndarray],
             stored: list[TensorInfo], progress: Callable[[str], None] | None) -> Values:
    """The value of each of the ``stored`` tensors on a device."""
    if not isinstance(device, str):
        return _values(Session(program, device), inputs, stored)

    def tell(text: str) -> None:
        if progress is not None:
            progress(Stage.of(text).behind(f"{device}: "))

    tell("starting")
    with open(device, target=program.config, outside=program.outside, progress=tell) as opened:
        if hasattr(opened, "progress"):
            opened.progress = tell
        return _values(Session(program, opened), inputs, stored)


def _values(session: Session, inputs: Mapping[str, np.ndarray],
            stored: list[TensorInfo]) -> Values:
    session.run(inputs)
    if isinstance(session.device, GoldenDevice):
        return {tensor.id: tensor.stored(session.tensor(tensor.name)) for tensor in stored}
    values = {t.id: session.read(t) for t in stored if t.overwritten is None}
    program, device = session.program, session.device
    for stop in _stops([t for t in stored if t.overwritten is not None]):
        address = program.program_address + stop * INSTRUCTION_BYTES
        replaced = program.commands[stop * INSTRUCTION_BYTES:][:INSTRUCTION_BYTES]
        device.write(address, END)
        session.run_until(stop, inputs)
        device.write(address, replaced)
        values |= {t.id: session.read(t) for t in stored
                   if t.overwritten is not None and t.ready < stop <= t.overwritten}
    return values


def _stops(tensors: list[TensorInfo]) -> list[int]:
    """Instructions to put an END at, such that each tensor is whole before one of them.

    A tensor's value is there while ``ready < stop <= overwritten``; taking the end of the interval
    that ends first, again and again, needs the fewest runs.
    """
    stops: list[int] = []
    for tensor in sorted(tensors, key=lambda t: t.overwritten or 0):
        if not stops or tensor.ready >= stops[-1]:
            stops.append(tensor.overwritten or 0)
    return stops


def same(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Element by element whether the values are equal; a float that is no number equals itself."""
    equal = first == second
    return equal | (np.isnan(first) & np.isnan(second)) if first.dtype.kind == "f" else equal


def _difference(program: Program, tensor: TensorInfo, names: list[str], first: np.ndarray,
                second: np.ndarray) -> dict[str, Any] | None:
    different = np.argwhere(~same(first, second))
    if not len(different):
        return None
    index = tuple(int(i) for i in different[0])
    layer = next((layer.name for layer in program.layers if tensor.ready in layer.instructions),
                 None)
    return {"instruction": tensor.ready, "layer": layer, "tensor": tensor.name,
            "index": list(index), "values": {name: values[index].item() for name, values in zip(
                _unique(names), (first, second), strict=True)},
            "different": len(different), "elements": first.size}


def _unique(names: list[str]) -> list[str]:
    """Two of the same device are told apart."""
    return names if names[0] != names[1] else [f"{name} {i}" for i, name in enumerate(names, 1)]
