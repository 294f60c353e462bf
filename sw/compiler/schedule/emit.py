"""Writes the instructions and the tables of the program."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any

from kaniwa._version import __version__
from kaniwa.compiler.plan.fields import tile_fields, visited
from kaniwa.compiler.plan.geometry import Pair, Tile
from kaniwa.compiler.plan.layers import ArrayLayer, Sum
from kaniwa.compiler.plan.plan import Constants, MemoryMap, Plan
from kaniwa.compiler.plan.states import device_states
from kaniwa.compiler.rewrite.rounding import rounding_of
from kaniwa.compiler.schedule.double_buffer import second_plan
from kaniwa.config import AcceleratorConfig
from kaniwa.graph import Graph, Op
from kaniwa.isa import FIELDS, ISA_VERSION, Opcode, encode
from kaniwa.program.host_part import HostOp, HostState, HostTensor
from kaniwa.program.program import LayerInfo, Program, Step, TensorInfo

__all__ = ["emit"]


def emit(plan: Plan) -> Program:
    """The finished program."""
    assert plan.memory is not None and plan.constants is not None
    memory, model = plan.memory, plan.model
    stream = _Stream(plan)
    layers = tuple(_layer_info(plan, number, stream) for number in range(len(plan.layers)))
    images = [(memory.program_address, _commands(plan, stream))]
    images += list(zip(memory.blobs, _blobs(plan, memory, plan.constants), strict=True))
    if memory.second is not None:
        images += _second_images(plan, stream)
    return Program(
        config=plan.config, name=model.name, source_sha256=model.source_sha256,
        version=__version__, isa_version=ISA_VERSION,
        program_address=memory.program_address,
        images=tuple(sorted((a, data) for a, data in images if data)),
        tensors=_tensor_table(plan, memory, stream), input_ids=model.inputs,
        output_ids=model.outputs, steps=_steps(plan, stream), host_ops=_host_ops(plan),
        host_tensors=_host_tensors(plan),
        state=tuple(HostState(state.tensor, state.following, state.initial.tobytes())
                    for state in model.state),
        layers=layers,
        local_bytes=memory.local_bytes, outside_bytes=memory.outside_bytes,
        outside=str(plan.options.outside) if memory.outside_bytes else None,
        weights=_weights(plan), materialized=plan.options.materialize,
        local_base=memory.local_base, outside_base=memory.outside_base,
        **_second_places(plan), graph=model,
        rounding={info.instructions[0]: rounding_of(model, rescaled)
                  for info, layer in zip(layers, plan.layers, strict=True)
                  if (rescaled := layer.rescaled) is not None})


def _second_images(plan: Plan, stream: _Stream) -> list[tuple[int, bytes]]:
    """The commands for the second places, and the constants that have their addresses."""
    plan = second_plan(plan)
    assert plan.memory is not None and plan.memory.second is not None
    assert plan.constants is not None
    blobs = _blobs(plan, plan.memory, plan.constants)
    return [(plan.memory.program_address, _commands(plan, stream)),
            *((address, blobs[i]) for i, address in plan.memory.second.blobs.items())]


def _second_places(plan: Plan) -> dict[str, Any]:
    """Fields of a double-buffered program."""
    assert plan.memory is not None
    second = plan.memory.second
    if second is None:
        return {}
    (part,) = plan.parts
    moved = dict.fromkeys((*part.uploads, *part.downloads))
    return {"second_program": second.program_address,
            "second_places": tuple((i, second.tensors[plan.storage[i]]) for i in moved
                                   if plan.storage[i] in second.tensors)}


class _Stream:
    """Places of instructions: those of a part one after the other, and an END behind each part.

    ``starts`` has the index of each part's first instruction, and the count of all at its end;
    ``tiles`` the index of each tile; ``written`` the instructions that write each stored tensor,
    ``scattered`` those that are not written from their first byte to their last, ``by_turns`` those
    of layers that take turns. ``alone``: by instruction, 1 where it is all of its layer's turn, in
    the order of addresses. ``tags`` of the tiles.
    """

    def __init__(self, plan: Plan) -> None:
        part_of = [plan.layers[tile.layer].part for tile in plan.tiles]
        self.tiles = [index + part for index, part in enumerate(part_of)]
        self.starts = [sum(part < number for part in part_of) + number
                       for number in range(len(plan.parts) + 1)]
        self.written: dict[int, list[int]] = {}
        for tile, index in zip(plan.tiles, self.tiles, strict=True):
            for made in plan.layers[tile.layer].made(tile.step):
                self.written.setdefault(made, []).append(index)
        array = (own for layer in plan.layers for own in layer.array_layers)
        self.scattered = {layer.ofm for layer in array
                          if layer.places and not layer.places.ascending(layer.geometry.ofm)}
        self.by_turns = {made for first, last in plan.stacks
                         for layer in plan.layers[first:last] for made in layer.makes}
        self.tags = _tags(plan)
        turns = [list(turn) for _, turn in groupby(
            zip(self.tiles, plan.tiles, strict=True), lambda item: item[1].layer)]
        self.alone = {index: int(len(turn) == 1 and self.scattered.isdisjoint(
            plan.layers[tile.layer].made(tile.step))) for turn in turns for index, tile in turn}
        # The host writes when the part before is complete.
        self.taken = {plan.storage[i]: self.starts[number] - 1
                      for number, part in enumerate(plan.parts) for i in part.uploads}

    def ready(self, tensor: int) -> int:
        """The last instruction before the tensor is whole, -1 for what is there from the start."""
        return self.written[tensor][-1] if tensor in self.written else self.taken.get(tensor, -1)

    def in_order(self, tensor: int, written: Mapping[int, Sequence[int]]) -> int:
        """1 where one instruction fills the tensor, in the order of addresses, row by row."""
        return int(len(written.get(tensor, ())) == 1 and tensor not in self.scattered)

    def waits(self, tensor: int, index: int, written: dict[int, list[int]]) -> Pair:
        """What the tile ``index`` waits for to read ``tensor``: 0, or 1 + the instruction of its
        part, and 1 where results may be read behind those of that instruction.

        Of what layers write by turns it is the one that writes a band last before the reader.
        """
        if tensor not in self.by_turns:
            return _wait(tensor, written), self.in_order(tensor, written)
        own = self.tiles[index]
        writer = max(number for number in self.written[tensor] if number < own)
        start = max(start for start in self.starts if start <= own)
        if writer < start:
            return 0, 0
        return 1 + writer - start, self.alone[writer]

    def stored_in_order(self, tensor: int, index: int, written: Mapping[int, Sequence[int]]) -> int:
        """1 where the tile ``index`` writes all that is new of ``tensor`` in the order of
        addresses."""
        if tensor not in self.by_turns:
            return self.in_order(tensor, written)
        return self.alone[self.tiles[index]]

    def of_part(self, part: int) -> dict[int, list[int]]:
        """The tensors that ``part`` writes, by instructions counted from its first one."""
        start, end = self.starts[part], self.starts[part + 1]
        return {tensor: [index - start for index in indexes]
                for tensor, indexes in self.written.items() if start <= indexes[0] < end}


def _blobs(plan: Plan, memory: MemoryMap, constants: Constants) -> list[bytes]:
    """The constants, with the programs of units, which contain addresses."""
    blobs = list(constants.blobs)
    for tile, room, table in zip(plan.tiles, constants.parameters, constants.weights, strict=True):
        if tile.runs_program and room.blob is not None:
            blobs[room.blob] = plan.layers[tile.layer].program(
                tile.step, plan.config, memory.tensors,
                0 if table.blob is None else memory.blobs[table.blob])
    return blobs


def _weights(plan: Plan) -> int:
    """Number of weights of the model that the device has."""
    ops = plan.model.ops
    of_host = {i for op in plan.host_ops for i in op.inputs}
    of_device = {i for position in plan.part_of for i in ops[position].inputs}
    return sum(t.data.size for t in plan.model.tensors
               if t.data is not None and t.dtype in ("int8", "uint8")
               and (t.id in of_device or t.id not in of_host))


def _commands(plan: Plan, stream: _Stream) -> bytes:
    commands = b""
    for part in range(len(plan.parts)):
        written = stream.of_part(part)
        commands += b"".join(encode(_instruction(plan, index, written, stream))
                             for index, tile in enumerate(plan.tiles)
                             if plan.layers[tile.layer].part == part)
        commands += encode({"opcode": Opcode.END})
    return commands


def _steps(plan: Plan, stream: _Stream) -> tuple[Step, ...]:
    """The parts of host and device in the order of their execution."""
    hosts = {part.behind: part for part in plan.host_parts}
    steps, done, staying = [], 0, _staying(plan, stream)
    for number in range(-1, len(plan.parts)):
        if number >= 0:
            part = plan.parts[number]
            start = stream.starts[number]
            gives = tuple(i for i in part.downloads if i not in staying)
            steps.append(Step("device", start, stream.starts[number + 1] - start, part.uploads,
                              gives, part.residents))
        if number in hosts:
            ops = [plan.model.ops[i] for i in hosts[number].positions]
            steps.append(Step("host", done, len(ops), *_crossing(plan.model, ops)))
            done += len(ops)
    return tuple(steps)


def _staying(plan: Plan, stream: _Stream) -> set[int]:
    """Next values of states that stay where the next inference reads them, and go nowhere else."""
    assert plan.memory is not None
    model, memory = plan.model, plan.memory
    needed = Counter((*model.outputs, *(i for op in plan.host_ops for i in op.inputs),
                      *(state.following for state in model.state)))
    return {state.following for state, now, following in device_states(plan)
            if not needed[state.tensor] and needed[state.following] == 1
            and memory.tensors[following] == memory.tensors[now]
            and _overwritten(plan, memory, following, stream) is None}


def _crossing(model: Graph, ops: list[Op]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The tensors that these operators read of others, and that others read of these."""
    made = {i for op in ops for i in op.outputs}
    takes = {i for op in ops for i in op.inputs
             if i not in made and i != -1 and model.tensors[i].data is None}
    others = {i for op in model.ops if op not in ops for i in op.inputs}
    others |= {*model.outputs, *(state.following for state in model.state)}
    return tuple(sorted(takes)), tuple(sorted(made & others))


def _host_ops(plan: Plan) -> tuple[HostOp, ...]:
    return tuple(
        HostOp(op.kind, op.name, op.inputs, op.outputs, dict(op.attributes), op.rule,
               op.source_index, why)
        for part in plan.host_parts for position, why in zip(part.positions, part.why, strict=True)
        for op in (plan.model.ops[position],))


def _host_tensors(plan: Plan) -> tuple[HostTensor, ...]:
    """Operands and results of the host's operators, and constants."""
    ids = {i for op in plan.host_ops for i in (*op.inputs, *op.outputs) if i != -1}
    tensors = plan.model.tensors
    ids |= {i for i in plan.model.outputs if tensors[i].data is not None}
    ids |= {i for state in plan.model.state for i in (state.tensor, state.following)}
    return tuple(HostTensor.of(tensors[i]) for i in sorted(ids))


def _instruction(plan: Plan, index: int, written: dict[int, list[int]],
                 stream: _Stream) -> dict[str, int]:
    """The fields of a tile; ``written`` are the instructions of its part."""
    assert plan.memory is not None and plan.constants is not None
    tile, memory = plan.tiles[index], plan.memory
    layer, parameters = plan.layers[tile.layer], plan.constants.parameters[index]
    if not tile.runs_program:
        settled = layer.settled(tile.step)
        return _array_fields(plan, index, {} if settled else written, stream)
    address = 0 if parameters.blob is None else memory.blobs[parameters.blob]
    return {"opcode": layer.opcode, "tag": stream.tags[index],
            "block_words": layer.place(tile.step),
            "parameter_address": address, "parameter_bytes": parameters.length}


def _array_fields(plan: Plan, index: int, written: dict[int, list[int]],
                  stream: _Stream) -> dict[str, int]:
    """The fields of a tile that the array computes."""
    assert plan.memory is not None and plan.constants is not None
    tile, memory = plan.tiles[index], plan.memory
    layer = plan.layers[tile.layer].stage(tile.step).layer
    parameters, weights = plan.constants.parameters[index], plan.constants.weights[index]
    assert layer is not None and parameters.blob is not None
    values = tile_fields(layer, tile, plan.config)
    if layer.tables:
        values["table_bank"] = plan.constants.banks[index]
    if layer.add is not None:
        values |= _sum_fields(layer, layer.add, tile, plan.config,
                              memory.tensors[layer.add.operand])
        wait, watermark = stream.waits(layer.add.operand, index, written)
        values |= {"operand_wait": wait, "operand_watermark": watermark}
    elif layer.table is not None:
        values["table"] = 1
    if weights.blob is not None:
        values |= {"weight_address": memory.blobs[weights.blob] + weights.offset,
                   "weight_bytes": weights.length,
                   "weights_stream": int(tile.weights_stream),
                   "weight_repeat": (values["ofm_rows"] * values["ofm_columns"]
                                     if tile.weights_stream else weights.repeat)}
    values["ifm_address"] += memory.tensors[layer.ifm]
    values["ofm_address"] += memory.tensors[layer.ofm]
    wait, watermark = stream.waits(layer.ifm, index, written)
    return values | {
        "opcode": layer.opcode, "mode": visited(layer, tile.visits, plan.config).mode,
        "tag": stream.tags[index],
        "rounding": layer.rescale.rounding, "zero_point": layer.rescale.zero_point,
        "act_min": layer.rescale.act_min, "act_max": layer.rescale.act_max,
        "pad_value": layer.pad_value,
        "store_in_order": stream.stored_in_order(layer.ofm, index, written),
        "ifm_wait": wait, "ifm_watermark": watermark,
        "parameter_address": memory.blobs[parameters.blob] + parameters.offset,
        "parameter_bytes": parameters.length,
    }


def _sum_fields(layer: ArrayLayer, add: Sum, tile: Tile, config: AcceleratorConfig,
                operand: int) -> dict[str, int]:
    """The fields of an ADD or MUL behind the requantizer, whose operand is a map at ``operand``
    of the result's shape, or one pixel."""
    values = tile_fields(replace(layer, places=layer.operand_places), tile, config)
    offset, row, pixel = (values[f"ofm_{name}"] for name in ("address", "row_pitch", "pixel_pitch"))
    offset += tile.ofm_skip - tile.operand_skip
    if add.repeated:
        offset, row, pixel = offset % layer.geometry.ofm[2], 0, 0
    rescale = add.rescale
    return {
        "add": 1, "multiply": int(add.multiply),
        "add_rounding": rescale.rounding, "add_zero_point": rescale.zero_point,
        "add_multiplier": int(rescale.multiplier[0]), "add_shift": int(rescale.shift[0]),
        "add_min": rescale.act_min, "add_max": rescale.act_max,
        "operand_address": operand + offset, "operand_row_pitch": row,
        "operand_pixel_pitch": pixel,
    }


def _wait(tensor: int, written: dict[int, list[int]]) -> int:
    """0 for what is there before the run, else 1 + the last instruction that writes it."""
    return 1 + written[tensor][-1] if tensor in written else 0


def _tags(plan: Plan) -> list[int]:
    """Tags of the tiles. A turn of a layer in a stack has its own, the last one the layer's."""
    tags = [_tag(tile.layer) for tile in plan.tiles]
    last = {tile.layer: index for index, tile in enumerate(plan.tiles)}
    in_stack = {number for first, end in plan.stacks for number in range(first, end)}
    following = len(plan.layers)
    for number, turn in groupby(range(len(tags)), lambda index: plan.tiles[index].layer):
        indexes = list(turn)
        if number in in_stack and last[number] not in indexes:
            for index in indexes:
                tags[index] = following
            following += 1
    # Where there are not so many, the cycles of a stack are its last turns'.
    return tags if following <= FIELDS["tag"].high else [_tag(tile.layer) for tile in plan.tiles]


def _tag(layer: int) -> int:
    """Counters of layers beyond the last tag are counted together."""
    return min(layer, FIELDS["tag"].high)


def _layer_info(plan: Plan, number: int, stream: _Stream) -> LayerInfo:
    layer = plan.layers[number]
    tiles = [stream.tiles[i] for i, tile in enumerate(plan.tiles) if tile.layer == number]
    return LayerInfo(_tag(number), layer.name, layer.op, layer.macs, tuple(tiles), layer.source,
                     layer.ofm, layer.removed)


def _tensor_table(plan: Plan, memory: MemoryMap, stream: _Stream) -> tuple[TensorInfo, ...]:
    """The model's tensors that the device stores, its inputs, and those that the host makes."""
    model = plan.model
    made_by_host = {i for op in plan.host_ops for i in op.outputs}
    table = []
    for tensor in model.tensors:
        root = plan.storage.get(tensor.id)
        known = root in memory.tensors and (tensor.data is None or tensor.id in model.outputs)
        stored = known and root not in plan.banded      # whole, once it is ready
        if not known and tensor.id not in {*made_by_host, *model.inputs, *model.outputs}:
            continue
        kind = ("input" if tensor.id in model.inputs else "output" if tensor.id in model.outputs
                else "host" if tensor.id in made_by_host else "intermediate")
        q, channels = tensor.quantization, plan.channels.get(tensor.id)
        shape = tensor.shape if channels is None else (*tensor.shape[:-1], len(channels))
        ready, address, overwritten, axes = -1, None, None, None
        if stored:
            assert root is not None
            ready, address = stream.ready(root), memory.tensors[root]
            overwritten = _overwritten(plan, memory, root, stream)
            strided = plan.spaced.get(root) or plan.in_parts.get(root)
            axes = None if strided is None else strided.axes
        table.append(TensorInfo(
            tensor.id, tensor.name, shape, tensor.dtype, q.scale if q else None,
            q.zero_point if q else None, address, kind, tensor.source_index, ready, overwritten,
            channels, axes))
    return tuple(table)


def _overwritten(plan: Plan, memory: MemoryMap, root: int, stream: _Stream) -> int | None:
    """The first instruction after which, or by which, the tensor's memory is written again."""
    ready = stream.ready(root)
    start = memory.tensors[root]
    end = start + plan.extent(root)
    writers = {i: indexes[0] for i, indexes in stream.written.items()} | stream.taken
    sizes = {i: plan.extent(i) for i in writers}
    later = [index for other, index in writers.items()
             if other != root and index > ready and memory.tensors[other] < end
             and memory.tensors[other] + sizes[other] > start]
    return min(later, default=None)
