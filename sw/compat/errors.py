"""Errors of the frameworks' APIs: each is a kaniwa.Error and of the framework's type as well.

What LiteRT raises as ValueError or RuntimeError is one here too. ONNX Runtime's errors have no
base but Exception; the classes here have their names, but for ModelNotSupported (NotImplemented).
"""

from __future__ import annotations

from kaniwa.errors import (
    CompileError,
    ConfigError,
    DeviceError,
    Error,
    InputError,
    ModelError,
    UnsupportedError,
)

__all__ = ["ArgumentTypeError", "EPFail", "Fail", "InvalidArgument", "InvalidGraph",
           "InvalidProtobuf", "InvokeError", "ModelNotSupported", "NoSuchFile", "NotReadyError",
           "OpenCompileError", "OpenModelError", "OpenUnsupportedError", "OptionError",
           "as_value_error"]


class ArgumentTypeError(Error, TypeError):
    """An argument that is of a wrong Python type."""


class OptionError(Error, ValueError):
    """An option of a constructor with a value that it cannot have."""


class OpenModelError(ModelError, ValueError):
    """A model that an Interpreter cannot open: missing or damaged."""


class OpenUnsupportedError(UnsupportedError, ValueError):
    """A model that an Interpreter cannot open: it uses what kaniwa does not support."""


class OpenCompileError(CompileError, ValueError):
    """A model that an Interpreter cannot open: it does not fit the target."""


class NotReadyError(Error, RuntimeError):
    """An Interpreter that is invoked before its tensors are allocated."""


class InvokeError(DeviceError, RuntimeError):
    """An inference of an Interpreter that failed."""


class NoSuchFile(ModelError):
    """The file of an InferenceSession's model is not there."""


class InvalidProtobuf(ModelError):
    """An InferenceSession's model that is no ONNX file."""


class InvalidGraph(ModelError):
    """An InferenceSession's model that is damaged."""


class ModelNotSupported(UnsupportedError):
    """An InferenceSession's model that uses what kaniwa does not support."""


class Fail(CompileError):
    """An InferenceSession's model that does not fit the target."""


class InvalidArgument(InputError):
    """An input or output of an InferenceSession with a wrong name, type or shape."""


class EPFail(DeviceError):
    """An inference of an InferenceSession that failed on the device."""


_OPENING: tuple[tuple[type[Error], type[Error]], ...] = (
    (ModelError, OpenModelError), (UnsupportedError, OpenUnsupportedError),
    (CompileError, OpenCompileError))


def as_value_error(error: Error) -> Error:
    """``error`` of opening a model, as one that is a ValueError; others as they are."""
    if isinstance(error, ConfigError | DeviceError):
        return error
    return next((ours(str(error)) for kind, ours in _OPENING if isinstance(error, kind)), error)
