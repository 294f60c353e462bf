"""Rewrites operators to the few that the accelerator has.

Left over are CONV_2D, DEPTHWISE_CONV_2D (depth multiplier 1), MAX_POOL_2D, MUL and ADD (also SUB:
its rule tells) of equal shapes, TRANSPOSE of [outer, first, second, run] to [outer, second, first,
run], TABLE (a function of one operand, or an elementwise operator of one and a constant of one
value, or of one twice), COPY, the VECTOR_KINDS, SUMS and LSTM (products with the inputs of all
steps, and the steps), SEQUENCE (both, on the cell unit), WIDE (what is of int16, element by
element) and WIDE_SUMS (what ends one that sums), and RESHAPE, which moves no data. A rewritten
operator keeps its rounding rule and, as attributes, what it was (``source_kind``) and the products
of one result in the model (``taps``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np

from kaniwa.compiler.array.elementwise import has_one_value
from kaniwa.compiler.array.functions import TABLES
from kaniwa.compiler.array.moves import CUTS, JOINS, VIEWS, Move, moves
from kaniwa.compiler.int16.limits import SUMMED, WIDE_LIMITS, is_wide
from kaniwa.compiler.limits import LIMITS, averaged, swapped
from kaniwa.compiler.plan.kinds import VECTOR_KINDS, WIDE
from kaniwa.compiler.plan.operands import as_map, describe, paddings, pair
from kaniwa.compiler.plan.plan import Plan
from kaniwa.compiler.plan.sum_bytes import SUM_BYTES
from kaniwa.compiler.recurrent.cell_unit import fits_cell_unit, whole_words
from kaniwa.compiler.recurrent.lstm_operands import cells_of, gates_of, steps_of
from kaniwa.compiler.recurrent.onnx_cells import KINDS as ONNX_CELLS, computed_states, sums_of_step
from kaniwa.compiler.rewrite.rewriter import NO_PADDING, UNIT, Rewriter
from kaniwa.compiler.rewrite.uint8_to_int8 import signed_operators
from kaniwa.config import AcceleratorConfig
from kaniwa.errors import ModelError, UnsupportedError
from kaniwa.golden.tflite.recurrent import CELL_STATE, HIDDEN_STATE
from kaniwa.graph import Graph, Op
from kaniwa.units.vector.kernels.elementary import row_pitch
from kaniwa.units.vector.kernels.recurrent import gate_pitch

__all__ = ["legalize", "rewritten"]


def legalize(plan: Plan) -> Plan:
    """Rewrite every operator."""
    rewriter = _Rewriter(plan.graph, plan.config, plan.time_multiplexed)
    for op in plan.graph.ops:
        rewriter.rewrite(op)
    return replace(plan, graph=replace(plan.graph, tensors=tuple(rewriter.tensors),
                                       ops=tuple(rewriter.ops)))


def rewritten(graph: Graph, op: Op, config: AcceleratorConfig) -> list[Op]:
    """What becomes of one operator of ``graph``.

    Raises UnsupportedError naming the operator and the way out where the target cannot take it.
    """
    tensors, ops = signed_operators(graph, (op,))
    rewriter = _Rewriter(replace(graph, tensors=tensors), config)
    rewriter.rewrite(*ops)
    return rewriter.ops


class _Rewriter(Rewriter):
    """What becomes of each kind."""

    def rewrite(self, op: Op) -> None:
        rewrites: dict[str, Callable[[Op], None]] = {
            "CONV_2D": self._convolution, "DEPTHWISE_CONV_2D": self._depthwise,
            "FULLY_CONNECTED": self._fully_connected, "AVERAGE_POOL_2D": self._average_pool,
            "MAX_POOL_2D": self._max_pool, "ADD": self._elementwise,
            "SUB": self._elementwise, "MUL": self._elementwise, "RELU": self._relu,
            "RELU6": self._relu, "MEAN": self._mean, "TRANSPOSE": self._transpose,
            **dict.fromkeys(VIEWS, self._reshape), **dict.fromkeys((*CUTS, *JOINS), self._copies),
            **dict.fromkeys(TABLES, self._function),
            "SOFTMAX": self._rows, "LAYER_NORM": self._rows, "BATCH_MATMUL": self._matmul,
            "UNIDIRECTIONAL_SEQUENCE_LSTM": self._lstm,
            **dict.fromkeys(ONNX_CELLS, self._onnx_cell),
        }
        where = describe(self.graph, op)
        if op.kind not in rewrites:
            raise UnsupportedError(f"{where}: the accelerator has no such operator; `kaniwa "
                                   f"operators` lists those that it has")
        wide = is_wide(self.graph, op)
        for limit in (WIDE_LIMITS if wide else LIMITS)[op.kind]:
            if (reason := limit(self.graph, op)) is not None:
                raise UnsupportedError(f"{where}: {reason}")
        (self._wide if wide and op.kind not in (*SUMMED, *VECTOR_KINDS) else rewrites[op.kind])(op)

    def _window(self, op: Op, kernel: tuple[int, ...]) -> None:
        """Refuse padding as large as the window: some windows would see no input at all."""
        where = describe(self.graph, op)
        x, y = (self.tensors[i].shape for i in (op.inputs[0], op.outputs[0]))
        sizes = []
        for size, length, stride, dilation, pads in zip(
                x[1:3], kernel, pair(op, "stride"), pair(op, "dilation", (1, 1)), paddings(op),
                strict=True):
            extent = (length - 1) * dilation + 1
            if max(pads) >= extent:
                raise UnsupportedError(f"{where}: padding {max(pads)} must be smaller than the "
                                       f"kernel's extent of {extent}")
            sizes.append((size + sum(pads) - extent) // stride + 1)
        if y[:3] != (x[0], *sizes):
            raise ModelError(f"{where}: output shape {list(y)} does not fit its input {list(x)}, "
                             f"expected {[x[0], *sizes]} and channels")

    def _convolution(self, op: Op) -> None:
        _, kh, kw, channels = self.tensors[op.inputs[1]].shape
        self._window(op, (kh, kw))
        self.emit(op, "CONV_2D", op.inputs, {**op.attributes, "taps": kh * kw * channels})

    def _depthwise(self, op: Op) -> None:
        weights = self.tensors[op.inputs[1]]
        _, kh, kw, outputs = weights.shape
        self._window(op, (kh, kw))
        channels = self.tensors[op.inputs[0]].shape[3]
        attributes = {**op.attributes, "taps": kh * kw}
        if outputs == channels and channels > 1:
            self.emit(op, "DEPTHWISE_CONV_2D", op.inputs, attributes)
            return
        # A dense convolution whose output channel reads the one input channel that it belongs to.
        assert weights.data is not None
        dense = np.zeros((outputs, kh, kw, channels), weights.data.dtype)
        rows = np.arange(outputs)
        dense[rows, :, :, rows // (outputs // channels)] = weights.data[0].transpose(2, 0, 1)
        q = weights.quantization
        new = self.tensor(weights.name, dense.shape, weights, dense,
                          None if q is None or q.axis is None else replace(q, axis=0))
        self.emit(op, "CONV_2D", (op.inputs[0], new, *op.inputs[2:]), attributes)

    def _fully_connected(self, op: Op) -> None:
        weights = self.tensors[op.inputs[1]]
        outputs, depth = weights.shape
        rows = prod(self.tensors[op.inputs[0]].shape) // depth
        x = self.reshaped(op, op.inputs[0], (1, 1, rows, depth))
        w = self.reshaped(op, op.inputs[1], (outputs, 1, 1, depth))
        y = self.tensors[op.outputs[0]]
        wide = y.id if y.shape == (1, 1, rows, outputs) else self.tensor(
            f"{y.name}:pixels", (1, 1, rows, outputs), y)
        self.emit(op, "CONV_2D", (x, w, *op.inputs[2:]),
                  {**op.attributes, "stride": (1, 1), "dilation": (1, 1), "padding": NO_PADDING,
                   "taps": depth}, wide)
        self.renamed(op, wide, y)

    def _average_pool(self, op: Op) -> None:
        self._window(op, pair(op, "filter"))
        self._unit_depthwise(op, pair(op, "filter"), op.rule)

    def _mean(self, op: Op) -> None:
        x, y = self.tensors[op.inputs[0]], self.tensors[op.outputs[0]]
        view = averaged(self.graph, op)
        assert view is not None
        outer, count, inner = view
        rows, columns = x.shape[1:3] if len(x.shape) == 4 and x.shape[0] == outer else (1, count)
        if rows * columns != count:
            rows, columns = 1, count
        attributes = {**op.attributes, "stride": (1, 1), "dilation": (1, 1), "padding": NO_PADDING,
                      "count": count, "taps": 0}
        if inner == 1:      # along the channels
            source, shape, wide = (1, 1, outer, count), (1, 1, 1, count), (1, 1, outer, 1)
        else:
            source, shape, wide = ((outer, rows, columns, inner), (1, rows, columns, inner),
                                   (outer, 1, 1, inner))
        ones = self.tensor(f"{op.name}:ones", shape, None, np.ones(shape, np.int8), UNIT)
        result = y.id if y.shape == wide else self.tensor(f"{y.name}:map", wide, y)
        self.emit(op, "CONV_2D" if inner == 1 else "DEPTHWISE_CONV_2D",
                  (self.reshaped(op, x.id, source), ones), attributes, result)
        self.renamed(op, result, y)

    def _transpose(self, op: Op) -> None:
        x = self.tensors[op.inputs[0]]
        view = swapped(x.shape, op.attributes["permutation"])
        assert view is not None
        self._moved(op, op.inputs[0], view, op.outputs[0])

    def _moved(self, op: Op, source: int, view: tuple[int, int, int, int], result: int) -> None:
        """``result`` is ``source``, seen as ``view``, with its two axes in the middle exchanged."""
        if 1 in view[1:3]:
            self.renamed(op, source, self.tensors[result])
            return
        self.emit(op, "TRANSPOSE", (self.reshaped(op, source, view),), {
            **op.attributes, "taps": 0, "source_kind": "TRANSPOSE"}, result)

    def _copies(self, op: Op) -> None:
        """A COPY for each result, from each operand."""
        parts = moves(self.graph, op)
        assert parts is not None
        for result, made in zip(op.outputs, parts, strict=True):
            sources = op.inputs if op.kind in JOINS else op.inputs[:1] * len(made)
            self.emit(op, "COPY", sources, {
                **op.attributes, "taps": 0, "moves": tuple(made)}, result)

    def _relu(self, op: Op) -> None:
        x, y = self.tensors[op.inputs[0]], self.tensors[op.outputs[0]]
        shape = as_map(x.shape)
        attributes = {**op.attributes, "stride": (1, 1), "padding": NO_PADDING,
                      "activation": op.kind}
        wide = y.id if y.shape == shape else self.tensor(f"{y.name}:map", shape, y)
        mapped = replace(op, inputs=(self.reshaped(op, x.id, shape),), outputs=(wide,),
                         attributes=attributes)
        self._unit_depthwise(mapped, (1, 1), "litert_activation")
        self.renamed(op, wide, y)

    def _unit_depthwise(self, op: Op, kernel: tuple[int, int], rule: str) -> None:
        """A depthwise convolution with weights of 1."""
        shape = (1, *kernel, self.tensors[op.inputs[0]].shape[3])
        ones = self.tensor(f"{op.name}:ones", shape, None, np.ones(shape, np.int8), UNIT)
        self.emit(op, "DEPTHWISE_CONV_2D", (op.inputs[0], ones),
                  {"dilation": (1, 1), **op.attributes, "taps": 0}, rule=rule)

    def _max_pool(self, op: Op) -> None:
        self._window(op, pair(op, "filter"))
        self.emit(op, "MAX_POOL_2D", op.inputs, {"dilation": (1, 1), **op.attributes, "taps": 0})

    def _function(self, op: Op) -> None:
        self.emit(op, "TABLE", op.inputs, {**op.attributes, "taps": 0})

    def _wide(self, op: Op) -> None:
        inputs, shape = list(op.inputs), self.tensors[op.outputs[0]].shape
        if op.kind in ("ADD", "SUB", "MUL"):      # a constant is repeated where it is stored
            for number, i in enumerate(inputs):
                if self.tensors[i].data is None and prod(self.tensors[i].shape) != prod(shape):
                    inputs[number] = self.repeat(op, self.tensors[i], shape)
        if op.kind == "MAX_POOL_2D":
            self._window(op, pair(op, "filter"))
            inputs = self.elements(op, pair(op, "filter"))
        self.emit(op, WIDE, tuple(inputs), {**op.attributes, "taps": 0})

    def _rows(self, op: Op) -> None:
        self.emit(op, op.kind, op.inputs, {**op.attributes, "taps": 0})

    def _matmul(self, op: Op) -> None:
        """The left operand has its sums' terms as neighbors; the right one is ``turned`` if not."""
        left, right = op.inputs
        if op.attributes.get("adj_x"):
            left = self._exchanged(op, left)
        source = None if op.attributes.get("adj_y") else self._before_exchange(op, right)
        right = right if source is None else source
        attributes = {**op.attributes, "taps": self.tensors[left].shape[-1],
                      "turned": source is None and not op.attributes.get("adj_y")}
        if self.tensors[left].dtype != "int16":
            self.emit(op, op.kind, (left, right), attributes)
            return
        parts = (*self.bytes_of(op, left), *self.bytes_of(op, right))
        self.emit(op, op.kind, parts, {**attributes, "operands": (left, right)})

    def _before_exchange(self, op: Op, tensor_id: int) -> int | None:
        """``tensor_id`` with its last two axes exchanged, where a TRANSPOSE that makes it gives
        that as well."""
        tensor = self.tensors[tensor_id]
        made = next((other for other in self.graph.ops if tensor_id in other.outputs), None)
        if made is not None and made.kind == "RESHAPE" and (
                self.tensors[made.inputs[0]].shape[-2:] == tensor.shape[-2:]):
            before = self._before_exchange(op, made.inputs[0])
            return None if before is None else self.reshaped(
                made, before, (*tensor.shape[:-2], tensor.shape[-1], tensor.shape[-2]))
        if made is None or made.kind != "TRANSPOSE":
            return None
        x = self.tensors[made.inputs[0]]
        permutation: Any = made.attributes["permutation"]
        exchanged = (*permutation[:-2], permutation[-1], permutation[-2])
        view, now = swapped(x.shape, exchanged), swapped(x.shape, permutation)
        if view is None or (now is not None and now[3] >= view[3]):
            return None
        *outer, rows, columns = tensor.shape
        result = self.tensor(f"{tensor.name}:exchanged", (*outer, columns, rows), tensor)
        self._moved(made, made.inputs[0], view, result)
        return result

    def _copied(self, op: Op, source: int, columns: int) -> int:
        """A convolution that copies rows to rows of ``columns``: cut off, or with zeros behind."""
        x = self.tensors[source]
        rows, length = prod(x.shape[:-1]), x.shape[-1]
        eye = np.eye(columns, length, dtype=np.int8).reshape(columns, 1, 1, length)
        weights = self.tensor(f"{x.name}:eye", eye.shape, None, eye, UNIT)
        made = self.tensor(f"{x.name}:{columns}", (1, 1, rows, columns), x)
        self.emit(op, "CONV_2D", (self.reshaped(op, source, (1, 1, rows, length)), weights), {
            **op.attributes, "activation": "NONE", "stride": (1, 1), "dilation": (1, 1),
            "padding": NO_PADDING, "taps": 0}, made, "litert_double_rounding")
        return made

    def _exchanged(self, op: Op, tensor_id: int) -> int:
        tensor = self.tensors[tensor_id]
        *outer, rows, columns = tensor.shape
        made = self.tensor(f"{tensor.name}:exchanged", (*outer, columns, rows), tensor)
        self._moved(op, tensor_id, (prod(outer), rows, columns, 1), made)
        return made

    def _lstm(self, op: Op) -> None:
        if fits_cell_unit(self.graph, op, self.config):
            self._sequence(op)
            return
        gates = len(gates_of(op))
        pitch = gate_pitch(self.config, cells_of(self.graph, op), gates)
        self._steps(op, gates * pitch, (op.inputs[HIDDEN_STATE], op.inputs[CELL_STATE]))

    def _sequence(self, op: Op) -> None:
        """All steps on the cell unit, of inputs in rows of whole words."""
        inputs, states = op.inputs[0], (op.inputs[HIDDEN_STATE], op.inputs[CELL_STATE])
        x, steps = self.tensors[inputs], steps_of(self.graph, op)
        depth = x.shape[-1]
        pitch = whole_words(depth)
        if depth != pitch:      # what is between rows meets weights of 0
            inputs = self.tensor(f"{x.name}:rows", (1, 1, steps, pitch), x)
            move = Move(1, steps, depth, (0, 0, depth), (0, 0, pitch))
            self.emit(op, "COPY", (x.id,), {**op.attributes, "taps": 0, "moves": (move,)}, inputs)
        self.emit(op, "SEQUENCE", (inputs, *states), {**op.attributes, "taps": 0})

    def _onnx_cell(self, op: Op) -> None:
        self._steps(op, sums_of_step(self.graph, op, self.config), computed_states(self.graph, op))

    def _steps(self, op: Op, sums: int, states: tuple[int, ...] = ()) -> None:
        """The products of the inputs of all steps at once, so many sums of each, if they are not
        part of each, then the steps, with rows of whole groups."""
        y, inputs = self.tensors[op.outputs[0]], op.inputs[0]
        count = y.shape[-1]
        if op.attributes.get("position") not in self.time_multiplexed:
            inputs = self.tensor(f"{op.name}:sums",
                                 (1, 1, steps_of(self.graph, op), SUM_BYTES * sums))
            self.emit(op, "SUMS", op.inputs[:1], {**op.attributes, "taps": 0}, inputs)
        pitch = row_pitch(self.config, count)
        rows = y.id if pitch == count else self.tensor(
            f"{y.name}:rows", (1, 1, prod(y.shape[:-1]), pitch), y)
        self.emit(replace(op, outputs=(rows, *op.outputs[1:])), "LSTM", (inputs, *states),
                  {**op.attributes, "taps": 0})
        if rows != y.id:
            self.renamed(op, self._copied(op, rows, count), y)

    def _elementwise(self, op: Op) -> None:
        shape = self.tensors[op.outputs[0]].shape
        others = {i for i in op.inputs if not has_one_value(self.tensors[i])}
        if len(others) == 1 and prod(self.tensors[min(others)].shape) == prod(shape):
            self.emit(op, "TABLE", op.inputs, {**op.attributes, "taps": 0})
            return
        first, second = op.inputs
        if op.kind != "SUB" and self.tensors[first].data is not None:
            first, second = second, first
        channels = self.tensors[second]
        if channels.data is None or channels.data.size != shape[-1] or (
                channels.shape[-1:] != shape[-1:]):
            second = self._operand(op, second, shape)     # else one pixel, the same for all
        inputs = self._operand(op, first, shape), second
        self.emit(op, "MUL" if op.kind == "MUL" else "ADD", inputs, {**op.attributes, "taps": 0})

    def _operand(self, op: Op, tensor_id: int, shape: tuple[int, ...]) -> int:
        tensor = self.tensors[tensor_id]
        if prod(tensor.shape) == prod(shape):
            return tensor_id
        if tensor.data is None:
            return self.repeat(op, tensor, shape)
        return self.tensor(f"{tensor.name}:broadcast", shape, tensor,
                           np.ascontiguousarray(np.broadcast_to(tensor.data, shape)))

    def _reshape(self, op: Op) -> None:
        source, output = self.tensors[op.inputs[0]], self.tensors[op.outputs[0]]
        if source.data is None:
            self.alias(op, source.id, output.id)
            return
        self.tensors[output.id] = replace(output, data=source.data.reshape(output.shape))
