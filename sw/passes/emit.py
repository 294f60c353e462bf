"""Writes the instructions and the tables of the program."""

from __future__ import annotations

from math import prod

import kaniwa
from kaniwa.isa import FIELDS, ISA_VERSION, Opcode, encode
from kaniwa.layer import Memory, Plan
from kaniwa.passes.fields import tile_fields
from kaniwa.program import HostOp, LayerInfo, Program, TensorInfo

__all__ = ["emit"]


def emit(plan: Plan) -> Program:
    """The finished program."""
    assert plan.memory is not None and plan.constants is not None
    memory, model = plan.memory, plan.model
    written = _tiles_of_tensors(plan)
    commands = b"".join(encode(_instruction(plan, index, written))
                        for index in range(len(plan.tiles)))
    commands += encode({"opcode": Opcode.END})
    images = [(memory.program_address, commands)]
    images += list(zip(memory.blobs, plan.constants.blobs, strict=True))
    return Program(
        config=plan.config, name=model.name, source_sha256=model.source_sha256,
        version=kaniwa.__version__, isa_version=ISA_VERSION,
        program_address=memory.program_address,
        images=tuple(sorted((a, data) for a, data in images if data)),
        tensors=_tensor_table(plan, memory, written), input_ids=model.inputs,
        output_ids=model.outputs,
        host_ops=tuple(HostOp(op.kind, op.name, op.inputs[0], op.outputs[0], dict(op.attributes))
                       for op in plan.host_ops),
        layers=tuple(_layer_info(plan, number) for number in range(len(plan.layers))),
        local_bytes=memory.local_bytes, outside_bytes=memory.outside_bytes,
        outside=str(plan.options.outside) if memory.outside_bytes else None,
        weights=sum(t.data.size for t in model.tensors
                    if t.data is not None and t.dtype == "int8"),
        materialized=plan.options.materialize, graph=model)


def _tiles_of_tensors(plan: Plan) -> dict[int, list[int]]:
    """The instructions that write each tensor."""
    written: dict[int, list[int]] = {}
    for index, tile in enumerate(plan.tiles):
        written.setdefault(plan.layers[tile.layer].ofm, []).append(index)
    return written


def _instruction(plan: Plan, index: int, written: dict[int, list[int]]) -> dict[str, int]:
    assert plan.memory is not None and plan.constants is not None
    tile, memory = plan.tiles[index], plan.memory
    layer = plan.layers[tile.layer]
    parameters, weights = plan.constants.parameters[index], plan.constants.weights[index]
    values = tile_fields(layer, tile, plan.config)
    if layer.add is not None:
        rescale = layer.add.rescale
        values |= {
            "add": 1, "multiply": int(layer.add.multiply),
            "table_bank": plan.constants.banks[index],
            "add_rounding": rescale.rounding, "add_zero_point": rescale.zero_point,
            "add_multiplier": int(rescale.multiplier[0]), "add_shift": int(rescale.shift[0]),
            "add_min": rescale.act_min, "add_max": rescale.act_max,
            "operand_wait": _wait(layer.add.operand, written),
            "operand_watermark": _in_order(layer.add.operand, written),
            "operand_address": memory.tensors[layer.add.operand] + values["ofm_address"],
            "operand_row_pitch": values["ofm_row_pitch"],
            "operand_pixel_pitch": values["ofm_pixel_pitch"],
        }
    elif layer.table is not None:
        values |= {"table": 1, "table_bank": plan.constants.banks[index]}
    if weights.blob is not None:
        values |= {"weight_address": memory.blobs[weights.blob], "weight_bytes": weights.length,
                   "weights_stream": int(tile.weights_stream)}
        if tile.weights_stream:
            values["weight_repeat"] = values["ofm_rows"] * values["ofm_columns"]
    assert parameters.blob is not None
    values["ifm_address"] += memory.tensors[layer.ifm]
    values["ofm_address"] += memory.tensors[layer.ofm]
    return values | {
        "opcode": Opcode.LAYER, "mode": layer.mode, "tag": _tag(tile.layer),
        "rounding": layer.rescale.rounding, "zero_point": layer.rescale.zero_point,
        "act_min": layer.rescale.act_min, "act_max": layer.rescale.act_max,
        "pad_value": layer.pad_value, "store_in_order": _in_order(layer.ofm, written),
        "ifm_wait": _wait(layer.ifm, written), "ifm_watermark": _in_order(layer.ifm, written),
        "parameter_address": memory.blobs[parameters.blob] + parameters.offset,
        "parameter_bytes": parameters.length,
    }


def _wait(tensor: int, written: dict[int, list[int]]) -> int:
    """0 for what is there before the run, else 1 + the last instruction that writes it."""
    return 1 + written[tensor][-1] if tensor in written else 0


def _in_order(tensor: int, written: dict[int, list[int]]) -> int:
    """1 where one instruction fills the tensor: its rows are then whole, its addresses ascend."""
    return int(len(written.get(tensor, ())) == 1)


def _tag(layer: int) -> int:
    """Counters of layers beyond the last tag are counted together."""
    return min(layer, FIELDS["tag"].high)


def _layer_info(plan: Plan, number: int) -> LayerInfo:
    layer = plan.layers[number]
    tiles = [i for i, tile in enumerate(plan.tiles) if tile.layer == number]
    return LayerInfo(_tag(number), layer.name, layer.op, layer.macs, tuple(tiles), layer.source,
                     layer.ofm, layer.removed)


def _tensor_table(plan: Plan, memory: Memory,
                  written: dict[int, list[int]]) -> tuple[TensorInfo, ...]:
    """The model's tensors that the device stores, and those that the host makes from them."""
    model = plan.model
    made_by_host = {i for op in plan.host_ops for i in op.outputs}
    table = []
    for tensor in model.tensors:
        root = plan.storage.get(tensor.id)
        stored = root in memory.tensors and (tensor.data is None or tensor.id in model.outputs)
        if not stored and tensor.id not in made_by_host:
            continue
        kind = ("input" if tensor.id in model.inputs else "output" if tensor.id in model.outputs
                else "host" if tensor.id in made_by_host else "intermediate")
        q, channels = tensor.quantization, plan.channels.get(tensor.id)
        shape = tensor.shape if channels is None else (*tensor.shape[:-1], len(channels))
        ready = written[root][-1] if stored and root in written else -1
        table.append(TensorInfo(
            tensor.id, tensor.name, shape, tensor.dtype, q.scale if q else None,
            q.zero_point if q else None, memory.tensors[root] if stored and root is not None
            else None, kind, tensor.source_index, ready,
            _overwritten(plan, memory, root, ready, written) if stored else None, channels))
    return tuple(table)


def _overwritten(plan: Plan, memory: Memory, root: int | None, ready: int,
                 written: dict[int, list[int]]) -> int | None:
    """The first instruction after ``ready`` that writes into the tensor's memory."""
    assert root is not None
    tensors = plan.graph.tensors
    start = memory.tensors[root]
    end = start + prod(tensors[root].shape)
    for other, indexes in sorted(written.items(), key=lambda item: item[1][0]):
        address = memory.tensors[other]
        if (other != root and indexes[0] > ready and address < end
                and address + prod(tensors[other].shape) > start):
            return indexes[0]
    return None
