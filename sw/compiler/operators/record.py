"""The compiler's record of an operator: limits of the accelerator, and the rewriting."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from kaniwa.compiler.rewrite.rewriter import Rewriter
from kaniwa.graph import Graph, Op

__all__ = ["DeviceOperator", "Limit", "Rewrite", "sentence"]

# A limit returns None, or what the accelerator cannot take of the operator, and the way out. Its
# docstring is the sentence of ``kaniwa operators``.
Limit = Callable[[Graph, Op], str | None]
Rewrite = Callable[[Rewriter, Op], None]


@dataclass(frozen=True)
class DeviceOperator:
    """An operator that the accelerator has, of int8 and, with ``int16_limits``, of int16.

    | field | contents |
    |---|---|
    | ``limits`` | what the accelerator takes of the operator |
    | ``rewrite`` | emits the operators in its place that ``lower`` knows |
    | ``int16_limits`` | the limits where an activation is int16 |
    | ``int16_rewrite`` | the rewriting then, where it is another one |
    | ``rules`` | the only rules of int8 that are exact, LiteRT's first; (): all are |
    | ``onnx`` | quantised in ONNX models only: TFLite's runs on the host |
    """

    kind: str
    limits: tuple[Limit, ...]
    rewrite: Rewrite
    int16_limits: tuple[Limit, ...] = ()
    int16_rewrite: Rewrite | None = None
    rules: tuple[str, ...] = ()
    onnx: bool = False


def sentence(limit: Limit) -> str:
    """The sentence of a limit that users read."""
    return " ".join((limit.__doc__ or "").partition("\n\n")[0].split())
