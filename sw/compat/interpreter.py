"""The Interpreter of TensorFlow Lite and LiteRT, on kaniwa's devices."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self, Unpack

import numpy as np

from kaniwa.compat.delegates import OpResolverType
from kaniwa.compat.errors import (
    ArgumentTypeError,
    InvokeError,
    NotReadyError,
    OptionError,
    as_value_error,
)
from kaniwa.compat.quantized import check_quantized
from kaniwa.compat.signatures import Signature, SignatureRunner, read_signatures
from kaniwa.compat.tensor_details import Details, TensorDetails, tensor_index
from kaniwa.driver.runner import OpenOptions, Runner, check_options
from kaniwa.driver.session import Statistics
from kaniwa.errors import Error, InputError
from kaniwa.importers import read_model_file
from kaniwa.importers.tflite.importer import import_tflite
from kaniwa.program.program import Program

__all__ = ["Interpreter", "InterpreterOptions"]


class InterpreterOptions(OpenOptions, total=False):
    """kaniwa's own options, and options of LiteRT that mean nothing here."""

    experimental_disable_delegate_clustering: bool
    experimental_default_delegate_latest_features: bool
    experimental_compress_quantization_zero_points: bool
    experimental_disable_delegate_node_fusion: bool
    experimental_force_delegate_node_profiling: bool


class Interpreter:
    """Runs a TensorFlow Lite model, compiled for ``target``, on ``device``.

    Names, indexes and dicts are LiteRT's, the answers those of its reference kernels. ``options``
    are kaniwa's (see ``OpenOptions``): by default ``target="base"`` and ``device="emulator"``.
    With ``experimental_preserve_all_tensors`` the device stores all tensors, and ``get_tensor``
    gives them. ``num_threads`` means nothing here.

    Raises ValueError for a model that cannot be opened, ConfigError or DeviceError for a target
    or device that there is none of.
    """

    def __init__(
        self,
        model_path: str | os.PathLike[str] | None = None,
        model_content: bytes | None = None,
        experimental_delegates: Sequence[object] | None = None,
        num_threads: int | None = None,
        experimental_op_resolver_type: OpResolverType = OpResolverType.AUTO,
        experimental_preserve_all_tensors: bool = False,
        **options: Unpack[InterpreterOptions],
    ) -> None:
        check_options(options, InterpreterOptions, "Interpreter()")
        _check_settings(experimental_delegates, num_threads, experimental_op_resolver_type)
        self._preserved = experimental_preserve_all_tensors
        try:
            data, name = _content(model_path, model_content)
            self._graph = import_tflite(data, name)
            self._runner = Runner(self._graph, _open_options(options, self._preserved))
            check_quantized(self._runner.program)
        except Error as error:
            raise as_value_error(error) from error
        self._details = Details(data)
        self._signatures = read_signatures(data)
        tensors = {tensor.source_index: tensor for tensor in self._graph.tensors}
        self._inputs = {i: tensors[i].name for i in self._graph.inputs}
        self._outputs = {i: tensors[i].name for i in self._graph.outputs}
        self._values: dict[int, np.ndarray] = {}

    @property
    def program(self) -> Program:
        """What the model was compiled to."""
        return self._runner.program

    @property
    def statistics(self) -> Statistics | None:
        """Cycles and layers of the last inference; None before the first."""
        return self._runner.session.stats if self._values else None

    def close(self) -> None:
        """Close the device, unless it was given open; a second call does nothing."""
        self._runner.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def allocate_tensors(self) -> None:
        """Make device and tensors ready; needed before all that is done with values.

        The first call opens the device, which takes the program. Others do nothing.
        """
        if self._values:
            return
        assert self._runner.session is not None
        self._values = {i: np.zeros(tensor.shape, tensor.dtype) for i, tensor in enumerate(
            self._graph.tensors) if i in self._inputs or i in self._outputs}

    def get_input_details(self) -> list[TensorDetails]:
        """The details of the model's inputs, in its order."""
        return [self._details.of(i) for i in self._inputs]

    def get_output_details(self) -> list[TensorDetails]:
        """The details of the model's outputs, in its order."""
        return [self._details.of(i) for i in self._outputs]

    def get_tensor_details(self, subgraph_index: int = 0) -> list[TensorDetails]:
        """The details of all tensors of the file, those of other subgraphs by number."""
        return self._details.all(subgraph_index)

    def num_subgraphs(self) -> int:
        """How many subgraphs the file has."""
        return self._details.subgraphs

    def set_tensor(self, tensor_index: int, value: Any) -> None:
        """Copy ``value``, of exactly the input's dtype and shape, into an input.

        Raises InputError, a ValueError, for a wrong index, dtype or shape.
        """
        index = self._index(tensor_index)
        if index not in self._inputs:
            raise InputError(f"{self._named(index)} is no input: set one of "
                             f"{list(self._inputs)}")
        buffer, array = self._buffer(index), np.asarray(value)
        if array.dtype != buffer.dtype or array.shape != buffer.shape:
            raise InputError(f"{self._named(index)}: expected {buffer.dtype}{list(buffer.shape)}, "
                             f"found {array.dtype}{list(array.shape)}")
        buffer[...] = array

    def get_tensor(self, tensor_index: int, subgraph_index: int = 0) -> np.ndarray:
        """A copy of an input, an output, a constant or, where all are kept, of any tensor.

        Raises InputError, a ValueError, for a wrong index or a tensor without a value.
        """
        if subgraph_index != 0:
            raise InputError(f"subgraph {subgraph_index} is not run: give 0 or leave it out")
        return np.array(self._value(tensor_index))

    def tensor(self, tensor_index: int) -> Callable[[], np.ndarray]:
        """A function that gives a view of an input or output, to be read and written in place.

        A view stays valid, and ``invoke`` may be called while there are some. Constants cannot be
        written.
        """
        return lambda: self._value(tensor_index)[...]

    def invoke(self) -> None:
        """Run the model on what the inputs are; state is kept for the next call.

        Raises NotReadyError, a RuntimeError, before ``allocate_tensors``; InvokeError, one too,
        where the device fails.
        """
        if not self._values:
            raise NotReadyError(f"{self._graph.name}: invoked before its tensors are allocated: "
                                "call allocate_tensors() first")
        # Copies: a caller may write into a view while the device still works.
        inputs = {name: self._values[i].copy() for i, name in self._inputs.items()}
        try:
            outputs = self._runner.session.run(inputs)
        except Error as error:
            raise InvokeError(str(error)) from error
        for index, name in self._outputs.items():
            self._values[index][...] = outputs[name]

    def resize_tensor_input(self, input_index: int, tensor_size: Sequence[int] | np.ndarray,
                            strict: bool = False) -> None:
        """Take the shape that the input has already; a program is compiled for one shape.

        Raises InputError, a ValueError, for another shape, or an index that is no input's.
        """
        index = self._index(input_index)
        if index not in self._inputs:
            raise InputError(f"{self._named(index)} is no input: resize one of "
                             f"{list(self._inputs)}")
        shape = list(self._graph.tensors[index].shape)
        wanted = [int(size) for size in tensor_size]
        if wanted != shape:
            raise InputError(f"{self._named(index)}: cannot be resized from {shape} to {wanted}: "
                             "the program is compiled for one shape; invoke it once for each "
                             "sample, or export the model with that shape")

    def reset_all_variables(self) -> None:
        """Give all of the model's variables their initial values, resource variables too."""
        if self._values:
            self._runner.session.reset()

    def get_signature_list(self) -> dict[str, dict[str, list[str]]]:
        """The names of inputs and outputs of each signature, by its key."""
        return {key: {"inputs": list(each.inputs), "outputs": list(each.outputs)}
                for key, each in self._signatures.items()}

    def get_signature_runner(self, signature_key: str | None = None) -> SignatureRunner:
        """A callable that takes and gives tensors by the names of a signature.

        Raises InputError, a ValueError, for an unknown key, and without a key where the model has
        not exactly one signature.
        """
        if signature_key is None and len(self._signatures) != 1:
            raise InputError(f"{self._graph.name}: has {len(self._signatures)} signatures: "
                             + ("name one" if self._signatures else
                                "use set_tensor, invoke and get_tensor"))
        key = next(iter(self._signatures)) if signature_key is None else signature_key
        found: Signature | None = self._signatures.get(key)
        if found is None or found.subgraph != 0:
            raise InputError(f"{self._graph.name}: there is no signature {key!r} that runs the "
                             f"model: it has {list(self._signatures)}")
        return SignatureRunner(self, found)

    def _index(self, value: Any) -> int:
        return tensor_index(value, self._details.count())

    def _named(self, index: int) -> str:
        return f"{self._graph.name}: tensor {index} '{self._graph.tensors[index].name}'"

    def _buffer(self, index: int) -> np.ndarray:
        if not self._values:
            raise InputError(f"{self._named(index)} is not allocated: call allocate_tensors() "
                             "first")
        return self._values[index]

    def _value(self, tensor_index: int) -> np.ndarray:
        """The value of a tensor where it is held, not to be given away."""
        index = self._index(tensor_index)
        tensor = self._graph.tensors[index]
        if index in self._inputs or index in self._outputs:
            return self._buffer(index)
        if tensor.data is not None:
            return tensor.data
        if self._preserved and self.statistics is not None:
            found = next((t for t in self.program.tensors if t.source == index), None)
            if found is not None:
                return self._runner.session.value(found)
        raise InputError(f"{self._named(index)} is inside the model and has no value here: "
                         + ("invoke it first" if self._preserved else
                            "give experimental_preserve_all_tensors=True"))


def _check_settings(delegates: Sequence[object] | None, threads: int | None,
                    resolver: OpResolverType) -> None:
    if delegates:
        raise OptionError("experimental_delegates: the accelerator takes no delegate; leave it out "
                          "and choose with device=")
    if threads is not None and (not isinstance(threads, int) or threads < 1):
        raise OptionError(f"num_threads must be an integer of at least 1, not {threads!r}")
    # Other packages' enumerations of this name have the same members.
    if getattr(resolver, "name", None) not in OpResolverType.__members__:
        raise OptionError(f"experimental_op_resolver_type must be an OpResolverType, not "
                          f"{resolver!r}")


def _content(path: str | os.PathLike[str] | None, content: bytes | None) -> tuple[bytes, str]:
    """The file and its name."""
    if path and content:
        raise OptionError("give model_path or model_content, not both")
    if content:
        if not isinstance(content, bytes | bytearray | memoryview):
            raise ArgumentTypeError(f"model_content must be bytes, not {type(content).__name__}")
        return bytes(content), "model_content"
    if not path:
        raise OptionError("give model_path or model_content")
    if not isinstance(path, str | os.PathLike):
        raise ArgumentTypeError(f"model_path must be a path, not {type(path).__name__}")
    return read_model_file(path), os.path.basename(os.fspath(path))


def _open_options(options: Mapping[str, Any], preserved: bool) -> OpenOptions:
    """Those of kaniwa's."""
    own: Any = {name: value for name, value in options.items()
                if name in OpenOptions.__annotations__}
    # Channels that nobody reads are not removed, so that all of each tensor is there.
    kept: OpenOptions = {"materialize": True, "keep_dead_channels": True} if preserved else {}
    return {**own, **kept}
