"""Functions of sw/ have at most 7 parameters and 90 lines."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

SW = Path(__file__).resolve().parent.parent.parent / "sw"
MOST_PARAMETERS, MOST_LINES = 7, 90
_KERNEL = "a program of the vector unit: places and numbers of its formula, most by keyword"
# File and function, and why it has more parameters.
EXCEPTIONS = {
    ("selftest/layers.py", "weighted"): "attributes of the operator that it builds, by keyword",
    ("selftest/layers.py", "conv"): "attributes of a convolution, all with a default",
    ("units/cell/isa.py", "add"): "columns of the table of fields",
    ("units/vector/builder.py", "compute"): "fields of an instruction, by keyword",
    ("units/vector/kernels/elementary.py", "add"): _KERNEL,
    ("units/vector/kernels/elementary.py", "mean"): _KERNEL,
    ("units/vector/kernels/fixedpoint.py", "_exponential"): _KERNEL,
}


def functions() -> Iterator[tuple[str, ast.FunctionDef]]:
    for path in sorted(SW.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef):
                yield path.relative_to(SW).as_posix(), node


def parameters(node: ast.FunctionDef) -> int:
    a = node.args
    named = [one for one in (*a.posonlyargs, *a.args, *a.kwonlyargs)
             if one.arg not in ("self", "cls")]
    return len(named) + (a.vararg is not None) + (a.kwarg is not None)


def is_command(node: ast.FunctionDef) -> bool:
    """True for a command of the command line, which has a parameter an option."""
    return any(ast.unparse(decorator).startswith("click.command")
               for decorator in node.decorator_list)


def test_no_function_has_more_than_7_parameters() -> None:
    found = [f"sw/{path}: {node.name}" for path, node in functions()
             if parameters(node) > MOST_PARAMETERS and not is_command(node)
             and (path, node.name) not in EXCEPTIONS]
    assert not found, f"give these a context object: {', '.join(found)}"


def test_no_function_has_more_than_90_lines() -> None:
    found = [f"sw/{path}: {node.name}" for path, node in functions()
             if (node.end_lineno or node.lineno) - node.lineno >= MOST_LINES]
    assert not found, f"split these: {', '.join(found)}"
