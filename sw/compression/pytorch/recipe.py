"""Recipes: steps one after the other, with training behind each, that go on where they stopped."""

from __future__ import annotations

import copy
import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from kaniwa.compression.pytorch.checkpoint import load_checkpoint, save_checkpoint
from kaniwa.compression.pytorch.steps import Step
from kaniwa.compression.pytorch.training import Data, Settings, epoch, optimizer_of
from kaniwa.errors import InputError
from kaniwa.extras import needed
from kaniwa.quantization.recipe import Progress
from kaniwa.stage import Stage

with needed("compression of PyTorch modules", "compress"):
    import torch
    from torch import nn

__all__ = ["Recipe", "compress"]

After = Callable[[nn.Module, int, Step], None]


@dataclass(frozen=True)
class Recipe:
    """``steps`` in their order, and the ``settings`` of the training behind each.

    Channel pruning and low rank come before what holds weights: masks, sharing, quantisation.
    """

    steps: tuple[Step, ...]
    settings: Settings = Settings()

    def __post_init__(self) -> None:
        if not self.steps or not all(isinstance(step, Step) for step in self.steps):
            raise InputError("recipe: expected a tuple of steps of kaniwa.compression.pytorch."
                             f"steps, one at least, found {self.steps!r}")

    def facts(self) -> dict[str, Any]:
        """Plain values that say all of it, for JSON."""
        return {"steps": [{"step": type(step).__name__, **asdict(step)} for step in self.steps],
                "settings": asdict(self.settings)}


def compress(module: nn.Module, recipe: Recipe, data: Data, *,
             checkpoint: str | os.PathLike[str] | None = None,
             progress: Progress = lambda text: None,
             after: After = lambda module, number, step: None) -> nn.Module:
    """A copy of ``module``, on the CPU, that the recipe's steps have changed, trained on ``data``.

    ``module`` itself stays as it is, and is what distillation learns from. ``checkpoint`` names a
    file that is written after every epoch; where it is there, all goes on behind that epoch, with
    the same result to the bit. ``progress`` is called with a Stage. ``after`` is called with the
    copy behind each step's training, also for steps that a checkpoint has done; it may not change
    the copy.

    Raises InputError for data that do not fit the module, for a checkpoint of another recipe,
    module or data, and what steps raise.
    """
    _check(module, data)
    fingerprint = _fingerprint(module, recipe, data)
    saved = load_checkpoint(checkpoint, fingerprint) if checkpoint is not None else None
    teacher, work = (copy.deepcopy(module).cpu().eval() for _ in range(2))
    before: list[dict[str, Any]] = []
    total = sum(step.epochs for step in recipe.steps)
    done = 0
    for number, step in enumerate(recipe.steps):
        if saved and number <= saved["step"]:
            work.load_state_dict(saved["before"][number])
        before.append(copy.deepcopy(work.state_dict()))
        step.apply(work)
        work.eval()
        first = 0
        optimizer = optimizer_of(work, recipe.settings)
        if saved and number < saved["step"]:
            work.load_state_dict(saved["before"][number + 1])
            first = step.epochs
        elif saved and number == saved["step"]:
            work.load_state_dict(saved["state"])
            optimizer.load_state_dict(saved["optimizer"])
            first = saved["epoch"] + 1
        for at in range(first, step.epochs):
            progress(Stage(f"{type(step).__name__}, epoch {at + 1} of {step.epochs}", done + at,
                           total, "epochs"))
            epoch(work, teacher, data, recipe.settings, optimizer, (number, at, step.epochs))
            if checkpoint is not None:
                save_checkpoint(Path(checkpoint), {
                    "fingerprint": fingerprint, "step": number, "epoch": at, "before": before,
                    "state": work.state_dict(), "optimizer": optimizer.state_dict()})
        done += step.epochs
        after(work, number, step)
    return work


def _check(module: nn.Module, data: Data) -> None:
    """Raises InputError where ``module`` does not take the samples or lacks a class."""
    tried = copy.deepcopy(module).cpu().eval()
    try:
        with torch.no_grad():
            scores = tried(torch.from_numpy(data.x[:1]))
    except (RuntimeError, ValueError, TypeError) as error:
        raise InputError(f"data: samples {list(data.x.shape[1:])} do not fit the module: "
                         f"{str(error).strip().splitlines()[0]}") from None
    if scores.dim() != 2 or scores.shape[1] <= data.labels.max():
        raise InputError(f"data: labels go up to {data.labels.max()}, but the module's scores are "
                         f"{list(scores.shape)}: expected [n, classes]")


def _fingerprint(module: nn.Module, recipe: Recipe, data: Data) -> str:
    """What a checkpoint is of: recipe, weights to begin with, samples, version of PyTorch."""
    digest = hashlib.sha256(json.dumps([recipe.facts(), torch.__version__, str(module)],
                                       sort_keys=True).encode())
    for name, tensor in module.state_dict().items():
        digest.update(name.encode() + tensor.detach().cpu().numpy().tobytes())
    for array in (data.x, data.labels):
        digest.update(repr(array.shape).encode() + array.tobytes())
    return digest.hexdigest()
