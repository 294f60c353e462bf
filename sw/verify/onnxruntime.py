"""Golden against ONNX Runtime, operator by operator, each on ONNX Runtime's own inputs.

A quantised ONNX model runs in float32 there, and a float32 result is no function of the integers
that it comes from (the order of its additions counts). So a result may differ by one step where
the exact number, in float64, is nearly half-way between two: such differences are counted apart.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import metadata

import numpy as np
import numpy.typing as npt

from kaniwa.errors import UnsupportedError
from kaniwa.extras import needed
from kaniwa.golden import run_op
from kaniwa.golden.onnx.qdq import RULE as QDQ, real_values
from kaniwa.golden.onnx.softmax import RULE as FIXED_POINT
from kaniwa.graph import Graph, Op, Tensor
from kaniwa.importers.onnx.builder import Origin
from kaniwa.importers.onnx.model import ImportedOnnx
from kaniwa.runtimes.onnx_exact import exact_options, exact_weights
from kaniwa.runtimes.prepared import one_line

__all__ = ["NEAR_TIE", "FLOAT_TOLERANCE", "OnnxRuntime", "Difference", "as_long", "differences"]

MOVED = "exact"            # rule of operators that round nothing
NEAR_TIE = 1e-3            # distance from half-way, in steps of an output of 8 bits
NEAR_TIES = {1: NEAR_TIE, 2: 256 * NEAR_TIE}      # by bytes: the same share of the range
FLOAT_TOLERANCE = 1e-5     # of float32 results, relative to 1 and to their size


class OnnxRuntime:
    """ONNX Runtime on the CPU, one thread; without graph optimisation every value is kept.

    ``names`` are the model's values to give back besides its outputs. Raises ``UnsupportedError``
    where ONNX Runtime is not installed or refuses the model.
    """

    def __init__(self, model: bytes, name: str, names: Collection[str] = (),
                 optimized: bool = False) -> None:
        with needed("the comparison with ONNX Runtime", "verify"):
            import onnx
            import onnxruntime
        self.name = name
        mode = "default graph optimisation" if optimized else "graph optimisation off"
        self.description = (f"ONNX Runtime {metadata.version('onnxruntime')}, "
                            f"CPUExecutionProvider, {mode}, one thread")
        self.outputs = [o.name for o in onnx.load_model_from_string(model).graph.output]
        if names:
            proto = onnx.load_model_from_string(model)
            written = {o for node in proto.graph.node for o in node.output}
            for extra in sorted(written.intersection(names).difference(self.outputs)):
                proto.graph.output.append(onnx.ValueInfoProto(name=extra))
            model = proto.SerializeToString()
        try:
            self.session = onnxruntime.InferenceSession(
                exact_weights(model), exact_options(optimized), providers=["CPUExecutionProvider"])
        except Exception as error:   # its errors have no base of their own
            raise self._refused("the model", error) from None

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The values by name, in the model's layout; UnsupportedError where it does not run."""
        names = [o.name for o in self.session.get_outputs()]
        try:
            values = self.session.run(names, dict(inputs))
        except Exception as error:   # its errors have no base of their own
            raise self._refused("this input", error,
                                "; give others with --inputs X.npz") from None
        return dict(zip(names, values, strict=True))

    def _refused(self, what: str, error: Exception, way_out: str = "") -> UnsupportedError:
        return UnsupportedError(f"{self.name}: ONNX Runtime refuses {what}: {one_line(error)}"
                                f"{way_out}")


@dataclass(frozen=True, eq=False)
class Difference:
    """One operator's result beside the reference's: in the graph's layout and as int8.

    ``wrong`` marks elements that differ and may not, ``near_tie`` those that differ by one step
    where the exact number is within ``NEAR_TIE`` (and what a bias was rounded by) of half-way.
    """

    op: Op
    tensor_id: int
    golden: np.ndarray
    reference: np.ndarray
    wrong: np.ndarray
    near_tie: np.ndarray


def differences(imported: ImportedOnnx, inputs: Sequence[np.ndarray],
                reference: Mapping[str, np.ndarray]) -> list[Difference]:
    """Every operator whose result ``reference`` has by the model's name, in order.

    Each runs on the reference's values of its operands where those are known.
    """
    graph = imported.graph
    values = dict(zip(graph.inputs, inputs, strict=True))
    values.update((t.id, t.data) for t in graph.tensors if t.data is not None)
    found = []
    rounded: dict[int, _Rounded] = {}      # results that the reference has not
    for op in graph.ops:
        operands = [None if i == -1 else values[i] for i in op.inputs]
        for output, ours in zip(op.outputs, run_op(graph, op, operands), strict=True):
            values[output] = ours
            theirs = _reference_of(op, graph.tensors[output], imported.origins.get(output),
                                   reference)
            if theirs is not None:
                difference = _compare(imported, op, output, operands, ours, theirs)
                if difference.wrong.any() and not rounded.keys().isdisjoint(op.inputs):
                    difference = _moved_ties(imported, difference, operands, rounded)
                found.append(difference)
                values[output] = theirs
            elif op.rule in (QDQ, FIXED_POINT) and ours.dtype.kind in "iu":
                rounded[output] = _Rounded(op, operands, ours)
    return found


@dataclass(frozen=True)
class _Rounded:
    """A result that was rounded, and what it was made of."""

    op: Op
    operands: Sequence[np.ndarray | None]
    ours: np.ndarray


def _across_ties(graph: Graph, result: _Rounded) -> np.ndarray:
    """The result with what is next to a tie rounded to the other side."""
    op, ours = result.op, result.ours
    real = real_values(graph, op, list(result.operands)).reshape(ours.shape)
    step = np.floor(real) + np.ceil(real) - 2 * np.rint(real)
    near = _from_half_way(real) <= NEAR_TIES[ours.dtype.itemsize]
    return np.clip(ours + np.where(near, step, 0), *_bounds(op, ours.dtype)).astype(ours.dtype)


def _from_half_way(real: np.ndarray) -> np.ndarray:
    """The distance of each number from the nearest tie."""
    return np.abs(np.abs(real - np.trunc(real)) - 0.5)


def _bounds(op: Op, dtype: npt.DTypeLike) -> tuple[int, int]:
    """The least and the largest result of an operator."""
    limits = np.iinfo(np.dtype(dtype))
    bounds = op.attributes.get("bounds", (limits.min, limits.max))
    assert isinstance(bounds, tuple)
    low, high = bounds
    return low, high


def _moved_ties(imported: ImportedOnnx, found: Difference, operands: list[np.ndarray | None],
                rounded: Mapping[int, _Rounded]) -> Difference:
    """A difference of an operator that moves values, as a Concat does, which brings some of them
    to its steps first: those on the other side of a tie are no wrong ones."""
    if found.op.rule != MOVED:
        return found
    graph = imported.graph
    across = [_across_ties(graph, rounded[i]) if i in rounded else value
              for i, value in zip(found.op.inputs, operands, strict=True)]
    results = run_op(graph, found.op, across)
    moved = found.wrong & (found.reference == results[found.op.outputs.index(found.tensor_id)])
    return replace(found, wrong=found.wrong & ~moved, near_tie=found.near_tie | moved)


def _reference_of(op: Op, tensor: Tensor, origin: Origin | None,
                  reference: Mapping[str, np.ndarray]) -> np.ndarray | None:
    """The reference's value of the tensor, moved and shifted as the tensor is."""
    if origin is None:
        value = reference.get(tensor.name)
        return value if value is not None and value.shape == tensor.shape else None
    value = reference.get(origin.name)
    if value is None:
        return None
    value = as_long(value.transpose(origin.permutation), tensor)
    if value.size == np.prod(tensor.shape):
        value = value.reshape(tensor.shape)      # a map of one row, or of one pixel
    if origin.shift and value.dtype.kind == "u":
        return (value.astype(np.int64) - origin.shift).astype(tensor.dtype)
    q = tensor.quantization
    if value.dtype == np.float32 and q is not None:
        # Moved as real numbers there: whole steps, or rounded only behind what moves them.
        steps = np.rint(value / np.float32(q.scale)) + q.zero_point
        return np.clip(steps, *_bounds(op, tensor.dtype)).astype(tensor.dtype)
    return value


def as_long(value: np.ndarray, tensor: Tensor) -> np.ndarray:
    """Rows of NonMaxSuppression, with -1 up to as many as there may be."""
    missing = tensor.shape[0] - value.shape[0] if tensor.dtype == "int64" and tensor.shape else 0
    if value.ndim != len(tensor.shape) or value.shape[1:] != tensor.shape[1:] or missing <= 0:
        return value
    return np.pad(value, ((0, missing), *[(0, 0)] * (value.ndim - 1)), constant_values=-1)


def _compare(imported: ImportedOnnx, op: Op, output: int, operands: list[np.ndarray | None],
             ours: np.ndarray, theirs: np.ndarray) -> Difference:
    near = np.zeros(ours.shape, bool)
    if ours.dtype == np.float32:
        size = np.maximum(np.abs(theirs), 1.0)
        different = ~(np.abs(ours.astype(np.float64) - theirs) <= FLOAT_TOLERANCE * size)
    else:
        different = ours != theirs
        if different.any() and op.rule in (QDQ, FIXED_POINT):
            real = real_values(imported.graph, op, operands).reshape(ours.shape)
            one = np.abs(ours.astype(np.int64) - theirs) == 1
            # A float bias was rounded to the accumulator's steps at import.
            error = op.attributes.get("bias_error", 0.0)
            assert isinstance(error, float)
            near = different & one & (
                _from_half_way(real) <= NEAR_TIES[ours.dtype.itemsize] + error)
    return Difference(op, output, ours, theirs, different & ~near, near)
