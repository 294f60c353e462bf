"""An LSTM that reads images row by row, and the removal of its cells."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from parts.refit import OnSamples, fitted, worthy
from torch import nn

from kaniwa.compression.pytorch.steps import Step


class Rows(nn.Module):
    """Maps float32 [batch, 1, 8, 8] to a score a class [batch, 10]."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.cells = nn.LSTM(8, size, batch_first=True)
        self.classes = nn.Linear(size, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.classes(self.cells(x.reshape(-1, 8, 8))[0][:, -1])


@dataclass(frozen=True)
class CellPruning(OnSamples):
    """Leave ``kept`` cells of ``Rows``: those from whose outputs for ``samples`` the gates' sums
    and the scores can be made again best, by least squares, and with the weights of that fit."""

    kept: int = 0

    def apply(self, module: nn.Module) -> None:
        assert isinstance(module, Rows)
        old, classes = module.cells, module.classes
        with torch.no_grad():
            steps = old(torch.from_numpy(self.looked_at).reshape(-1, 8, 8))[0]
            hidden, last = steps.flatten(0, 1), steps[:, -1]
            sums = torch.cat([hidden @ old.weight_hh_l0.T, hidden @ classes.weight.T], 1)
            stay = worthy(hidden.numpy(), sums.numpy(), self.kept)
            gates = (np.arange(4)[:, None] * old.hidden_size + stay).ravel()
            small = nn.LSTM(8, self.kept, batch_first=True)
            weights, offset = fitted(hidden[:, stay].numpy(), sums[:, gates].numpy())
            small.weight_ih_l0.copy_(old.weight_ih_l0[gates])
            small.weight_hh_l0.copy_(weights)
            small.bias_ih_l0.copy_(old.bias_ih_l0[gates])
            small.bias_hh_l0.copy_(old.bias_hh_l0[gates] + offset)
            module.classes = nn.Linear(self.kept, 10)
            weights, offset = fitted(last[:, stay].numpy(), classes(last).numpy())
            module.classes.weight.copy_(weights)
            module.classes.bias.copy_(offset)
            module.cells = small


@dataclass(frozen=True)
class BalancedWeights(Step):
    """Cut the largest weights of each matrix of the LSTM, so that both signs reach equally far.

    ONNX Runtime's quantiser gives these matrices one range for all weights. Where it is not
    symmetric they have a zero point, and need 9 bits on the accelerator. Nothing is trained after.
    """

    epochs: int = 0

    def apply(self, module: nn.Module) -> None:
        assert isinstance(module, Rows)
        with torch.no_grad():
            for values in (module.cells.weight_ih_l0, module.cells.weight_hh_l0):
                reach = float(min(values.max(), -values.min()))
                values.clamp_(-reach, reach)
