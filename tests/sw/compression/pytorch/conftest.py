"""Small modules and data, made anew for each test. PyTorch is imported where it is installed."""

import numpy as np
import pytest


@pytest.fixture(autouse=True)
def one_thread():
    """Sums in one order, and no more of the machine than one core."""
    torch = pytest.importorskip("torch")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def data():
    """Three classes of 4x4 images, told apart by where they are bright."""
    from kaniwa.compression.pytorch.training import Data

    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 120)
    x = rng.normal(0, 0.5, (120, 1, 4, 4)).astype(np.float32)
    x[np.arange(120), 0, labels] += 1.5
    return Data(x, labels)


@pytest.fixture
def module():
    """Convolutions with normalisation, a depthwise one, an addition, a dense layer."""
    from torch import nn
    from torch.nn import functional

    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.Conv2d(1, 8, 3, padding=1, bias=False)
            self.normal = nn.BatchNorm2d(8)
            self.depthwise = nn.Conv2d(8, 8, 3, padding=1, groups=8)
            self.beside = nn.Conv2d(8, 8, 1)
            self.last = nn.Conv2d(8, 12, 3, stride=2, padding=1)
            self.hidden = nn.Linear(12 * 4, 16)
            self.scores = nn.Linear(16, 3)

        def forward(self, x):
            x = functional.relu(self.normal(self.first(x)))
            x = x + torch.relu(self.beside(self.depthwise(x)))
            x = functional.relu(self.last(x)).flatten(1)
            return self.scores(functional.relu(self.hidden(x)))

    import torch

    made = Network()
    with torch.no_grad():     # as after some training
        made.normal.running_mean.normal_(0, 0.3)
        made.normal.running_var.uniform_(0.5, 2)
        made.normal.weight.uniform_(0.5, 1.5)
        made.normal.bias.normal_(0, 0.3)
    return made.eval()
