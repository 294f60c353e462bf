"""The InferenceSession of ONNX Runtime, on kaniwa's devices."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self, Unpack

import numpy as np

from kaniwa.compat.errors import (
    ArgumentTypeError,
    EPFail,
    Fail,
    InvalidArgument,
    InvalidGraph,
    ModelNotSupported,
    NoSuchFile,
)
from kaniwa.compat.onnx_metadata import Metadata, ModelMetadata, NodeArg, read_metadata
from kaniwa.compat.options import RunOptions, SessionOptions
from kaniwa.compat.providers import CPU, KANIWA, Providers, chosen
from kaniwa.compat.quantized import check_quantized
from kaniwa.driver.runner import OpenOptions, Runner, check_options
from kaniwa.driver.session import Statistics
from kaniwa.errors import CompileError, Error, InputError, ModelError, UnsupportedError
from kaniwa.graph import Graph
from kaniwa.importers import read_model_file
from kaniwa.program.program import Program, TensorInfo

__all__ = ["InferenceSession", "SessionKeywords"]


class SessionKeywords(OpenOptions, total=False):
    """kaniwa's own options, and keywords of ONNX Runtime that mean nothing here."""

    disabled_optimizers: Sequence[str]
    enable_fallback: int


class InferenceSession:
    """Runs a quantised ONNX model, compiled for a target, on a device.

    ``providers`` name what runs it: "KaniwaExecutionProvider", by default, with options of device,
    target and outside; "CPUExecutionProvider" for the golden kernels. ``keywords`` are kaniwa's
    (see ``OpenOptions``) and go before those.

    Raises errors of ONNX Runtime's names: NoSuchFile, InvalidProtobuf, InvalidGraph,
    ModelNotSupported, or Fail for a model that does not fit the target; ConfigError or DeviceError
    for a target or device that there is none of.
    """

    def __init__(self, path_or_bytes: str | os.PathLike[str] | bytes,
                 sess_options: SessionOptions | None = None,
                 providers: Providers | None = None,
                 provider_options: Sequence[Mapping[str, Any]] | None = None,
                 **keywords: Unpack[SessionKeywords]) -> None:
        check_options(keywords, SessionKeywords, "InferenceSession()")
        if sess_options is not None and not isinstance(sess_options, SessionOptions):
            raise ArgumentTypeError("sess_options must be kaniwa.SessionOptions, not "
                                    f"{type(sess_options).__name__}")
        self._options = SessionOptions() if sess_options is None else sess_options
        self._keywords: Any = {name: value for name, value in keywords.items()
                               if name in OpenOptions.__annotations__}
        data, name = _content(path_or_bytes)
        self._metadata: Metadata = read_metadata(data, name)
        try:
            self._graph = _import(data, name)
        except UnsupportedError as error:
            raise ModelNotSupported(str(error)) from error
        except ModelError as error:
            raise InvalidGraph(str(error)) from error
        self._runner = self._start(providers, provider_options)

    @property
    def program(self) -> Program:
        """What the model was compiled to."""
        return self._runner.program

    @property
    def statistics(self) -> Statistics | None:
        """Cycles and layers of the last inference; None before the first."""
        return self._runner.session.stats

    def close(self) -> None:
        """Close the device, unless it was given open; a second call does nothing."""
        self._runner.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def get_inputs(self) -> list[NodeArg]:
        """Name, type and shape of each input."""
        return list(self._metadata.inputs)

    def get_outputs(self) -> list[NodeArg]:
        """Name, type and shape of each output."""
        return list(self._metadata.outputs)

    def get_modelmeta(self) -> ModelMetadata:
        """What the exporter says of the model."""
        return self._metadata.model

    def get_session_options(self) -> SessionOptions:
        """The options that the session was made with."""
        return self._options

    def get_providers(self) -> list[str]:
        """What runs the model; the CPU runs operators that the device does not have."""
        return [CPU] if self._runner.device_name == "golden" else [KANIWA, CPU]

    def get_provider_options(self) -> dict[str, dict[str, str]]:
        """Device and target, by the provider that they belong to."""
        own = {"device": self._runner.device_name, "target": self.program.config.name}
        return {name: own if name == KANIWA else {} for name in self.get_providers()}

    def set_providers(self, providers: Providers | None = None,
                      provider_options: Sequence[Mapping[str, Any]] | None = None) -> None:
        """Compile the model anew, for what ``providers`` name."""
        runner = self._start(providers, provider_options)
        self._runner.close()
        self._runner = runner

    def run(self, output_names: Sequence[str] | None, input_feed: Mapping[str, Any],
            run_options: RunOptions | None = None) -> list[np.ndarray]:
        """The outputs with these names, all if there are none, for ``input_feed`` by name.

        Raises InputError, a ValueError, for a missing input; InvalidArgument for a wrong name,
        type or shape; EPFail where the device fails.
        """
        if not isinstance(input_feed, Mapping):
            raise ArgumentTypeError("input_feed must be a dict of arrays by the inputs' names, not "
                                    f"{type(input_feed).__name__}")
        if run_options is not None and not isinstance(run_options, RunOptions):
            raise ArgumentTypeError("run_options must be kaniwa.RunOptions, not "
                                    f"{type(run_options).__name__}")
        inputs = self._inputs(input_feed)
        known = [output.name for output in self.program.outputs]
        names = list(output_names or known)
        for name in names:
            if name not in known:
                raise InvalidArgument(f"{self.program.name}: there is no output '{name}': it has "
                                      f"{', '.join(known)}")
        session = self._runner.session
        try:
            outputs = session.run(inputs)
        except Error as error:
            raise EPFail(str(error)) from error
        return [np.array(outputs[name]) for name in names]

    def _start(self, providers: Providers | None,
               provider_options: Sequence[Mapping[str, Any]] | None) -> Runner:
        """The model compiled, and its device open."""
        options: OpenOptions = {**chosen(providers, provider_options), **self._keywords}
        try:
            runner = Runner(self._graph, options)
        except CompileError as error:
            raise Fail(str(error)) from error
        try:
            check_quantized(runner.program)
            assert runner.session is not None
        except UnsupportedError as error:
            runner.close()
            raise ModelNotSupported(str(error)) from error
        except BaseException:
            runner.close()
            raise
        return runner

    def _inputs(self, feed: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """The arrays of ``feed``, checked."""
        tensors = {tensor.name: tensor for tensor in self.program.inputs}
        missing = [name for name in tensors if name not in feed]
        if missing:
            raise InputError(f"{self.program.name}: the input '{missing[0]}' is missing: found "
                             f"{list(feed)}")
        unknown = [name for name in feed if name not in tensors]
        if unknown:
            raise InvalidArgument(f"{self.program.name}: there is no input '{unknown[0]}': it has "
                                  f"{', '.join(tensors)}")
        return {name: self._input(tensor, feed[name]) for name, tensor in tensors.items()}

    def _input(self, tensor: TensorInfo, value: Any) -> np.ndarray:
        where = f"{self.program.name}: input '{tensor.name}'"
        wanted = f"{tensor.dtype}{list(tensor.shape)}"
        try:
            # Lists of numbers become the type that is wanted; arrays have their own.
            array = (np.array(value, tensor.dtype) if isinstance(value, list | tuple)
                     else np.asarray(value))
        except (TypeError, ValueError, OverflowError):
            raise InvalidArgument(f"{where}: expected {wanted}, found a list of something else"
                                  ) from None
        if array.dtype != np.dtype(tensor.dtype) or array.shape != tensor.shape:
            raise InvalidArgument(f"{where}: expected {wanted}, found {array.dtype}"
                                  f"{list(array.shape)}")
        return np.ascontiguousarray(array)


def _content(path_or_bytes: Any) -> tuple[bytes, str]:
    """The file and its name."""
    if isinstance(path_or_bytes, bytes | bytearray | memoryview):
        return bytes(path_or_bytes), "model"
    if not isinstance(path_or_bytes, str | os.PathLike):
        raise ArgumentTypeError("path_or_bytes must be a path or bytes, not "
                                f"{type(path_or_bytes).__name__}")
    path = Path(path_or_bytes)
    try:
        return read_model_file(path), path.name
    except ModelError as error:
        raise NoSuchFile(str(error)) from error


def _import(data: bytes, name: str) -> Graph:
    from kaniwa.importers.onnx.model import import_onnx

    return import_onnx(data, name)
