"""Errors of a run: a start that cannot be, and what the device's own error was about."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from kaniwa.config import AcceleratorConfig
from kaniwa.errors import DeviceError, ProgramError
from kaniwa.isa import INSTRUCTION_BYTES, ErrorCode, decode, illegal_field
from kaniwa.isa.weight_stream import decode_headers

__all__ = ["check_start", "run_error"]

Read = Callable[[int, int], bytes]   # address, length -> what is in device memory


def check_start(program_address: int, config: AcceleratorConfig) -> None:
    """Raise DeviceError unless a program may start at ``program_address``."""
    if program_address % config.read_bytes:
        raise DeviceError(f"a program must start at a multiple of {config.read_bytes} bytes, not "
                          f"at {program_address:#x}")


def run_error(code: ErrorCode, index: int, program_address: int, config: AcceleratorConfig,
              read: Read) -> str:
    """Why the device ended a run at instruction ``index``, in a line.

    Device memory says more than the code: the instruction's illegal field, or the address of the
    first block of its weight stream that the core does not decode.
    """
    what = f"the device ended the run: {code.name} at instruction {index}"
    if code not in (ErrorCode.ILLEGAL_FIELD, ErrorCode.BAD_FORMAT):
        return what
    values = decode(read(program_address + index * INSTRUCTION_BYTES, INSTRUCTION_BYTES))
    if code == ErrorCode.ILLEGAL_FIELD:
        return f"{what}, field {illegal_field(values) or 'that this config lacks'}"
    for address, size in ((values["parameter_address"], values["parameter_bytes"]),
                          (values["weight_address"], values["weight_bytes"])):
        try:
            deque(decode_headers(read(address, size) if size else b"", config), maxlen=0)
        except ProgramError as error:
            return f"{what}: at {address:#x}: {error}"
    return what   # what was read is no longer there
