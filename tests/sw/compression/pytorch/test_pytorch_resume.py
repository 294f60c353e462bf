"""Checkpoints: what was stopped goes on, to the bit; what is not ours is refused."""

import os

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs PyTorch: pip install 'kaniwa[compress]'")
from torch import nn  # noqa: E402

from kaniwa.compression.pytorch import steps  # noqa: E402
from kaniwa.compression.pytorch.recipe import Recipe, compress  # noqa: E402
from kaniwa.compression.pytorch.training import Data, Settings  # noqa: E402
from kaniwa.errors import Error, InputError  # noqa: E402
from kaniwa.stage import Stage  # noqa: E402

pytestmark = pytest.mark.long

RECIPE = Recipe((
    steps.ChannelPruning(sparsity=0.25, epochs=2),
    steps.LowRank(energy=0.8, layers=("hidden",), epochs=1),
    steps.MagnitudePruning(sparsity=0.3, epochs=2),
    steps.FoldNormalization(),
    steps.WeightSharing(entries=8, initial="random", epochs=1),
    steps.Quantized(bits=4, epochs=2)), Settings(rate=0.01))
EPOCHS = 8


def same(one, other):
    first, second = one.state_dict(), other.state_dict()
    assert list(first) == list(second)
    for name, tensor in first.items():
        assert torch.equal(tensor, second[name]), name


@pytest.mark.parametrize("stop", range(EPOCHS + 1))
def test_a_resumed_run_equals_an_uninterrupted_one_to_the_bit(module, data, tmp_path, stop):
    module.hidden = nn.Sequential(nn.Dropout(0.2), module.hidden)     # noise counts, too
    names = [step.layers for step in RECIPE.steps]
    recipe = Recipe(tuple(RECIPE.steps[:1]) + tuple(
        steps.LowRank(energy=0.8, layers=("hidden.1",), epochs=1) if names[i] else step
        for i, step in enumerate(RECIPE.steps) if i), RECIPE.settings)
    whole, path = compress(module, recipe, data), tmp_path / "run.pt"
    told: list[Stage] = []

    def interrupt(text):
        told.append(text)
        if len(told) > stop:
            raise KeyboardInterrupt

    try:
        compress(module, recipe, data, checkpoint=path, progress=interrupt)
        assert stop == EPOCHS
    except KeyboardInterrupt:
        assert stop < EPOCHS
    assert path.exists() == (stop > 0)
    torch.rand(3)     # the caller's own noise does not matter
    resumed, seen = [], []
    again = compress(module, recipe, data, checkpoint=path, progress=resumed.append,
                     after=lambda module, number, step: seen.append(number))
    assert [stage.done for stage in resumed] == list(range(stop, EPOCHS))
    assert seen == list(range(len(recipe.steps)))
    same(again, whole)
    assert os.listdir(tmp_path) == ["run.pt"]


def test_the_module_and_the_callers_noise_stay_as_they_are(module, data):
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    torch.manual_seed(5)
    expected = torch.rand(4)
    torch.manual_seed(5)
    compress(module, Recipe((steps.Training(),)), data)
    assert torch.equal(torch.rand(4), expected)
    for name, tensor in module.state_dict().items():
        assert torch.equal(tensor, before[name])


def test_a_checkpoint_of_something_else_is_refused(module, data, tmp_path):
    path = tmp_path / "run.pt"
    recipe = Recipe((steps.MagnitudePruning(sparsity=0.5),))
    compress(module, recipe, data, checkpoint=path)
    kept = path.read_bytes()
    other = Recipe((steps.MagnitudePruning(sparsity=0.6),))
    for refused, more in ((other, data), (recipe, Data(data.x[1:], data.labels[1:]))):
        with pytest.raises(InputError, match="run.pt: is the checkpoint of another recipe, module"):
            compress(module, refused, more, checkpoint=path)
    with torch.no_grad():
        module.hidden.weight[0, 0] += 1
    with pytest.raises(InputError, match="another recipe, module or data; delete it"):
        compress(module, recipe, data, checkpoint=path)
    assert path.read_bytes() == kept


@pytest.mark.parametrize("content", [b"", b"nonsense", b"PK\x03\x04cut"])
def test_what_is_no_checkpoint_is_refused(module, data, tmp_path, content):
    path = tmp_path / "run.pt"
    path.write_bytes(content)
    with pytest.raises(InputError, match="run.pt: is no checkpoint; delete it, or name another"):
        compress(module, Recipe((steps.Training(),)), data, checkpoint=path)
    torch.save({"weights": torch.zeros(3)}, path)
    with pytest.raises(InputError, match="is no checkpoint"):
        compress(module, Recipe((steps.Training(),)), data, checkpoint=path)


def test_a_folder_that_is_not_there_is_one_line(module, data, tmp_path):
    with pytest.raises(Error, match="cannot be written"):
        compress(module, Recipe((steps.Training(),)), data, checkpoint=tmp_path / "no" / "run.pt")


def test_the_seed_decides(module, data):
    one, two, other = (compress(module, Recipe((steps.Training(),), Settings(seed=seed)), data)
                       for seed in (1, 1, 2))
    same(one, two)
    assert not np.array_equal(one.last.weight.detach(), other.last.weight.detach())
