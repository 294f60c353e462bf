"""Channel pruning by what the next layer loses, with that layer fitted anew.

Of the channels that a layer reads, those stay from which its sums can be made again by least
squares; one after the other goes whose loss costs least (as in Hassibi and Stork, "Second order
derivatives for network pruning: optimal brain surgeon", 1993). Then the layer gets the weights of
that fit (He et al., "Channel pruning for accelerating very deep neural networks", ICCV 2017). It
takes samples, but neither labels nor training.
"""

from __future__ import annotations

import copy
from dataclasses import InitVar, dataclass

import numpy as np
import torch
from torch import nn

from kaniwa.compression.pytorch.channels import channel_groups, remove_channels
from kaniwa.compression.pytorch.steps import Step

AT_ONCE = 500
RIDGE = 1e-6     # of the mean square: what keeps a fit from dividing by nothing

Seen = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class OnSamples(Step):
    """A step that judges by ``samples``. They are no field, since a recipe's fields are JSON."""

    samples: InitVar[np.ndarray | None] = None

    def __post_init__(self, samples: np.ndarray | None) -> None:
        super().__post_init__()
        vars(self)["seen"] = samples

    @property
    def looked_at(self) -> np.ndarray:
        """The samples."""
        found: np.ndarray = vars(self)["seen"]
        return found


@dataclass(frozen=True)
class RefitPruning(OnSamples):
    """Leave ``kept`` channels of each group, in the order of ``channel_groups``. Each group has one
    reader, a convolution of 1x1 or a dense layer."""

    kept: tuple[int, ...] = ()

    def apply(self, module: nn.Module) -> None:
        samples = self.looked_at
        before = copy.deepcopy(module)
        groups = [group for group in channel_groups(module) if not group.fixed]
        readers = [group.readers[0] for group in groups]
        seen = [_seen(before, name, samples) for name in readers]
        stay = [worthy(*values, count) for values, count in zip(seen, self.kept, strict=True)]
        remove_channels(module, list(zip(groups, stay, strict=True)))
        outputs: list[np.ndarray | slice] = [*stay[1:], slice(None)]
        for name, (_, sums), channels in zip(readers, seen, outputs, strict=True):
            layer = module.get_submodule(name)
            weights, bias = fitted(_seen(module, name, samples)[0], sums[:, channels])
            with torch.no_grad():
                layer.weight.copy_(weights.reshape(layer.weight.shape))
                layer.bias.copy_(bias)


def _seen(module: nn.Module, name: str, samples: np.ndarray) -> Seen:
    """What a layer reads and what it gives, a row for each pixel."""
    reads, gives = [], []

    def keep(layer: nn.Module, given: tuple[torch.Tensor, ...], made: torch.Tensor) -> None:
        reads.append(_rows(given[0]))
        gives.append(_rows(made))

    hook = module.get_submodule(name).register_forward_hook(keep)
    with torch.no_grad():
        for i in range(0, len(samples), AT_ONCE):
            module(torch.from_numpy(samples[i:i + AT_ONCE]))
    hook.remove()
    return np.concatenate(reads), np.concatenate(gives)


def _rows(values: torch.Tensor) -> np.ndarray:
    return values.movedim(1, -1).reshape(-1, values.shape[1]).numpy()


def _moments(reads: np.ndarray, sums: np.ndarray) -> Seen:
    """Mean products of what is read, and 1, with itself and with the sums."""
    with_one = np.concatenate([reads, np.ones((len(reads), 1))], 1, dtype=np.float64)
    own = with_one.T @ with_one / len(reads)
    own += RIDGE * np.trace(own) / len(own) * np.eye(len(own))
    return own, with_one.T @ sums / len(reads)


def worthy(reads: np.ndarray, sums: np.ndarray, count: int) -> np.ndarray:
    """The ``count`` channels that stay, in ascending order."""
    own, cross = _moments(reads, sums)
    left = list(range(len(own)))
    while len(left) > count + 1:
        inverse = np.linalg.inv(own[np.ix_(left, left)])
        weights = inverse @ cross[left]
        # The mean squared error that comes from the loss of a channel, all others fitted anew.
        costs = (weights * weights).sum(1) / np.diag(inverse)
        left.pop(int(costs[:-1].argmin()))     # the last one is the 1 of the bias
    return np.array(left[:-1])


def fitted(reads: np.ndarray, sums: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    """The weights [sums, reads] and the bias that make ``sums`` of ``reads``."""
    found = torch.from_numpy(np.linalg.solve(*_moments(reads, sums))).float()
    return found[:-1].T.contiguous(), found[-1]
