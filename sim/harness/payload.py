"""Pack Python values into the bits of an Amaranth layout and back, for benches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["codec"]

Codec = tuple[Callable[[Any], int], Callable[[int], Any]]


def codec(shape: Any) -> Codec:
    """Functions (pack, unpack) between a value and its bits.

    ints for plain shapes, dicts for structs (missing members are 0), lists or arrays for arrays.
    """
    from amaranth.hdl import Shape
    from amaranth.lib import data

    if isinstance(shape, data.StructLayout):
        return _struct_codec([(name, field.offset, Shape.cast(field.shape).width,
                               codec(field.shape)) for name, field in shape])
    if isinstance(shape, data.ArrayLayout):
        return _array_codec(shape.length, Shape.cast(shape.elem_shape).width,
                            codec(shape.elem_shape))
    cast = Shape.cast(shape)
    return _integer_codec(cast.width, cast.signed)


def _integer_codec(width: int, signed: bool) -> Codec:
    mask, sign = (1 << width) - 1, 1 << (width - 1) if width else 0

    def unpack(bits: int) -> int:
        bits &= mask
        return bits - (mask + 1) if signed and bits & sign else bits

    return (lambda value: int(value) & mask), unpack


def _struct_codec(members: list[tuple[str, int, int, Codec]]) -> Codec:
    names = {name for name, *_ in members}

    def pack(value: dict[str, Any]) -> int:
        if not value.keys() <= names:
            raise KeyError(f"no such member: {sorted(value.keys() - names)}")
        return sum(pair[0](value[name]) << offset
                   for name, offset, _, pair in members if name in value)

    def unpack(bits: int) -> dict[str, Any]:
        return {name: pair[1](bits >> offset & ((1 << width) - 1))
                for name, offset, width, pair in members}

    return pack, unpack


def _array_codec(length: int, width: int, element: Codec) -> Codec:
    mask = (1 << width) - 1

    def pack(value: Any) -> int:
        if len(value) != length:
            raise ValueError(f"{length} elements expected, not {len(value)}")
        bits = 0
        for item in reversed(value):
            bits = bits << width | element[0](item)
        return bits

    def unpack(bits: int) -> list[Any]:
        return [element[1](bits >> (i * width) & mask) for i in range(length)]

    return pack, unpack
