"""Parts of tensors, and tensors with an edge around them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from kaniwa.importers import consistency, limits
from kaniwa.importers.consistency import axis_in, output_is
from kaniwa.importers.info import OperatorInfo
from kaniwa.importers.operands import Operands, OptionError, quantization_of, shape_of
from kaniwa.importers.tflite.families.movement import ANY, without

__all__ = ["OPERATORS"]

MIRROR = {0: "REFLECT", 1: "SYMMETRIC"}
Shape = tuple[int, ...]


def _split(options: Any, op: Operands) -> dict[str, object]:
    """SPLIT's operands are (axis, x), SPLIT_V's (x, sizes, axis)."""
    equal = op.kind == "SPLIT"
    x = op.present(1 if equal else 0)
    axes = op.numbers(0 if equal else 2)
    if len(axes) != 1:
        raise OptionError(f"has {len(axes)} axes, must have 1")
    axis = axis_in(axes[0], len(x.shape))
    count, length = len(op.outputs), x.shape[axis]
    if options.NumSplits() != count:
        raise OptionError(f"splits into {options.NumSplits()}, has {count} outputs")
    if equal:
        if length % count:
            raise OptionError(f"{shape_of(x)} does not split into {count}")
        sizes: tuple[int, ...] = (length // count,) * count
    else:
        sizes = op.numbers(1)
        if sizes.count(-1) == 1:
            rest = length - sum(n for n in sizes if n != -1)
            sizes = tuple(rest if n == -1 else n for n in sizes)
        if len(sizes) != count or sum(sizes) != length or min(sizes) < 1:
            raise OptionError(f"{shape_of(x)} does not split into {list(sizes)}")
    return {"axis": axis, "sizes": sizes}


def _split_shapes(op: Operands) -> str | None:
    x = op.present(1 if op.kind == "SPLIT" else 0)
    axis = op.integer("axis")
    for output, size in zip(op.outputs, op.several("sizes"), strict=True):
        expected = (*x.shape[:axis], size, *x.shape[axis + 1:])
        if wrong := consistency.output_shape(output, expected):
            return wrong
    return None


def _without_sizes(op: Operands) -> dict[str, object]:
    return {"axis": op.attributes["axis"]}


def _slice(options: Any, op: Operands) -> dict[str, object]:
    begin, size = op.numbers(1), op.numbers(2)
    if not len(begin) == len(size) == len(op.x.shape):
        raise OptionError(f"begin {list(begin)} and size {list(size)} do not fit "
                          f"{shape_of(op.x)}")
    end = tuple(n if s == -1 else b + s for b, s, n in zip(begin, size, op.x.shape, strict=True))
    if any(not 0 <= b < e <= n for b, e, n in zip(begin, end, op.x.shape, strict=True)):
        raise OptionError(f"begin {list(begin)} and size {list(size)} leave {shape_of(op.x)}")
    return {"begin": begin, "end": end, "stride": (1,) * len(begin)}


def _strided_slice(options: Any, op: Operands) -> dict[str, object]:
    """Explicit bounds of every axis of the input; ``kept`` are those that are not dropped."""
    begin, end, stride = (op.numbers(i) for i in (1, 2, 3))
    count, shape = len(begin), op.x.shape
    if not count == len(end) == len(stride):
        raise OptionError(f"has {count} begins, {len(end)} ends and {len(stride)} strides")
    ellipsis, new = options.EllipsisMask(), options.NewAxisMask()
    if ellipsis or new:
        raise OptionError("has an ellipsis or a new axis")
    if count > len(shape):
        raise OptionError(f"{count} begins do not fit {shape_of(op.x)}")
    bounds, kept = [], []
    for i, size in enumerate(shape):
        if i >= count:
            bounds.append((0, size, 1))
            kept.append(i)
            continue
        masked = [bool(mask >> i & 1) for mask in
                  (options.BeginMask(), options.EndMask(), options.ShrinkAxisMask())]
        last = begin[i] + end[i] if options.Offset() else end[i]
        bounds.append(_bounds(size, begin[i], last, stride[i], *masked))
        if not masked[2]:
            kept.append(i)
    starts, ends, steps = zip(*bounds, strict=True) if bounds else ((), (), ())
    return {"begin": starts, "end": ends, "stride": steps, "kept": tuple(kept)}


def _bounds(size: int, begin: int, end: int, stride: int, from_start: bool, to_end: bool,
            shrink: bool) -> tuple[int, int, int]:
    """One axis, as ``strided_slice_logic.h`` has it; an end of -1 is before the first element."""
    if stride == 0:
        raise OptionError("has a stride of 0")
    if shrink:
        position = 0 if from_start and stride > 0 else begin + size if begin < 0 else begin
        if not 0 <= position < size or stride < 0:
            raise OptionError(f"index {begin} with stride {stride} leaves an axis of {size}")
        return position, position + 1, 1
    low, high = (0, size) if stride > 0 else (-1, size - 1)
    first = low if stride > 0 else high
    last = high if stride > 0 else low
    if not from_start:
        first = min(max(begin + size if begin < 0 else begin, low), high)
    if not to_end:
        last = min(max(end + size if end < 0 else end, low), high)
    return first, last, stride


def _cut(op: Operands) -> Shape:
    sizes = [len(range(*bounds)) for bounds in zip(
        op.several("begin"), op.several("end"), op.several("stride"), strict=True)]
    return tuple(sizes[i] for i in op.several("kept")) if "kept" in op.attributes else tuple(sizes)


def _without_kept(op: Operands) -> dict[str, object]:
    return {name: value for name, value in op.attributes.items() if name != "kept"}


def _gather(options: Any, op: Operands) -> dict[str, object]:
    """The axis may come before the batch dimensions in a damaged file only."""
    rank, indices = len(op.x.shape), op.weights.shape
    axis = axis_in(0 if options is None else options.Axis(), rank)
    batch = 0 if options is None else options.BatchDims()
    if batch < 0:
        batch += len(indices)
    if not 0 <= batch <= min(axis, len(indices)) or op.x.shape[:batch] != indices[:batch]:
        raise OptionError(f"{batch} batch dimensions of {shape_of(op.x)} and "
                          f"{shape_of(op.weights)} do not fit axis {axis}")
    return {"axis": axis, "batch_dims": batch}


def _gathered(op: Operands) -> Shape:
    axis, batch = op.integer("axis"), op.integer("batch_dims")
    return (*op.x.shape[:axis], *op.weights.shape[batch:], *op.x.shape[axis + 1:])


def _gathered_nd(op: Operands) -> Shape:
    indices = op.weights.shape
    if not indices or not 1 <= indices[-1] <= len(op.x.shape):
        raise OptionError(f"indices {shape_of(op.weights)} do not fit {shape_of(op.x)}")
    return (*indices[:-1], *op.x.shape[indices[-1]:])


def _integer_indices(op: Operands) -> str | None:
    """Indices are int32 or int64 and inside the tensor."""
    if op.weights.dtype not in ("int32", "int64"):
        return f"indices '{op.weights.name}' are {op.weights.dtype}, must be int32 or int64"
    return None


def _paddings(options: Any, op: Operands) -> dict[str, object]:
    numbers = op.numbers(1)
    if op.weights.shape != (len(op.x.shape), 2):
        raise OptionError(f"paddings {shape_of(op.weights)} do not fit {shape_of(op.x)}")
    return {"paddings": tuple(zip(numbers[::2], numbers[1::2], strict=True))}


def _mirror(options: Any, op: Operands) -> dict[str, object]:
    if options.Mode() not in MIRROR:
        raise OptionError(f"mode {options.Mode()} does not exist")
    return {**_paddings(options, op), "mode": MIRROR[options.Mode()]}


def _pairs(op: Operands) -> list[tuple[int, int]]:
    value = op.attributes["paddings"]
    assert isinstance(value, tuple)
    return list(value)


def _padded(op: Operands) -> Shape:
    pairs = _pairs(op)
    beyond = 1 if op.attributes.get("mode") == "REFLECT" else 0
    for (before, after), size in zip(pairs, op.x.shape, strict=True):
        if min(before, after) < 0:
            raise OptionError(f"padding {before}, {after} must not be negative")
        if op.kind == "MIRROR_PAD" and max(before, after) > size - beyond:
            raise OptionError(f"padding {before}, {after} mirrors more than {shape_of(op.x)} has")
    return tuple(n + b + a for n, (b, a) in zip(op.x.shape, pairs, strict=True))


def _same_fill(op: Operands) -> str | None:
    """PADV2's value is one number of the input's dtype, scale and zero point."""
    fill = op.present(2)
    if fill.dtype != op.x.dtype or set(fill.shape) - {1}:
        return f"padding value {shape_of(fill)} must be one {op.x.dtype}"
    if op.x.dtype in limits.QUANTIZED:
        q, x = fill.quantization, quantization_of(op.x)
        if q is None or (q.scale, q.zero_point) != (x.scale, x.zero_point):
            return f"padding value '{fill.name}' needs the input's scale and zero point"
    return None


def _row(kind: str, options: str, read: Any, shape: Any, inputs: int, *more: Any,
         **columns: Any) -> OperatorInfo:
    """A row of the table, of an operator with so many operands."""
    return replace(OperatorInfo(
        kind, ANY, options, False, read,
        (consistency.operand_count(inputs, inputs, optional=inputs), output_is(shape)),
        (limits.one_dtype(0), limits.quantized(0), limits.same_quantization, *more)), **columns)


def _split_row(kind: str, position: int, constants: dict[int, str],
               rules: dict[str, str]) -> OperatorInfo:
    count = len(constants) + 1
    return OperatorInfo(
        kind, rules, f"{'SplitV' if kind == 'SPLIT_V' else 'Split'}Options", True, _split,
        (consistency.operand_count(count, count, optional=count, outputs=None), _split_shapes),
        (limits.one_dtype(position), limits.quantized(position),
         limits.same_quantization_as(position)),
        _without_sizes, constants, decides=position)


_PADDING = {1: "padding"}

OPERATORS = (
    _split_row("SPLIT", 1, {0: "axis"}, without("bool")),
    _split_row("SPLIT_V", 0, {1: "sizes", 2: "axis"}, without("bool")),
    _row("SLICE", "", _slice, _cut, 3, limits.at_most(5), constants={1: "begin", 2: "size"}),
    _row("STRIDED_SLICE", "StridedSliceOptions", _strided_slice, _cut, 4, limits.at_most(4),
         constants={1: "begin", 2: "end", 3: "stride"}, options_required=True,
         finish=_without_kept),
    _row("GATHER", "GatherOptions", _gather, _gathered, 2, _integer_indices),
    _row("GATHER_ND", "", lambda options, op: {}, _gathered_nd, 2, _integer_indices),
    _row("PAD", "", _paddings, _padded, 2, limits.at_most(4), constants=_PADDING),
    _row("PADV2", "", _paddings, _padded, 3, _same_fill, limits.at_most(4), constants=_PADDING),
    _row("MIRROR_PAD", "MirrorPadOptions", _mirror, _padded, 2, limits.at_most(4),
         constants=_PADDING, options_required=True),
)
