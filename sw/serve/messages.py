"""Inference requests and their answers, in JSON and with the binary tensor data extension.

The forms are those of the Open Inference Protocol, version 2, "Inference Request JSON Object", and
of its "binary tensor data extension": bytes of tensors behind a JSON object whose length a header
tells.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np

from kaniwa.driver.session import Outputs
from kaniwa.program.program import TensorInfo
from kaniwa.serve.limits import Refused
from kaniwa.serve.model import DATATYPES, VERSION, Model
from kaniwa.serve.tensors import batch_of, check_datatype, from_bytes, from_json, shape_of

__all__ = ["HEADER_LENGTH", "Request", "answer", "outputs_of", "read_request", "request_of"]

HEADER_LENGTH = "inference-header-content-length"
# Parameters that would change the answer, of extensions that are not here.
NOT_HERE = ("sequence_id", "sequence_start", "sequence_end", "classification",
            "shared_memory_region")


@dataclass(frozen=True)
class Request:
    """``inferences``: the arrays of each, by input. ``batch``: where they were, as ``batch_of``.

    ``outputs``: names that are asked for, each with whether its data are to be bytes.
    """

    inferences: list[dict[str, np.ndarray]]
    as_float: bool
    batch: str
    outputs: list[tuple[str, bool]]
    id: str | None


def read_request(body: bytes | bytearray, header_length: str | None, model: Model) -> Request:
    """The inferences that ``body`` asks for. Raises Refused (400) for all that does not fit."""
    length = _header_length(header_length, len(body))
    return request_of(_json(body[:length]), memoryview(body)[length:], model)


def request_of(header: Any, blobs: memoryview, model: Model) -> Request:
    """The inferences that the JSON object ``header`` asks for, with the bytes of its tensors one
    after the other in ``blobs``. Raises Refused (400) for all that does not fit."""
    where = f"model '{model.name}'"
    if not isinstance(header, dict):
        raise Refused(400, "expected a JSON object, found another value")
    parameters = _parameters(header, where)
    entries = _by_name(header.get("inputs"), "input", model.program.inputs, where)
    for tensor in model.program.inputs:
        if tensor.name not in entries:
            raise Refused(400, f"{where}: expected input '{tensor.name}', found "
                               f"{sorted(entries) or 'none'}")
    values, batch = _values(entries, blobs, model, where)
    as_float = _as_float(values, model, where)
    wanted = header.get("outputs")
    asked = (dict.fromkeys((t.name for t in model.program.outputs), {}) if not wanted
             else _by_name(wanted, "output", model.program.outputs, where))
    binary = parameters.get("binary_data_output", False)
    outputs = [(name, _parameters(entry, f"{where}: output '{name}'").get("binary_data", binary)
                is True) for name, entry in asked.items()]
    number = header.get("id")
    if number is not None and not isinstance(number, str):
        raise Refused(400, f"expected id, a string, found {number!r:.80}")
    form, count = batch
    inferences = [{t.name: values[t.name].reshape(count, *t.shape)[n]
                   for t in model.program.inputs} for n in range(count)]
    return Request(inferences, as_float, form, outputs, number)


def answer(request: Request, results: Sequence[Outputs], model: Model) -> tuple[bytes, dict[
        str, str]]:
    """Body and headers of the answer; ``results`` are the outputs of each inference."""
    header, blobs = outputs_of(request, results, model)
    text = json.dumps(header).encode()
    if not blobs:
        return text, {"content-type": "application/json"}
    return b"".join([text, *blobs]), {"content-type": "application/octet-stream",
                                      HEADER_LENGTH: str(len(text))}


def outputs_of(request: Request, results: Sequence[Outputs], model: Model
               ) -> tuple[dict[str, Any], list[bytes]]:
    """The answer's JSON object, and the bytes of each output that is to be bytes."""
    entries: list[dict[str, Any]] = []
    blobs: list[bytes] = []
    for name, binary in request.outputs:
        arrays = [outputs[name] for outputs in results]
        value = (arrays[0] if request.batch == "alone" else np.stack(arrays)
                 if request.batch == "before" else np.concatenate(arrays))
        entry: dict[str, Any] = {"name": name, "datatype": DATATYPES[str(value.dtype)],
                 "shape": list(value.shape)}
        if binary:
            blobs.append(value.astype(value.dtype.newbyteorder("<"), copy=False).tobytes())
            entry["parameters"] = {"binary_data_size": len(blobs[-1])}
        elif value.dtype == np.float32 and not np.isfinite(value).all():
            raise Refused(400, f"model '{model.name}': output '{name}' has values that JSON "
                               "cannot hold, inf or nan: ask for binary data")
        else:
            entry["data"] = value.ravel().tolist()
        entries.append(entry)
    header = {"model_name": model.name, "model_version": VERSION, "outputs": entries}
    if request.id is not None:
        header["id"] = request.id
    return header, blobs


def _header_length(given: str | None, whole: int) -> int:
    if given is None:
        return whole
    if not (given.isascii() and given.isdigit() and len(given) < 20 and int(given) <= whole):
        raise Refused(400, f"expected {HEADER_LENGTH}, at most the body's {whole} bytes, found "
                           f"{given:.80}")
    return int(given)


def _json(data: bytes | bytearray) -> Any:
    def no_constant(name: str) -> NoReturn:
        raise ValueError(f"{name} is no JSON")

    try:
        return json.loads(data, parse_constant=no_constant)
    except (ValueError, RecursionError) as error:     # of bytes that are no UTF-8, too
        raise Refused(400, f"expected JSON, found other text: {error}") from None


def _parameters(entry: dict[str, Any], where: str) -> dict[str, Any]:
    parameters = entry.get("parameters", {})
    if not isinstance(parameters, dict):
        raise Refused(400, f"{where}: expected parameters, an object, found "
                           f"{type(parameters).__name__}")
    for name in NOT_HERE:
        if name in parameters:
            raise Refused(400, f"{where}: parameter '{name}' is of an extension that is not here")
    return parameters


def _by_name(entries: Any, kind: str, tensors: Sequence[TensorInfo],
             where: str) -> dict[str, dict[str, Any]]:
    """The objects of a list of tensors, by name, in their order."""
    known = [tensor.name for tensor in tensors]
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise Refused(400, f"{where}: expected {kind}s, a list of objects, found "
                           f"{type(entries).__name__}")
    found: dict[str, dict[str, Any]] = {}
    for entry in entries:
        name = entry.get("name")
        if not isinstance(name, str) or name not in known:
            raise Refused(400, f"{where}: expected {kind}s of {known}, found {name!r:.80}")
        if name in found:
            raise Refused(400, f"{where}: {kind} '{name}' is there twice")
        found[name] = entry
    return found


def _values(entries: dict[str, dict[str, Any]], blobs: memoryview, model: Model,
            where: str) -> tuple[dict[str, np.ndarray], tuple[str, int]]:
    """Arrays by input as they were sent, and the batch that all of them have."""
    tensors = {tensor.name: tensor for tensor in model.program.inputs}
    values: dict[str, np.ndarray] = {}
    batches: dict[str, tuple[str, int]] = {}
    taken = 0
    for name, entry in entries.items():
        tensor, place = tensors[name], f"{where}: input '{name}'"
        dtype = check_datatype(entry, model, tensor, place)
        shape = shape_of(entry, place)
        batches[name] = batch_of(shape, model, tensor, place)
        size = _parameters(entry, place).get("binary_data_size")
        if size is None:
            values[name] = from_json(entry.get("data"), dtype, shape, place)
            continue
        if type(size) is not int or size < 0 or "data" in entry:
            raise Refused(400, f"{place}: expected data or binary_data_size, a number of bytes")
        values[name] = from_bytes(blobs[taken:taken + size], dtype, shape, place)
        taken += size
    if taken != len(blobs):
        raise Refused(400, f"{where}: expected {taken} bytes behind the JSON object, found "
                           f"{len(blobs)}")
    if len(set(batches.values())) > 1:
        raise Refused(400, f"{where}: expected the same batch in all inputs, found "
                           f"{ {name: count for name, (_, count) in batches.items()} }")
    return values, next(iter(batches.values()), ("alone", 1))


def _as_float(values: dict[str, np.ndarray], model: Model, where: str) -> bool:
    """Whether inputs are real numbers where the model's are quantised: all of them, or none."""
    as_float = [t.name for t in model.program.inputs
                if values[t.name].dtype == np.float32 and t.dtype != "float32"]
    if as_float:
        for name, value in values.items():
            if value.dtype != np.float32:
                raise Refused(400, f"{where}: input '{name}': expected FP32, as '{as_float[0]}' "
                                   f"is, found {DATATYPES[str(value.dtype)]}")
    return bool(as_float)
