"""Each step does to a module what its name says, and training keeps to it."""

import copy

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs PyTorch: pip install 'kaniwa[compress]'")
from torch import nn  # noqa: E402

from kaniwa.compression import masks  # noqa: E402
from kaniwa.compression.pytorch import steps  # noqa: E402
from kaniwa.compression.pytorch.held import Levels, make_permanent  # noqa: E402
from kaniwa.compression.pytorch.layers import weights_of  # noqa: E402
from kaniwa.compression.pytorch.recipe import Recipe, compress  # noqa: E402
from kaniwa.compression.pytorch.scan import sensitivity  # noqa: E402
from kaniwa.compression.pytorch.training import Data, Settings, accuracy  # noqa: E402
from kaniwa.config import PRESETS  # noqa: E402
from kaniwa.errors import ConfigError, InputError, UnsupportedError  # noqa: E402

pytestmark = pytest.mark.long


def trained(module, data, *how):
    return compress(module, Recipe(how, Settings(rate=0.01)), data)


def layers(module):
    return {name: layer for name, layer in module.named_modules()
            if isinstance(layer, nn.Conv2d | nn.Linear)}


def test_pruned_weights_stay_zero_and_the_others_learn(module, data):
    small = trained(module, data, steps.MagnitudePruning(sparsity=0.6, epochs=2))
    for name, layer in layers(small).items():
        before = weights_of(layers(module)[name])
        mask = masks.magnitude_mask(before, 0.6)
        after = weights_of(layer)
        assert not after[~mask].any() and (after[mask] != before[mask]).any()
    assert steps.weights_left(small)["hidden"] == (307, 768)


def test_global_pruning_takes_the_share_of_all(module):
    steps.MagnitudePruning(sparsity=0.5, scope="global").apply(module)
    left = steps.weights_left(module).values()
    total = sum(count for _, count in left)
    assert sum(kept for kept, _ in left) == total - round(total / 2)


def test_blocks_are_those_of_the_target(module, data):
    small = trained(module, data, steps.BlockPruning(sparsity=0.5, target="small"))
    for name in ("last", "hidden"):
        mask = masks.block_mask(weights_of(layers(module)[name]), 0.5, PRESETS["small"])
        np.testing.assert_array_equal(weights_of(layers(small)[name]) != 0, mask)
    assert weights_of(small.depthwise).all()
    with pytest.raises(UnsupportedError, match="layer 'depthwise': block pruning takes no grouped"):
        steps.BlockPruning(layers=("depthwise",)).apply(module)


def test_shared_weights_stay_shared_and_zeros_zeros(module, data):
    small = trained(module, data, steps.MagnitudePruning(sparsity=0.5, layers=("hidden",)),
                    steps.WeightSharing(entries=8, layers=("hidden",), epochs=0))
    more = compress(small, Recipe((steps.Training(epochs=2),)), data)
    before, after = weights_of(small.hidden), weights_of(more.hidden)
    assert len(np.unique(after)) == 8 and (before != after).any()
    np.testing.assert_array_equal(before == 0, after == 0)
    for value in np.unique(before):
        assert len(np.unique(after[before == value])) == 1


@pytest.mark.parametrize("bits", [8, 4])
def test_quantised_weights_are_integers_by_channel(module, data, bits):
    small = trained(module, data, steps.Quantized(bits=bits, epochs=1))
    for layer in layers(small).values():
        latent = layer.parametrizations.weight.original.detach()
        levels = Levels(bits)
        integers = levels.integers(latent)
        assert torch.equal(integers, integers.round())
        assert integers.min() >= levels.lowest and integers.max() <= levels.highest
        torch.testing.assert_close(layer.weight.detach(), integers * levels.scale(latent))
    assert not Levels(8)(torch.zeros(2, 3)).any()


@pytest.mark.parametrize("form", steps.FORMS)
def test_low_rank_at_full_energy_computes_the_same(module, form):
    x = torch.randn(4, 1, 4, 4)
    small = copy.deepcopy(module)
    names = ("first", "beside", "last", "hidden", "scores")
    steps.LowRank(energy=1.0, form=form, layers=names).apply(small)
    assert all(isinstance(small.get_submodule(name), nn.Sequential) for name in names)
    with torch.no_grad():
        torch.testing.assert_close(small(x), module(x), atol=1e-5, rtol=1e-4)


def test_low_rank_is_taken_only_where_it_is_smaller(module, data):
    small = copy.deepcopy(module)
    steps.LowRank(energy=1.0).apply(small)
    assert isinstance(small.hidden, nn.Linear) and isinstance(small.last, nn.Conv2d)
    less = trained(module, data, steps.LowRank(energy=0.3, layers=("hidden",)))
    assert sum(p.numel() for p in less.parameters()) < sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize("held", [False, True])
def test_folded_normalisation_computes_the_same(module, held):
    x = torch.randn(4, 1, 4, 4)
    if held:
        steps.MagnitudePruning(sparsity=0.5).apply(module)
    small = copy.deepcopy(module)
    steps.FoldNormalization().apply(small)
    assert isinstance(small.normal, nn.Identity)
    with torch.no_grad():
        torch.testing.assert_close(small(x), module(x), atol=1e-5, rtol=1e-4)
    steps.Quantized(layers=("first",)).apply(module)
    with pytest.raises(UnsupportedError, match="layer 'first': has shared or quantised weights"):
        steps.FoldNormalization().apply(module)


def test_weights_can_be_made_permanent_in_a_copy_alone(module):
    steps.MagnitudePruning(sparsity=0.5).apply(module)
    still = make_permanent(copy.deepcopy(module))
    x = torch.randn(2, 1, 4, 4)
    with torch.no_grad():
        assert torch.equal(still(x), module(x))
    assert isinstance(still.last.weight, nn.Parameter) and type(still.last) is nn.Conv2d


def test_distillation_learns_from_the_module_and_not_from_labels(module, data):
    teacher = trained(module, data, steps.Training(epochs=10))
    wrong = Data(data.x, (data.labels + 1) % 3)

    def right(part):
        recipe = Recipe((steps.MagnitudePruning(sparsity=0.5, epochs=5),),
                        Settings(rate=0.01, distillation=part))
        return accuracy(compress(teacher, recipe, wrong), data)

    assert right(1.0) > 0.9 and right(0.0) < 0.5


def test_sensitivity_has_a_row_for_each_layer_and_sparsity(module, data):
    module = trained(module, data, steps.Training(epochs=8))
    whole = accuracy(module, data)
    state = copy.deepcopy(module.state_dict())
    rows = sensitivity(module, data, (0, 0.5, 1), layers=("last", "hidden"))
    assert [(row.layer, row.sparsity) for row in rows] == [
        (name, part) for name in ("last", "hidden") for part in (0, 0.5, 1)]
    assert rows[0].accuracy == rows[3].accuracy == whole > 0.8
    assert rows[2].accuracy < whole and rows[5].accuracy < whole
    assert all(torch.equal(state[name], t) for name, t in module.state_dict().items())
    steps.WeightSharing(entries=8).apply(module)      # a codebook makes the weights no longer
    assert sensitivity(module, data, (1,), layers=("last",))[0].accuracy < whole
    blocks = sensitivity(module, data, (0.5,), how="blocks", config=PRESETS["base"])
    assert "depthwise" not in {row.layer for row in blocks}
    assert len(sensitivity(module, data, (0.5,), how="channels")) == len(layers(module))


@pytest.mark.parametrize("made, why", [
    (lambda: steps.MagnitudePruning(sparsity=2), r"sparsity: expected 0\.\.1, found 2"),
    (lambda: steps.MagnitudePruning(scope="a"), "scope: expected one of layer, global"),
    (lambda: steps.ChannelPruning(norm="l0"), "norm: expected one of l1, l2"),
    (lambda: steps.ChannelPruning(multiple=0), "multiple: expected at least 1"),
    (lambda: steps.WeightSharing(entries=1), "entries: expected at least 2"),
    (lambda: steps.LowRank(form="a"), "form: expected one of pointwise, separable"),
    (lambda: steps.Quantized(bits=5), "bits: expected one of 8, 4, found 5"),
    (lambda: steps.Training(epochs=-1), "epochs: expected at least 0, found -1"),
    (lambda: steps.Training(layers="a"), "layers: expected a tuple of names, found 'a'"),
    (lambda: Recipe(()), "recipe: expected a tuple of steps"),
    (lambda: Settings(rate=0), "rate: expected a number above 0"),
    (lambda: Settings(distillation=2), r"distillation: expected 0\.\.1"),
    (lambda: Data(np.zeros((3, 2)), np.zeros(2, int)), "data: expected 3 labels"),
    (lambda: Data(np.zeros(3), np.zeros(3, int)), "data: expected finite samples"),
])
def test_wrong_values_are_one_line(made, why):
    with pytest.raises(InputError, match=why):
        made()


def test_a_module_that_is_a_layer_is_not_replaced():
    with pytest.raises(UnsupportedError, match="put it into an nn.Sequential"):
        steps.LowRank(energy=0.1).apply(nn.Linear(20, 20))


def test_a_wrong_target_and_data_that_do_not_fit_are_one_line(module, data):
    with pytest.raises(ConfigError, match="unknown target 'none'"):
        steps.BlockPruning(target="none")
    with pytest.raises(InputError, match=r"data: samples \[2, 4, 4\] do not fit the module"):
        trained(module, Data(np.zeros((3, 2, 4, 4)), np.zeros(3, int)), steps.Training())
    with pytest.raises(InputError, match=r"go up to 7, but the module's scores are \[1, 3\]"):
        trained(module, Data(data.x[:1], np.array([7])), steps.Training())
