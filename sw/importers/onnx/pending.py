"""Results in real numbers that wait: they are lowered when a reader says what they become.

Integers by rule ``qdq``, or float32 for the host. The file of a family of operators registers here
how each is lowered; ``model`` imports all of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

import numpy as np

from kaniwa.importers.onnx.builder import Builder
from kaniwa.importers.onnx.file import Node
from kaniwa.importers.onnx.quantization import (
    activation_steps,
    dequantized,
    keeps_steps,
    quantized_constant,
    real_numbers,
)
from kaniwa.importers.onnx.values import (
    REAL,
    Dequantized,
    Floats,
    Integers,
    Known,
    Moved,
    Pending,
    Permutation,
    Steps,
    Stored,
    Value,
    moved,
)

__all__ = ["TO_FLOAT", "floats", "lowers", "lowers_floats", "movable", "operand", "quantize",
           "quantized_floats", "quantized_to", "transposed"]

Lower = Callable[[Builder, Pending, Steps, str], Integers]
LowerFloats = Callable[[Builder, Pending], Stored]
LOWERS: dict[str, Lower] = {}
FLOAT_LOWERS: dict[str, LowerFloats] = {}      # of operators on float32
TO_FLOAT: set[str] = set()      # what golden computes from integers and gives in float32


def lowers(*kinds: str, to_float: bool = False) -> Callable[[Lower], Lower]:
    """Register what makes results of nodes of ``kinds`` integers; ``to_float``: or float32."""
    def register(function: Lower) -> Lower:
        assert not LOWERS.keys() & kinds, kinds
        LOWERS.update(dict.fromkeys(kinds, function))
        if to_float:
            TO_FLOAT.update(kinds)
        return function

    return register


def lowers_floats(*kinds: str) -> Callable[[LowerFloats], LowerFloats]:
    """Register what makes float32 of float32 operands for nodes of ``kinds``."""
    def register(function: LowerFloats) -> LowerFloats:
        assert not FLOAT_LOWERS.keys() & kinds, kinds
        FLOAT_LOWERS.update(dict.fromkeys(kinds, function))
        return function

    return register


def quantize(builder: Builder, node: Node) -> Value:
    """QuantizeLinear: gives what waits in real numbers its integers."""
    x, scale, zero_point = builder.operands(node, 2, 3)
    assert x is not None
    if isinstance(x, Known):
        return quantized_constant(builder, node, x)
    steps = activation_steps(builder, node, scale, zero_point, None, len(builder.shape_of(x)))
    return quantized_to(builder, x, steps, node.outputs[0])


def quantized_to(builder: Builder, x: Value, steps: Steps, name: str) -> Integers:
    """A value that is no constant as integers of these ``steps``: the model's ``name``."""
    assert not isinstance(x, Known)
    if isinstance(x, Integers):
        raise builder.fail("quantises integers; only real numbers are supported")
    if isinstance(x, Pending):
        return _lower(builder, x, steps, name)
    if isinstance(x, Dequantized):
        if x.steps == steps:
            return Integers(x.stored, steps)
        return builder.requantized(x, steps, name, steps.bounds)
    return quantized_floats(builder, x, steps, name, steps.bounds)


def quantized_floats(builder: Builder, x: Floats, steps: Steps, name: str,
                     bounds: tuple[int, int] | tuple[float, float]) -> Integers:
    """float32 as integers of these ``steps`` between ``bounds``, or as float32 between those."""
    if x.dtype != "float32":
        raise builder.fail(f"quantises {x.dtype}; only float32 is supported")
    form = x.stored.first
    source = builder.form(x.stored, form)
    index, result = builder.made(name, x.stored.shape, form, steps)
    builder.emit("QUANTIZE", (source,), index, {"bounds": bounds}, "onnx")
    return result


AnyMoved = TypeVar("AnyMoved", Integers, Dequantized, Floats, Dequantized | Floats, Moved)


def transposed(builder: Builder, value: AnyMoved, permutation: Permutation,
               name: str) -> AnyMoved:
    """The same numbers seen through another permutation; nothing is moved yet."""
    stored = value.stored
    if not stored.forms:
        builder.form(stored, stored.first)
    # A form f of x = transposed by f; of y = x transposed by p it is the form f after p's inverse.
    forms = {tuple(permutation.index(axis) for axis in f): i for f, i in stored.forms.items()}
    return replace(value, stored=Stored(name, moved(stored.shape, permutation), forms))


def movable(builder: Builder, value: Value | None) -> Moved:
    """A value that can be moved without computing, a result that is not quantised in float32:
    raises UnsupportedError for others."""
    if isinstance(value, (Integers, Dequantized, Floats)):
        return value
    return operand(builder, value, "its input")


def operand(builder: Builder, value: Value | None, what: str) -> Dequantized | Floats:
    """Quantised numbers, or float32 where the model leaves a result in it: for the host."""
    if isinstance(value, Floats) and value.dtype == "float32" or _waits_for_floats(value):
        return Floats(floats(builder, value, what))
    return dequantized(builder, value, what)


def _waits_for_floats(value: Value | None) -> bool:
    """True where only a float32 result makes something of it: no clamp at whole steps alone."""
    if not isinstance(value, Pending) or value.node.kind != "Identity":
        return isinstance(value, Pending)
    source = value.operands[0]
    assert isinstance(source, (Dequantized, Floats))
    return isinstance(source, Floats) or not keeps_steps(value.clamps, source.steps)


def floats(builder: Builder, value: Value | None, what: str) -> Stored:
    """``value`` as float32 in the graph, a constant too: dequantised by the host where it is not
    yet."""
    if isinstance(value, Floats):
        return value.stored
    if isinstance(value, Known):
        shape = real_numbers(builder, value, what).data.shape
        own = tuple(range(len(shape)))
        name = f"constant:{len(builder.tensors)}"
        index = builder.tensor(name, shape, "float32", None, value.real)
        return Stored(name, shape, {own: index})
    if isinstance(value, Pending) and _waits_for_floats(value):
        return _lower_float(builder, value, what)
    source = dequantized(builder, value, what)
    form = source.stored.first
    tensor = builder.tensors[builder.form(source.stored, form)]
    name = f"{source.stored.name}:float"
    index = builder.tensor(name, tensor.shape, "float32")
    builder.emit("DEQUANTIZE", (tensor.id,), index, {}, "onnx")
    return Stored(name, source.stored.shape, {form: index})


def _lower(builder: Builder, pending: Pending, steps: Steps, name: str) -> Integers:
    """The operators that make ``pending`` integers of these ``steps``: the model's ``name``."""
    function = LOWERS.get(pending.node.kind)
    if function is None:
        raise builder.fail("its quantised form is not supported; leave it in float32 behind the "
                           "model's last DequantizeLinear", node=pending.node)
    return function(builder, pending, steps, name)


def _lower_float(builder: Builder, pending: Pending, what: str) -> Stored:
    """The operator with a float32 result, which the host runs."""
    node = pending.node
    if pending.label in builder.real:
        return builder.real[pending.label]
    if node.kind in TO_FLOAT:
        result = LOWERS[node.kind](builder, pending, REAL, pending.label).stored
    elif node.kind == "Identity":
        result = _clamped(builder, pending, pending.operands[0])
    elif node.kind in FLOAT_LOWERS:
        result = FLOAT_LOWERS[node.kind](builder, pending)
        if pending.clamps:
            result = _clamped(builder, pending, Floats(result))
    else:
        raise builder.fail(f"{what} is the result of node {node.index} {node.kind} '{node.name}', "
                           "which is not quantised; put QuantizeLinear and DequantizeLinear "
                           "behind that node")
    builder.real[pending.label] = result
    return result


def _clamped(builder: Builder, pending: Pending, x: Value | None) -> Stored:
    """``x`` with the clamps of ``pending``, in float32: its product with 1."""
    one = Known(np.ones((), np.int8), Steps((1.0,), (0,), "int8"))
    product = replace(pending, node=replace(pending.node, kind="Mul"), operands=(x, one))
    return LOWERS["Mul"](builder, product, REAL, pending.label).stored
