"""MediaPipe's transposed convolution with a bias, as TFLite's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kaniwa import golden
from kaniwa.benchmark.networks.tflite_file import PADDING, ModelBuilder
from kaniwa.compiler.pipeline import compile
from kaniwa.driver import devices
from kaniwa.driver.session import Session
from kaniwa.errors import ModelError
from kaniwa.importers import load_model
from kaniwa.quantization.custom_operators import OPTIONS, TRANSPOSE_CONV_BIAS, as_builtin
from kaniwa.quantization.quantize import quantize
from kaniwa.quantization.tidied import packed

pytest.importorskip("ai_edge_litert")

from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

SHAPE = (1, 5, 6, 3)


def _builtin() -> bytes:
    """TRANSPOSE_CONV with a bias, [1, 5, 6, 3] to [1, 10, 18, 4]."""
    rng, b = np.random.default_rng(3), ModelBuilder()

    def constant(name: str, values: np.ndarray) -> int:
        return b.tensor(name, values.shape, str(values.dtype), data=values)

    x = b.tensor("x", SHAPE, "float32")
    y = b.tensor("y", (1, 10, 18, 4), "float32")
    b.op("TRANSPOSE_CONV", (constant("shape", np.array([1, 10, 18, 4], np.int32)),
                            constant("weights", rng.normal(size=(4, 3, 3, 3)).astype(np.float32)),
                            x, constant("bias", rng.normal(size=4).astype(np.float32))), (y,),
         Padding=PADDING["SAME"], StrideH=2, StrideW=3)
    return b.build((x,), (y,))


def _custom(content: bytes, options: bytes | None = None, operands: int = 3,
            behind: bool = False) -> bytes:
    """The same, as MediaPipe's operator; ``behind`` the flatbuffer are its weights."""
    model: Any = schema.ModelT.InitFromPackedBuf(content, 0)
    (operator,), (code,) = model.subgraphs[0].operators, model.operatorCodes
    code.builtinCode, code.customCode = schema.BuiltinOperator.CUSTOM, TRANSPOSE_CONV_BIAS
    code.deprecatedBuiltinCode = schema.BuiltinOperator.CUSTOM
    _, weights, x, bias = operator.inputs
    operator.inputs = [x, weights, bias][:operands]
    operator.builtinOptions, operator.builtinOptionsType = None, 0
    raw = OPTIONS.pack(1, 3, 2) if options is None else options
    operator.customOptions = np.frombuffer(raw, np.uint8)
    if not behind:
        return packed(model)
    buffer = model.buffers[model.subgraphs[0].tensors[weights].buffer]
    data, buffer.data = bytes(buffer.data), None
    buffer.offset, buffer.size = 2, len(data)      # to begin with: the file is as long with another
    buffer.offset = len(packed(model))
    return packed(model) + data


def _run(content: bytes, x: np.ndarray) -> np.ndarray:
    interpreter = Interpreter(model_content=content)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], x)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


def test_a_file_without_the_operator_is_the_same() -> None:
    assert as_builtin(_builtin(), "m.tflite") == _builtin()


@pytest.mark.parametrize("behind", [False, True])
def test_its_results_are_those_of_the_builtin_operator(behind: bool) -> None:
    x = np.random.default_rng(1).normal(size=SHAPE).astype(np.float32)
    made = as_builtin(_custom(_builtin(), behind=behind), "m.tflite")
    np.testing.assert_array_equal(_run(made, x), _run(_builtin(), x))


def test_it_is_quantised_and_runs(tmp_path: Path) -> None:
    (tmp_path / "m.tflite").write_bytes(_custom(_builtin()))
    samples = np.random.default_rng(2).normal(size=(4, *SHAPE)).astype(np.float32)
    np.savez(tmp_path / "c.npz", x=samples)
    outcome = quantize(tmp_path / "m.tflite", tmp_path / "c.npz")
    (tmp_path / "q.tflite").write_bytes(outcome.data)
    graph = load_model(tmp_path / "q.tflite")
    program = compile(graph, "base")
    x = np.random.default_rng(4).integers(-128, 128, SHAPE).astype(np.int8)
    with devices.open("emulator", "base") as device:
        (got,) = Session(program, device).run([x]).values()
    np.testing.assert_array_equal(got, golden.run(graph, [x])[graph.outputs[0]])


@pytest.mark.parametrize("changed", [
    {"options": b""}, {"options": OPTIONS.pack(0, 3, 2)}, {"options": OPTIONS.pack(1, 0, 2)},
    {"operands": 2}])
def test_what_it_cannot_be_is_named(changed: dict[str, Any]) -> None:
    with pytest.raises(ModelError, match="^m.tflite: 'y' is no Convolution2DTransposeBias of "
                                         "three operands"):
        as_builtin(_custom(_builtin(), **changed), "m.tflite")


def test_a_broken_file_is_left_to_litert_or_named() -> None:
    """Cut off, with the operator's name behind what is left, or with a wrong byte anywhere."""
    whole, rng, left = _custom(_builtin()), np.random.default_rng(5), 0
    broken = [whole[:size] + TRANSPOSE_CONV_BIAS for size in range(8, len(whole), 29)]
    for _ in range(300):
        wrong = bytearray(whole)
        wrong[rng.integers(4, len(whole))] = rng.integers(256)
        broken.append(bytes(wrong))
    for content in broken:
        try:
            left += as_builtin(content, "m.tflite") == content
        except ModelError as error:
            assert str(error).startswith("m.tflite: ")
    assert left > 10
