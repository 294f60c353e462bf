"""Decodes what a LAYER instruction of the emulator reads besides activations."""

from __future__ import annotations

import numpy as np

from kaniwa.config import AcceleratorConfig
from kaniwa.emulator.column import check_stale_columns
from kaniwa.emulator.layer import PreparedLayer
from kaniwa.emulator.memory import EmulatedMemory, Fault
from kaniwa.errors import ProgramError
from kaniwa.isa import FACTOR_BITS, ErrorCode, Mode
from kaniwa.isa.formats import RECORD, Buffer
from kaniwa.isa.step_lists import unpack_steps
from kaniwa.isa.weight_stream import StreamBlock, decode_stream
from kaniwa.program.instruction import (
    Values,
    channels,
    parameter_words_per_block,
    pixel_words,
    weight_words,
)

__all__ = ["Tables", "prepare"]

Tables = dict[int, np.ndarray]  # table | bank << 1 -> 256 int64


def prepare(config: AcceleratorConfig, memory: EmulatedMemory, values: Values,
            tables: Tables) -> PreparedLayer:
    """Decode the instruction's weight stream; ``tables`` are updated by its TABLE blocks.

    Raises Fault for a bad stream or one that does not bring exactly what the instruction uses.
    """
    once = _decode(config, memory, values["parameter_address"], values["parameter_bytes"])
    repeated = _decode(config, memory, values["weight_address"], values["weight_bytes"])
    bank = values["table_bank"] << 1
    own = {bank, bank | 1} if values["add"] else {bank} if values["table"] else set()
    loaded = _load_tables(once + repeated, tables, own)
    count = channels(values)
    records = _records(config, values, once, repeated)
    words = _all_words(values, _words(config, values, once, repeated), once, repeated)
    weights = _weight_matrix(config, values, words, count)
    multiplier = records["multiplier"].astype(np.int64)
    if multiplier.max() >> config.multiplier_bits:
        raise Fault(ErrorCode.ILLEGAL_FIELD,
                    f"multiplier {multiplier.max()} does not fit {config.multiplier_bits} bits")
    if values["multiply"]:
        _check_factors(tables, bank)
    return PreparedLayer(
        values, config, count, weights, records["bias"].astype(np.int64), multiplier,
        records["shift"].astype(np.int64),
        _table(tables, bank) if values["add"] or values["table"] else None,
        _table(tables, bank | 1) if values["add"] else None, loaded)


def _decode(config: AcceleratorConfig, memory: EmulatedMemory, address: int,
            length: int) -> list[StreamBlock]:
    if length == 0:
        return []
    try:
        return decode_stream(memory.view(address, length).tobytes(), config)
    except ProgramError as error:
        raise Fault(ErrorCode.BAD_FORMAT, f"at {address:#x}: {error}") from None


def _load_tables(blocks: list[StreamBlock], tables: Tables, own: set[int]) -> frozenset[int]:
    """Put the TABLE blocks into ``tables``; which ones they were.

    ``own``: tables that the instruction uses. Others may come behind its parameters.
    """
    loaded: set[int] = set()
    parameters = False
    for block in blocks:
        if block.buffer == Buffer.TABLES:
            if parameters and own & block.tables.keys():
                raise Fault(ErrorCode.ILLEGAL_FIELD, "a table comes after the parameters, which is "
                                                     "what its use waits for")
            tables |= {number: table.astype(np.int64) for number, table in block.tables.items()}
            loaded |= block.tables.keys()
        parameters |= block.buffer == Buffer.RECORDS
    return frozenset(loaded)


def _table(tables: Tables, number: int) -> np.ndarray:
    if number not in tables:
        raise Fault(ErrorCode.ILLEGAL_FIELD, f"table {number & 1} of bank {number >> 1} is used "
                                             "before it is loaded")
    return tables[number]


def _check_factors(tables: Tables, bank: int) -> None:
    """The multiplier takes the low FACTOR_BITS of an entry."""
    limit = 1 << FACTOR_BITS - 1
    for number in (bank, bank | 1):
        table = _table(tables, number)
        wrong = table[(table < -limit) | (table >= limit)]
        if len(wrong):
            raise Fault(ErrorCode.ILLEGAL_FIELD,
                        f"table {number & 1} of bank {number >> 1} has {wrong[0]}, which multiply "
                        f"takes only within {-limit}..{limit - 1}")


def _words(config: AcceleratorConfig, values: Values, once: list[StreamBlock],
           repeated: list[StreamBlock]) -> np.ndarray:
    """The ring words of one pixel, which with weights_stream are the same for every pixel."""
    first, again = (
        np.concatenate([np.empty((0, config.out_lanes, config.dot_width), np.int8),
                        *(b.values for b in blocks if b.buffer == Buffer.WEIGHTS)])
        for blocks in (once, repeated))
    given = len(first) + values["weight_repeat"] * len(again)
    used = weight_words(values)
    if given != used:
        raise Fault(ErrorCode.WATCHDOG,
                    f"the weight stream brings {given} ring words, the instruction uses {used}")
    if not values["weights_stream"] or not used:
        return np.concatenate([first, _repeat(again, values["weight_repeat"])])
    a_pixel = pixel_words(values)
    if len(first) or len(again) % a_pixel:
        raise Fault(ErrorCode.ILLEGAL_FIELD,
                    "streamed weights must come whole pixels at a time, all with weight_repeat")
    if (again.reshape(-1, a_pixel, *again.shape[1:]) != again[:a_pixel]).any():
        raise Fault(ErrorCode.ILLEGAL_FIELD, "streamed weights must be the same for every pixel")
    return again[:a_pixel]


def _all_words(values: Values, words: np.ndarray, once: list[StreamBlock],
               repeated: list[StreamBlock]) -> np.ndarray:
    """The ring words of a pixel with those that its list leaves out; these have weights of 0."""
    lists = [block for block in once if block.buffer == Buffer.STEPS]
    if any(block.buffer == Buffer.STEPS for block in repeated):
        raise Fault(ErrorCode.ILLEGAL_FIELD, "a step list must come with the parameters")
    if len(lists) != values["listed"]:
        raise Fault(ErrorCode.WATCHDOG, f"the stream brings {len(lists)} step lists, the "
                                        f"instruction uses {values['listed']}")
    if not lists:
        return words
    try:
        steps = unpack_steps(lists[0].values, (
            values["blocks"], values["kernel_rows"] * values["segments"], values["chunks"]))
    except ProgramError as error:
        raise Fault(ErrorCode.ILLEGAL_FIELD, str(error)) from None
    if np.count_nonzero(steps) != values["block_words"]:
        raise Fault(ErrorCode.ILLEGAL_FIELD, f"the list has {np.count_nonzero(steps)} steps, "
                                             f"block_words says {values['block_words']}")
    every = np.full((*steps.shape, *words.shape[1:]), values["weight_zero_point"], np.int8)
    every[steps] = words
    return every.reshape(-1, *words.shape[1:])


def _records(config: AcceleratorConfig, values: Values, once: list[StreamBlock],
             repeated: list[StreamBlock]) -> np.ndarray:
    """The parameter record of each channel."""
    first, again = (
        np.concatenate([np.empty((0, config.requant_lanes), RECORD),
                        *(b.values for b in blocks if b.buffer == Buffer.RECORDS)])
        for blocks in (once, repeated))
    given = len(first) + values["weight_repeat"] * len(again)
    blocks, width = values["blocks"], values["block_width"]
    used = blocks * parameter_words_per_block(config, values)
    if given != used:
        raise Fault(ErrorCode.WATCHDOG, f"the weight stream brings {given} parameter words, "
                                        f"the instruction uses {used}")
    words = np.concatenate([first, _repeat(again, values["weight_repeat"])])
    records = words.reshape(blocks, -1)[:, :width].reshape(-1)
    return records[:channels(values)]


def _repeat(words: np.ndarray, times: int) -> np.ndarray:
    # Nothing is repeated any number of times; the callers bound what is more than nothing.
    return np.concatenate([words] * times) if len(words) else words


def _weight_matrix(config: AcceleratorConfig, values: Values, words: np.ndarray,
                   count: int) -> np.ndarray:
    """Weights as [steps * N, channels] or [taps, channels]; row m of block b is one channel."""
    blocks, steps, width = values["blocks"], values["steps"], values["block_width"]
    if values["mode"] == Mode.MAX_POOL:
        return np.empty((0, count), np.float32)
    # [blocks, block_words, M, N] -> [block_words * N, blocks, width]: N is the inner reduction
    # index of DENSE, and tap % N of DEPTHWISE, where the last word may hold more than the taps.
    tiled = words.reshape(blocks, -1, config.out_lanes, config.dot_width)
    lanes = tiled.transpose(1, 3, 0, 2)
    if width > config.out_lanes:
        lanes = np.repeat(lanes, config.spread, axis=-1)
    matrix = lanes[..., :width].reshape(-1, blocks * width)
    if values["mode"] == Mode.COLUMN:
        taps = matrix[:, :count].reshape(-1, config.dot_width, count).astype(np.int64)
        check_stale_columns(taps, values, config)
        return taps
    if values["weight_zero_point"]:
        matrix = matrix.astype(np.int16) - values["weight_zero_point"]
    if values["patch"]:
        useful = values["kernel_rows"] * values["segment_bytes"]
        if matrix[useful:].any():
            raise Fault(ErrorCode.ILLEGAL_FIELD, "a weight meets a byte past the end of the patch")
        matrix = matrix[:useful]
    if values["mode"] == Mode.DEPTHWISE:
        matrix = matrix[:steps]
    matrix = matrix[:, :count]
    # Activations are at most 128 in magnitude, so every partial sum, in whatever order, is an
    # integer of at most 128 * sum|w|. float32 holds integers exactly up to 2^24, float64 up to
    # 2^53, which 2^16 steps of 64 products cannot pass.
    largest = np.abs(matrix.astype(np.int64)).sum(axis=0).max(initial=0) * 128
    return np.ascontiguousarray(matrix, np.float32 if largest <= 1 << 24 else np.float64)
