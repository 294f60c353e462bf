"""Signatures: names of inputs and outputs that a TensorFlow Lite model was exported with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from kaniwa.compat.tensor_details import TensorDetails
from kaniwa.errors import InputError
from kaniwa.importers.tflite.text import one_line

__all__ = ["Signature", "SignatureRunner", "read_signatures"]

KEY, NAME = 8, 4      # slots in the tables of a signature and of a tensor's name


@dataclass(frozen=True)
class Signature:
    """Tensor indexes by the names of a signature, in the order of the names."""

    inputs: dict[str, int]
    outputs: dict[str, int]
    subgraph: int


def read_signatures(data: bytes) -> dict[str, Signature]:
    """The signatures of the file with content ``data``, which was imported."""
    import tflite

    model = tflite.Model.GetRootAs(data, 0)
    found = {}
    for table in (model.SignatureDefs(i) for i in range(model.SignatureDefsLength())):
        found[one_line(table, KEY)] = Signature(
            _names(table.InputsLength(), table.Inputs),
            _names(table.OutputsLength(), table.Outputs), int(table.SubgraphIndex()))
    return found


def _names(count: int, read: Callable[[int], Any]) -> dict[str, int]:
    return dict(sorted((one_line(item, NAME), int(item.TensorIndex()))
                       for item in map(read, range(count))))


class Invoked(Protocol):
    """An interpreter, as far as a signature's runner needs it."""

    def allocate_tensors(self) -> None: ...

    def set_tensor(self, tensor_index: int, value: Any) -> None: ...

    def invoke(self) -> None: ...

    def get_tensor(self, tensor_index: int) -> np.ndarray: ...

    def get_tensor_details(self, subgraph_index: int = 0) -> list[TensorDetails]: ...


class SignatureRunner:
    """Runs an interpreter's model with inputs by the names of a signature; made by it."""

    def __init__(self, interpreter: Invoked, signature: Signature) -> None:
        self._interpreter = interpreter
        self._signature = signature

    def __call__(self, **inputs: Any) -> dict[str, np.ndarray]:
        """The outputs by name for ``inputs``, of the model's shapes and dtypes.

        Raises InputError, a ValueError, for a wrong number, name, shape or dtype.
        """
        known = self._signature.inputs
        if len(inputs) != len(known):
            raise InputError(f"expected {len(known)} inputs ({', '.join(known)}), found "
                             f"{len(inputs)}")
        for name in inputs:
            if name not in known:
                raise InputError(f"there is no input '{name}': the signature has "
                                 f"{', '.join(known)}")
        interpreter = self._interpreter
        interpreter.allocate_tensors()
        for name, value in inputs.items():
            interpreter.set_tensor(known[name], value)
        interpreter.invoke()
        return {name: interpreter.get_tensor(i) for name, i in self._signature.outputs.items()}

    def get_input_details(self) -> dict[str, TensorDetails]:
        """The details of the inputs, by name."""
        return self._details(self._signature.inputs)

    def get_output_details(self) -> dict[str, TensorDetails]:
        """The details of the outputs, by name."""
        return self._details(self._signature.outputs)

    def _details(self, names: dict[str, int]) -> dict[str, TensorDetails]:
        every = self._interpreter.get_tensor_details(self._signature.subgraph)
        missing = [name for name, index in names.items() if index >= len(every)]
        if missing:
            raise InputError(f"'{missing[0]}' of the signature is tensor {names[missing[0]]}, but "
                             f"the model has {len(every)}; export it again")
        return {name: every[index] for name, index in names.items()}
