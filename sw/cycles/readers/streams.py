"""Cycle model: how the blocks of a weight stream are decoded, whatever their values."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from kaniwa.config import AcceleratorConfig
from kaniwa.isa import Format, Mode
from kaniwa.isa.formats import (
    FORMATS,
    RECORD_BYTES,
    SHORT_RECORD,
    Buffer,
    header_of_widths,
    width_entries,
    words_of_zeros,
)
from kaniwa.isa.modes import FILL
from kaniwa.isa.step_lists import list_words, unpack_steps
from kaniwa.isa.weight_stream import decode_headers, equal_runs
from kaniwa.program.instruction import Values, parameter_words_per_block, weight_words

__all__ = ["BlockShape", "Read", "list_words_of", "region_shapes", "step_counts"]

Read = Callable[[int, int], bytes]   # address, length -> what is stored there


@dataclass(frozen=True)
class BlockShape:
    """A block: ``items`` leave the decoder one after the other, from as many bytes as ``steps``
    say in turn.

    ``per_word`` items are a word of the buffer that they are for: ``kind``; that takes ``parts``
    of them at once. A part of a block whose items are alike may be without its beginning, the
    header, or without its end. After a header the decoder waits for ``fill`` cycles.
    """

    kind: Buffer
    items: int
    steps: tuple[int, ...]
    per_word: int
    parts: int = 1
    begins: bool = True
    ends: bool = True
    fill: int = 0

    @property
    def bytes(self) -> int:
        """Of all items."""
        return self.items // len(self.steps) * sum(self.steps)


def region_shapes(config: AcceleratorConfig, v: Values, read: Read | None,
                  ) -> tuple[Sequence[BlockShape], Sequence[BlockShape]]:
    """The blocks of an instruction's parameters, and of its weights once.

    Without ``read`` the formats follow from the sizes: as much is decoded as the layer needs.
    """
    if read is not None:
        return (_shapes(config, read(v["parameter_address"], v["parameter_bytes"])),
                _shapes(config, read(v["weight_address"], v["weight_bytes"])))
    words = 0 if v["mode"] == Mode.MAX_POOL else -(-weight_words(v) // v["weight_repeat"])
    return (_likely_parameters(config, v),
            _likely_weights(config, v["weight_bytes"], words))


def list_words_of(v: Values) -> int:
    """Words of the instruction's step list."""
    return list_words(v["block_words"]) if v["listed"] else 0


def step_counts(config: AcceleratorConfig, v: Values, read: Read | None) -> list[list[int]]:
    """Of an instruction with a list: for each block and segment how many steps it has.

    Without ``read`` all segments have as many, as far as that is possible.
    """
    blocks, segments = v["blocks"], v["kernel_rows"] * v["segments"]
    if read is None:
        each, more = divmod(v["block_words"], blocks * segments)
        even = [each + (number < more) for number in range(blocks * segments)]
        return [even[first:first + segments] for first in range(0, len(even), segments)]
    data = read(v["parameter_address"], v["parameter_bytes"])
    words = next(FORMATS[Format.STEPS].unpack(
        header, np.frombuffer(data, np.uint8, len(place), place.start), config)
        for header, place in decode_headers(data, config) if header["format"] == Format.STEPS)
    counts = unpack_steps(words, (blocks, segments, v["chunks"])).sum(axis=2)
    return [[int(count) for count in block] for block in counts]


def _shape(config: AcceleratorConfig, header: dict[str, int],
           behind: bytes | memoryview = b"") -> BlockShape:
    block = FORMATS[header["format"]]
    items = block.items(config)
    return BlockShape(block.buffer, header["count"] * items,
                      block.steps(header, config, behind), items, block.at_once(config),
                      fill=FILL if header["format"] == Format.MODES else 0)


def _packed_shapes(config: AcceleratorConfig, header: dict[str, int]) -> list[BlockShape]:
    """The parts of a PACKED block: a word of zeros is one item, without bytes."""
    zeros = words_of_zeros(header, config)
    shape = _shape(config, header)
    of_zeros = BlockShape(shape.kind, 1, (0,), 1)
    return [dataclasses.replace(
        of_zeros if zeros[first] else shape,
        items=(last - first) * (1 if zeros[first] else shape.per_word),
        begins=first == 0, ends=last == len(zeros))
        for first, last in equal_runs(zeros)]


def _shapes(config: AcceleratorConfig, data: bytes) -> list[BlockShape]:
    shapes = []
    for header, place in decode_headers(data, config):
        packed = header["format"] == Format.PACKED and header["count"]
        shapes += _packed_shapes(config, header) if packed else [
            _shape(config, header, memoryview(data)[place.start:place.stop])]
    return shapes


def _likely_parameters(config: AcceleratorConfig, v: Values) -> list[BlockShape]:
    words, size = v["blocks"] * parameter_words_per_block(config, v), v["parameter_bytes"]
    lists = []
    if v["listed"]:
        steps = _shape(config, {"format": Format.STEPS, "arg": 0, "count": list_words_of(v)})
        lists, size = [steps], size - (1 - -steps.bytes // config.read_bytes) * config.read_bytes
    records = words * config.requant_lanes
    own, short = (size - config.read_bytes >= each * records
                  for each in (RECORD_BYTES, SHORT_RECORD.bytes))
    kind = Format.PARAMETERS if own or short else Format.PARAMETERS_SHARED
    shape = _shape(config, {"format": kind, "arg": int(short and not own), "count": words})
    return lists + _padded(config, size, shape)


def _likely_weights(config: AcceleratorConfig, size: int, words: int) -> list[BlockShape]:
    room = size // config.read_bytes - 1
    width = min(8, 8 * room * config.read_bytes // max(1, words * config.tile_bytes))
    kind = Format.RAW if width == 8 else Format.PACKED
    shape = _shape(config, {"format": kind, "arg": 0, "count": words}
                   | header_of_widths([max(0, width)] * width_entries(config)))
    return _padded(config, size, shape)


def _padded(config: AcceleratorConfig, size: int, shape: BlockShape) -> list[BlockShape]:
    """``shape`` and as many empty blocks as make up ``size``."""
    used = 1 - -shape.bytes // config.read_bytes
    empty = BlockShape(Buffer.WEIGHTS, 0, (0,), 1)
    return [shape, *[empty] * (size // config.read_bytes - used)] if size else []
