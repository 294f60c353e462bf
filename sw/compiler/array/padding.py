"""PAD as moves: what is padded, and what fills the gaps around it."""

from __future__ import annotations

from math import prod

from kaniwa.compiler.array.moves import Move, joined
from kaniwa.graph import Graph, Op

__all__ = ["FILLER", "Paddings", "fill_of", "fills", "padded", "split_axes"]

FILLER = 64     # bytes of the constant that gaps are filled from
Paddings = tuple[tuple[int, int], ...]


def fill_of(graph: Graph, op: Op) -> int:
    """The value that a PAD has around its operand."""
    if len(op.inputs) > 1:
        data = graph.tensors[op.inputs[1]].data
        assert data is not None
        return int(data.flat[0])
    q = graph.tensors[op.outputs[0]].quantization
    return q.zero_point if q is not None else 0


def split_axes(paddings: Paddings) -> list[Paddings]:
    """Paddings of up to two axes each that make up ``paddings``, the last axes first."""
    wide = [axis for axis, pads in enumerate(paddings) if any(pads)]
    groups = [wide[max(end - 2, 0):end] for end in range(len(wide), 0, -2)]
    return [tuple(pads if axis in group else (0, 0) for axis, pads in enumerate(paddings))
            for group in groups]


def padded(shape: tuple[int, ...], paddings: Paddings) -> tuple[int, ...]:
    """The shape of the result."""
    return tuple(size + sum(pads) for size, pads in zip(shape, paddings, strict=True))


def fills(shape: tuple[int, ...], paddings: Paddings) -> tuple[Move, list[Move]]:
    """For bytes of a ``shape`` with one or two padded axes: the move of all that is padded, and
    the moves that fill the gaps, from a constant of FILLER bytes."""
    axes = [axis for axis, pads in enumerate(paddings) if any(pads)]
    first, last = axes[0], axes[-1]
    (before, after), (left, right) = paddings[first], paddings[last]
    if first == last:
        before = after = 0
    result, inner = padded(shape, paddings), prod(shape[last + 1:])
    start = first if first != last else last
    images = prod(shape[:start])
    between = prod(shape[start:last])     # rows of an image
    rows_apart = prod(shape[first + 1:last])    # of a step along the first axis
    pitch, image = result[last] * inner, prod(result[start:])
    run = shape[last] * inner
    top, bottom = before * rows_apart * pitch, after * rows_apart * pitch
    head, tail = top + left * inner, right * inner + bottom
    moved = Move(images, between, run, (0, between * run, run), (head, image, pitch))
    gaps = _filled(1, 1, head, (0, 0, 0))
    gaps += _filled(images, between - 1, (left + right) * inner, (head + run, image, pitch))
    gaps += _filled(1, images - 1, tail + head, (image - tail, 0, image))
    gaps += _filled(1, 1, tail, (images * image - tail, 0, 0))
    return joined(moved), gaps


def _filled(images: int, rows: int, count: int, to: tuple[int, int, int]) -> list[Move]:
    """Gaps of ``count`` bytes: whole FILLERs, and the rest of each."""
    if not images * rows * count:
        return []
    whole, rest = divmod(count, FILLER)
    moves = [Move(images, rows, FILLER, (0, 0, 0), to, whole, (0, FILLER))] if whole else []
    if rest:
        moves.append(Move(images, rows, rest, (0, 0, 0), (to[0] + whole * FILLER, *to[1:])))
    return moves
