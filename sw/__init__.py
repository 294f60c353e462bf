"""kaniwa: compile quantised neural networks and run them on a generated accelerator.

    program = kaniwa.compile("model.tflite", target="base")
    with kaniwa.open("sim") as device:
        outputs = kaniwa.Session(program, device).run(inputs)
"""

import logging
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
    from kaniwa import lite
    from kaniwa.compat.inference_session import InferenceSession
    from kaniwa.compat.onnx_metadata import ModelMetadata, NodeArg
    from kaniwa.compat.options import (
        ExecutionMode,
        GraphOptimizationLevel,
        RunOptions,
        SessionOptions,
        set_default_logger_severity,
    )
    from kaniwa.compat.providers import get_available_providers, get_device
    from kaniwa.compiler.pipeline import compile
    from kaniwa.config import AcceleratorConfig
    from kaniwa.cycles.estimate import estimate
    from kaniwa.driver.cores.open import open_cores
    from kaniwa.driver.devices import open
    from kaniwa.driver.session import Session
    from kaniwa.evaluation.evaluate import Evaluation, evaluate
    from kaniwa.pool.pipeline import Pipeline
    from kaniwa.pool.pool import Pool
    from kaniwa.program.file import load_program, save_program
    from kaniwa.program.program import Program

__all__ = [
    "AcceleratorConfig",
    "BuildError",
    "CompileError",
    "ConfigError",
    "DeviceError",
    "Error",
    "Evaluation",
    "ExecutionMode",
    "GraphOptimizationLevel",
    "InferenceSession",
    "InputError",
    "MemoryTooSmallError",
    "ModelError",
    "ModelMetadata",
    "NodeArg",
    "Pipeline",
    "Pool",
    "Program",
    "ProgramError",
    "RunOptions",
    "Session",
    "SessionOptions",
    "UnsupportedError",
    "__version__",
    "compile",
    "estimate",
    "evaluate",
    "get_available_providers",
    "get_device",
    "lite",
    "load_program",
    "open",
    "open_cores",
    "save_program",
    "set_default_logger_severity",
]

# Who uses the library says where its log goes; see ``kaniwa -v``.
logging.getLogger("kaniwa").addHandler(logging.NullHandler())

if not TYPE_CHECKING:     # or checkers take every name for one that is there
    # NumPy alone takes 0.1 s to import; a name is loaded when it is first used.
    __getattr__ = exports("kaniwa", {
        "AcceleratorConfig": "kaniwa.config",
        "Evaluation": "kaniwa.evaluation.evaluate",
        "ExecutionMode": "kaniwa.compat.options",
        "GraphOptimizationLevel": "kaniwa.compat.options",
        "InferenceSession": "kaniwa.compat.inference_session",
        "ModelMetadata": "kaniwa.compat.onnx_metadata",
        "NodeArg": "kaniwa.compat.onnx_metadata",
        "Pipeline": "kaniwa.pool.pipeline",
        "Pool": "kaniwa.pool.pool",
        "Program": "kaniwa.program.program",
        "RunOptions": "kaniwa.compat.options",
        "Session": "kaniwa.driver.session",
        "SessionOptions": "kaniwa.compat.options",
        "compile": "kaniwa.compiler.pipeline",
        "estimate": "kaniwa.cycles.estimate",
        "evaluate": "kaniwa.evaluation.evaluate",
        "get_available_providers": "kaniwa.compat.providers",
        "get_device": "kaniwa.compat.providers",
        "lite": "kaniwa.lite",
        "load_program": "kaniwa.program.file",
        "open": "kaniwa.driver.devices",
        "open_cores": "kaniwa.driver.cores.open",
        "save_program": "kaniwa.program.file",
        "set_default_logger_severity": "kaniwa.compat.options",
    })


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
