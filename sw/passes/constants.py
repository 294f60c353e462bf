"""Encodes what each instruction reads of weights, parameters and tables."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from kaniwa.config import AcceleratorConfig
from kaniwa.isa import Mode
from kaniwa.layer import Constants, Layer, Plan, RecurrentLayer, Slice, Tile, VectorLayer
from kaniwa.passes.fields import block_width, column_window, tile_channels, tile_fields
from kaniwa.passes.vector import vector_code
from kaniwa.passes.visits import visited_words
from kaniwa.weights import (
    column_words,
    dense_words,
    depthwise_words,
    encode_parameters,
    encode_table,
    encode_weights,
)

__all__ = ["constants"]


def constants(plan: Plan) -> Plan:
    """Encode the streams; equal streams and constant tensors are stored once.

    Tables come with their layer's first instruction. Banks alternate, since a table
    is loaded while the instruction before it may still use the other bank.
    """
    pool = _Pool()
    parameters, weights, banks = [], [], []
    encoded: dict[tuple[int, int, int], tuple[Slice, Slice]] = {}
    bank, previous = 1, -1
    for tile in plan.tiles:
        layer = plan.layers[tile.layer]
        if tile.vector:
            assert isinstance(layer, VectorLayer)
            own, words = (Slice(None, 0, 0),) * 2 if tile.step else _program(
                layer, tile.layer, plan.config, pool)
            parameters.append(own)
            weights.append(words)
            banks.append(bank)
            previous = tile.layer
            continue
        if isinstance(layer, RecurrentLayer):
            layer = layer.product
        assert isinstance(layer, Layer)
        tables = b""
        if tile.layer != previous and layer.tables:
            bank = (bank + 1) % plan.config.table_banks
            tables = b"".join(encode_table(values, number, bank, plan.config)
                              for number, values in enumerate(layer.tables))
        previous = tile.layer
        key = tile.layer, *tile.blocks
        if key not in encoded:
            stream = tables + _parameters(layer, tile, plan.config)
            blob = pool.add(stream)
            encoded[key] = (Slice(blob, len(tables), len(stream) - len(tables)),
                            _weights(layer, tile, plan.config, pool))
        own, words = encoded[key]
        parameters.append(replace(own, offset=0, length=own.offset + own.length)
                          if tables else own)
        weights.append(words)
        banks.append(bank)
    used = {i for layer in plan.layers for i in layer.reads}.union(plan.kept)
    tensors = {i: pool.add(data.tobytes()) for i in sorted(used)
               if (data := plan.graph.tensors[i].data) is not None}
    return replace(plan, constants=Constants(tuple(pool.blobs), tuple(parameters), tuple(weights),
                                             tuple(banks), tensors))


class _Pool:
    """Byte strings, each once."""

    def __init__(self) -> None:
        self.blobs: dict[bytes, int] = {}

    def add(self, blob: bytes) -> int:
        return self.blobs.setdefault(blob, len(self.blobs))


def _program(layer: VectorLayer, number: int, config: AcceleratorConfig,
             pool: _Pool) -> tuple[Slice, Slice]:
    """Room for the program, which is written when addresses are known, and its table."""
    size = len(vector_code(layer, config, (0,) * (len(layer.reads) + len(layer.makes)), 0, 0))
    room = pool.add(number.to_bytes(4, "little") + bytes(size - 4))   # one of its own
    table = Slice(pool.add(layer.table), 0, len(layer.table)) if layer.table else Slice(None, 0, 0)
    return Slice(room, 0, size), table


def _parameters(layer: Layer, tile: Tile, config: AcceleratorConfig) -> bytes:
    first, last = tile_channels(layer, tile, config)
    return encode_parameters(layer.bias[first:last], layer.rescale.multiplier[first:last],
                             layer.rescale.shift[first:last], block_width(layer, config),
                             tile.blocks[1] - tile.blocks[0], config)


def _weights(layer: Layer, tile: Tile, config: AcceleratorConfig, pool: _Pool) -> Slice:
    if layer.weights is None:
        return Slice(None, 0, 0)
    first, last = tile_channels(layer, tile, config)
    if tile.visits > 1:
        words = visited_words(layer, (first, last), tile.visits, config)
    elif layer.mode != Mode.DENSE:
        taps = layer.weights[..., first:last].astype(np.int8)
        width = block_width(layer, config)
        words = (np.concatenate([depthwise_words(taps[..., i:i + width], config)
                                 for i in range(0, last - first, width)])
                 if layer.mode == Mode.DEPTHWISE
                 else column_words(taps, column_window(layer, config), config))
    else:
        values = tile_fields(layer, tile, config)
        part = layer.weights[first:last].astype(np.int8)
        shape = ((last - first, 1, 1, -1) if layer.patch
                 else (last - first, values["kernel_rows"], values["segments"], -1))
        words = dense_words(np.ascontiguousarray(part).reshape(shape), config)
    stream = encode_weights(words, config)
    return Slice(pool.add(stream), 0, len(stream))
