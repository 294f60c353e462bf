"""kaniwa: compile quantised neural networks and run them on a generated accelerator.

    program = kaniwa.compile("model.tflite", target="base")
    with kaniwa.open("sim") as device:
        outputs = kaniwa.Session(program, device).run(inputs)
"""

from typing import TYPE_CHECKING

from kaniwa._version import __version__
from kaniwa.errors import (
    BuildError,
    CompileError,
    ConfigError,
    DeviceError,
    Error,
    InputError,
    MemoryTooSmallError,
    ModelError,
    ProgramError,
    UnsupportedError,
)
from kaniwa.lazy import exports

if TYPE_CHECKING:
    from kaniwa.compiler.pipeline import compile
    from kaniwa.config import AcceleratorConfig
    from kaniwa.cycles.estimate import estimate
    from kaniwa.driver.devices import open
    from kaniwa.driver.session import Session
    from kaniwa.program.file import load_program, save_program
    from kaniwa.program.program import Program

__all__ = [
    "AcceleratorConfig",
    "BuildError",
    "CompileError",
    "ConfigError",
    "DeviceError",
    "Error",
    "InputError",
    "MemoryTooSmallError",
    "ModelError",
    "Program",
    "ProgramError",
    "Session",
    "UnsupportedError",
    "__version__",
    "compile",
    "estimate",
    "load_program",
    "open",
    "save_program",
]

# NumPy alone takes 0.1 s to import; a name is loaded when it is first used.
__getattr__ = exports("kaniwa", {
    "AcceleratorConfig": "kaniwa.config",
    "Program": "kaniwa.program.program",
    "Session": "kaniwa.driver.session",
    "compile": "kaniwa.compiler.pipeline",
    "estimate": "kaniwa.cycles.estimate",
    "load_program": "kaniwa.program.file",
    "open": "kaniwa.driver.devices",
    "save_program": "kaniwa.program.file",
})


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
