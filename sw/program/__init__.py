"""Compiled programs: data, file, text, checks."""

from typing import TYPE_CHECKING

from kaniwa.lazy import exports

if TYPE_CHECKING:
    from kaniwa.program.file import load_program, save_program
    from kaniwa.program.program import LayerInfo, Program, Step, TensorInfo

__all__ = ["LayerInfo", "Program", "Step", "TensorInfo", "load_program", "save_program"]

if not TYPE_CHECKING:
    __getattr__ = exports("kaniwa.program", {
        "LayerInfo": "kaniwa.program.program",
        "Program": "kaniwa.program.program",
        "Step": "kaniwa.program.program",
        "TensorInfo": "kaniwa.program.program",
        "load_program": "kaniwa.program.file",
        "save_program": "kaniwa.program.file",
    })
