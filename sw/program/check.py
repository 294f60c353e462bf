"""Check that a program is consistent: what a file says is checked before it is believed."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

from kaniwa.errors import ProgramError
from kaniwa.golden.registry import kernel_of
from kaniwa.graph import DTYPE_BYTES
from kaniwa.isa import FIELDS, INSTRUCTION_BYTES, OUTSIDE, Opcode, decode, illegal_field
from kaniwa.program.program import MAX_RANK, TENSOR_KINDS, Program, Step, TensorInfo
from kaniwa.runtimes import NAMES as RUNTIMES
from kaniwa.runtimes.run import illegal
from kaniwa.units.register import unit_of

__all__ = ["ON_DEVICE", "check"]

MAX_TENSORS = 1 << 20
# What device memory has of tensors; int32 and int64 are places that ARG_MAX gives.
ON_DEVICE = ("int8", "uint8", "int16", "int32", "int64")
MAX_ELEMENTS = 1 << 32


def check(program: Program, where: str) -> Program:
    """Return ``program`` if it is consistent, else raise ProgramError naming what is not."""
    for rule in (_memory, _commands, _tensors, _host_tensors, _operators, _second):
        text = rule(program)
        if text is not None:
            raise ProgramError(f"{where}: {text}; compile the model again")
    return program


def _memory(program: Program) -> str | None:
    config = program.config
    if not 0 <= program.local_bytes <= config.memory_bytes:
        return (f"needs {program.local_bytes} bytes on chip, the target has "
                f"{config.memory_bytes}")
    if not 0 <= program.outside_bytes <= config.outside_limit:
        return (f"needs {program.outside_bytes} bytes of outside memory, the target addresses "
                f"{config.outside_limit}")
    if (not 0 <= program.local_base <= program.local_bytes
            or not 0 <= program.outside_base <= program.outside_bytes):
        return "its memory ends before it begins"
    if (program.outside is None) != (program.outside_bytes == 0):
        return "the kind of outside memory does not fit its size"
    end = 0
    for address, data in program.images:
        if address < end or not _inside(program, address, len(data)):
            return f"the image at 0x{address:x} overlaps another or leaves memory"
        end = address + len(data)
    return None


def _inside(program: Program, address: int, size: int) -> bool:
    base, limit = ((program.outside_base, program.outside_bytes) if address & OUTSIDE
                   else (program.local_base, program.local_bytes))
    offset = address & ~OUTSIDE
    return address >= 0 and size >= 0 and (not size or offset >= base) and offset + size <= limit


def _commands(program: Program) -> str | None:
    data = program.commands
    if len(data) % INSTRUCTION_BYTES or bool(data) != bool(program.runs):
        return f"no whole instructions at 0x{program.program_address:x}"
    instructions, end = program.instructions, 0
    for run in program.runs:
        if run.first != end or not 0 < run.count <= len(instructions) - run.first:
            return "the runs do not have every instruction once"
        end = run.first + run.count
        text = _run(program, run.first, instructions[run.first:end])
        if text is not None:
            return text
    return None if end == len(instructions) else "there are instructions behind the last run"


def _second(program: Program) -> str | None:
    """That the second stream is the first one but for addresses, and that places lie apart."""
    if not program.double_buffered:
        return "there are commands for no places" if program.second_program else None
    table = {t.id: t for t in program.tensors}
    spans = []
    for i, second in program.second_places:
        if i not in table or table[i].address is None:
            return f"tensor {i} has a second place and no first"
        size = table[i].bytes
        if not _inside(program, second, size):
            return f"tensor '{table[i].name}': its second place leaves memory at 0x{second:x}"
        spans.append((second, size, i))
    for second, size, i in spans:
        first = table[i].address
        assert first is not None
        if first < second + size and second < first + size:
            return f"tensor '{table[i].name}': its two places overlap"
    if len(program.runs) != 1 or program.state:
        return "double-buffered, with a state or without one run"
    data = program.second_commands
    if len(data) != len(program.commands):
        return f"no whole instructions at 0x{program.second_program:x}"
    own = [decode(data[i:i + INSTRUCTION_BYTES]) for i in range(0, len(data), INSTRUCTION_BYTES)]
    for number, (one, other) in enumerate(zip(program.instructions, own, strict=True)):
        if any(one[name] != other[name] for name in FIELDS if not name.endswith("_address")):
            return f"instruction {number} is another one for the second places"
    return _run(program, 0, own)


def _run(program: Program, first: int, instructions: list[dict[str, int]]) -> str | None:
    *layers, last = instructions
    if last["opcode"] != Opcode.END:
        return "the last instruction is not END"
    for number, values in enumerate(layers):
        where = f"instruction {first + number}"
        unit = unit_of(program.config, values)
        if unit is not None:
            problem = unit.illegal(program.config, values)
            if problem is not None:
                return f"{where}: {problem}"
            for address, size in (*unit.constants(values), *unit.reads(values),
                                  *unit.writes(values)):
                if not _inside(program, address, size):
                    return f"{where} reaches beyond memory at 0x{address:x}"
            continue
        if values["opcode"] != Opcode.LAYER:
            return f"{where} is not a LAYER"
        name = illegal_field(values)
        if name is not None:
            return (f"{where}: {name} is {values[name]}, must be "
                    f"{FIELDS[name].low}..{FIELDS[name].high}")
        for address, size in _accesses(values):
            if not _inside(program, address, size):
                return f"{where} reaches beyond memory at 0x{address:x}"
        if max(values["ifm_wait"], values["operand_wait"]) > number:
            return f"{where} waits for a later one"
    return None


def _accesses(values: Mapping[str, int]) -> list[tuple[int, int]]:
    """(address, bytes) of everything that an instruction reads and writes."""
    channels = (values["blocks"] - 1) * values["block_width"] + values["last_width"]

    def tensor(prefix: str) -> tuple[int, int]:
        size = ((values["ofm_rows"] - 1) * values[f"{prefix}_row_pitch"]
                + (values["ofm_columns"] - 1) * values[f"{prefix}_pixel_pitch"] + channels)
        return values[f"{prefix}_address"], size

    accesses = [
        (values["ifm_address"],
         (values["ifm_rows"] - 1) * values["ifm_pitch"] + values["ifm_row_bytes"]),
        (values["parameter_address"], values["parameter_bytes"]),
        (values["weight_address"], values["weight_bytes"]), tensor("ofm")]
    return accesses + [tensor("operand")] if values["add"] else accesses


def _tensors(program: Program) -> str | None:
    count = len(program.commands) // INSTRUCTION_BYTES
    for tensor in program.tensors:
        where = f"tensor '{tensor.name}'"
        if tensor.dtype not in DTYPE_BYTES or tensor.kind not in TENSOR_KINDS:
            return f"{where}: unknown dtype '{tensor.dtype}' or kind '{tensor.kind}'"
        if tensor.dtype == "complex64" and tensor.kind != "host":
            return f"{where}: complex numbers are only between operators of the host"
        if (len(tensor.shape) > MAX_RANK
                or min(tensor.shape, default=1) < (tensor.address is not None)):
            return f"{where}: no legal shape"
        if tensor.axes is not None and not _is_spaced(tensor):
            return f"{where}: its gaps do not fit its shape"
        if tensor.address is not None and not _inside(program, tensor.address, tensor.bytes):
            return f"{where}: leaves memory at 0x{tensor.address:x}"
        if (tensor.address is not None and tensor.dtype not in ON_DEVICE) or tensor.id < 0:
            return f"{where}: cannot be in device memory"
        overwritten = -1 if tensor.overwritten is None else tensor.overwritten
        if not -1 <= tensor.ready < count or not -1 <= overwritten < count:
            return f"{where}: refers to an instruction that is not there"
    ids = [tensor.id for tensor in program.tensors]
    if len(set(ids)) != len(ids):
        return "two tensors have the same id"
    missing = {*program.input_ids, *program.output_ids}.difference(ids)
    if missing:
        return f"input or output {min(missing)} is not in the tensor table"
    return None


def _is_spaced(tensor: TensorInfo) -> bool:
    """True for axes of a tensor of bytes that the host does not move, without overlaps: from the
    one whose elements are nearest to each other on, each goes on past the ones before."""
    axes, inner = tensor.axes or (), 1
    for count, apart in sorted(axes, key=lambda axis: axis[::-1]):
        if count < 1 or apart < inner:
            return False
        inner = count * apart
    return (0 < len(axes) <= MAX_RANK and tensor.address is not None
            and tensor.kind == "intermediate" and DTYPE_BYTES[tensor.dtype] == 1
            and prod(count for count, _ in axes) == prod(tensor.shape))


def _operators(program: Program) -> str | None:
    steps, done = program.steps, 0
    known = {*program.input_ids, *(state.tensor for state in program.state)}
    for step in steps:
        if step.where == "host":
            if step.first != done or not 0 < step.count <= len(program.host_ops) - done:
                return "the steps do not have every host operator once"
            done += step.count
        elif step.where != "device":
            return f"a step is done by '{step.where!s:.20}'"
        text = _step(program, step, known)
        if text is not None:
            return text
    if done != len(program.host_ops):
        return "the steps do not have every host operator once"
    constants = {t.id for t in program.host_tensors if t.data is not None}
    wanted = {*program.output_ids, *(state.following for state in program.state
                                     if state.tensor not in program.resident)}
    if not (known | constants).issuperset(wanted):
        return "an output is never computed"
    layers = sorted(i for layer in program.layers for i in layer.instructions)
    ends = {run.first + run.count - 1 for run in program.runs}
    count = len(program.commands) // INSTRUCTION_BYTES
    if layers != [i for i in range(count) if i not in ends]:
        return "the layers do not name every instruction once"
    for layer in program.layers:
        spans = [range(run.first, run.first + run.count) for run in program.runs]
        if not any(layer.instructions and set(layer.instructions) <= set(span) for span in spans):
            return f"layer '{layer.name}' is not in one run"
    return None


def _step(program: Program, step: Step, known: set[int]) -> str | None:
    """Adds what the step makes to what is ``known`` of tensors."""
    table = {t.id: t for t in program.tensors}
    host = {t.id: t for t in program.host_tensors}
    if not known.issuperset(step.takes):
        return "a step reads what is not there"
    if step.where == "device":
        if any(i not in table or table[i].address is None for i in (*step.takes, *step.gives)):
            return "a step moves what has no place in device memory"
        known.update(step.gives)
        return None
    for op in program.host_ops[step.first:step.first + step.count]:
        constants = {i for i in op.inputs if i == -1 or (i in host and host[i].data is not None)}
        if (kernel_of(op) is None or not host.keys() >= {*op.inputs, *op.outputs} - {-1}
                or not known.issuperset(set(op.inputs) - constants)):
            return f"host operator {op.kind} '{op.name}' is unknown or reads what is not there"
        problem = illegal(op.kind, op.rule, op.attributes) if op.rule in RUNTIMES else None
        if problem is not None:
            return f"host operator {op.kind} '{op.name}' {problem}"
        known.update(op.outputs)
    return None


def _host_tensors(program: Program) -> str | None:
    """Sizes and quantization; and that the tensor table says the same of what is in both."""
    table = {t.id: t for t in program.tensors}
    for tensor in program.host_tensors:
        where = f"host tensor '{tensor.name}'"
        if (tensor.dtype not in DTYPE_BYTES or len(tensor.shape) > MAX_RANK
                or not 0 <= tensor.id < MAX_TENSORS or min(tensor.shape, default=1) < 0
                or prod(tensor.shape) > MAX_ELEMENTS):
            return f"{where}: no legal shape, dtype or id"
        if tensor.data is not None and len(
                tensor.data) != prod(tensor.shape) * DTYPE_BYTES[tensor.dtype]:
            return f"{where}: {len(tensor.data)} bytes do not fit its shape"
        if len(tensor.scales) != len(tensor.zero_points) or not all(s > 0 for s in tensor.scales):
            return f"{where}: no legal quantization"
        other = table.get(tensor.id)
        if other is not None and other.channels is None and (
                (other.shape, other.dtype) != (tensor.shape, tensor.dtype)):
            return f"{where}: the tensor table has another shape or dtype"
    sizes = {t.id: prod(t.shape) * DTYPE_BYTES[t.dtype] for t in program.host_tensors}
    if any(sizes.get(state.tensor) != len(state.initial)
           or sizes.get(state.following) != len(state.initial) for state in program.state):
        return "the state has no legal size"
    ids = [tensor.id for tensor in program.host_tensors]
    return "two host tensors have the same id" if len(set(ids)) != len(ids) else None
