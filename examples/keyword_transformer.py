"""A keyword transformer for ten words, "unknown" and silence, as an int8 TFLite file.

    pip install litert-torch==0.10.0 torch==2.14.1 ai-edge-quantizer==0.10.0 ai-edge-litert==2.3.0
    python examples/keyword_transformer.py --output models/keyword_transformer.tflite

Two blocks of 64 channels and 4 heads over 24 windows of 3 frames, 40 ms apart, normalised behind
each sum, GELU. Features and classes are those of MLPerf Tiny's keyword spotting: 49 frames of 10
coefficients, which `kaniwa run --wav` makes of a recording. It learns 800 of MLPerf Tiny's 1,000
test clips (Speech Commands v2, CC BY 4.0; features by MLCommons and EEMBC), each stretched,
moved, mixed and masked many times and named by MLPerf Tiny's own network, and is tried on the
other 200. Beside the model go `refs/` (tensors of LiteRT's reference kernels)
and `inputs/NAME.npz`: the 200 test clips, their labels, and LiteRT's answers.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import _needs  # noqa: F401
import numpy as np
import torch
from ai_edge_litert.interpreter import Interpreter
from parts.litert_file import save_answers, save_quantized
from parts.transformer import Block, Transformer, accuracy, train
from torch import nn

MODELS = Path(__file__).parent.parent / "models"
TRAINING = 800      # the clips before are to learn from
FRAMES = 49
BATCH = 256


class Teacher:
    """MLPerf Tiny's keyword network: int8 features [256, 49, 10, 1] to likelihoods [256, 12]."""

    def __init__(self) -> None:
        self.interpreter = Interpreter(str(MODELS / "mlperf_kws_dscnn.tflite"), num_threads=1)
        (self.input,) = self.interpreter.get_input_details()
        (self.output,) = self.interpreter.get_output_details()
        self.interpreter.resize_tensor_input(self.input["index"], [BATCH, *self.input["shape"][1:]])
        self.interpreter.allocate_tensors()
        self.scale, self.zero_point = self.input["quantization"]

    def real(self, features: np.ndarray) -> np.ndarray:
        """int8 features as float32."""
        return ((features.astype(np.float32) - self.zero_point) * self.scale).astype(np.float32)

    def name(self, features: np.ndarray) -> np.ndarray:
        """Likelihoods of float32 features."""
        integers = np.clip(np.round(features / self.scale) + self.zero_point, -128, 127)
        self.interpreter.set_tensor(self.input["index"], integers.astype(np.int8))
        self.interpreter.invoke()
        scale, zero_point = self.output["quantization"]
        likely = self.interpreter.get_tensor(self.output["index"]).astype(np.float32)
        return (likely - zero_point) * scale


def varied(clips: np.ndarray, deviation: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """256 clips float32 [256, 49, 10, 1] made from those of [n, 49, 10, 1]."""
    made = np.empty((BATCH, *clips.shape[1:]), np.float32)
    for k, chosen in enumerate(rng.integers(0, len(clips), BATCH)):
        # Faster or slower, earlier or later.
        place = (np.arange(FRAMES) - 24) * rng.uniform(0.85, 1.15) + 24 + rng.integers(-6, 7)
        place = np.clip(place, 0, FRAMES - 1)
        low = np.minimum(place.astype(int), FRAMES - 2)
        part = (place - low)[:, None]
        clip = clips[chosen, low, :, 0] * (1 - part) + clips[chosen, low + 1, :, 0] * part
        # Another microphone, noise, loudness.
        clip += rng.normal(0, 0.12, 10) * deviation
        clip += rng.normal(0, 1, clip.shape) * deviation * rng.uniform(0, 0.25)
        clip[:, 0] += rng.normal(0, 6)
        if rng.random() < 0.3:      # another clip in the background
            share = rng.uniform(0, 0.4)
            clip = (1 - share) * clip + share * clips[rng.integers(len(clips)), :, :, 0]
        if rng.random() < 0.4:      # a gap
            start = rng.integers(0, 44)
            clip[start:start + rng.integers(1, 6)] = clips.mean((0, 1, 3))
        made[k, :, :, 0] = clip
    return made


def lessons(clips: np.ndarray, labels: np.ndarray, teacher: Teacher,
            batches: int) -> tuple[np.ndarray, np.ndarray]:
    """Clips and what they are: varied ones as the teacher names them, and the clips themselves."""
    rng = np.random.default_rng(0)
    made = [varied(clips, clips.std((0, 1, 3)), rng) for _ in range(batches)]
    named = [teacher.name(batch) for batch in made]
    return (np.concatenate([clips, *made]),
            np.concatenate([np.eye(12, dtype=np.float32)[labels], *named]))


def fold_scale(embedding: nn.Conv2d, mean: np.ndarray, deviation: np.ndarray) -> None:
    """Let weights for (x - mean) / deviation, of the 10 coefficients, take x."""
    with torch.no_grad():
        embedding.weight /= torch.from_numpy(deviation)
        embedding.bias -= (embedding.weight * torch.from_numpy(mean)).sum((1, 2, 3))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--output", type=Path, default=Path("keyword_transformer.tflite"))
    parser.add_argument("--data", type=Path, default=MODELS / "inputs" / "kws01_1000.npz")
    parser.add_argument("--batches", type=int, default=300, help="of 256 clips to learn from")
    parser.add_argument("--epochs", type=int, default=8)
    options = parser.parse_args()
    torch.set_num_threads(1)      # the same file every time
    torch.manual_seed(0)
    teacher = Teacher()
    with np.load(options.data) as data:
        clips, labels = teacher.real(data["x"]), data["y"]
    learned = clips[:TRAINING]
    mean, deviation = learned.mean((0, 1, 3)), learned.std((0, 1, 3))
    x, targets = lessons(learned, labels[:TRAINING], teacher, options.batches)
    network = Transformer(24, 64, 12, (3, 10), (2, 1), [
        Block(64, 4, 128, first=False, activation=nn.GELU()) for _ in range(2)])
    train(network, (x - mean[:, None]) / deviation[:, None], targets, options.epochs)
    fold_scale(network.embedding, mean, deviation)
    save_quantized(network, learned[::4], options.output)
    correct = save_answers(options.output, clips[TRAINING:], labels[TRAINING:])
    in_float = accuracy(network, clips[TRAINING:], labels[TRAINING:])
    print(f"{options.output}: right in float32 {in_float:.1%}, in int8 {correct:.1%}")


if __name__ == "__main__":
    main()
