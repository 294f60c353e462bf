"""A user's script that names all of kaniwa's public API: type checkers take it, nobody runs it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

import kaniwa
import kaniwa.lite as tflite
from kaniwa import InferenceSession, evaluate, lite
from kaniwa.lite import Interpreter, OpResolverType, SignatureRunner, TensorDetails


def compiled(path: Path, version: str = kaniwa.__version__) -> kaniwa.Program:
    config = kaniwa.AcceleratorConfig(dot_width=8, out_lanes=8)
    program = kaniwa.compile(path, target=config, outside="sdram", progress=print)
    kaniwa.save_program(program, "model.kaniwa")
    cycles: int = kaniwa.estimate(kaniwa.load_program("model.kaniwa")).cycles
    print(cycles, program.macs, [tensor.shape for tensor in program.inputs])
    return program


def on_a_device(program: kaniwa.Program, values: npt.NDArray[np.int8]) -> np.ndarray:
    with kaniwa.open("emulator", target=program.config) as device:
        session = kaniwa.Session(program, device)
        outputs = session.run({"x": values})
        for more in session.map([[values], [values]]):
            print(more["y"].sum())
        if session.stats is not None:
            print(session.stats.cycles, session.stats.utilization)
        return outputs["y"]


def on_cores(program: kaniwa.Program) -> int:
    return sum(kaniwa.Session(program, core).program.macs
               for core in kaniwa.open_cores("sim:ulx3s_85f?cores=2", "half"))


def interpreted(path: str) -> np.ndarray:
    interpreter = Interpreter(model_path=path, num_threads=2, target="base", device="golden",
                              experimental_op_resolver_type=OpResolverType.BUILTIN_REF)
    interpreter.allocate_tensors()
    details: list[TensorDetails] = interpreter.get_input_details()
    index: int = details[0]["index"]
    scale, zero_point = details[0]["quantization"]
    scales: np.ndarray = details[0]["quantization_parameters"]["scales"]
    interpreter.set_tensor(index, np.zeros(details[0]["shape"], details[0]["dtype"]))
    interpreter.tensor(index)()[...] = np.int8(scale + zero_point + scales[0])
    interpreter.resize_tensor_input(index, [1, 2])
    interpreter.invoke()
    interpreter.reset_all_variables()
    for key, names in interpreter.get_signature_list().items():
        runner: SignatureRunner = interpreter.get_signature_runner(key)
        result: dict[str, np.ndarray] = runner(**{names["inputs"][0]: np.zeros(3)})
        print(result, runner.get_input_details(), runner.get_output_details())
    if interpreter.statistics is not None:
        print(interpreter.statistics.cycles)
    interpreter.close()
    again = tflite.Interpreter(model_content=b"", experimental_preserve_all_tensors=True)
    return again.get_tensor(lite.Interpreter("a").get_output_details()[0]["index"])


def inferred(path: Path) -> list[np.ndarray]:
    options = kaniwa.SessionOptions()
    options.graph_optimization_level = kaniwa.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.execution_mode = kaniwa.ExecutionMode.ORT_SEQUENTIAL
    kaniwa.set_default_logger_severity(3)
    print(kaniwa.get_available_providers(), kaniwa.get_device())
    session = InferenceSession(path, options, providers=["CPUExecutionProvider", (
        "KaniwaExecutionProvider", {"target": "small"})], device="emulator")
    argument: kaniwa.NodeArg = session.get_inputs()[0]
    about: kaniwa.ModelMetadata = session.get_modelmeta()
    print(argument.name, argument.type, argument.shape, about.producer_name)
    with session as opened:
        return opened.run([given.name for given in session.get_outputs()],
                          {argument.name: np.zeros(3)}, kaniwa.RunOptions())


def evaluated(path: Path, x: np.ndarray, y: np.ndarray) -> float:
    found: kaniwa.Evaluation = evaluate(path, (x, y), top=(1, 5), limit=10, device="golden",
                                        prepare=lambda array: array / 2)
    print(found.top[5], found.confusion.sum(), found.cycles)
    return kaniwa.evaluate(path, zip(x, y, strict=True)).accuracy


def on_several_devices(first: kaniwa.Program, second: kaniwa.Program, x: np.ndarray) -> float:
    with kaniwa.Pool(["emulator", kaniwa.open("emulator")], first) as pool:
        outputs: dict[str, np.ndarray] = next(pool.map([[x]]))
        print(outputs, pool.stats[0].lost, pool.submit([x]).result())
    with kaniwa.Pipeline(["emulator"] * 2, [first, second], clock_mhz=80) as line:
        print([given[line.outputs[0]].shape for given in line.map([{line.inputs[0]: x}])])
    return pool.seconds + line.seconds


def refused(path: Path) -> str:
    try:
        compiled(path)
    except kaniwa.MemoryTooSmallError as error:
        return f"{error.needed_bytes + 1}"
    except (kaniwa.ConfigError, kaniwa.ModelError, kaniwa.UnsupportedError, kaniwa.CompileError,
            kaniwa.ProgramError, kaniwa.DeviceError, kaniwa.InputError, kaniwa.BuildError) as error:
        return str(error)
    except kaniwa.Error as error:
        return str(error)
    return ""
