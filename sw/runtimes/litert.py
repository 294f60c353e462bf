"""An operator of a TFLite model on LiteRT: an interpreter with a model of that operator alone."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence

import numpy as np

from kaniwa.graph import Tensor
from kaniwa.runtimes.litert_model import illegal, model_of
from kaniwa.runtimes.prepared import Form, Refusal, one_line

__all__ = ["LiteRtOperator"]


class LiteRtOperator:
    """LiteRT with a model of one operator, one thread, its reference kernel where it has one.

    ``operands`` and ``outputs`` are the tensors, None for an absent operand; constants are built
    into the model. Raises Refusal where the definition is damaged, or LiteRT does not take the
    operator, and ImportError where the package is missing.
    """

    def __init__(self, kind: str, attributes: Mapping[str, object],
                 operands: Sequence[Tensor | None], outputs: Sequence[Tensor]) -> None:
        from ai_edge_litert.interpreter import Interpreter, OpResolverType

        problem = illegal(kind, attributes)
        if problem is not None:
            raise Refusal(problem)
        model = model_of(kind, attributes, operands, outputs)
        refused: Exception | None = None
        for kernels in (OpResolverType.BUILTIN_REF,
                        OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES):
            try:
                self._interpreter = Interpreter(model_content=model, num_threads=1,
                                                experimental_op_resolver_type=kernels)
                self._interpreter.allocate_tensors()
                break
            except (RuntimeError, ValueError) as error:
                refused = error
        else:
            assert refused is not None
            raise Refusal(one_line(refused))
        there = [position for position, tensor in enumerate(operands) if tensor is not None]
        # Tensor index in the model and position among the operands, of those that are computed.
        self._inputs = [(i, position) for i, position in enumerate(there)
                        if getattr(operands[position], "data", None) is None]
        self._outputs = range(len(there), len(there) + len(outputs))
        self._lock = threading.Lock()
        self._forms = tuple(
            Form(np.dtype(details["dtype"]).name, tuple(int(n) for n in details["shape"]))
            for details in self._interpreter.get_output_details())

    @property
    def results(self) -> tuple[Form, ...]:
        """The forms of the results."""
        return self._forms

    def run(self, values: Sequence[np.ndarray | None]) -> list[np.ndarray]:
        """The results for these operands; raises Refusal where LiteRT does not take them."""
        with self._lock:
            try:
                for i, position in self._inputs:
                    self._interpreter.set_tensor(i, values[position])
                self._interpreter.invoke()
                return [self._interpreter.get_tensor(i) for i in self._outputs]
            except (RuntimeError, ValueError) as error:
                raise Refusal(one_line(error)) from None
