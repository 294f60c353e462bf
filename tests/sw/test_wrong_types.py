"""The public names given a value of a wrong Python type: one line that names the argument."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

import kaniwa
from kaniwa.compression.low_rank import factor_dense
from kaniwa.compression.masks import block_mask, magnitude_mask
from kaniwa.compression.search import search
from kaniwa.compression.sharing import share_weights
from kaniwa.config import load_target
from kaniwa.pool.stages import split
from kaniwa.quantization.quantize import quantize

MODEL = str(Path(__file__).parents[2] / "models" / "tflm_micro_speech.tflite")
SAMPLE = [np.zeros((1, 1960), np.int8)]

CALLS = {
    "compile a number": lambda p: kaniwa.compile(5),
    "compile None": lambda p: kaniwa.compile(None),
    "compile bytes": lambda p: kaniwa.compile(b"model"),
    "compile a program": lambda p: kaniwa.compile(p),
    "target None": lambda p: kaniwa.compile(MODEL, target=None),
    "target a number": lambda p: kaniwa.compile(MODEL, target=5),
    "target a list": lambda p: load_target(["base"]),
    "outside a number": lambda p: kaniwa.compile(MODEL, outside=5),
    "outside True": lambda p: kaniwa.compile(MODEL, outside=True),
    "behind a program": lambda p: kaniwa.compile(MODEL, behind=p),
    "behind a path": lambda p: kaniwa.compile(MODEL, behind=[MODEL]),
    "behind None": lambda p: kaniwa.compile(MODEL, behind=None),
    "progress a number": lambda p: kaniwa.compile(MODEL, progress=5),
    "open a number": lambda p: kaniwa.open(5),
    "open None": lambda p: kaniwa.open(None),
    "open with a target of a number": lambda p: kaniwa.open("emulator", target=5),
    "open with outside of a number": lambda p: kaniwa.open("emulator", outside=5),
    "open_cores of a number": lambda p: kaniwa.open_cores(5),
    "estimate a path": lambda p: kaniwa.estimate(MODEL),
    "save a path": lambda p: kaniwa.save_program(MODEL, "out.kaniwa"),
    "save to a number": lambda p: kaniwa.save_program(p, 5),
    "load a number": lambda p: kaniwa.load_program(5),
    "load None": lambda p: kaniwa.load_program(None),
    "session of a path": lambda p: kaniwa.Session(MODEL, kaniwa.open("emulator")),
    "session on a name": lambda p: kaniwa.Session(p, "emulator"),
    "run a number": lambda p: kaniwa.Session(p, kaniwa.open("emulator")).run(5),
    "run None": lambda p: kaniwa.Session(p, kaniwa.open("emulator")).run(None),
    "run text": lambda p: kaniwa.Session(p, kaniwa.open("emulator")).run(["text"]),
    "run numbered": lambda p: kaniwa.Session(p, kaniwa.open("emulator")).run({0: SAMPLE[0]}),
    "map a number": lambda p: list(kaniwa.Session(p, kaniwa.open("emulator")).map(5)),
    "pool of a number": lambda p: kaniwa.Pool(5, p),
    "pool of numbers": lambda p: kaniwa.Pool([5], p),
    "pool of a path": lambda p: kaniwa.Pool(["emulator"], MODEL),
    "pool of a program of a number": lambda p: kaniwa.Pool(["emulator"], [5]),
    "pool of no program": lambda p: kaniwa.Pool(["emulator"], None),
    "pool's clock a text": lambda p: kaniwa.Pool(["emulator"], p, clock_mhz="fast"),
    "pool's map of a number": lambda p: list(kaniwa.Pool(["emulator"], p).map(5)),
    "pool's program a text": lambda p: kaniwa.Pool(["emulator"], p).submit(SAMPLE, program="a"),
    "pipeline of a program": lambda p: kaniwa.Pipeline(["emulator"], p),
    "pipeline of paths": lambda p: kaniwa.Pipeline(["emulator"], [MODEL]),
    "pipeline on a number": lambda p: kaniwa.Pipeline(5, [p]),
    "pipeline with a number as inputs": lambda p: kaniwa.Pipeline(["emulator"], [p], inputs=5),
    "pipeline's map of a number": lambda p: list(kaniwa.Pipeline(["emulator"], [p]).map(5)),
    "split a program": lambda p: split(p, 2, p.config),
    "split by a text": lambda p: split(p.graph, "two", p.config),
    "evaluate a number": lambda p: kaniwa.evaluate(5, (SAMPLE[0], np.zeros(1, int))),
    "evaluate over a number": lambda p: kaniwa.evaluate(p, 5),
    "evaluate with a text as top": lambda p: kaniwa.evaluate(
        p, (SAMPLE[0], np.zeros(1, int)), top="1"),
    "evaluate with a text as limit": lambda p: kaniwa.evaluate(
        p, (SAMPLE[0], np.zeros(1, int)), limit="all"),
    "config with a text": lambda p: dataclasses.replace(p.config, out_lanes="8"),
    "config with None": lambda p: kaniwa.AcceleratorConfig(dot_width=None),
    "interpreter of a number": lambda p: kaniwa.lite.Interpreter(5),
    "onnx session of a number": lambda p: kaniwa.InferenceSession(5),
    "space with a number": lambda p: search({"a": 5}, print, 3, least_accuracy=0.5),
    "space a list": lambda p: search(["a"], print, 3, least_accuracy=0.5),
    "space with lists of lists": lambda p: search({"a": [[1], [2]]}, print, 3, least_accuracy=0.5),
    "search without a function": lambda p: search({"a": [1, 2]}, 5, 3, least_accuracy=0.5),
    "known a number": lambda p: search({"a": [1, 2]}, print, 3, least_accuracy=0.5, known=5),
    "weights a text": lambda p: magnitude_mask("weights", 0.5),
    "weights None": lambda p: factor_dense(None, rank=1),
    "rank a text": lambda p: factor_dense(np.ones((2, 2)), rank="1"),
    "energy a text": lambda p: factor_dense(np.ones((2, 2)), energy="x"),
    "entries a float": lambda p: share_weights(np.ones(4), 2.5),
    "block of a number": lambda p: block_mask(np.ones((4, 4)), 0.5, 5),
    "quantize a number": lambda p: quantize(5, "samples.npz"),
    "quantize with a number": lambda p: quantize("model.tflite", 5),
    "quantize compared with a text": lambda p: quantize("model.tflite", "s.npz", compared="all"),
}


@pytest.fixture(scope="module")
def program():
    return kaniwa.compile(MODEL)


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_wrong_type_ends_in_one_line(call, program, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(kaniwa.Error) as caught:
        call(program)
    assert "\n" not in str(caught.value)
