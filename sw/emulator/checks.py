"""Rules that make an instruction legal for a config, beyond the ranges of its fields.

The core checks little more than ranges, and would hang or compute nonsense on the rest, so the
emulator refuses it.
"""

from __future__ import annotations

from collections.abc import Callable

from kaniwa.config import AcceleratorConfig
from kaniwa.emulator.memory import Fault
from kaniwa.isa import FIELDS, ErrorCode, Mode, Opcode, illegal_field
from kaniwa.isa.step_lists import most_steps
from kaniwa.program.instruction import (
    Values,
    channels,
    column_window,
    parameter_words_per_block,
    rows_needed,
    weight_words,
)
from kaniwa.units.register import unit_of

__all__ = ["check_instruction"]


def check_instruction(config: AcceleratorConfig, values: Values) -> None:
    """Raise Fault unless the LAYER, or instruction of a unit, is legal on ``config``."""
    unit = unit_of(config, values)
    if unit is not None:
        problem = unit.illegal(config, values)
        if problem is not None:
            raise Fault(ErrorCode.ILLEGAL_FIELD, problem)
        return
    if values["opcode"] != Opcode.LAYER:
        raise Fault(ErrorCode.ILLEGAL_OPCODE, f"opcode {values['opcode']}")
    name = illegal_field(values)
    if name is not None:
        field = FIELDS[name]
        raise Fault(ErrorCode.ILLEGAL_FIELD, f"{name} must be {field.low}..{field.high}, "
                                             f"not {values[name]}")
    for name, value in values.items():
        limit = config.field_limit(name, FIELDS[name].high)
        if value > limit and not name.endswith("_address"):   # that is seen when it is used
            raise Fault(ErrorCode.ILLEGAL_FIELD,
                        f"{name} must be {FIELDS[name].low}..{limit} on this target, not {value}")
    for code, rule, legal in _RULES:
        if not legal(config, values):
            raise Fault(code, rule)


def _lanes(config: AcceleratorConfig, values: Values) -> int:
    """Output channels that a block may have in the instruction's mode."""
    if values["mode"] == Mode.DENSE:
        return config.block_lanes
    return config.column_lanes if values["mode"] == Mode.COLUMN else config.depthwise_lanes


def _steps(config: AcceleratorConfig, v: Values) -> int:
    """Array steps of a block and pixel, as the other fields have it."""
    if v["patch"]:
        return -(-v["kernel_rows"] * v["segment_bytes"] // config.dot_width)
    if v["mode"] != Mode.COLUMN:
        return v["kernel_rows"] * v["segments"] * v["chunks"]
    if v["sliding"]:
        return v["phases"] * v["chunks"]
    return v["phases"] * -(-v["columns_next"] // column_window(config, v)[1])


def _patch(config: AcceleratorConfig, v: Values) -> bool:
    size = v["segment_bytes"]
    return not v["patch"] or (
        v["mode"] == Mode.DENSE and v["segments"] == 1 and 0 < size
        and v["chunks"] == -(-size // config.dot_width)
        and v["kernel_rows"] * size <= config.patch_bytes // 2)


def _columns(config: AcceleratorConfig, v: Values) -> bool:
    """The window covers the kernel, and its columns and passes follow from it."""
    if v["mode"] != Mode.COLUMN:
        return True
    rows, columns = column_window(config, v)
    if (not config.depthwise or v["dilation_rows"] != 1 or not v["segment_step"]
            or v["weights_stream"]):
        return False
    if v["phases"] != -(-v["kernel_rows"] // rows) or not v["columns_next"]:
        return False
    if not v["sliding"]:
        return (v["chunks"] == 1 and not v["phase_windows"]
                and v["columns_first"] == v["columns_next"] == v["segments"])
    if v["chunks"] > 2 or v["pixel_step"] != v["columns_next"] * v["segment_step"]:
        return False
    if v["phase_windows"]:
        corner = (v["kernel_rows"], v["segments"], v["chunks"]) == (rows + 1, columns + 1, 1)
        return (config.phase_windows and not v["single_row"] and v["phases"] <= 2
                and v["columns_first"] == v["segments"]
                and (corner or v["chunks"] == -(-v["segments"] // columns)))
    padding = v["segments"] - v["columns_first"]
    return (v["phases"] == 1 and v["segments"] <= columns and v["columns_first"] > 0
            and v["pad_left_bytes"] == padding * v["segment_step"])


def _column_lanes(config: AcceleratorConfig, v: Values) -> bool:
    """Every column is a whole lane a row, and the rows of a window lie in different lanes."""
    if v["mode"] != Mode.COLUMN:
        return True
    lane = config.lane_bytes
    aligned = v["ifm_pitch"] % config.read_bytes == 0 and all(v[name] % lane == 0 for name in (
        "ifm_address", "segment_step", "pixel_step", "pad_left_bytes", "ifm_row_bytes"))
    rows = column_window(config, v)[0]
    lanes = {row * v["line_pitch"] // lane % (config.line_width // lane) for row in range(rows)}
    return aligned and len(lanes) == rows and (v["blocks"] == 1 or v["block_width"] == lane)


def _block_words(config: AcceleratorConfig, v: Values) -> bool:
    if v["listed"]:    # of all blocks: as many as the list has
        return True
    if v["mode"] in (Mode.DENSE, Mode.COLUMN):
        return v["block_words"] == v["steps"]
    return v["mode"] == Mode.MAX_POOL or v["block_words"] == -(-v["steps"] // config.dot_width)


def _row_fits_pitch(config: AcceleratorConfig, v: Values) -> bool:
    width = config.read_bytes
    misalignments = {(v["ifm_address"] + row * v["ifm_pitch"]) % width
                     for row in range(min(v["ifm_rows"], width))}
    return -(-(max(misalignments) + v["ifm_row_bytes"]) // width) * width <= v["line_pitch"]


def _weights_fit(config: AcceleratorConfig, v: Values) -> bool:
    return bool(v["weights_stream"]) or weight_words(v) <= config.ring_words


def _in_order(config: AcceleratorConfig, v: Values) -> bool:
    if not v["store_in_order"]:
        return True
    row = (v["ofm_columns"] - 1) * v["ofm_pixel_pitch"] + channels(v)
    return ((v["ofm_columns"] == 1 or channels(v) <= v["ofm_pixel_pitch"])
            and (v["ofm_rows"] == 1 or row <= v["ofm_row_pitch"]))


_FIELD, _HANG = ErrorCode.ILLEGAL_FIELD, ErrorCode.WATCHDOG

# (what the core makes of it, the rule, whether it is kept)
_RULES: tuple[tuple[ErrorCode, str, Callable[[AcceleratorConfig, Values], bool]], ...] = (
    (_FIELD, "steps must follow from the kernel", lambda c, v: v["steps"] == _steps(c, v)),
    (_FIELD, "patch needs DENSE, one segment, and a patch that fits half the patch buffer", _patch),
    (_FIELD, "COLUMN needs columns and phases that follow from the kernel", _columns),
    (_FIELD, "COLUMN needs whole lanes, and the rows of a window in different lanes",
     _column_lanes),
    (_FIELD, "chunks must be 1 for DEPTHWISE and MAX_POOL",
     lambda c, v: v["mode"] in (Mode.DENSE, Mode.COLUMN) or v["chunks"] == 1),
    (_FIELD, "weight_zero_point must be 0 unless the mode is DENSE and the core is not compact",
     lambda c, v: not v["weight_zero_point"] or (v["mode"] == Mode.DENSE and not c.compact)),
    (_FIELD, "listed needs DENSE without patch, and a target with step_entries for the block_words",
     lambda c, v: not v["listed"] or (v["mode"] == Mode.DENSE and not v["patch"]
                                      and v["block_words"] <= most_steps(c))),
    (_FIELD, "block_words must be steps, or ceil(steps / dot_width) for DEPTHWISE", _block_words),
    (_FIELD, "block_width must be at most the lanes of the mode",
     lambda c, v: v["block_width"] <= _lanes(c, v)),
    (_FIELD, "last_width must be at most block_width",
     lambda c, v: v["last_width"] <= v["block_width"]),
    (_FIELD, "act_min must be at most act_max without a vector unit",
     lambda c, v: c.vector_unit or v["act_min"] <= v["act_max"]),
    (_FIELD, "add_min must be at most add_max", lambda c, v: v["add_min"] <= v["add_max"]),
    (_FIELD, "add and table exclude each other", lambda c, v: not (v["add"] and v["table"])),
    (_FIELD, "this config has no elementwise unit",
     lambda c, v: c.elementwise or not (v["add"] or v["table"])),
    (_FIELD, "multiply needs add", lambda c, v: v["add"] >= v["multiply"]),
    (_FIELD, "this config has no elementwise multiplier",
     lambda c, v: c.elementwise_multiply or not v["multiply"]),
    (_FIELD, "table_bank must be one of the config's banks",
     lambda c, v: v["table_bank"] < c.table_banks),
    (_FIELD, "this config has no max pooling",
     lambda c, v: v["mode"] != Mode.MAX_POOL or c.max_pool),
    (_FIELD, "line_pitch must be a multiple of lane_bytes",
     lambda c, v: v["line_pitch"] % c.lane_bytes == 0),
    (_FIELD, "weight and parameter addresses and lengths must be multiples of read_bytes",
     lambda c, v: all(v[name] % c.read_bytes == 0 for name in (
         "parameter_address", "parameter_bytes", "weight_address", "weight_bytes"))),
    (_FIELD, "line_pitch must hold the words of an input row", _row_fits_pitch),
    (_FIELD, "add_multiplier must fit multiplier_bits",
     lambda c, v: v["add_multiplier"] < 1 << c.multiplier_bits),
    (_FIELD, "store_in_order needs pixels and rows that do not overlap", _in_order),
    (_FIELD, "ifm_rows must end with the last row that is used",
     lambda c, v: v["ifm_rows"] == max(rows_needed(v, v["ofm_rows"] - 1), 1)),
    (_HANG, "the rows of a window must fit the line buffer",
     lambda c, v: ((v["kernel_rows"] - 1) * v["dilation_rows"] + 1) * v["line_pitch"]
     <= c.line_bytes),
    (_HANG, "the rows of a stride must fit the line buffer",
     lambda c, v: v["stride_rows"] * v["line_pitch"] <= c.line_bytes),
    (_HANG, "weights that are kept must fit the weight ring", _weights_fit),
    (_HANG, "the records of an instruction must fit the parameter buffer",
     lambda c, v: v["blocks"] * parameter_words_per_block(c, v) <= c.parameter_words),
)
