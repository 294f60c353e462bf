"""The instruction set: the one table of instructions, the weight stream, the counters."""

from kaniwa.isa.table import (
    COUNTERS,
    FACTOR_BITS,
    FIELDS,
    INSTRUCTION_BYTES,
    ISA_VERSION,
    LAYER,
    MAGIC,
    NEEDS,
    OUTSIDE,
    UNITS,
    WEIGHT_FORMATS,
    Command,
    ErrorCode,
    Field,
    Format,
    Mode,
    Opcode,
    Register,
    Rounding,
    Status,
    decode,
    encode,
    illegal_field,
    unit_fields,
)

__all__ = [
    "COUNTERS", "FACTOR_BITS", "FIELDS", "INSTRUCTION_BYTES", "ISA_VERSION", "LAYER", "MAGIC",
    "NEEDS", "OUTSIDE", "UNITS", "WEIGHT_FORMATS", "Command", "ErrorCode", "Field", "Format",
    "Mode", "Opcode", "Register", "Rounding", "Status", "decode", "encode", "illegal_field",
    "unit_fields",
]
