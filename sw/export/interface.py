"""What a program is to a caller that has no host: inputs, outputs and state of the accelerator."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from math import prod

import numpy as np

from kaniwa.errors import UnsupportedError
from kaniwa.graph import DTYPE_BYTES
from kaniwa.program.host_part import HostOp
from kaniwa.program.program import Program, Step, TensorInfo

__all__ = ["Interface", "Port", "StateCopy", "interface"]

VIEWS = ("RESHAPE", "EXPAND_DIMS", "SQUEEZE")    # of the host: the same bytes in another shape
MOST_NAMED = 4                                   # operators that a refusal names
C_TYPES = {"int8": "int8_t", "uint8": "uint8_t", "int16": "int16_t", "int32": "int32_t",
           "bool": "uint8_t"}


@dataclass(frozen=True)
class Port:
    """An input or output of the model, ``name``, and the device's ``tensor`` that stands for it.

    ``order``: of the axes of an input, or of the device's tensor of an output, as they follow one
    another in the other of the two; None where they are in the same order.
    """

    name: str
    tensor: TensorInfo
    is_input: bool
    order: tuple[int, ...] | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """The caller's: the model's, but for views."""
        shape = self.tensor.shape
        if self.order is None:
            return shape
        if not self.is_input:
            return tuple(shape[axis] for axis in self.order)
        return tuple(shape[self.order.index(axis)] for axis in range(len(shape)))

    @property
    def axes(self) -> tuple[tuple[int, int], ...] | None:
        """How many bytes, and how far apart, along each axis; None: all behind one another.

        Of an output these are the device's bytes, in the order of the caller's. With ``order``
        those of an input are the caller's, in the order of the device's.
        """
        if self.order is None:
            return self.tensor.axes
        size = DTYPE_BYTES[self.tensor.dtype]
        steps = _steps(self.shape if self.is_input else self.tensor.shape, size)
        counts = self.tensor.shape if self.is_input else self.shape
        found = tuple((count, steps[axis]) for count, axis in zip(counts, self.order, strict=True))
        return found if size == 1 else (*found, (size, 1))

    @property
    def c_type(self) -> str:
        """The C type of an element."""
        return C_TYPES[self.tensor.dtype]


@dataclass(frozen=True)
class StateCopy:
    """State that a run takes at ``address``; ``initial`` in the first one.

    Its next value is at ``following`` behind a run. ``resident``: it is at ``address``, and stays
    there. None: it never changes.
    """

    address: int
    following: int | None
    initial: bytes
    resident: bool


@dataclass(frozen=True)
class Interface:
    """A program of one run, and what a caller gives it and gets back, in the model's order."""

    program: Program
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    states: tuple[StateCopy, ...]

    @property
    def address(self) -> int:
        """Where the device finds the run's first instruction."""
        return self.program.address_of(self.program.runs[0])


class _RefusedError(Exception):
    """Why a program has no interface."""


def interface(program: Program, what: str = "be exported", behind: Collection[str] = (),
              transposed: bool = False) -> Interface:
    """The interface of ``program``.

    Float edges are left to the caller: its inputs are quantized, and so are its outputs. So are
    the operators ``behind``: an output stands for the first operand of theirs. With ``transposed``
    ports may have an ``order``. Raises UnsupportedError where the host has more to do, naming the
    operators and ``what`` cannot be.
    """
    try:
        return _interface(program, ("DEQUANTIZE", *behind), transposed)
    except _RefusedError as error:
        raise UnsupportedError(f"{program.name}: cannot {what}: {error}") from None


def _steps(shape: tuple[int, ...], size: int) -> list[int]:
    """Bytes from one element to the next, along each axis."""
    return [size * prod(shape[axis + 1:]) for axis in range(len(shape))]


def _interface(program: Program, behind: tuple[str, ...], transposed: bool) -> Interface:
    others = [op for op in program.host_ops
              if not _is_edge(program, op) and op.kind not in behind[1:]
              and not (transposed and op.kind == "TRANSPOSE")]
    if not others and len(program.runs) > 1:
        first, last = program.steps.index(program.runs[0]), program.steps.index(program.runs[-1])
        others = [op for step in program.steps[first:last] if step.where == "host"
                  for op in program.host_ops[step.first:step.first + step.count]]
    if others:
        raise _RefusedError(f"the host would run {_named(others)}; compile it for a target "
                            "that takes all operators, or cut the model there")
    if not program.runs:
        raise _RefusedError("the accelerator has nothing to do in it")
    run = program.runs[0]
    return Interface(program, _inputs(program, run), _outputs(program, run, behind),
                     _states(program, run))


def _is_edge(program: Program, op: HostOp) -> bool:
    """True for what turns a float input into the device's, or the device's into a float output."""
    dtypes = {tensor.id: tensor.dtype for tensor in program.host_tensors}
    if op.kind == "QUANTIZE":
        return dtypes[op.inputs[0]] == "float32"
    if op.kind == "DEQUANTIZE":
        return dtypes[op.outputs[0]] == "float32"
    return op.kind in VIEWS


def _named(ops: list[HostOp]) -> str:
    named = ", ".join(f"{op.kind} '{op.name}' ({op.why})" for op in ops[:MOST_NAMED])
    more = len(ops) - MOST_NAMED
    return f"{named} and {more} more operators" if more > 0 else named


def _origin(program: Program, tensor: int,
            edges: Collection[str]) -> tuple[int, tuple[int, ...] | None]:
    """The tensor of which views and operators of the kinds ``edges`` on the host make ``tensor``,
    and how it is transposed."""
    made_by = {i: op for op in program.host_ops for i in op.outputs
               if op.kind in (*edges, *VIEWS, "TRANSPOSE")}
    passed = list[HostOp]()
    while tensor in made_by:
        passed.append(made_by[tensor])
        tensor = made_by[tensor].inputs[0]
    moved = [op for op in passed if op.kind in (*VIEWS, "TRANSPOSE")]
    transposed = [op for op in moved if op.kind == "TRANSPOSE"]
    if not transposed:
        return tensor, None
    if len(moved) > 1:
        raise _RefusedError(f"the host would run {_named(moved)}; compile it for a target that "
                            "takes all operators, or cut the model there")
    order = transposed[0].attributes["permutation"]
    assert isinstance(order, tuple)
    return tensor, order


def _inputs(program: Program, run: Step) -> tuple[Port, ...]:
    state = {s.tensor for s in program.state}
    origins = {i: _origin(program, i, ("QUANTIZE",)) for i in run.takes if i not in state}
    for i, (origin, _) in origins.items():
        if origin not in program.input_ids:
            raise _RefusedError(f"the host makes tensor '{program.tensor(i).name}', and not from "
                                "an input alone")
    order = sorted(origins, key=lambda i: (program.input_ids.index(origins[i][0]), i))
    return tuple(_port(program, program.tensor(origins[i][0]).name, i, True, origins[i][1])
                 for i in order)


def _outputs(program: Program, run: Step, edges: Collection[str]) -> tuple[Port, ...]:
    ports = []
    for output in program.outputs:
        origin, order = _origin(program, output.id, edges)
        if origin not in run.gives:
            raise _RefusedError(f"the accelerator does not compute output '{output.name}'")
        ports.append(_port(program, output.name, origin, False, order))
    return tuple(ports)


def _port(program: Program, name: str, tensor_id: int, is_input: bool,
          order: tuple[int, ...] | None) -> Port:
    tensor = program.tensor(tensor_id)
    gaps = order is not None and tensor.axes is not None
    if tensor.dtype not in C_TYPES or tensor.channels is not None or tensor.address is None or gaps:
        raise _RefusedError(f"'{name}' is {tensor.dtype}, or not stored in full")
    return Port(name, tensor, is_input, order)


def _states(program: Program, run: Step) -> tuple[StateCopy, ...]:
    copies: list[StateCopy] = []
    for state in program.state:
        if state.tensor not in run.takes:
            continue
        tensor = program.tensor(state.tensor)
        assert tensor.address is not None
        initial = np.frombuffer(state.initial, tensor.dtype)
        resident = state.tensor in program.resident
        following = None if state.following == state.tensor else tensor.address if resident else (
            _following(program, run, tensor, state.following))
        copies.append(StateCopy(tensor.address, following, tensor.to_device(initial), resident))
    return tuple(copies)


def _following(program: Program, run: Step, tensor: TensorInfo, following: int) -> int:
    """Where the device leaves the next value of ``tensor``, in one piece."""
    if following in run.gives:
        found = program.tensor(following)
        if found.address is not None and found.axes is None and found.channels is None:
            return found.address
    raise _RefusedError(f"the host keeps the state '{tensor.name}'")
