"""Segments of the host between parts of the device, and the bytes that cross for them."""

from __future__ import annotations

from dataclasses import dataclass

from kaniwa.program.program import Program, Step

__all__ = ["HostSegments", "host_segments"]


@dataclass(frozen=True)
class HostSegments:
    """Work of the host for which the device stops in the middle of an inference.

    | field | contents |
    |---|---|
    | ``count`` | steps of the host that read what the device made, and make what it reads later |
    | ``operators`` | the operators of these steps |
    | ``bytes_from_device`` | bytes of the tensors that these steps read of the device |
    | ``bytes_to_device`` | bytes of the tensors that they make for it |

    A step before the first part of the device or behind the last one is none.
    """

    count: int
    operators: int
    bytes_from_device: int
    bytes_to_device: int

    def as_dict(self) -> dict[str, int]:
        """Plain values, for JSON."""
        return {"count": self.count, "operators": self.operators,
                "bytes_from_device": self.bytes_from_device,
                "bytes_to_device": self.bytes_to_device}


def host_segments(program: Program) -> HostSegments:
    """The segments of ``program``; a tensor that crosses for two of them counts twice."""
    count = operators = from_device = to_device = 0
    for number, step in enumerate(program.steps):
        given = _of_device(program.steps[:number], "gives").intersection(step.takes)
        taken = _of_device(program.steps[number:], "takes").intersection(step.gives)
        if step.where == "host" and given and taken:
            count += 1
            operators += step.count
            from_device += sum(program.tensor(i).bytes for i in given)
            to_device += sum(program.tensor(i).bytes for i in taken)
    return HostSegments(count, operators, from_device, to_device)


def _of_device(steps: tuple[Step, ...], side: str) -> set[int]:
    """The tensors that the device's steps give or take."""
    return {i for step in steps if step.where == "device" for i in getattr(step, side)}
