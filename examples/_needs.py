"""One line in place of a traceback where a script of this folder lacks something.

A script imports this module before all that may be missing; the rest is done at its end.
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from types import TracebackType

SET_UP = "make setup, then .venv/bin/python {script}"


def how_to_install(script: Path) -> str:
    """The command in the script's docstring, else what sets up the project."""
    text = (ast.get_docstring(ast.parse(script.read_text())) or "").replace("\\\n", "")
    commands = [" ".join(line.split()) for line in text.splitlines()
                if line.strip().startswith("pip install")]
    return commands[0] if commands else SET_UP.format(script=script)


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


if Path(sys.argv[0]).resolve().parent == Path(__file__).resolve().parent:     # not of a test
    sys.excepthook = in_one_line
