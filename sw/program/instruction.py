"""Values that follow from the fields of an instruction: shapes, places, counts of words."""

from __future__ import annotations

from collections.abc import Mapping

from kaniwa.config import AcceleratorConfig
from kaniwa.isa import Mode

__all__ = ["Values", "blocks_at_once", "channels", "column_window", "parameter_words_per_block",
           "pixel_words", "pixels", "rows_needed", "weight_words"]

Values = Mapping[str, int]  # fields by name, as isa.decode gives them


def channels(values: Values) -> int:
    """Output channels of the instruction."""
    return (values["blocks"] - 1) * values["block_width"] + values["last_width"]


def blocks_at_once(config: AcceleratorConfig, values: Values) -> int:
    """Blocks of which a step of the array takes the bytes: two of MAX_POOL where each has all lanes
    and the config's reads bring both."""
    pools = values["mode"] == Mode.MAX_POOL and values["block_width"] == config.depthwise_lanes
    return config.pool_blocks if pools else 1


def pixels(values: Values, which: str) -> tuple[int, tuple[int, int, int], tuple[int, int, int]]:
    """Address, shape and pitches of the ``which`` tensor ("ofm" or "operand"): HWC."""
    return (values[f"{which}_address"],
            (values["ofm_rows"], values["ofm_columns"], channels(values)),
            (values[f"{which}_row_pitch"], values[f"{which}_pixel_pitch"], 1))


def pixel_words(values: Values) -> int:
    """Ring words that a pixel meets."""
    if values["mode"] == Mode.MAX_POOL:
        return 0
    return values["block_words"] * (1 if values["listed"] else values["blocks"])


def weight_words(values: Values) -> int:
    """Ring words that the instruction uses: all it is given, with weights_stream for each pixel."""
    words = pixel_words(values)
    if values["weights_stream"]:
        words *= values["ofm_rows"] * values["ofm_columns"]
    return words


def parameter_words_per_block(config: AcceleratorConfig, values: Values) -> int:
    return -(-values["block_width"] // config.requant_lanes)


def column_window(config: AcceleratorConfig, values: Values) -> tuple[int, int]:
    """Rows and columns of the window in COLUMN mode."""
    return (1, config.dot_width) if values["single_row"] else config.column_window


def meets_corner(config: AcceleratorConfig, values: Values) -> bool:
    """True where the second phase's step takes all that the first one's leaves of a kernel that is
    a row and a column larger than the window."""
    columns = column_window(config, values)[1]
    return bool(values["phase_windows"]) and values["segments"] > values["chunks"] * columns


def rows_needed(values: Values, output_row: int) -> int:
    """Input rows up to the last one that ``output_row`` reads."""
    last = (output_row * values["stride_rows"]
            + (values["kernel_rows"] - 1) * values["dilation_rows"] - values["pad_top"])
    return min(max(last + 1, 0), values["ifm_rows"])
