"""Operators that a framework's own runtime does: prepared once, then run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from weakref import WeakKeyDictionary

import numpy as np

from kaniwa.errors import Error, ModelError, UnsupportedError
from kaniwa.extras import needed
from kaniwa.graph import Graph, Op, Tensor
from kaniwa.runtimes import NAMES, litert_model, onnx_node
from kaniwa.runtimes.litert import LiteRtOperator
from kaniwa.runtimes.onnx_node import OnnxNode
from kaniwa.runtimes.prepared import Form, Prepared, Refusal

__all__ = ["illegal", "prepare", "run"]

_PREPARED: WeakKeyDictionary[Op, Prepared] = WeakKeyDictionary()


def illegal(kind: str, rule: str, attributes: Mapping[str, object]) -> str | None:
    """What is wrong with the definition of an operator of a program file; None where nothing is.

    It needs no framework; that checks the rest when the operator is first run.
    """
    if rule == "litert":
        return litert_model.illegal(kind, attributes)
    return onnx_node.illegal(attributes)


def prepare(where: str, rule: str, kind: str, attributes: Mapping[str, object],
            operands: Sequence[Tensor | None], outputs: Sequence[Tensor] = ()) -> Prepared:
    """The operator ready to run; ``where`` begins messages.

    ONNX Runtime finds the forms of results itself; LiteRT is told them. Raises Refusal where the
    runtime does not take it, UnsupportedError where its package is missing.
    """
    with needed(f"{where}: {NAMES[rule]}, which runs this operator on the host,", "host"):
        if rule == "litert":
            return LiteRtOperator(kind, attributes, operands, outputs)
        return OnnxNode(kind, attributes, operands)


def run(graph: Graph, op: Op, values: Sequence[np.ndarray | None]) -> tuple[np.ndarray, ...]:
    """The results of ``op``, whose rule is a key of NAMES, for these operands.

    Raises ModelError where the runtime does not take the values, UnsupportedError where it does
    not take the operator or its package is missing.
    """
    where = f"{graph.name}: op {op.source_index} {op.kind} '{op.name}'"
    outputs = [graph.tensors[i] for i in op.outputs]

    def refused(what: str, error: type[Error] = UnsupportedError) -> Error:
        return error(f"{where}: {NAMES[op.rule]} refuses {what}")

    prepared = _PREPARED.get(op)
    if prepared is None:
        operands = [None if i == -1 else graph.tensors[i] for i in op.inputs]
        try:
            prepared = prepare(where, op.rule, op.kind, op.attributes, operands, outputs)
            forms = prepared.results
        except Refusal as reason:
            raise refused(f"the operator: {reason}") from None
        if forms != tuple(Form(t.dtype, t.shape) for t in outputs):
            raise refused(f"its results: they would be {_listed(forms)}")
        _PREPARED[op] = prepared
    try:
        results = prepared.run(values)
    except Refusal as reason:
        raise refused(f"the values of its operands: {reason}", ModelError) from None
    forms = tuple(Form(value.dtype.name, value.shape) for value in results)
    if forms != tuple(Form(t.dtype, t.shape) for t in outputs):
        raise refused(f"its results: they are {_listed(forms)}", ModelError)
    return tuple(results)


def _listed(forms: Sequence[Form]) -> str:
    return ", ".join(f"{form.dtype}{list(form.shape)}" for form in forms)
