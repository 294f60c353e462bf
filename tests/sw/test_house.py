"""The shape of the code: short functions, folders of a size to read, and a core of wires alone."""

import ast
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOTS = ("hw", "sw", "sim", "boards")
MOST_LINES = 90
MOST_PARAMETERS = 7
MOST_FILES = 20

PIPELINE = "a pipeline in the order of its cycles: what a stage hands on has one name throughout"
OPTIONS = "click gives an argument for each option of the command line"
FSM = "one state machine, read as the protocol that it is"
KEYWORDS = "options with defaults, of which a caller names a few"
LOOPS = "a loop's indices and limits, as the gateware has them"
KERNEL = "an operator's attributes, each by its own name in the reference"
RECORD = "an entry of a table: the parameters are its columns"

LONG = {
    "hw/activations/load_dma.py:LoadDma.elaborate": PIPELINE,
    "hw/compact/weight_decoder.py:CompactWeightDecoder.elaborate": FSM,
    "hw/control/sequencer.py:Sequencer.elaborate": FSM,
    "hw/link/link.py:Link.elaborate": FSM,
    "hw/results/beat_walker.py:BeatWalker.elaborate": PIPELINE,
    "hw/results/store_dma.py:StoreDma.elaborate": PIPELINE,
    "hw/units/cell/fetch.py:CellFetch.elaborate": FSM,
    "hw/units/vector/flow.py:VectorControl.elaborate": FSM,
}
WIDE = {
    "boards/flow/build.py:build": KEYWORDS,
    "hw/units/vector/issue.py:VectorIssue._stages": PIPELINE,
    "sim/device/simulated_core.py:SimDevice.__init__": KEYWORDS,
    "sim/worlds/column_loops.py:_column": LOOPS,
    "sw/benchmark/networks/tflite_file.py:ModelBuilder.tensor": KEYWORDS,
    "sw/benchmark/suite.py:run_suite": KEYWORDS,
    "sw/commands/bench.py:bench_command": OPTIONS,
    "sw/commands/build.py:compile_command": OPTIONS,
    "sw/commands/boards/bitstream.py:bitstream_command": OPTIONS,
    "sw/commands/boards/bitstream.py:program_command": OPTIONS,
    "sw/commands/boards/board_sim.py:board_sim_command": OPTIONS,
    "sw/commands/boards/flash.py:flash_command": OPTIONS,
    "sw/commands/boards/hil.py:hil_command": OPTIONS,
    "sw/commands/boards/mlperf_tiny.py:mlperf_tiny_command": OPTIONS,
    "sw/commands/diff.py:diff_command": OPTIONS,
    "sw/commands/estimate.py:estimate_command": OPTIONS,
    "sw/commands/evaluate.py:evaluate_command": OPTIONS,
    "sw/commands/integration/explore.py:explore_command": OPTIONS,
    "sw/commands/network/serve.py:serve_command": OPTIONS,
    "sw/commands/run.py:run_command": OPTIONS,
    "sw/commands/selftest.py:selftest_command": OPTIONS,
    "sw/commands/verify.py:verify_command": OPTIONS,
    "sw/compiler/pipeline.py:compile": KEYWORDS,
    "sw/compression/search.py:search": KEYWORDS,
    "sw/selftest/layers.py:_Layer.conv": KEYWORDS,
    "sw/selftest/layers.py:_Layer.weighted": KEYWORDS,
    "sw/units/cell/isa.py:_fields.field": RECORD,
    "sw/units/vector/builder.py:Builder.compute": KEYWORDS,
    "sw/units/vector/builder.py:Builder.store_product": KEYWORDS,
    "sw/units/vector/kernels/elementary.py:add": KERNEL,
    "sw/units/vector/kernels/elementary.py:mean": KERNEL,
    "sw/units/vector/kernels/elementary.py:squared_difference": KERNEL,
    "sw/units/vector/kernels/fixedpoint.py:_exponential": KERNEL,
    "sw/verify/litert.py:verify": KEYWORDS,
}


def sources(root: Path) -> list[str]:
    listed = subprocess.run(["git", "ls-files", *ROOTS], cwd=root, capture_output=True, text=True,
                            check=True)
    return listed.stdout.split()


def functions(root: Path) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    """Every function with the name of its file and its own, classes included."""
    for file in sources(root):
        if file.endswith(".py"):
            yield from _functions_in(ast.parse((root / file).read_text()), f"{file}:")


def _functions_in(node: ast.AST, name: str) -> Iterator[
        tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            if not isinstance(child, ast.ClassDef):
                yield f"{name}{child.name}", child
            yield from _functions_in(child, f"{name}{child.name}.")
        else:
            yield from _functions_in(child, name)


def parameters(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """How many there are, without ``self`` and ``cls``; *args and **options count as one each."""
    taken = function.args
    names = [a.arg for a in (*taken.posonlyargs, *taken.args, *taken.kwonlyargs)]
    names = [name for name in names if name not in ("self", "cls")]
    return len(names) + (taken.vararg is not None) + (taken.kwarg is not None)


@pytest.fixture(scope="module")
def sizes(root: Path) -> dict[str, tuple[int, int]]:
    """Lines and parameters of every function."""
    return {name: ((f.end_lineno or f.lineno) - f.lineno + 1, parameters(f))
            for name, f in functions(root)}


def test_functions_are_short(sizes: dict[str, tuple[int, int]]) -> None:
    long = {name for name, (lines, _) in sizes.items() if lines > MOST_LINES}
    assert not long - set(LONG), "split it, or name it in LONG with a reason"
    assert not set(LONG) - long, "delete these lines of LONG: they are needed no more"


def test_functions_have_few_parameters(sizes: dict[str, tuple[int, int]]) -> None:
    wide = {name for name, (_, count) in sizes.items() if count > MOST_PARAMETERS}
    assert not wide - set(WIDE), "make a record of them, or name it in WIDE with a reason"
    assert not set(WIDE) - wide, "delete these lines of WIDE: they are needed no more"


def test_no_folder_has_too_many_files_or_one(root: Path) -> None:
    listed = sources(root)
    files = Counter(Path(file).parent.as_posix() for file in listed)
    assert not {folder: count for folder, count in files.items() if count > MOST_FILES}
    alone = {folder for folder, count in files.items() if count == 1}
    # ``__init__.py`` alone is the package of a folder that only holds folders.
    assert not {folder for folder in alone if f"{folder}/__init__.py" not in listed}
    assert not {folder for folder in alone
                if not any(other.startswith(f"{folder}/") for other in files)}


FORBIDDEN_CALLS = {"Signal", "Cat", "Mux", "Array", "Memory", "Const", "C"}
FORBIDDEN_BLOCKS = {"If", "Elif", "Else", "Switch", "Case", "Default", "FSM", "State"}


@pytest.fixture(scope="module")
def core(root: Path) -> ast.Module:
    return ast.parse((root / "hw" / "core.py").read_text())


def test_the_core_has_no_registers(core: ast.Module) -> None:
    domains = {node.attr for node in ast.walk(core) if isinstance(node, ast.Attribute)
               and isinstance(node.value, ast.Attribute) and node.value.attr == "d"}
    assert domains == {"comb"}
    called = {node.func.id for node in ast.walk(core)
              if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    assert not called & FORBIDDEN_CALLS


def test_the_core_has_no_logic(core: ast.Module) -> None:
    used = {node.attr for node in ast.walk(core) if isinstance(node, ast.Attribute)}
    assert not used & FORBIDDEN_BLOCKS
    assert not [node for node in ast.walk(core)
                if isinstance(node, ast.BinOp) or (
                    isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Invert))]
    for node in ast.walk(core):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            if node.func.attr == "eq":
                assert all(_is_a_wire(side) for side in (node.func.value, *node.args)), (
                    ast.unparse(node))


def _is_a_wire(node: ast.AST) -> bool:
    """A name of a signal, an element or member of one, a constant, or the clock."""
    if isinstance(node, ast.Attribute | ast.Subscript):
        return _is_a_wire(node.value)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        return node.func.id in ("ClockSignal", "getattr")
    return isinstance(node, ast.Name | ast.Constant)


def test_the_shapes_of_the_gateware_are_the_enumerations_of_the_instruction_set() -> None:
    pytest.importorskip("amaranth")
    from kaniwa import isa
    from kaniwa.hw import enums

    for name in ("Opcode", "Mode", "Rounding", "Format"):
        ours = {member.name: member.value for member in getattr(enums, name)}
        assert ours == {member.name: member.value for member in getattr(isa, name)}
    assert enums.field_shape(isa.FIELDS["add_rounding"]) is enums.Rounding
