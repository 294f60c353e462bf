"""What `kaniwa compile` cannot do: one line that names node, reason and way out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kaniwa import cli
from kaniwa.benchmark.networks.tflite_file import PADDING, ModelBuilder

REQUIRE = "--require-accelerator"
TINY = 'base = "small"\nline_bytes = 256\nmemory_bytes = 0\n'


@dataclass(frozen=True)
class Case:
    """A model, and what the line says: of the ``node``, of the ``reason``, of the ``way`` out."""

    name: str
    model: Callable[[], bytes]
    node: str
    reason: str
    way: str
    arguments: str = ""


def one(kind: str, shape: tuple[int, ...] = (1, 4, 4, 2), dtype: str = "int8", inputs: int = 1,
        y_shape: tuple[int, ...] | None = None, scale: float = 0.5, y: tuple[float, int] = (0.5, 0),
        **options: Any) -> Callable[[], bytes]:
    """A model of one operator 'out' over inputs 'a', 'b'."""
    def build() -> bytes:
        b = ModelBuilder()
        quantized = dtype != "float32"
        ids = [b.tensor("ab"[i], shape, dtype, scale=scale if quantized else (),
                        zero_point=0 if quantized else ()) for i in range(inputs)]
        out = b.tensor("out", y_shape or shape, dtype, scale=y[0] if quantized else (),
                       zero_point=y[1] if quantized else ())
        b.op(kind, ids, [out], **options)
        return b.build(ids, [out])
    return build


def conv(kernel: tuple[int, int] = (3, 3), channels: int = 2, outputs: int = 2, bias: int = 0,
         dtype: str = "int8", **options: Any) -> Callable[[], bytes]:
    """A convolution 'out' of a map of 8 x 8, with random weights."""
    def build() -> bytes:
        b = ModelBuilder()
        x = b.tensor("a", (1, 8, 8, channels), dtype, scale=0.5, zero_point=0)
        w = b.tensor("w", (outputs, *kernel, channels), scale=0.01, zero_point=0,
                     data=np.random.default_rng(0).integers(-99, 99, (outputs, *kernel, channels),
                                                            np.int8))
        c = b.tensor("c", (outputs,), "int32", scale=0.005, zero_point=0,
                     data=np.full(outputs, bias, np.int32))
        out = b.tensor("out", (1, 8, 8, outputs), dtype, scale=0.5, zero_point=0)
        b.op("CONV_2D", [x, w, c], [out], **{"Padding": PADDING["SAME"], "StrideH": 1,
                                             "StrideW": 1, **options})
        return b.build([x], [out])
    return build


def pool(kind: str, padding: str, y_shape: tuple[int, ...]) -> Callable[[], bytes]:
    return one(kind, y_shape=y_shape, Padding=PADDING[padding], StrideH=1, StrideW=1,
               FilterHeight=2, FilterWidth=2)


def chosen_rows() -> bytes:
    """A GATHER whose indices are an input."""
    b = ModelBuilder()
    x = b.tensor("a", (5, 4), scale=0.5, zero_point=0)
    places = b.tensor("b", (2,), "int32")
    out = b.tensor("out", (2, 4), scale=0.5, zero_point=0)
    b.op("GATHER", [x, places], [out])
    return b.build([x, places], [out])


CASES = [
    Case("unknown operator", one("HASHTABLE"), "HASHTABLE 'out'", "not supported",
         "kaniwa operators"),
    Case("custom operator", one("MyOp"), "CUSTOM(MyOp) 'out'", "not supported", "cut the model"),
    Case("dynamic shape", one("RELU", (1, -1, 4, 2)), "'a'", "dynamic", "fixed shapes"),
    Case("huge tensor", one("RELU", (4096, 4096, 4096, 2)), "'a'", "more than", "elements"),
    Case("dtype of four bits", one("RELU", dtype="int4"), "'a'", "INT4", "int8"),
    Case("fused TANH", conv(FusedActivationFunction=4), "CONV_2D 'out'", "TANH", "support"),
    Case("tiny output scale", one("ADD", inputs=2, y=(1e-9, 0)), "ADD 'out'", "1e-09",
         "too small"),
    Case("float", one("ADD", dtype="float32", inputs=2), "ADD 'out'", "float", "int8", REQUIRE),
    Case("int16", one("ADD", dtype="int16", inputs=2, scale=0.3, y=(0.3, 0)), "ADD 'out'",
         "no vector unit, which int16 needs", "quantize the model to int8", REQUIRE),
    Case("padded pooling of int16", one("MAX_POOL_2D", dtype="int16", Padding=PADDING["SAME"],
                                        FilterHeight=2, FilterWidth=2, StrideH=1, StrideW=1),
         "MAX_POOL_2D 'out'", "maximum pooling with padding", "use VALID padding",
         f"{REQUIRE} --target base_vector"),
    Case("root of int16", one("RSQRT", dtype="int16", scale=0.001, y=(0.01, 0)), "RSQRT 'out'",
         "'a' may be negative", "leave it to the host", f"{REQUIRE} --target base_vector"),
    Case("uint8", conv(dtype="uint8"), "CONV_2D 'out'", "uint8", "int8", REQUIRE),
    Case("operator of the host", one("LOG_SOFTMAX", y=(1 / 16, 127)), "LOG_SOFTMAX 'out'",
         "no such operator", "without --require-accelerator", REQUIRE),
    Case("SOFTMAX on base", one("SOFTMAX", y=(1 / 256, -128), Beta=1.0), "SOFTMAX 'out'",
         "no vector unit", "vector_unit = true", REQUIRE),
    Case("padded average of int16", one("AVERAGE_POOL_2D", dtype="int16", Padding=PADDING["SAME"],
                                        FilterHeight=2, FilterWidth=2, StrideH=1, StrideW=1),
         "AVERAGE_POOL_2D 'out'", "average pooling with padding", "VALID",
         f"{REQUIRE} --target base_vector"),
    Case("pooling between scales", one(
        "MAX_POOL_2D", y_shape=(1, 3, 3, 2), y=(0.7, 0), Padding=PADDING["VALID"], StrideH=1,
        StrideW=1, FilterHeight=2, FilterWidth=2), "MAX_POOL_2D 'out'", "scale", "", REQUIRE),
    Case("computed indices", chosen_rows, "GATHER 'out'", "indices 'b' are computed",
         "make them constant", REQUIRE),
    Case("product on nano", one("MUL", inputs=2), "MUL 'out'", "no elementwise multiplier",
         "elementwise_multiply = true", f"{REQUIRE} --target nano"),
    Case("max pooling on nano", pool("MAX_POOL_2D", "VALID", (1, 3, 3, 2)), "MAX_POOL_2D 'out'",
         "no max pooling", "max_pool = true", f"{REQUIRE} --target nano"),
    Case("accumulator beyond int32", conv(bias=(1 << 31) - 1), "CONV_2D 'out'", "beyond int32",
         "reduce its bias", REQUIRE),
    Case("window beyond the line buffer", conv(channels=100), "CONV_2D 'out'", "line buffer",
         "larger buffers", f"{REQUIRE} --outside ideal --target tiny.toml"),
    Case("weights beyond the memory", conv((3, 3), 64, 700), "m.tflite: needs", "KiB",
         "--outside sdram"),
    Case("outside memory of nano", conv(), "'nano'", "no way to outside memory", "leave --outside",
         "--target nano --outside ideal"),
]


def test_what_compile_cannot_do_is_named_in_one_line(
        tmp_path: Path, capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.toml").write_text(TINY)
    rows, wrong = [], []
    for case in CASES:
        (tmp_path / "m.tflite").write_bytes(case.model())
        with pytest.raises(SystemExit) as stopped:
            cli.main(["compile", "m.tflite", *case.arguments.split()])
        captured = capsys.readouterr()
        line = captured.err.strip()
        rows.append(f"{case.name:30} {line}")
        if (stopped.value.code != 1 or captured.out or "\n" in line
                or not all(text in line for text in (case.node, case.reason, case.way))):
            wrong.append(rows[-1])
    with capsys.disabled():
        print(f"\n{len(rows)} things that compile cannot do, and what it says:")
        print("\n".join(rows))
    assert not wrong, "\n".join(wrong)
    assert len(CASES) >= 15
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.tflite", "tiny.toml"]
