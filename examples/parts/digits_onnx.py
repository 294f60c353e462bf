"""From a network in PyTorch to a quantised ONNX file that names digits: for `digits_gru_onnx.py`
and `digits_transformer_onnx.py`."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import torch
from parts.digits import TRAINING, digits, varied_digits
from parts.onnx_file import save_answers, save_quantized
from parts.transformer import accuracy, train
from torch import nn


def learn_digits(what: str, name: str, make: Callable[[], nn.Module], rate: float = 3e-3,
                 kinds: list[str] | None = None) -> None:
    """The command, ``what`` it does: train what ``make`` gives, write the file ``name``, or another
    one, and print how many digits are right. ``kinds``: as in ``save_quantized``."""
    parser = argparse.ArgumentParser(description=what, allow_abbrev=False)
    parser.add_argument("--output", type=Path, default=Path(name))
    parser.add_argument("--epochs", type=int, default=12)
    options = parser.parse_args()
    torch.set_num_threads(1)      # the same file every time
    torch.manual_seed(0)
    x, labels = digits()
    network = make()
    train(network, *varied_digits(x, labels), options.epochs, rate)
    save_quantized(network, x[:256], options.output, kinds)
    correct = save_answers(options.output, x[TRAINING:], labels[TRAINING:])
    in_float = accuracy(network, x[TRAINING:], labels[TRAINING:])
    print(f"{options.output}: right in float32 {in_float:.1%}, quantised {correct:.1%}")
