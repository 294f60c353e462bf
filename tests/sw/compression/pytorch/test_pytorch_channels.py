"""A module without channels computes what it did with these channels set to 0."""

import copy
import re

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs PyTorch: pip install 'kaniwa[compress]'")
from torch import nn  # noqa: E402

from kaniwa.compression.pytorch.channels import channel_groups, prune_channels  # noqa: E402
from kaniwa.compression.pytorch.steps import ChannelPruning, MagnitudePruning  # noqa: E402
from kaniwa.errors import InputError, UnsupportedError  # noqa: E402

pytestmark = pytest.mark.long


def without(module, kept, together):
    """``module`` with all but the ``kept`` channels of each maker, and what passes them, zeroed."""
    module = copy.deepcopy(module)
    layers = dict(module.named_modules())
    with torch.no_grad():
        for maker, channels in kept.items():
            for name in (maker, *together.get(maker, ())):
                gone = np.setdiff1d(np.arange(len(layers[name].weight)), channels)
                layers[name].weight[gone] = 0
                for tensor in (layers[name].bias, getattr(layers[name], "running_mean", None)):
                    if tensor is not None:
                        tensor[gone] = 0
    return module


@pytest.mark.parametrize("sparsity", [0.25, 0.5, 0.9])
def test_the_rewritten_module_equals_the_masked_one(module, sparsity):
    x = torch.randn(5, 1, 4, 4)
    small = copy.deepcopy(module)
    kept = prune_channels(small, sparsity)
    assert set(kept) == {"first", "beside", "last", "hidden"}
    assert kept["first"] == kept["beside"]      # they are added
    masked = without(module, kept, {"first": ["normal", "depthwise"]})
    with torch.no_grad():
        np.testing.assert_allclose(small(x), masked(x), atol=1e-5)
    count = len(kept["first"])
    assert small.first.weight.shape == (count, 1, 3, 3) and small.first.out_channels == count
    assert small.depthwise.groups == small.depthwise.weight.shape[0] == count
    assert small.normal.num_features == len(small.normal.running_var) == count
    assert small.hidden.in_features == 4 * len(kept["last"])
    assert small.scores.weight.shape == (3, len(kept["hidden"])) and small.scores.out_features == 3


class Random(nn.Module):
    """Blocks of random kinds one behind the other, of maps and then of flat values."""

    def __init__(self, rng):
        super().__init__()
        channels, side, self.blocks = 2, 8, nn.ModuleList()
        for _ in range(6):
            kind = rng.choice(["conv", "depthwise", "beside", "pool"])
            if kind == "conv":
                wide = int(rng.integers(2, 9))
                self.blocks.append(nn.Sequential(
                    nn.Conv2d(channels, wide, 3, padding=1, bias=bool(rng.integers(2))),
                    nn.BatchNorm2d(wide), nn.LeakyReLU()))
                channels = wide
            elif kind == "depthwise":
                self.blocks.append(nn.Sequential(
                    nn.Conv2d(channels, channels, 3, padding=1, groups=channels), nn.SiLU()))
            elif kind == "beside":
                self.blocks.append(nn.Sequential(
                    nn.Conv2d(channels, 5, 1), nn.ReLU(), nn.Conv2d(5, channels, 1), nn.Tanh()))
            elif side > 2:
                self.blocks.append(nn.AvgPool2d(2))
                side //= 2
            else:
                self.blocks.append(nn.Dropout())
            self.blocks[-1].added = kind == "beside"
        self.dense = nn.Sequential(nn.Flatten(), nn.Linear(channels * side * side, 9),
                                   nn.BatchNorm1d(9), nn.GELU(), nn.Linear(9, 4))

    def forward(self, x):
        for block in self.blocks:
            x = x + block(x) if block.added else block(x)
        return self.dense(x)


@pytest.mark.parametrize("seed", range(12))
def test_random_modules_equal_their_masked_ones(seed):
    rng = np.random.default_rng(seed)
    module = Random(rng).eval()
    with torch.no_grad():
        for layer in module.modules():
            if isinstance(layer, nn.BatchNorm2d | nn.BatchNorm1d):
                layer.running_mean.normal_()
                layer.bias.normal_()
    groups = channel_groups(module)
    small = copy.deepcopy(module)
    kept = prune_channels(small, float(rng.uniform(0.2, 0.8)))
    assert len(kept) >= 1
    masked = without(module, kept, {group.makers[0]: group.passers for group in groups})
    x = torch.randn(3, 2, 8, 8)
    with torch.no_grad():
        torch.testing.assert_close(small(x), masked(x), atol=1e-5, rtol=1e-4)
    assert sum(p.numel() for p in small.parameters()) < sum(p.numel() for p in module.parameters())


def test_zeros_around_a_map_are_of_all_channels():
    module = nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.ZeroPad2d((0, 1, 2, 0)),
                           nn.Conv2d(8, 3, 3), nn.Flatten(), nn.Linear(27, 2)).eval()
    small = copy.deepcopy(module)
    kept = prune_channels(small, 0.5, only=lambda group: group.makers == ["0"])
    x = torch.randn(4, 1, 5, 6)
    with torch.no_grad():
        torch.testing.assert_close(small(x), without(module, kept, {})(x))


def test_counts_are_multiples_and_the_worthiest_stay(module):
    with torch.no_grad():
        module.hidden.weight[:4] *= 10
    kept = prune_channels(module, 0.8, "l2", multiple=4, only=lambda g: g.makers == ["hidden"])
    assert kept == {"hidden": [0, 1, 2, 3]}
    assert module.last.out_channels == 12


def test_groups_say_what_goes_together(module):
    groups = {tuple(group.makers): group for group in channel_groups(module)}
    assert set(groups) == {("first", "beside"), ("last",), ("hidden",), ("scores",)}
    both = groups["first", "beside"]
    assert both.passers == ["normal", "depthwise"] and both.readers == ["beside", "last"]
    assert groups["scores",].fixed and not groups["hidden",].fixed


def test_a_small_module_still_trains(module, data):
    prune_channels(module, 0.5)
    module.train()
    nn.functional.cross_entropy(module(torch.from_numpy(data.x)),
                                torch.from_numpy(data.labels)).backward()
    assert all(p.grad is not None for p in module.parameters())


def sequence(*layers):
    return nn.Sequential(nn.Conv2d(1, 4, 3), *layers)


class Concatenated(nn.Module):
    def __init__(self):
        super().__init__()
        self.one = nn.Conv2d(1, 4, 3)

    def forward(self, x):
        return torch.cat([self.one(x), self.one(x + 1)], 1)


class Branching(nn.Module):
    def forward(self, x):
        return x if x.sum() > 0 else -x


@pytest.mark.parametrize("made, why", [
    (lambda: sequence(nn.ConvTranspose2d(4, 4, 3)), r"'_1' \(ConvTranspose2d\) cannot"),
    (lambda: sequence(nn.Sigmoid()), r"'_1' \(Sigmoid\) cannot be rewritten"),
    (lambda: sequence(nn.Conv2d(4, 8, 3, groups=2)), "convolution '1' has 2 groups, 4 inputs"),
    (lambda: sequence(nn.Linear(4, 2)), r"\(Linear\) .*: a Linear reads maps; flatten"),
    (lambda: sequence(nn.Flatten(2)), "it flattens dimensions 2 to -1, not 1 to -1"),
    (Concatenated, "layer 'one' is used twice|'add'|cannot be rewritten"),
    (Branching, "torch.fx cannot trace the module"),
])
def test_what_cannot_be_rewritten_is_named(made, why):
    module = made()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    with pytest.raises(UnsupportedError, match=why) as raised:
        prune_channels(module, 0.5)
    assert "\n" not in str(raised.value)
    for name, tensor in module.state_dict().items():
        assert torch.equal(tensor, before[name])


def test_wrong_names_and_orders_are_refused(module):
    with pytest.raises(InputError, match="layer 'none': there is none of this name; layers are f"):
        ChannelPruning(layers=("none",)).apply(module)
    with pytest.raises(UnsupportedError, match="layer 'scores': its channels cannot be removed"):
        ChannelPruning(layers=("scores",)).apply(module)
    MagnitudePruning(layers=("last",)).apply(module)
    with pytest.raises(UnsupportedError, match=re.escape("layer 'last' has held weights; put")):
        ChannelPruning().apply(module)
