"""Epochs of training, the same ones each time: batches, rates and noise follow from the seed."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from kaniwa.compression.arguments import share, whole_number
from kaniwa.errors import InputError
from kaniwa.extras import needed

with needed("compression of PyTorch modules", "compress"):
    import torch
    from torch import nn
    from torch.nn import functional

__all__ = ["Data", "Settings", "accuracy", "epoch", "optimizer_of"]

AT_ONCE = 512     # samples that are evaluated together


@dataclass(frozen=True)
class Data:
    """Samples to learn from: ``x`` float32 [n, ...], ``labels`` integers [n], numbers of classes.

    Raises InputError for others.
    """

    x: np.ndarray
    labels: np.ndarray

    def __post_init__(self) -> None:
        x, labels = np.asarray(self.x), np.asarray(self.labels)
        if x.dtype.kind not in "fiu" or x.ndim < 2 or not len(x) or not np.isfinite(x).all():
            raise InputError("data: expected finite samples [n, ...], one at least, found "
                             f"{x.dtype} of shape {list(x.shape)}")
        if labels.dtype.kind not in "iu" or labels.shape != x.shape[:1] or labels.min() < 0:
            raise InputError(f"data: expected {len(x)} labels, whole numbers from 0 on, found "
                             f"{labels.dtype} of shape {list(labels.shape)}")
        object.__setattr__(self, "x", np.ascontiguousarray(x, np.float32))
        object.__setattr__(self, "labels", labels.astype(np.int64))


@dataclass(frozen=True)
class Settings:
    """How all epochs of a recipe are trained: Adam, the rate falling to 0 over a step's epochs.

    ``distillation`` 0..1: the weight of the answers of the uncompressed module, softened by
    ``temperature``, beside that of the labels (Hinton et al., "Distilling the knowledge in a neural
    network", 2015). Raises InputError for wrong values.
    """

    rate: float = 1e-3
    batch: int = 64
    distillation: float = 0.5
    temperature: float = 4.0
    seed: int = 0

    def __post_init__(self) -> None:
        share("distillation", self.distillation)
        whole_number("batch", self.batch, 1)
        whole_number("seed", self.seed, 0)
        for what, value in (("rate", self.rate), ("temperature", self.temperature)):
            if not (isinstance(value, int | float) and math.isfinite(value) and value > 0):
                raise InputError(f"{what}: expected a number above 0, found {value!r}")


def optimizer_of(module: nn.Module, settings: Settings) -> torch.optim.Optimizer:
    """A new optimizer of all that ``module`` trains."""
    return torch.optim.Adam(module.parameters(), settings.rate)


def epoch(module: nn.Module, teacher: nn.Module, data: Data, settings: Settings,
          optimizer: torch.optim.Optimizer, place: tuple[int, int, int]) -> float:
    """One epoch; the mean loss. ``place``: numbers of step and epoch, and epochs of the step.

    The caller's own random numbers stay as they were.
    """
    step, number, count = place
    seeds = np.random.SeedSequence([settings.seed, step, number]).generate_state(2)
    order = np.random.default_rng(int(seeds[0])).permutation(len(data.x))
    batches = [order[i:i + settings.batch] for i in range(0, len(order), settings.batch)]
    if len(batches) > 1 and len(batches[-1]) == 1:    # a batch of one has no variance
        batches.pop()
    total = 0.0
    module.train()
    teacher.eval()
    with torch.random.fork_rng(), torch.enable_grad():
        torch.manual_seed(int(seeds[1]))
        for done, batch in enumerate(batches):
            part = (number + done / len(batches)) / count
            for group in optimizer.param_groups:
                group["lr"] = settings.rate * 0.5 * (1 + math.cos(math.pi * part))
            x, labels = torch.from_numpy(data.x[batch]), torch.from_numpy(data.labels[batch])
            loss = _loss(module(x), teacher, x, labels, settings)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += float(loss.detach()) * len(batch)
    module.eval()
    return total / sum(map(len, batches))


def _loss(scores: torch.Tensor, teacher: nn.Module, x: torch.Tensor, labels: torch.Tensor,
          settings: Settings) -> torch.Tensor:
    """Cross entropy with the labels, and divergence from the teacher's softened answers."""
    part, heat = settings.distillation, settings.temperature
    loss = (1 - part) * functional.cross_entropy(scores, labels)
    if part:
        with torch.no_grad():
            wanted = functional.log_softmax(teacher(x) / heat, 1)
        # Gradients of softened answers are smaller by the temperature's square.
        loss = loss + part * heat * heat * functional.kl_div(
            functional.log_softmax(scores / heat, 1), wanted, reduction="batchmean",
            log_target=True)
    return loss


def accuracy(module: nn.Module, data: Data) -> float:
    """The share of samples whose label has the largest score; the module is evaluated as it is."""
    was_training = module.training
    module.eval()
    right = 0
    with torch.no_grad():
        for i in range(0, len(data.x), AT_ONCE):
            answers = module(torch.from_numpy(data.x[i:i + AT_ONCE])).argmax(1).numpy()
            right += int((answers == data.labels[i:i + AT_ONCE]).sum())
    module.train(was_training)
    return right / len(data.x)
