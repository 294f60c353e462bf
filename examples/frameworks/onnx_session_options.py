"""What an ONNX model takes and gives, by a session with options, and its answer to zeros.

    python onnx_session_options.py --model my_model.onnx

A script for ONNX Runtime whose import is changed.
"""

import argparse
from pathlib import Path

import numpy as np

import kaniwa as ort  # was: import onnxruntime as ort

MODELS = Path(__file__).resolve().parents[2] / "models"
DTYPES = {"tensor(float)": np.float32, "tensor(int8)": np.int8, "tensor(uint8)": np.uint8}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default=str(MODELS / "pytorch_shapes_qdq.onnx"))
    args = parser.parse_args()

    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = ort.InferenceSession(Path(args.model).read_bytes(), sess_options=options,
                                   providers=["CPUExecutionProvider"])
    about = session.get_modelmeta()
    print(f"graph {about.graph_name} of {about.producer_name}, run by {session.get_providers()}")

    feed = {}
    for taken in session.get_inputs():
        print(f"takes {taken.name}: {taken.type} {taken.shape}")
        shape = [size if isinstance(size, int) else 1 for size in taken.shape]
        feed[taken.name] = np.zeros(shape, DTYPES[taken.type])
    names = [given.name for given in session.get_outputs()]
    run_options = ort.RunOptions()
    run_options.log_severity_level = 3
    for given, value in zip(session.get_outputs(), session.run(names, feed, run_options),
                            strict=True):
        print(f"gives {given.name}: {given.type} {given.shape}: {np.round(value, 4).tolist()}")


if __name__ == "__main__":
    main()
