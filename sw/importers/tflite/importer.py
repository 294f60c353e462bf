"""int8 TFLite files to graphs.

The reader of the ``tflite`` package is used only behind ``tflite_verifier``; indices, sizes and
types are checked here, and what each operator needs in ``operators``.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from kaniwa.errors import Error, InputError, ModelError, UnsupportedError
from kaniwa.graph import Graph, Op, Quantization, State, Tensor, check
from kaniwa.importers.info import OperatorInfo
from kaniwa.importers.input_shapes import Shapes
from kaniwa.importers.operands import Constraint, Operands, OptionError
from kaniwa.importers.operators import OPERATORS
from kaniwa.importers.tflite.buffers import Buffers
from kaniwa.importers.tflite.by_runtime import RULE, by_runtime, definition
from kaniwa.importers.tflite.shapes import MAXIMUM_ELEMENTS, fixed, known, resized
from kaniwa.importers.tflite.text import names_of, one_line, scalar
from kaniwa.importers.tflite.variables import VARIABLE_OPERATORS, Variables
from kaniwa.importers.tflite.verifier import verify
from kaniwa.runtimes.litert_table import CUSTOM
from kaniwa.runtimes.prepared import Refusal

__all__ = ["NO_ENDS", "import_tflite"]

TENSOR_TYPES = {0: "float32", 2: "int32", 3: "uint8", 4: "int64", 6: "bool", 7: "int16",
                8: "complex64", 9: "int8", 13: "resource"}
# What is no input or output of a model.
NO_ENDS = {"resource": "a variable's handle",
           "complex64": "complex64; cut the model where numbers are real"}
INT4 = 17
BUILTIN_CODE = 10  # offset of the field in the table's vtable
MAXIMUM_RANK = 6
MAXIMUM_COUNT = 1 << 13  # of tensors and of operators


def import_tflite(data: bytes, name: str, shapes: Shapes | None = None) -> Graph:
    """The graph of the TFLite file with content ``data``; ``name`` is used in messages.

    ``shapes`` are those of inputs, by name, in place of the file's; all others follow from them.
    Tensor ids are the file's indices. Raises ``ModelError`` or ``UnsupportedError``, one line each.
    """
    verify(data, name)
    return check(_Importer(data, name, shapes or {}).graph())


class _Importer:
    def __init__(self, data: bytes, name: str, shapes: Shapes) -> None:
        import tflite

        self.tflite = tflite
        self.data = data
        self.name = name
        self.shapes = shapes
        self.model = tflite.Model.GetRootAs(data, 0)
        self.buffers = Buffers(data, self.model, self.fail)
        self.kinds = names_of("BuiltinOperator")
        # Tables of a damaged file may share a long vector; in a sound one each has its own.
        self.scales_left = len(data)
        self.variables: set[int] = set()
        self.inputs: list[int] = []  # of the model
        self.outputs: list[int] = []
        self.states: list[State] = []
        self.count = 0  # of the file's tensors; ``following`` adds more
        self.resources = Variables()
        self.called: set[int] = set()  # subgraphs that CALL_ONCE names

    def fail(self, what: str, error: type[Error] = ModelError) -> Error:
        return error(f"{self.name}: {what}")

    def graph(self) -> Graph:
        subgraphs = self.model.SubgraphsLength()
        if not subgraphs:
            raise self.fail("has no subgraph")
        subgraph = self.model.Subgraphs(0)
        tensors = self.tensors(subgraph)
        inputs = self.indices(subgraph.InputsLength(), subgraph.Inputs, len(tensors), "model input")
        if wrong := fixed(tensors, inputs, self.shapes, subgraph):
            raise self.fail(wrong, InputError)
        outputs = self.indices(
            subgraph.OutputsLength(), subgraph.Outputs, len(tensors), "model output"
        )
        self.inputs, self.outputs = inputs, outputs
        operators = subgraph.OperatorsLength()
        if not inputs or not outputs or not operators:
            raise self.fail(
                f"has {len(inputs)} inputs, {len(outputs)} outputs and {operators} operators"
            )
        for which, ids in (("input", inputs), ("output", outputs)):
            twice = [i for i, count in Counter(ids).items() if count > 1]
            if twice:
                raise self.fail(f"tensor '{tensors[twice[0]].name}' is listed twice as {which}")
            constant = [i for i in ids if tensors[i].data is not None]
            if constant:
                raise self.fail(f"{which} '{tensors[constant[0]].name}' is a constant")
            for dtype, says in NO_ENDS.items():
                refused = [i for i in ids if tensors[i].dtype == dtype]
                if refused:
                    raise self.fail(f"{which} '{tensors[refused[0]].name}' is {says}",
                                    UnsupportedError)
            _make_names_unique(tensors, ids)
        found = (self.op(i, subgraph.Operators(i), tensors) for i in range(operators))
        ops = tuple(op for op in found if op is not None)
        if subgraphs != 1 + len(self.called):
            raise self.fail(f"has {subgraphs} subgraphs, must have 1 besides those that CALL_ONCE "
                            f"names", UnsupportedError)
        sha256 = hashlib.sha256(self.data).hexdigest()
        return Graph(self.name, tuple(tensors), ops, tuple(inputs), tuple(outputs), sha256,
                     (*self.states, *self.resources.states()))

    def tensors(self, subgraph: Any) -> list[Tensor]:
        if max(subgraph.TensorsLength(), subgraph.OperatorsLength()) > MAXIMUM_COUNT:
            raise self.fail(f"has more than {MAXIMUM_COUNT} tensors or operators", UnsupportedError)
        self.count = subgraph.TensorsLength()
        used = self.used(subgraph)
        return [(self.tensor if i in used else self.unused)(i, subgraph.Tensors(i))
                for i in range(self.count)]

    @staticmethod
    def used(subgraph: Any) -> set[int]:
        """Indices of the tensors that inputs, outputs and operators name."""
        named = [subgraph.InputsAsNumpy(), subgraph.OutputsAsNumpy()]
        for position in range(subgraph.OperatorsLength()):
            op = subgraph.Operators(position)
            named += [op.InputsAsNumpy(), op.OutputsAsNumpy(), op.IntermediatesAsNumpy()]
        return {int(i) for ids in named if not isinstance(ids, int) for i in ids}

    def unused(self, index: int, source: Any) -> Tensor:
        """One that nothing names, which may be of any type, such as the float16 weights that a
        quantiser left behind."""
        try:
            return self.tensor(index, source)
        except UnsupportedError:
            return Tensor(index, f"tensor_{index}", (0,), "int8", source_index=index)

    def indices(
        self, length: int, read: Callable[[int], int], count: int, what: str, optional: bool = False
    ) -> list[int]:
        values = [int(read(i)) for i in range(length)]
        for value in values:
            if not (0 <= value < count or optional and value == -1):
                raise self.fail(f"{what} is tensor {value}, but there are {count} tensors")
        return values

    def tensor(self, index: int, source: Any) -> Tensor:
        name = one_line(source, 10) or f"tensor_{index}"
        where = f"tensor {index} '{name}'"
        shape = self.shape(source, where)
        content = self.buffers.content(source, where)
        packed = source.Type() == INT4 and content.size > 0
        dtype = "int8" if packed else TENSOR_TYPES.get(source.Type())
        if dtype is None:
            names = names_of("TensorType")
            raise self.fail(
                f"{where}: dtype {names.get(source.Type(), source.Type())} is not supported; "
                f"quantise the model to int8",
                UnsupportedError,
            )
        if source.IsVariable():
            self.variables.add(index)
        if source.Sparsity() is not None:
            raise self.fail(
                f"{where}: sparse tensors are not supported; store it densely", UnsupportedError
            )
        if dtype == "resource":
            return Tensor(index, name, shape, dtype, source_index=index)
        quantization = self.quantization(source, shape, where)
        where = f"{where}: buffer {source.Buffer()}"
        data = self.buffers.constant(content, shape, dtype, where, packed)
        return Tensor(index, name, shape, dtype, quantization, data, index)

    def shape(self, source: Any, where: str) -> tuple[int, ...]:
        if source.ShapeLength() > MAXIMUM_RANK:
            raise self.fail(
                f"{where}: has {source.ShapeLength()} dimensions, at most {MAXIMUM_RANK} "
                f"are supported",
                UnsupportedError,
            )
        shape = tuple(int(source.Shape(i)) for i in range(source.ShapeLength()))
        if any(n < 0 for n in shape):
            if not self.shapes:
                raise self.fail(
                    f"{where}: shape {list(shape)} is dynamic; fix the inputs' with --shape "
                    f"NAME=1x49x40, or convert the model with fixed shapes", UnsupportedError)
            shape = tuple(max(n, 1) for n in shape)
        if math.prod(shape) > MAXIMUM_ELEMENTS:
            raise self.fail(
                f"{where}: shape {list(shape)} has more than {MAXIMUM_ELEMENTS} elements",
                UnsupportedError,
            )
        return shape

    def quantization(self, source: Any, shape: tuple[int, ...], where: str) -> Quantization | None:
        q = source.Quantization()
        count = 0 if q is None else q.ScaleLength()
        if count == 0:
            return None
        if q.DetailsType():
            raise self.fail(f"{where}: custom quantization is not supported", UnsupportedError)
        if q.ZeroPointLength() != count:
            raise self.fail(f"{where}: {count} scales but {q.ZeroPointLength()} zero points")
        self.scales_left -= count
        if self.scales_left < 0:
            raise self.fail(f"{where}: more scales than the file can hold")
        zero_points = q.ZeroPointAsNumpy()
        if zero_points.min() < -(1 << 31) or zero_points.max() >= 1 << 31:
            raise self.fail(f"{where}: a zero point does not fit int32")
        axis = None
        if count > 1:
            # A bias has one dimension; some converters copy the weights' dimension to it.
            axis = 0 if len(shape) == 1 else q.QuantizedDimension()
            if not 0 <= axis < len(shape) or shape[axis] != count:
                raise self.fail(
                    f"{where}: {count} scales do not fit quantized_dimension {axis} of "
                    f"{list(shape)}"
                )
        scales = q.ScaleAsNumpy()
        if not (np.isfinite(scales) & (scales > 0)).all():
            raise self.fail(f"{where}: scales must be positive and finite")
        return Quantization(
            tuple(scales.astype(np.float64).tolist()), tuple(zero_points.tolist()), axis
        )

    def op(self, index: int, source: Any, tensors: list[Tensor]) -> Op | None:
        """The graph's operator; None for one that only names or assigns variables."""
        kind = self.kind(index, source)
        where = f"op {index} {kind}"
        inputs = self.indices(
            source.InputsLength(), source.Inputs, self.count, f"{where}: input", True
        )
        outputs = self.indices(
            source.OutputsLength(), source.Outputs, self.count, f"{where}: output"
        )
        if not outputs and kind not in VARIABLE_OPERATORS:
            raise self.fail(f"{where}: has no output")
        name = tensors[outputs[0] if outputs else inputs[0]].name if inputs or outputs else ""
        where = f"{where} '{name}'"
        info = OPERATORS.get(kind)
        self.check_variables(() if info is None else info.variables, inputs, outputs, tensors,
                             where)
        operands = self.operands(info, inputs, tensors) + [tensors[i] for i in outputs]
        empty = [t for t in operands if 0 in t.shape]
        if empty:
            raise self.fail(
                f"{where}: tensor '{empty[0].name}' {list(empty[0].shape)} is empty",
                UnsupportedError,
            )
        if info is None:
            return self.other(Op(kind, name, tuple(inputs), tuple(outputs), {}, RULE, index),
                              source, tensors, where)
        view = Operands(
            kind,
            tuple(None if i == -1 else tensors[i] for i in inputs),
            tuple(tensors[i] for i in outputs),
            {},
            tuple(tensors[i] for i in self.intermediates(source, where)),
        )
        # The number of operands, which all else depends on, is checked first.
        self.hold(info.consistency[:1], view, where, ModelError)
        if kind in VARIABLE_OPERATORS:
            return self.variable(info, source, view, tensors, index, where)
        self.hold((info.dtype, info.constant), view, where, UnsupportedError)
        try:
            attributes = info.read(self.options(info, source), view)
        except OptionError as error:
            raise self.fail(f"{where}: {error}") from None
        view = replace(view, attributes=attributes)
        if self.shapes:
            view = resized(info, view, tensors)
        self.hold(info.consistency, view, where, ModelError)
        if info.results is not None:
            for i, shape in zip(outputs, info.results(view), strict=True):
                tensors[i] = replace(tensors[i], shape=shape)
        self.hold(info.limits, view, where, UnsupportedError)
        kept = tuple(i for position, i in enumerate(inputs) if position not in info.constants)
        outputs += [self.following(tensors[inputs[position]], tensors)
                    for position in info.variables]
        op = Op(kind, name, kept, tuple(outputs), info.finish(view), info.rule(view), index)
        return None if known(op, tensors, self.outputs) else op

    def other(self, op: Op, source: Any, tensors: list[Tensor], where: str) -> Op | None:
        """An operator that golden lacks, for LiteRT; None where its results are constants."""
        try:
            custom = self.buffers.options(source, where)
            code = self.model.OperatorCodes(source.OpcodeIndex())
            op = replace(op, attributes=definition(op.kind, code, source, custom))
            op = by_runtime(f"{self.name}: {where}", op, tensors, resizes=bool(self.shapes))
        except OptionError as error:
            raise self.fail(f"{where}: {error}") from None
        except Refusal as reason:
            why = f": {reason}" if str(reason) else ""
            raise self.fail(
                f"{where}: operator is not supported{why}; replace it in the model by one that "
                f"`kaniwa operators` lists, or cut the model before it",
                UnsupportedError,
            ) from None
        return None if known(op, tensors, self.outputs) else op

    def operands(self, info: OperatorInfo | None, inputs: list[int],
                 tensors: list[Tensor]) -> list[Tensor]:
        """What the operator reads, but for vectors without numbers, which become constants: such
        as the new shape of a scalar."""
        found = []
        for position, i in enumerate(inputs):
            if i == -1:
                continue
            constant = info is not None and position in info.constants
            if constant and tensors[i].shape == (0,) and i not in self.inputs:
                tensors[i] = replace(tensors[i], data=np.empty(0, tensors[i].dtype))
            else:
                found.append(tensors[i])
        return found

    def variable(self, info: OperatorInfo, source: Any, view: Operands, tensors: list[Tensor],
                 index: int, where: str) -> Op | None:
        def hold(op: Operands) -> None:
            self.hold(info.limits, op, where, UnsupportedError)

        try:
            view = replace(view, attributes=info.read(self.options(info, source), view))
            if view.kind == "READ_VARIABLE":
                return self.resources.read(view, tensors, index, hold)
            if view.kind == "ASSIGN_VARIABLE":
                self.resources.assign(view, tensors, hold)
            elif view.kind == "VAR_HANDLE":
                hold(view)
                self.resources.handle(view)
            else:
                self.once(view, where)
        except OptionError as error:
            raise self.fail(f"{where}: {error}") from None
        return None

    def once(self, call: Operands, where: str) -> None:
        """The assignments in the subgraph of CALL_ONCE."""
        number = call.integer("subgraph")
        if not 0 < number < self.model.SubgraphsLength() or number in self.called:
            raise OptionError(f"subgraph {number} does not exist, or is called twice")
        self.called.add(number)
        subgraph = self.model.Subgraphs(number)
        inner = _Importer(self.data, self.name, {})
        inner.called = set(range(self.model.SubgraphsLength()))  # it may call none
        tensors = inner.tensors(subgraph)
        ops = [inner.op(i, subgraph.Operators(i), tensors)
               for i in range(subgraph.OperatorsLength())]
        wrong = next((op.kind for op in ops if op is not None), None)
        assigned = {name: tensors[i] for name, i in inner.resources.current.items()}
        if any(value.data is None for value in assigned.values()):
            wrong = "ASSIGN_VARIABLE of what is computed"
        self.hold(OPERATORS[call.kind].limits, replace(call, attributes={"wrong": wrong}), where,
                  UnsupportedError)
        self.resources.initial.update(assigned)

    def intermediates(self, source: Any, where: str) -> list[int]:
        return self.indices(
            source.IntermediatesLength(), source.Intermediates, self.count, f"{where}: intermediate"
        )

    def check_variables(self, positions: tuple[int, ...], inputs: list[int], outputs: list[int],
                        tensors: list[Tensor], where: str) -> None:
        """Variables are operands at ``positions``, and of no other operator."""
        for position, i in enumerate(inputs):
            wanted = position in positions
            if wanted and i not in self.variables:
                name = "which is absent" if i == -1 else f"'{tensors[i].name}'"
                raise self.fail(f"{where}: operand {position}, {name}, must be a variable")
            if not wanted and i in self.variables:
                raise self.fail(f"{where}: tensor '{tensors[i].name}' is a variable; convert the "
                                f"model without state", UnsupportedError)
        taken = {state.tensor for state in self.states}
        shared = [i for i in inputs if i in taken] + [i for i in outputs if i in self.variables]
        if shared:
            raise self.fail(f"{where}: variable '{tensors[shared[0]].name}' is changed by two "
                            f"operators", UnsupportedError)

    def following(self, variable: Tensor, tensors: list[Tensor]) -> int:
        """A new tensor for the variable's value after an inference; LiteRT begins with real 0."""
        q = variable.quantization
        zero = q.zero_point if q is not None and variable.dtype == "int8" else 0
        tensors.append(replace(variable, id=len(tensors), name=f"{variable.name}:next"))
        initial = np.full(variable.shape, zero, variable.dtype)
        self.states.append(State(variable.id, len(tensors) - 1, initial))
        return len(tensors) - 1

    def options(self, info: OperatorInfo, source: Any) -> Any:
        """The options object, or None where the file has none and the operator needs none."""
        if info.custom:
            return self.buffers.options(source, f"an operator {info.kind}")
        number, table = source.BuiltinOptionsType(), source.BuiltinOptions()
        if not info.options or (not info.options_required and (number == 0 or table is None)):
            return None
        if number != getattr(self.tflite.BuiltinOptions, info.options) or table is None:
            raise OptionError(f"has no {info.options}")
        options = getattr(self.tflite, info.options)()
        options.Init(table.Bytes, table.Pos)
        return options

    def hold(
        self,
        constraints: tuple[Constraint, ...],
        view: Operands,
        where: str,
        error: type[Error],
    ) -> None:
        for constraint in constraints:
            wrong = constraint(view)
            if wrong:
                raise self.fail(f"{where}: {wrong}", error)

    def kind(self, index: int, source: Any) -> str:
        code_index = source.OpcodeIndex()
        if code_index >= self.model.OperatorCodesLength():
            raise self.fail(f"op {index}: operator code {code_index} does not exist")
        code = self.model.OperatorCodes(code_index)
        # Files older than builtin_code have only the 8-bit field, others perhaps only the new one.
        number = max(scalar(code, BUILTIN_CODE, "i"), int(code.DeprecatedBuiltinCode()))
        if number == self.tflite.BuiltinOperator.CUSTOM:
            name = one_line(code, 6)
            known = name in OPERATORS and OPERATORS[name].custom
            return name if known or name in CUSTOM else f"CUSTOM({name})"
        return str(self.kinds.get(number, f"BUILTIN_{number}"))


def _make_names_unique(tensors: list[Tensor], ids: list[int]) -> None:
    used: set[str] = set()
    for i in ids:
        name = tensors[i].name
        while name in used:
            name = f"{name}:{i}"
        tensors[i] = replace(tensors[i], name=name)
        used.add(name)
