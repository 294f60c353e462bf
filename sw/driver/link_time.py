"""Bytes and time of an inference on the line between host and board, from its program alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kaniwa.driver.frames import PAYLOAD_BYTES, REGISTERS, Operation, Request
from kaniwa.isa import COUNTERS, Register
from kaniwa.program.program import Program, Step

__all__ = ["LinkTime", "link_time"]

STUFFING = 2         # bytes that stuffing and the closing zero add to a frame
REPLY_BYTES = 8      # of a reply without data, stuffed


@dataclass(frozen=True)
class LinkTime:
    """Bytes of one inference by direction, frames and all, and their seconds on the line.

    ``input_bytes`` and ``output_bytes`` are the tensors' own. ``exchanges``: times that the host
    waits for an answer; host and adapter add their delay to each, which is not in ``seconds``.
    ``load_seconds``: of the program's image, once before the first inference.
    """

    input_bytes: int
    output_bytes: int
    to_device: int
    from_device: int
    exchanges: int
    seconds: float
    load_seconds: float


def link_time(program: Program, pace: float) -> LinkTime:
    """One inference of ``program`` over a line of ``pace`` bytes a second each way, image loaded.

    As BoardDevice does it: inputs, run, one look at the status when it has ended, counters,
    outputs. Nothing overlaps with computing.
    """
    inputs = [program.tensor(i) for run in program.runs for i in run.takes]
    outputs = [program.tensor(i) for run in program.runs for i in run.gives]
    exchanges = [exchange for run in program.runs for exchange in _exchanges(program, run)]
    load = [_transfer(Operation.WRITE, len(data)) for _, data in program.images]
    return LinkTime(
        sum(t.bytes for t in inputs), sum(t.bytes for t in outputs),
        sum(map(_sent, exchanges)), sum(map(_answered, exchanges)), len(exchanges),
        sum(map(_line_bytes, exchanges)) / pace, sum(map(_line_bytes, load)) / pace)


def _exchanges(program: Program, run: Step) -> list[list[Request]]:
    exchanges = [_transfer(Operation.WRITE, program.tensor(i).bytes) for i in run.takes]
    exchanges += [[_register(r) for r in (Register.PROGRAM_ADDRESS, Register.WATCHDOG,
                                          Register.CONTROL)],
                  [_read(Register.STATUS, 1)], [_read(Register.CYCLES, 2)]]
    if program.config.counters and (tags := program.turns_of(run)):
        exchanges.append([request for _ in tags for request in (
            _register(Register.COUNTER_TAG), _read(Register.COUNTER_0, len(COUNTERS)))])
    return exchanges + [_transfer(Operation.READ, program.tensor(i).bytes) for i in run.gives]


def _sent(requests: Sequence[Request]) -> int:
    """Bytes of an exchange to the device, with the zero that goes before it."""
    return 1 + sum(request.stored_bytes + STUFFING for request in requests)


def _answered(requests: Sequence[Request]) -> int:
    return sum(request.reply_bytes for request in requests)


def _line_bytes(requests: Sequence[Request]) -> int:
    """An exchange's time on the line, in bytes of one direction.

    Both directions go at once, but the first answer waits for its request, and the last request is
    answered.
    """
    last = REPLY_BYTES if requests[-1].numbered else requests[-1].reply_bytes
    return max(_sent(requests) + last, _sent(requests[:1]) + _answered(requests))


def _transfer(operation: Operation, count: int) -> list[Request]:
    """The requests that move ``count`` bytes; what they are does not matter here."""
    sizes = [min(PAYLOAD_BYTES, count - at) for at in range(0, count, PAYLOAD_BYTES)]
    return [Request(operation, 0, size, bytes(size) if operation == Operation.WRITE else b"")
            for size in sizes]


def _register(register: Register) -> Request:
    return Request(Operation.REGISTER, 0, register)


def _read(first: Register, count: int) -> Request:
    return Request(Operation.READ, REGISTERS + 4 * first, 4 * count)
