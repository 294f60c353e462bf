"""Small transformers in PyTorch, and their way to a TFLite file with int8 or int16 throughout.

For `digits_transformer.py` and `keyword_transformer.py`, which say what else to install:

    pip install litert-torch==0.10.0 torch==2.14.1 ai-edge-quantizer==0.10.0 ai-edge-litert==2.3.0

`litert-torch` writes the network as float32 TFLite, `ai-edge-quantizer` quantises that: weights
int8 by output channel, activations int8 or int16 by tensor, ranges from calibration. What the
network is made of is chosen for integers: layer normalisation as its parts, the scale of
attention in the weights of the queries.
"""

from __future__ import annotations

import hashlib
import json
from importlib import metadata
from pathlib import Path

import litert_torch
import numpy as np
import torch
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from ai_edge_quantizer import quantizer, recipe
from torch import nn
from torch.nn import functional

EPSILON = 1e-3      # added to variances


class LayerNorm(nn.Module):
    """Layer normalisation over the last axis; ``affine``: with gain and bias.

    As mean, difference, square, mean, 1 / root and product, which is what the file has then.
    """

    def __init__(self, width: int, affine: bool) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(width)) if affine else None
        self.bias = nn.Parameter(torch.zeros(width)) if affine else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        centered = x - x.mean(-1, keepdim=True)
        variance = (centered * centered).mean(-1, keepdim=True)
        y = centered * torch.rsqrt(variance + EPSILON)
        return y if self.gain is None else y * self.gain + self.bias


class Attention(nn.Module):
    """Self-attention, float32 [batch, tokens, width] to the same.

    There is no product with 1 / sqrt(width of a head): the weights of the queries begin with it.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value, self.out = (nn.Linear(width, width) for _ in range(4))
        self.query.weight.data *= (width // heads) ** -0.5

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, tokens, width = x.shape
        query, key, value = (
            y.reshape(batch, tokens, self.heads, width // self.heads)
            for y in (self.query(x), self.key(x), self.value(x)))
        scores = query.permute(0, 2, 1, 3) @ key.permute(0, 2, 3, 1)
        mixed = functional.softmax(scores, -1) @ value.permute(0, 2, 1, 3)
        return self.out(mixed.permute(0, 2, 1, 3).reshape(batch, tokens, width))


class Block(nn.Module):
    """Attention and two dense layers, each added to its input.

    Normalised before them (``first``), where the layer behind can take the gain and the bias, or
    behind each sum.
    """

    def __init__(self, width: int, heads: int, hidden: int, first: bool,
                 activation: nn.Module) -> None:
        super().__init__()
        self.first = first
        self.norms = nn.ModuleList(LayerNorm(width, affine=not first) for _ in range(2))
        self.attention = Attention(width, heads)
        self.dense = nn.Sequential(nn.Linear(width, hidden), activation, nn.Linear(hidden, width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for norm, part in zip(self.norms, (self.attention, self.dense), strict=True):
            x = x + part(norm(x)) if self.first else norm(x + part(x))
        return x


class Transformer(nn.Module):
    """Maps float32 [batch, height, width, 1] to a score a class [batch, classes].

    Tokens are windows of the map, embedded by a convolution; their places are added, the blocks
    run, and the mean over the tokens is classified.
    """

    def __init__(self, tokens: int, width: int, classes: int, window: tuple[int, int],
                 stride: tuple[int, int], blocks: list[Block]) -> None:
        super().__init__()
        self.embedding = nn.Conv2d(1, width, window, stride)
        self.places = nn.Parameter(0.1 * torch.randn(1, tokens, width))
        self.blocks = nn.Sequential(*blocks)
        self.classes = nn.Linear(width, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        # Channels last, as TFLite has maps: the transpositions of both cancel.
        maps = self.embedding(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        tokens = maps.reshape(x.shape[0], *self.places.shape[1:]) + self.places
        return self.classes(self.blocks(tokens).mean(1))


def train(network: nn.Module, x: np.ndarray, targets: np.ndarray, epochs: int,
          rate: float = 3e-3) -> None:
    """Fit to x float32 [n, ...] and targets float32 [n, classes], in batches of 64."""
    samples, wanted = torch.from_numpy(x), torch.from_numpy(targets)
    steps = len(x) // 64
    optimizer = torch.optim.AdamW(network.parameters(), rate, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, epochs * steps)
    network.train()
    for _ in range(epochs):
        for batch in torch.randperm(len(x))[:64 * steps].reshape(steps, 64):
            likely = functional.log_softmax(network(samples[batch]), 1)
            loss = -(wanted[batch] * likely).sum(1).mean()
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            schedule.step()
    network.eval()


def accuracy(network: nn.Module, x: np.ndarray, labels: np.ndarray) -> float:
    """The share of inputs that it names right."""
    with torch.no_grad():
        return float((network(torch.from_numpy(x)).argmax(1).numpy() == labels).mean())


def save_quantized(network: nn.Module, samples: np.ndarray, path: Path,
                   activations: str = "int8") -> None:
    """Write the network as TFLite with activations of int8 or int16; its ranges are those of
    ``samples``."""
    plain = path.with_suffix(".float.tflite")
    example = torch.from_numpy(samples[:1])
    litert_torch.convert(network.eval(), (), {"x": example}).export(str(plain))
    recipes = {"int8": recipe.static_wi8_ai8, "int16": recipe.static_wi8_ai16}
    tool = quantizer.Quantizer(plain, recipes[activations]())
    ranges: dict[str, dict[str, np.ndarray]] = {}
    for sample in samples:      # together the tool averages the extremes, which cuts them off
        found = tool.calibrate({"serving_default": [{"x": sample[None]}]}, num_threads=1)
        for tensor, seen in found.items():
            known = ranges.setdefault(tensor, seen)
            known["min"] = np.minimum(known["min"], seen["min"])
            known["max"] = np.maximum(known["max"], seen["max"])
    path.write_bytes(tool.quantize(ranges).quantized_model)
    plain.unlink()


def save_answers(path: Path, x: np.ndarray, labels: np.ndarray) -> float:
    """LiteRT's answers for x float32 [n, ...], beside the model; the share that is right.

    inputs/NAME.npz has ``x`` as the model takes it, ``labels`` and ``expected``, the outputs [n,
    classes];
    refs/NAME.npz and .json the first input of each class and two of noise, with the tensors of the
    first and the sha256 of each. Reference kernels (BUILTIN_REF), one thread.
    """
    interpreter = Interpreter(
        str(path), num_threads=1, experimental_preserve_all_tensors=True,
        experimental_op_resolver_type=OpResolverType.BUILTIN_REF)
    interpreter.allocate_tensors()
    (fed,), (read,) = interpreter.get_input_details(), interpreter.get_output_details()

    def answer(sample: np.ndarray) -> np.ndarray:
        interpreter.set_tensor(fed["index"], sample)
        interpreter.invoke()
        return interpreter.get_tensor(read["index"])

    scale, zero_point = fed["quantization"]
    dtype, limits = fed["dtype"], np.iinfo(fed["dtype"])
    inputs = np.clip(np.round(x / scale) + zero_point, limits.min, limits.max).astype(dtype)
    expected = np.concatenate([answer(sample[None]) for sample in inputs])
    rng = np.random.default_rng(0)
    samples = {f"class{c}": inputs[labels == c][:1] for c in range(expected.shape[1])}
    samples |= {f"rand{i}": rng.integers(limits.min, limits.max + 1, fed["shape"], dtype)
                for i in range(2)}
    arrays, tensors = {"samples": np.array(list(samples))}, {}
    for number, sample in enumerate(samples.values()):
        arrays[f"in0_{number}"], arrays[f"out0_{number}"] = sample, answer(sample)
        for tensor in interpreter.get_tensor_details() if number == 0 else ():
            try:
                value = interpreter.get_tensor(tensor["index"])
            except ValueError:      # scratch space of an operator
                continue
            if value.size < 4000:       # not the weights, which the model has
                arrays[f"t{tensor['index']}"] = value
            tensors[tensor["index"]] = {
                "name": tensor["name"], "shape": list(value.shape), "dtype": str(value.dtype),
                "sha256": hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()}
    facts = {"model": path.name, "model_sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
             "reference": f"LiteRT {metadata.version('ai-edge-litert')}, BUILTIN_REF, one thread",
             "samples": list(samples), "intermediates_of": "class0", "tensors": tensors}
    for folder in ("inputs", "refs"):
        (path.parent / folder).mkdir(exist_ok=True)
    np.savez_compressed(path.parent / "inputs" / f"{path.stem}.npz", x=inputs,
                        labels=labels.astype(np.int64), expected=expected)
    np.savez_compressed(path.parent / "refs" / f"{path.stem}.npz", **arrays)
    (path.parent / "refs" / f"{path.stem}.json").write_text(json.dumps(facts, indent=1) + "\n")
    return float((expected.argmax(1) == labels).mean())
