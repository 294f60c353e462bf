"""Einsum of quantised ONNX models: products of matrices as such, others as they are."""

from __future__ import annotations

import re
import string
from collections.abc import Container
from dataclasses import replace
from math import prod

from kaniwa.errors import ModelError
from kaniwa.importers.onnx.builder import Builder
from kaniwa.importers.onnx.file import MAXIMUM_ELEMENTS, MAXIMUM_RANK, Node, OnnxFile
from kaniwa.importers.onnx.pending import lowers, operand
from kaniwa.importers.onnx.quantization import clamp_bounds, real_numbers
from kaniwa.importers.onnx.values import Dequantized, Floats, Integers, Known, Pending, Steps, Value

__all__ = ["einsum", "lower_einsum", "products"]

KEPT = ("DequantizeLinear", "QuantizeLinear", "Identity")      # a constant stays one


def products(file: OnnxFile) -> OnnxFile:
    """``file`` with MatMul, and Transpose around it, in place of each Einsum that is a product of
    two matrices, or of batches of them, which the accelerator has."""
    constants, nodes = set(file.constants), list[Node]()
    for node in file.nodes:
        if node.kind in KEPT and constants.issuperset(node.inputs[:1]):
            constants.update(node.outputs)
        is_einsum = node.kind == "Einsum" and not node.domain
        nodes += (_product(node, constants) if is_einsum else None) or [node]
    return replace(file, nodes=tuple(nodes))


def _product(node: Node, constants: Container[str]) -> list[Node] | None:
    """The nodes that mean the same, or None.

    Of a product of activations the axes are those of a batch, one of each operand's own, and the
    one that is summed; constant weights have no batch, and activations any axes in front.
    """
    equation = node.attributes.get("equation", b"").decode(errors="replace").replace(" ", "")
    found = re.fullmatch(r"([A-Za-z]+),([A-Za-z]+)->([A-Za-z]+)", equation)
    if found is None or len(node.inputs) != 2 or len(node.outputs) != 1:
        return None
    first, second, result = found.groups()
    if any(len(set(term)) != len(term) for term in found.groups()) or (
            not set(result) <= {*first, *second}):
        return None
    batch = [c for c in first if c in second and c in result]
    summed = [c for c in first if c in second and c not in result]
    rows = [c for c in first if c not in second]
    columns = [c for c in second if c not in first]
    weights = node.inputs[1] in constants
    if (node.inputs[0] in constants or len(summed) != 1 or len(columns) != 1
            or not {*rows, *columns} <= set(result)
            or (bool(batch) or not rows if weights else len(rows) != 1)):
        return None
    name = node.outputs[0]
    made, operands = list[Node](), list[str]()
    for number, (term, wanted) in enumerate((
            (first, [*batch, *rows, *summed]), (second, [*batch, *summed, *columns]))):
        operands.append(_turned(node, made, node.inputs[number], term, wanted, f"{name}:{number}"))
    own = [*batch, *rows, *columns]
    product = name if own == list(result) else f"{name}:product"
    made.append(replace(node, kind="MatMul", inputs=tuple(operands), outputs=(product,),
                        attributes={}))
    _turned(node, made, product, "".join(own), list(result), name)
    return made


def _turned(node: Node, made: list[Node], source: str, letters: str, wanted: list[str],
            name: str) -> str:
    """``source``, or what a Transpose to the ``wanted`` letters makes of it."""
    if list(letters) == wanted:
        return source
    made.append(replace(node, kind="Transpose", inputs=(source,), outputs=(name,), attributes={
        "perm": tuple(letters.index(c) for c in wanted)}))
    return name


def einsum(builder: Builder, node: Node) -> Value:
    """Einsum over real numbers; its result waits for its steps."""
    if not 1 <= len(node.inputs) <= 8:
        raise builder.fail(f"has {len(node.inputs)} operands, 1 to 8 are supported")
    values = tuple(
        real_numbers(builder, v, f"operand {i}") if isinstance(v, Known)
        else operand(builder, v, f"operand {i}")
        for i, v in enumerate(builder.operands(node, len(node.inputs), len(node.inputs))))
    shapes = [builder.shape_of(v) for v in values]
    equation = node.attributes.get("equation", b"").decode(errors="replace").replace(" ", "")
    terms, result = _terms(builder, equation, [len(s) for s in shapes])
    sizes: dict[str, int] = {}
    for term, shape in zip(terms, shapes, strict=True):
        for letter, size in zip(term, shape, strict=True):
            if sizes.setdefault(letter, size) != size:
                raise builder.fail(f"'{equation}' does not fit {[list(s) for s in shapes]}",
                                   ModelError)
    if prod(sizes.values()) > MAXIMUM_ELEMENTS or not set(result) <= set(sizes) or len(
            set(result)) != len(result):
        raise builder.fail(f"'{equation}' does not fit {[list(s) for s in shapes]}", ModelError)
    attributes = {"equation": f"{','.join(terms)}->{result}"}
    return Pending(replace(node, attributes=attributes), values,
                   tuple(sizes[letter] for letter in result))


def _terms(builder: Builder, equation: str, ranks: list[int]) -> tuple[list[str], str]:
    """The letters of each operand's axes and of the result's, an ellipsis as letters of its own."""
    left, arrow, right = equation.partition("->")
    terms = left.split(",")
    if len(terms) != len(ranks) or not set(equation) <= set(string.ascii_letters + ".,->"):
        raise builder.fail(f"'{equation[:80]}' does not fit {len(ranks)} operands", ModelError)
    free = [c for c in string.ascii_letters if c not in equation][:MAXIMUM_RANK]
    most, expanded = 0, []
    for term, rank in zip(terms, ranks, strict=True):
        letters = term.replace("...", "", 1)
        more = rank - len(letters)
        if "." in letters or more < 0 or more > len(free) or (more and "..." not in term):
            raise builder.fail(f"'{equation[:80]}' does not fit its operands", ModelError)
        expanded.append(term.replace("...", "".join(free[len(free) - more:])))
        most = max(most, more)
    ellipsis = "".join(free[len(free) - most:])
    if not arrow:
        once = sorted(c for c in left if c.isalpha() and left.count(c) == 1)
        return expanded, ellipsis + "".join(once)
    result = right.replace("...", ellipsis, 1)
    if not result.isalpha() and result:
        raise builder.fail(f"'{equation[:80]}' has no sound result", ModelError)
    return expanded, result


@lowers("Einsum", to_float=True)
def lower_einsum(builder: Builder, pending: Pending, steps: Steps, name: str) -> Integers:
    """To EINSUM."""
    inputs = []
    for i, value in enumerate(pending.operands):
        rank = len(builder.shape_of(value)) if value is not None else 0
        own = tuple(range(rank))
        if isinstance(value, Known):
            inputs.append(builder.constant(value, f"{name}:{i}", own, rank))
        else:
            assert isinstance(value, (Dequantized, Floats))
            inputs.append(builder.form(value.stored, own))
    index, result = builder.made(name, pending.shape, tuple(range(len(pending.shape))), steps)
    builder.emit("EINSUM", tuple(inputs), index, {
        "equation": pending.node.attributes["equation"],
        "bounds": clamp_bounds(pending.clamps, steps)}, steps.rule)
    return result
