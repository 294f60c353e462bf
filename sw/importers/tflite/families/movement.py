"""Operators that only move data between tensors of the same quantisation."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from kaniwa.importers import consistency, limits
from kaniwa.importers.consistency import axis_in, output_is
from kaniwa.importers.info import OperatorInfo
from kaniwa.importers.operands import Operands, OptionError, quantization_of, shape_of
from kaniwa.importers.options import activation

__all__ = ["OPERATORS", "ANY", "without"]

ANY = dict.fromkeys(("int8", "uint8", "int16", "int32", "int64", "float32", "bool"), "exact")
VIEWED = ANY | {"complex64": "exact"}      # what only gets another shape
MAXIMUM_RANK = 6
Shape = tuple[int, ...]


def _new_shape(options: Any, op: Operands) -> dict[str, object]:
    """The shape with -1 resolved, from the operand, else the options."""
    if len(op.inputs) > 1:
        shape = list(op.numbers(1))
    elif options is not None and 0 < options.NewShapeLength() <= MAXIMUM_RANK:
        shape = [options.NewShape(i) for i in range(options.NewShapeLength())]
    else:
        raise OptionError("has no new shape")
    if shape.count(-1) == 1:
        known = math.prod(n for n in shape if n != -1)
        shape[shape.index(-1)] = math.prod(op.x.shape) // known if known > 0 else -1
    return {"shape": tuple(shape)}


def _holds_all(op: Operands) -> str | None:
    shape = op.attributes["shape"]
    assert isinstance(shape, tuple)
    if math.prod(shape) != math.prod(op.x.shape) or min(shape, default=1) < 1:
        return f"new shape {shape} does not hold the elements of {shape_of(op.x)}"
    return consistency.output_shape(op.output, shape)


def _expanded(options: Any, op: Operands) -> dict[str, object]:
    axes = op.numbers(1)
    if len(axes) != 1:
        raise OptionError(f"has {len(axes)} axes, must have 1")
    axis = axis_in(axes[0], len(op.x.shape) + 1)
    return {"shape": (*op.x.shape[:axis], 1, *op.x.shape[axis:])}


def _squeezed(options: Any, op: Operands) -> dict[str, object]:
    rank = len(op.x.shape)
    count = 0 if options is None else options.SqueezeDimsLength()
    if count > MAXIMUM_RANK:
        raise OptionError(f"squeezes {count} axes")
    axes = {axis_in(options.SqueezeDims(i), rank) for i in range(count)}
    if not axes:
        axes = {i for i, n in enumerate(op.x.shape) if n == 1}
    wrong = [i for i in axes if op.x.shape[i] != 1]
    if wrong:
        raise OptionError(f"squeezes axis {wrong[0]} of {shape_of(op.x)}")
    return {"shape": tuple(n for i, n in enumerate(op.x.shape) if i not in axes)}


def _permutation(options: Any, op: Operands) -> dict[str, object]:
    rank = len(op.x.shape)
    permutation = tuple(axis_in(i, rank) for i in op.numbers(1))
    if sorted(permutation) != list(range(rank)):
        raise OptionError(f"{list(permutation)} is no permutation of {rank} axes")
    return {"permutation": permutation}


def _reversed(options: Any, op: Operands) -> dict[str, object]:
    axes = tuple(sorted(axis_in(i, len(op.x.shape)) for i in op.numbers(1)))
    if not axes or len(set(axes)) < len(axes):
        raise OptionError(f"reverses axes {list(axes)}, must be one or more, each once")
    if axes[-1] - axes[0] >= len(axes):
        raise OptionError(f"reverses axes {list(axes)}, which are not neighbors; LiteRT takes only "
                          "those that are")
    return {"axes": axes}


def _multiples(options: Any, op: Operands) -> dict[str, object]:
    multiples = op.numbers(1)
    if len(multiples) != len(op.x.shape) or min(multiples, default=1) < 1:
        raise OptionError(f"multiples {list(multiples)} do not fit {shape_of(op.x)}")
    return {"multiples": multiples}


def _tiled(op: Operands) -> Shape:
    return tuple(n * m for n, m in zip(op.x.shape, op.several("multiples"), strict=True))


def _broadcast(options: Any, op: Operands) -> dict[str, object]:
    shape = op.numbers(1)
    own = op.x.shape[::-1]
    if len(own) > len(shape) or any(n not in (1, m) for n, m in
                                    zip(own, shape[::-1], strict=False)):
        raise OptionError(f"{shape_of(op.x)} does not broadcast to {list(shape)}")
    return {"shape": shape}


def _block(options: Any, op: Operands) -> dict[str, object]:
    block = options.BlockSize()
    if block < 1 or len(op.x.shape) != 4:
        raise OptionError(f"block of {block} does not fit {shape_of(op.x)}")
    _, h, w, c = op.x.shape
    whole = (h, w) if op.kind == "SPACE_TO_DEPTH" else (c,)
    if any(n % (block if len(whole) == 2 else block * block) for n in whole):
        raise OptionError(f"block of {block} does not fit {shape_of(op.x)}")
    return {"block": block}


def _deep(op: Operands) -> Shape:
    (n, h, w, c), block = op.x.shape, op.integer("block")
    return n, h // block, w // block, c * block * block


def _spacious(op: Operands) -> Shape:
    (n, h, w, c), block = op.x.shape, op.integer("block")
    return n, h * block, w * block, c // (block * block)


def _spaces(op: Operands, sizes: str) -> dict[str, object]:
    """``block`` and pairs of ``sizes`` for the one or two axes between batch and channels."""
    rank, block = len(op.x.shape) - 2, op.numbers(1)
    if not 1 <= rank <= 2 or op.weights.shape != (rank,) or min(block) < 1:
        raise OptionError(f"block {list(block)} does not fit {shape_of(op.x)}")
    numbers = op.numbers(2)
    if op.present(2).shape != (rank, 2) or min(numbers) < 0:
        raise OptionError(f"{sizes} {list(numbers)} do not fit {shape_of(op.x)}")
    return {"block": block, sizes: tuple(zip(numbers[::2], numbers[1::2], strict=True))}


def _to_batch(options: Any, op: Operands) -> dict[str, object]:
    return _spaces(op, "paddings")


def _to_space(options: Any, op: Operands) -> dict[str, object]:
    return _spaces(op, "crops")


def _pairs(op: Operands, name: str) -> list[tuple[int, int]]:
    value = op.attributes[name]
    assert isinstance(value, tuple)
    return list(value)


def _batches(op: Operands) -> Shape:
    block, (n, *space, c) = op.several("block"), op.x.shape
    padded = [size + sum(pads) for size, pads in zip(space, _pairs(op, "paddings"), strict=True)]
    if any(size % b for size, b in zip(padded, block, strict=True)):
        raise OptionError(f"{padded} does not split into blocks {list(block)}")
    return (n * math.prod(block),
            *(size // b for size, b in zip(padded, block, strict=True)), c)


def _space(op: Operands) -> Shape:
    block, (n, *space, c) = op.several("block"), op.x.shape
    sizes = [size * b - sum(crops) for size, b, crops in zip(
        space, block, _pairs(op, "crops"), strict=True)]
    if n % math.prod(block) or min(sizes) < 1:
        raise OptionError(f"{shape_of(op.x)} does not join blocks {list(block)}")
    return (n // math.prod(block), *sizes, c)


def _joined(options: Any, op: Operands) -> dict[str, object]:
    if activation(options) != "NONE":
        raise OptionError("has a fused activation")
    return {"axis": axis_in(options.Axis(), len(op.x.shape))}


def _sum_of_sizes(op: Operands) -> Shape:
    axis, shape = op.integer("axis"), list(op.x.shape)
    for position in range(1, len(op.inputs)):
        other = list(op.present(position).shape)
        if len(other) != len(shape) or any(
                n != m for i, (n, m) in enumerate(zip(other, shape, strict=True)) if i != axis):
            raise OptionError(f"{shape_of(op.present(position))} does not fit {shape_of(op.x)}")
        shape[axis] += other[axis]
    return tuple(shape)


def _every_scale(op: Operands) -> str | None:
    """Operands of int8 and int16 have the output's scale and zero point."""
    if op.output.dtype not in ("int8", "int16"):
        return None
    out = quantization_of(op.output)
    for position in range(len(op.inputs)):
        q = quantization_of(op.present(position))
        if (q.scale, q.zero_point) != (out.scale, out.zero_point):
            return (f"'{op.present(position).name}' has scale {q.scale:g} and zero point "
                    f"{q.zero_point}, the output {out.scale:g} and {out.zero_point}")
    return None


def _packed(options: Any, op: Operands) -> dict[str, object]:
    if options.ValuesCount() != len(op.inputs):
        raise OptionError(f"packs {options.ValuesCount()} values, has {len(op.inputs)} inputs")
    for position in range(1, len(op.inputs)):
        if op.present(position).shape != op.x.shape:
            raise OptionError(f"{shape_of(op.present(position))} does not fit {shape_of(op.x)}")
    return {"axis": axis_in(options.Axis(), len(op.x.shape) + 1)}


def _stacked(op: Operands) -> Shape:
    axis = op.integer("axis")
    return (*op.x.shape[:axis], len(op.inputs), *op.x.shape[axis:])


def _unpacked(options: Any, op: Operands) -> dict[str, object]:
    axis = axis_in(options.Axis(), len(op.x.shape))
    if not options.Num() == len(op.outputs) == op.x.shape[axis]:
        raise OptionError(f"unpacks {options.Num()} values of {shape_of(op.x)} to "
                          f"{len(op.outputs)} outputs")
    return {"axis": axis}


def _without_axis(op: Operands) -> Shape:
    axis = op.integer("axis")
    return (*op.x.shape[:axis], *op.x.shape[axis + 1:])


def without(*dtypes: str) -> dict[str, str]:
    """All dtypes but these."""
    return {dtype: rule for dtype, rule in ANY.items() if dtype not in dtypes}


def _row(kind: str, options: str, read: Any, shape: Any,
         count: tuple[int, int, int | None] = (1, 1, 1),
         more: tuple[Any, ...] = (limits.same_quantization,), **columns: Any) -> OperatorInfo:
    """A row of the table; ``count`` is the least and the most operands, and the results."""
    least, most, outputs = count
    return replace(OperatorInfo(
        kind, ANY, options, True, read,
        (consistency.operand_count(least, most, optional=most, outputs=outputs),
         output_is(shape)),
        (limits.one_dtype(0), limits.quantized(0), *more)), **columns)


def whole_number(op: Operands) -> str | None:
    """The output is int32 or int64."""
    good = op.output.dtype in ("int32", "int64")
    return None if good else f"output is {op.output.dtype}, must be int32 or int64"


def _asked(op: Operands) -> Shape:
    return op.several("shape")


_ALL = (limits.every_dtype, limits.every_quantized)

OPERATORS = (
    OperatorInfo(
        "RESHAPE", VIEWED, "ReshapeOptions", False, _new_shape,
        (consistency.operand_count(1, 2), _holds_all),
        (limits.one_dtype(0),),
        constants={1: "new shape"},
    ),
    OperatorInfo(
        "SHAPE", VIEWED, consistency=(
            consistency.operand_count(1, 1), output_is(lambda op: (len(op.x.shape),))),
        limits=(whole_number,),
    ),
    _row("EXPAND_DIMS", "", _expanded, _asked, options_required=False, constants={1: "axis"},
         count=(2, 2, 1), rules=VIEWED),
    _row("SQUEEZE", "SqueezeOptions", _squeezed, _asked, options_required=False, rules=VIEWED),
    _row("TRANSPOSE", "", _permutation, lambda op: tuple(
        op.x.shape[i] for i in op.several("permutation")),
        options_required=False, constants={1: "permutation"}, count=(2, 2, 1)),
    _row("REVERSE_V2", "", _reversed, lambda op: op.x.shape, options_required=False,
         constants={1: "axes"}, count=(2, 2, 1)),
    _row("TILE", "", _multiples, _tiled, options_required=False, constants={1: "number of copies"},
         count=(2, 2, 1)),
    _row("BROADCAST_TO", "", _broadcast, _asked, options_required=False, constants={1: "new shape"},
         count=(2, 2, 1)),
    _row("SPACE_TO_DEPTH", "SpaceToDepthOptions", _block, _deep, rules=without("int16", "bool")),
    _row("DEPTH_TO_SPACE", "DepthToSpaceOptions", _block, _spacious,
         rules=without("int16", "bool")),
    _row("SPACE_TO_BATCH_ND", "", _to_batch, _batches, options_required=False, count=(3, 3, 1),
         constants={1: "block", 2: "padding"}),
    _row("BATCH_TO_SPACE_ND", "", _to_space, _space, options_required=False, count=(3, 3, 1),
         constants={1: "block", 2: "crops"}),
    _row("CONCATENATION", "ConcatenationOptions", _joined, _sum_of_sizes, count=(1, 1024, 1),
         more=(*_ALL, _every_scale)),
    _row("PACK", "PackOptions", _packed, _stacked, rules=without("bool"), count=(1, 1024, 1),
         more=(*_ALL, limits.same_quantization)),
    _row("UNPACK", "UnpackOptions", _unpacked, _without_axis, rules=without("int64"),
         count=(1, 1, None)),
)
