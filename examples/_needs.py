"""One line in place of a traceback where an example lacks something.

A script of this folder imports this module before all that may be missing, a notebook by way of
``_notebook``; the rest is done when the script or the cell fails.
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from types import TracebackType
from typing import Any

SET_UP = "make setup, then .venv/bin/python {script}"
# The extra of pyproject.toml that brings a module; the others come with the notebooks' own.
EXTRAS = {"torch": "torch", "torchao": "torch", "onnxscript": "torch", "onnx": "onnx"}


def how_to_install(script: Path) -> str:
    """The command in the script's docstring, else what sets up the project."""
    text = (ast.get_docstring(ast.parse(script.read_text())) or "").replace("\\\n", "")
    commands = [" ".join(line.split()) for line in text.splitlines()
                if line.strip().startswith("pip install")]
    return commands[0] if commands else SET_UP.format(script=script)


def how_to_install_here(module: str) -> str:
    """The command that brings ``module`` into the Python of a notebook."""
    extra = EXTRAS.get(module, "notebook")
    try:
        from kaniwa.extras import install_command
    except ModuleNotFoundError:
        return f"%pip install '.[{extra}]' in a clone of kaniwa"
    return f"%{install_command(extra)}"


def in_one_line(kind: type[BaseException], error: BaseException,
                trace: TracebackType | None) -> None:
    """Print what is missing, or an error of kaniwa's; other errors as Python does."""
    script = Path(sys.argv[0])
    if isinstance(error, ModuleNotFoundError):
        print(f"{script}: needs {error.name}: {how_to_install(script)}", file=sys.stderr)
    elif kind.__module__ == "kaniwa.errors":
        print(f"{script}: {error}", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, trace)


def in_one_line_of_a_cell(shell: Any, kind: type[BaseException], error: BaseException,
                          trace: TracebackType | None, tb_offset: int | None = None) -> list[str]:
    """The same below a cell of a notebook, which counts as failed."""
    if isinstance(error, ModuleNotFoundError) and error.name:
        module = error.name.split(".")[0]
        print(f"This notebook needs {module}: {how_to_install_here(module)}",
              file=sys.stderr)
    elif kind.__module__ == "kaniwa.errors":
        print(error, file=sys.stderr)
    else:
        shell.showtraceback((kind, error, trace), tb_offset=tb_offset)
    return []


def notebook_shell() -> Any:
    """The shell that runs a notebook's cells; None in a script."""
    ipython = sys.modules.get("IPython")
    return ipython.get_ipython() if ipython else None


if (SHELL := notebook_shell()) is not None:
    SHELL.set_custom_exc((Exception,), in_one_line_of_a_cell)
elif Path(sys.argv[0]).resolve().parent == Path(__file__).resolve().parent:     # not of a test
    sys.excepthook = in_one_line
