"""What follows from the fields of an instruction: shapes, places, counts of words, legality."""

from __future__ import annotations

from collections.abc import Mapping

from kaniwa.config import AcceleratorConfig
from kaniwa.isa import Mode, Opcode
from kaniwa.units.cell.isa import DESCRIPTOR_BYTES
from kaniwa.units.vector.isa import STORE_INSTRUCTIONS, VECTOR_BYTES

__all__ = ["Values", "channels", "column_window", "illegal_program", "runs_alone",
           "parameter_words_per_block", "pixels", "rows_needed", "weight_words"]

Values = Mapping[str, int]  # fields by name, as isa.decode gives them


def channels(values: Values) -> int:
    """Output channels of the instruction."""
    return (values["blocks"] - 1) * values["block_width"] + values["last_width"]


def pixels(values: Values, which: str) -> tuple[int, tuple[int, int, int], tuple[int, int, int]]:
    """Address, shape and pitches of the ``which`` tensor ("ofm" or "operand"): HWC."""
    return (values[f"{which}_address"],
            (values["ofm_rows"], values["ofm_columns"], channels(values)),
            (values[f"{which}_row_pitch"], values[f"{which}_pixel_pitch"], 1))


def weight_words(values: Values) -> int:
    """Ring words that the instruction uses: all it is given, with weights_stream for each pixel."""
    if values["mode"] == Mode.MAX_POOL:
        return 0
    words = values["blocks"] * values["block_words"]
    if values["weights_stream"]:
        words *= values["ofm_rows"] * values["ofm_columns"]
    return words


def parameter_words_per_block(config: AcceleratorConfig, values: Values) -> int:
    return -(-values["block_width"] // config.requant_lanes)


def column_window(config: AcceleratorConfig, values: Values) -> tuple[int, int]:
    """Rows and columns of the window in COLUMN mode."""
    return (1, config.dot_width) if values["single_row"] else config.column_window


def rows_needed(values: Values, output_row: int) -> int:
    """Input rows up to the last one that ``output_row`` reads."""
    last = (output_row * values["stride_rows"]
            + (values["kernel_rows"] - 1) * values["dilation_rows"] - values["pad_top"])
    return min(max(last + 1, 0), values["ifm_rows"])


def runs_alone(config: AcceleratorConfig, values: Values) -> bool:
    """Whether it is a VECTOR or a CELL, for which all before it is complete, on a config with that
    unit."""
    return (values["opcode"] == Opcode.VECTOR and config.vector_unit
            or values["opcode"] == Opcode.CELL and config.cell_unit)


def illegal_program(config: AcceleratorConfig, values: Values) -> str | None:
    """What is wrong with the fields of a VECTOR or a CELL instruction, or None."""
    if values["opcode"] == Opcode.CELL:
        return _illegal_cell(config, values)
    unit = max(config.read_bytes, VECTOR_BYTES)
    for name, size in (("parameter_address", config.read_bytes), ("parameter_bytes", unit)):
        if values[name] % size:
            return f"{name} of VECTOR must be a multiple of {size}, not {values[name]}"
    entry, count = values["block_words"], values["parameter_bytes"] // VECTOR_BYTES
    if entry >= STORE_INSTRUCTIONS or entry + count > STORE_INSTRUCTIONS:
        return (f"{count} vector instructions from place {entry} on do not fit a store of "
                f"{STORE_INSTRUCTIONS}")
    return None


def _illegal_cell(config: AcceleratorConfig, values: Values) -> str | None:
    address, size = values["parameter_address"], values["parameter_bytes"]
    if address % config.read_bytes:
        return f"parameter_address of CELL must be a multiple of {config.read_bytes}, not {address}"
    if size != DESCRIPTOR_BYTES:
        return f"parameter_bytes of CELL must be {DESCRIPTOR_BYTES}, not {size}"
    return None
