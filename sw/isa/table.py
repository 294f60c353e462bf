"""The one instruction table: layout, meaning and legal range of every field, and the registers.

Encoder, decoder, assembler, emulator, gateware and ``docs/isa.md`` are made from these tables.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Final

from kaniwa.isa.bit_table import BitTable, Field, in_order

__all__ = ["ISA_VERSION", "INSTRUCTION_BYTES", "OUTSIDE", "FACTOR_BITS", "NEEDS", "Opcode", "Mode",
           "Rounding", "Format", "WEIGHT_FORMATS", "Field", "LAYER", "FIELDS", "UNITS", "MAGIC",
           "Register", "Command", "Status", "ErrorCode", "COUNTERS", "encode", "decode",
           "illegal_field", "unit_fields"]

ISA_VERSION = 5
INSTRUCTION_BYTES = 128
OUTSIDE: Final = 1 << 31  # this address bit selects outside memory
FACTOR_BITS = 9    # of the table entries that are multiplied: int8 values less a zero point


class Opcode(enum.IntEnum):
    """What an instruction does; 4 to 15 are for further units (``kaniwa.units``)."""

    END = 0     # wait for every store, then report completion
    LAYER = 1   # one layer, or one group of output channels of it
    VECTOR = 2  # with vector_unit: wait for every store, then run a program of the vector unit
    CELL = 3    # with cell_unit: wait for every store, then run a sequence of the cell unit


class Mode(enum.IntEnum):
    """How the array uses the window."""

    DENSE = 0      # every lane sums over all bytes of the window
    DEPTHWISE = 1  # lane m sums over byte m of each tap
    MAX_POOL = 2   # lane m takes the maximum of byte m over the taps
    COLUMN = 3     # depthwise: lane m sums over a window of its channel, filled column by column


class Rounding(enum.IntEnum):
    """How the offset b of ``(acc * m + b) >> s`` follows from s and the sign of acc.

    W is the config's multiplier_bits.
    """

    UP = 0      # b = 2^(s-1)
    DOUBLE = 1  # s > W: b = 2^(s-1) + 2^(W-1) for acc >= 0, 2^(s-1) - 2^(W-1) for acc < 0; else UP
    AWAY = 2    # b = 2^(s-1) for acc >= 0, 2^(s-1) - 1 for acc < 0
    EVEN = 3    # b = 2^(s-1), and an exact tie clears the lowest bit of the result


class Format(enum.IntEnum):
    """Format of a block of the weight stream; ``formats`` has a record of each."""

    RAW = 0                # weights of 8 bits
    PACKED = 1             # planes of bits, as many for each chunk as the header says
    PARAMETERS = 2         # records of bias, multiplier and shift
    PARAMETERS_SHARED = 3  # biases; multiplier and shift are in the header
    TABLE = 4              # a table of the post unit
    MODES = 5              # planes of bits, as many for each group as its mode says
    CODEBOOK = 6           # weights that the codes of PACKED and MODES stand for
    STEPS = 7              # the steps that an instruction with ``listed`` has for a pixel


# Those that a config may name in weight_formats, by name. CODEBOOK goes by codebook_entries, STEPS
# by step_entries; every core decodes the others.
WEIGHT_FORMATS = {"raw": Format.RAW, "packed": Format.PACKED, "modes": Format.MODES}


# The units that take an instruction apart, in the order of the data.
UNITS = {
    "load": "activations from device memory into the line buffer",
    "weights": "parameters, tables and weights through the decoder into their buffers",
    "array": "loops over rows, pixels, blocks and taps",
    "post": "requantization, ADD, MUL, tables",
    "operand": "second operand of ADD or MUL from device memory",
    "store": "results to device memory",
}

# (name, width, signed, low, high, units, compact, meaning); high None = all the width holds.
# ``compact``: what a compact core does with the field.
#   kept          all its units look at it again and again
#   start         a unit's own register begins with it, and it is kept nowhere else
#   unused        nothing in it is refused; without one of these three words it must be 0
#   words         its value is a multiple of read_bytes, and is held in words
#   count, line, memory, or a number: it is held in as many bits as count_bits says, as line_bytes
#                 or the larger memory needs (of an address: bit 31 too, if there is memory
#                 outside), or in that number of bits
_TABLE: tuple[tuple[str, int, bool, int, int | None, str, str, str], ...] = (
    ("opcode", 4, False, 0, 3, "", "", "Opcode"),
    ("mode", 2, False, 0, 3, "array post operand store", "kept", "Mode"),
    ("weights_stream", 1, False, 0, 1, "array", "kept",
     "1: a ring word is freed once used and comes again for every pixel; 0: kept to the end"),
    ("add", 1, False, 0, 1, "post operand", "kept",
     "1: ADD the operand tensor after requantization"),
    ("multiply", 1, False, 0, 1, "post", "", "1: MUL the operand instead (only with add)"),
    ("table", 1, False, 0, 1, "post", "kept",
     "1: map the int8 result through table 0 (not with add)"),
    ("patch", 1, False, 0, 1, "array", "",
     "DENSE: 1: the taps of a pixel are packed into a patch before the array reads them"),
    ("sliding", 1, False, 0, 1, "array", "unused",
     "COLUMN: 1: the window keeps its columns from one pixel to the next"),
    ("single_row", 1, False, 0, 1, "array", "unused",
     "COLUMN: 1: window of 1 row and N columns; 0: 4 rows and N/4 columns"),
    ("table_bank", 1, False, 0, 1, "post", "", "bank of the tables used by add or table"),
    ("rounding", 2, False, 0, 3, "post", "kept", "Rounding of the accumulators"),
    ("add_rounding", 2, False, 0, 3, "post", "kept", "Rounding of the sum"),
    ("store_in_order", 1, False, 0, 1, "store", "unused",
     "1: results fill the output in address order, so its watermark may be waited for"),
    ("ifm_watermark", 1, False, 0, 1, "load", "unused",
     "1: bytes below the producer's watermark may be read before the producer retires"),
    ("operand_watermark", 1, False, 0, 1, "operand", "unused", "the same for the operand"),
    ("tag", 10, False, 0, None, "store", "unused", "layer number, for counters"),
    ("phase_windows", 1, False, 0, 1, "array", "unused",
     "COLUMN, sliding: 1: each phase, 1 or 2, has a window of its own: 4 rows, N/2 columns"),
    ("ifm_wait", 16, False, 0, None, "load", "unused",
     "0, or 1 + index of the instruction that completes the input tensor"),
    ("operand_wait", 16, False, 0, None, "operand", "unused", "the same for the operand"),
    ("ifm_address", 32, False, 0, None, "load array", "start memory",
     "byte address of the first input row"),
    ("ifm_pitch", 24, False, 0, None, "load array", "kept memory",
     "bytes between input rows in device memory"),
    ("kernel_rows", 8, False, 1, None, "array", "kept", "taps of the kernel vertically"),
    ("ifm_rows", 16, False, 1, None, "load array", "kept count", "input rows"),
    ("line_pitch", 16, False, 1, None, "load array", "kept line words",
     "bytes between rows in the line buffer, a multiple of read_bytes"),
    ("ifm_row_bytes", 20, False, 1, None, "load array", "kept line", "bytes of an input row"),
    ("segments", 8, False, 1, None, "array", "kept",
     "segments of a kernel row: 1 where its bytes are contiguous, else its taps"),
    ("stride_rows", 4, False, 1, None, "array", "kept",
     "input rows from one output row to the next"),
    ("pad_top", 8, False, 0, None, "array", "start", "padding rows above the input"),
    ("dilation_rows", 8, False, 1, None, "array", "kept 4",
     "input rows from one kernel row to the next"),
    ("pad_value", 8, True, -128, 127, "array", "kept",
     "what padding reads as (the input's zero point)"),
    ("chunks", 16, False, 1, None, "array", "kept count",
     "reads of N bytes a segment; sliding COLUMN: steps with a window, 1 or 2"),
    ("pixel_step", 16, False, 0, None, "array", "kept line",
     "bytes from one output pixel's window to the next"),
    ("pad_left_bytes", 16, False, 0, None, "array", "kept line",
     "padding bytes left of the input row"),
    ("segment_step", 16, False, 0, None, "array", "kept line",
     "bytes from one segment to the next"),
    ("window_span", 16, False, 1, None, "array", "unused",
     "bytes from the first to past the last byte of a pixel's window in a row, all blocks"),
    ("ofm_rows", 16, False, 1, None, "array post operand store", "kept count", "output rows"),
    ("ofm_columns", 16, False, 1, None, "array post operand store", "kept count",
     "output pixels of a row"),
    ("blocks", 12, False, 1, None, "array post operand store", "kept count",
     "blocks of output channels, each of block_width but the last"),
    ("block_width", 8, False, 1, 64, "array post operand store", "kept",
     "output channels of a block: out_lanes, or depthwise_lanes; in DENSE, with vector_unit, more "
     "than out_lanes are four of each lane"),
    ("last_width", 8, False, 1, 64, "post operand store", "kept",
     "output channels of the last block"),
    ("steps", 16, False, 1, None, "array", "unused",
     "cycles of a block: kernel_rows * segments * chunks"),
    ("block_words", 16, False, 0, None, "array", "unused",
     "ring words of a block; with listed of all blocks"),
    ("parameter_address", 32, False, 0, None, "weights", "start memory words",
     "byte address of parameters and tables"),
    ("parameter_bytes", 24, False, 0, None, "weights", "start memory words",
     "their length in bytes"),
    ("weight_address", 32, False, 0, None, "weights", "kept memory words",
     "byte address of the weights"),
    ("weight_bytes", 24, False, 0, None, "weights", "kept memory words", "their length in bytes"),
    ("weight_repeat", 32, False, 1, None, "weights", "start 16", "how often the weights are read"),
    ("zero_point", 8, True, -128, 127, "post", "kept", "output zero point"),
    ("act_min", 8, True, -128, 127, "post", "kept",
     "smallest output; above act_max, with vector_unit: no limits, the low 8 bits are the output"),
    ("act_max", 8, True, -128, 127, "post", "kept", "largest output"),
    ("add_zero_point", 8, True, -128, 127, "post", "kept", "zero point of the sum"),
    ("add_multiplier", 31, False, 0, None, "post", "kept", "multiplier of the sum"),
    ("add_shift", 6, False, 0, None, "post", "kept", "shift of the sum"),
    ("add_min", 8, True, -128, 127, "post", "kept", "smallest sum"),
    ("add_max", 8, True, -128, 127, "post", "kept", "largest sum"),
    ("operand_address", 32, False, 0, None, "operand", "start memory",
     "byte address of the operand tensor"),
    ("operand_row_pitch", 24, False, 0, None, "operand", "kept memory", "bytes between its rows"),
    ("operand_pixel_pitch", 16, False, 0, None, "operand", "kept memory",
     "bytes between its pixels"),
    ("ofm_address", 32, False, 0, None, "store", "start memory",
     "byte address of the output tensor"),
    ("ofm_row_pitch", 24, False, 0, None, "store", "kept memory", "bytes between its rows"),
    ("ofm_pixel_pitch", 16, False, 0, None, "store", "kept memory", "bytes between its pixels"),
    ("columns_first", 8, False, 0, None, "array", "unused",
     "COLUMN: columns read before the first output of a row and block"),
    ("columns_next", 8, False, 0, None, "array", "unused",
     "COLUMN: columns read before each later output"),
    ("phases", 8, False, 0, None, "array", "unused",
     "COLUMN: passes over the kernel's rows, as many rows as the window has at a time"),
    ("segment_bytes", 8, False, 0, None, "array", "unused", "patch: useful bytes of a kernel row"),
    ("weight_zero_point", 8, True, -128, 127, "array", "",
     "DENSE: what is taken off every weight"),
    ("listed", 1, False, 0, 1, "array", "unused",
     "DENSE: 1: a list says which chunks of a segment have steps; the others have weights of 0"),
)

# Fields of blocks that a core may lack, and the field of the config that says so: there they are 0.
NEEDS = {"listed": "step_entries"}

LAYER = BitTable("an instruction", INSTRUCTION_BYTES, in_order(
    Field.of(name, width, meaning, signed=signed, low=low, high=high, units=tuple(units.split()),
             compact=tuple(compact.split()))
    for name, width, signed, low, high, units, compact, meaning in _TABLE))
FIELDS: dict[str, Field] = LAYER.fields
decode = LAYER.decode


def unit_fields(unit: str) -> list[Field]:
    """The fields that ``unit`` needs, in table order."""
    return [field for field in FIELDS.values() if unit in field.units]


MAGIC = 0x4B41_4E49   # what register MAGIC reads: a kaniwa core


class Register(enum.IntEnum):
    """Word addresses of the control and status registers (32 bits each)."""

    MAGIC = 0            # reads 0x4B41_4E49
    VERSION = 1          # ISA version
    CONFIG_HASH_LOW = 2  # the config's hash, as a 64-bit number
    CONFIG_HASH_HIGH = 3
    BUILD_ID = 4
    CLOCK_HZ = 5
    SHAPE = 6            # out_lanes | dot_width << 8 | requant_lanes << 16 | requant_cycles << 24
    MEMORY_BYTES = 7
    CONTROL = 8          # write 1: run; write 2: abort and reset
    STATUS = 9           # bit 0 running, bit 1 done, bit 2 error
    ERROR_CODE = 10      # ErrorCode of the last run
    ERROR_INSTRUCTION = 11  # index of the instruction it happened at
    PROGRAM_ADDRESS = 12
    WATCHDOG = 13        # cycles without progress before a run is ended; 0 = never
    CYCLES = 14          # of the current or last run
    RETIRED = 15         # instructions retired
    COUNTER_TAG = 16     # selects the layer whose counters are read; bit 10: the running totals
    COUNTER_0 = 17       # COUNTERS in order, as they stood when the layer last retired


class Command(enum.IntFlag):
    """Bits that are written to register CONTROL."""

    RUN = 1
    ABORT = 2


class Status(enum.IntFlag):
    """Bits of register STATUS."""

    RUNNING = 1
    DONE = 2
    ERROR = 4


class ErrorCode(enum.IntEnum):
    """Why a run ended early."""

    NONE = 0
    ILLEGAL_OPCODE = 1
    ILLEGAL_FIELD = 2   # a field outside its legal range
    BAD_FORMAT = 3      # a block of the weight stream of an unknown format
    ADDRESS = 4         # an access outside device memory
    WATCHDOG = 5        # no progress for the time set
    ABORTED = 6
    VECTOR = 7          # a unit's program or descriptor is illegal, of VECTOR, CELL or another unit


# What each cycle of a run is counted as, cumulative from the start; they add up to the cycles.
COUNTERS = ("cycles", "issued", "load", "dependency", "weights", "requantize", "store", "fill")


def encode(values: Mapping[str, int]) -> bytes:
    """The bytes of one instruction; fields not named are 0, or their low limit.

    Raises ProgramError for an unknown field, or one of a LAYER that is outside its range.
    """
    is_layer = values.get("opcode") == Opcode.LAYER
    return LAYER.encode(values) if is_layer else LAYER.pack(values)


def illegal_field(values: Mapping[str, int]) -> str | None:
    """The first field of a decoded LAYER instruction outside its range, or None."""
    field = LAYER.outside(values)
    return field.name if field else None
