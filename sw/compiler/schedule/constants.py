"""Encodes what each instruction reads of weights, parameters and tables."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import groupby

import numpy as np
import numpy.typing as npt

from kaniwa.compiler.plan.fields import (
    block_width,
    column_window,
    meets_corner,
    phase_windows,
    tile_channels,
    tile_fields,
    tile_steps,
)
from kaniwa.compiler.plan.geometry import Tile
from kaniwa.compiler.plan.layers import ArrayLayer, Stage
from kaniwa.compiler.plan.operands import room_of
from kaniwa.compiler.plan.plan import Constants, Plan, Slice
from kaniwa.compiler.plan.step_lists import layer_words
from kaniwa.compiler.plan.visits import visited_words
from kaniwa.compiler.schedule.table_banks import Tables, TableUse, table_uses
from kaniwa.config import AcceleratorConfig
from kaniwa.isa import Mode
from kaniwa.isa.weight_stream import (
    column_words,
    corner_words,
    depthwise_words,
    encode_parameters,
    encode_steps,
    encode_tables,
    encode_weights,
    phase_window_words,
)

__all__ = ["constants"]

Int8 = npt.NDArray[np.int8]
REPEATED_WORDS = 24     # of memory, of a stream that is read again: 4 % of it are its header


def constants(plan: Plan) -> Plan:
    """Encode the streams; equal streams and constant tensors are stored once.

    Tables come with an instruction that wants what is not there yet.
    """
    pool = _Pool()
    parameters, weights, banks = [], [], []
    parameters_of: dict[tuple[int, ...], Slice] = {}
    weights_of: dict[tuple[int, ...], Slice] = {}
    filled: dict[int, int] = {}
    for layer in plan.layers:
        # Layers have the same memory where they write the same of it: what one writes, those
        # before have read by then.
        for number, (i, depth) in enumerate(layer.streams.items()):
            filled[i] = pool.add(_bytes(plan, i), (number, depth))
    uses = _table_uses(plan)
    tables_of = [_tables(plan, tile, use) for tile, use in zip(plan.tiles, uses, strict=True)]
    for index, (tile, use) in enumerate(zip(plan.tiles, uses, strict=True)):
        banks.append(use.bank)
        if tile.runs_program:
            own, words = _program(plan, tile, pool)
            parameters.append(own)
            weights.append(words)
            continue
        layer, stage = _of_array(plan, tile)
        tables = b"" if use.early else tables_of[index]
        key = _key(plan, tile)
        if stage.parameters:
            own = Slice(filled[stage.parameters.tensor], *stage.parameters.part(tile))
        elif tables or key not in parameters_of:
            stream = tables + _parameters(layer, tile, plan.config)
            own = Slice(pool.add(stream), 0, len(stream))
            parameters_of.setdefault(key, replace(own, offset=len(tables),
                                                  length=len(stream) - len(tables)))
        else:
            own = parameters_of[key]
        if stage.weights:
            words = Slice(filled[stage.weights.tensor], *stage.weights.part(tile))
        else:
            if key not in weights_of:
                early = (tables_of[index + 1] if index + 1 < len(uses) and uses[index + 1].early
                         else b"")
                stream, repeat = _weights(layer, tile, not early, plan.config)
                stream += early
                weights_of[key] = (Slice(pool.add(stream), 0, len(stream), repeat) if stream
                                   else Slice(None, 0, 0))
            words = weights_of[key]
        parameters.append(own)
        weights.append(words)
    used = {i for layer in plan.layers for i in layer.reads}.union(plan.kept)
    tensors = {i: filled[i] if i in filled else pool.add(_bytes(plan, i)) for i in sorted(used)
               if plan.graph.tensors[i].data is not None}
    return replace(plan, constants=Constants(tuple(pool.blobs), tuple(parameters), tuple(weights),
                                             tuple(banks), tensors))


class _Pool:
    """Byte strings, each once."""

    def __init__(self) -> None:
        self.blobs: list[bytes] = []
        self._known: dict[tuple[bytes, object], int] = {}

    def add(self, blob: bytes, use: tuple[int, int] | None = None) -> int:
        """Its number; another one for each ``use``."""
        key = blob, use
        if key not in self._known:
            self._known[key] = self.add_own(blob)
        return self._known[key]

    def add_own(self, blob: bytes) -> int:
        """The number of one that is like no other."""
        self.blobs.append(blob)
        return len(self.blobs) - 1


def _bytes(plan: Plan, tensor: int) -> bytes:
    stored = plan.graph.tensors[tensor]
    assert stored.data is not None
    return stored.data.tobytes().ljust(room_of(stored, plan.config), b"\0")


def _table_uses(plan: Plan) -> list[TableUse]:
    """Of all tiles; the host may run another program between two parts."""
    uses = []
    for _, part in groupby(plan.tiles, lambda tile: plan.layers[tile.layer].part):
        tiles = list(part)
        wanted: list[Tables] = [
            () if tile.runs_program else _of_array(plan, tile)[0].tables for tile in tiles]
        users = Counter(_key(plan, tile) for tile in tiles)
        carries = [users[_key(plan, tile)] == 1 and _carries(plan, tile) for tile in tiles]
        uses += table_uses(wanted, plan.config.table_banks, carries)
    return uses


def _tables(plan: Plan, tile: Tile, use: TableUse) -> bytes:
    """The stream that loads the tables of a tile."""
    if not use.loads:
        return b""
    tables = _of_array(plan, tile)[0].tables
    return encode_tables({number: tables[number] for number in use.loads}, use.bank, plan.config)


def _key(plan: Plan, tile: Tile) -> tuple[int, ...]:
    """Tiles of one key have the same weights and parameters."""
    return tile.layer, plan.layers[tile.layer].in_step(tile.step), *tile.blocks


def _carries(plan: Plan, tile: Tile) -> bool:
    """Whether tables may follow the tile's weights: a constant stream that is read once."""
    if tile.runs_program or tile.weights_stream:
        return False
    layer, stage = _of_array(plan, tile)
    return layer.weights is not None and not stage.weights


def _of_array(plan: Plan, tile: Tile) -> tuple[ArrayLayer, Stage]:
    """The pass of the array that a tile is of, and its stage."""
    stage = plan.layers[tile.layer].stage(tile.step)
    assert stage.layer is not None
    return stage.layer, stage


def _program(plan: Plan, tile: Tile, pool: _Pool) -> tuple[Slice, Slice]:
    """Room for the program, which is written when addresses are known, and its table."""
    layer, config = plan.layers[tile.layer], plan.config
    if layer.place(tile.step):      # in a program that is there
        return Slice(None, 0, 0), Slice(None, 0, 0)
    code, words = layer.program(tile.step, config, Counter(), 0), layer.looked_up
    table = Slice(pool.add(words), 0, len(words)) if words else Slice(None, 0, 0)
    own = layer.has_program(tile.step)      # which has addresses
    return Slice(pool.add_own(bytes(len(code))) if own else pool.add(code), 0, len(code)), table


def _parameters(layer: ArrayLayer, tile: Tile, config: AcceleratorConfig) -> bytes:
    first, last = tile_channels(layer, tile, config)
    steps = encode_steps(tile_steps(layer, tile.blocks, config), config) if layer.listed else b""
    return steps + encode_parameters(layer.bias[first:last], layer.rescale.multiplier[first:last],
                             layer.rescale.shift[first:last], block_width(layer, config),
                             tile.blocks[1] - tile.blocks[0], config)


def _weights(layer: ArrayLayer, tile: Tile, alone: bool,
             config: AcceleratorConfig) -> tuple[bytes, int]:
    """The stream of a tile's weights, and how often it is read.

    Blocks of channels that all have the same weights, as those of an average, are stored once
    where the stream is ``alone``, without what must be read once; or as many of them as make the
    header, which is read again as well, a small part.
    """
    if layer.weights is None:
        return b"", 1
    words = _words(layer, tile, config)
    if layer.listed:
        return encode_weights(words, config), 1
    blocks = words.reshape(tile.blocks[1] - tile.blocks[0], -1, *words.shape[-2:])
    if alone and not tile.weights_stream and (blocks == blocks[0]).all():
        for count in range(1, len(blocks) // 2 + 1):
            if len(blocks) % count == 0:
                stream = encode_weights(blocks[:count], config)
                if len(stream) >= REPEATED_WORDS * config.read_bytes:
                    return stream, len(blocks) // count
    return encode_weights(words, config), 1


def _words(layer: ArrayLayer, tile: Tile, config: AcceleratorConfig) -> Int8:
    """Ring words of a tile."""
    assert layer.weights is not None
    first, last = tile_channels(layer, tile, config)
    if tile.visits > 1:
        return visited_words(layer, (first, last), tile.visits, config)
    if layer.mode != Mode.DENSE:
        taps = layer.weights[..., first:last].astype(np.int8)
        width = block_width(layer, config)
        return (np.concatenate([depthwise_words(taps[..., i:i + width], config)
                                for i in range(0, last - first, width)])
                if layer.mode == Mode.DEPTHWISE
                else corner_words(taps, config) if meets_corner(layer, config)
                else phase_window_words(taps, config) if phase_windows(layer, config)
                else column_words(taps, column_window(layer, config), config))
    values = tile_fields(layer, tile, config)
    segments = (1, 1) if layer.patch else (values["kernel_rows"], values["segments"])
    words = layer_words(layer, (first, last), segments, config)
    if layer.listed:
        steps = tile_steps(layer, tile.blocks, config)
        return words[steps.reshape(len(words), -1)]
    return words
