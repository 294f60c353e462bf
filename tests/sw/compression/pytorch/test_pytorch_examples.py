"""The examples of real networks: smaller and faster at less than a point, and exact."""

import json
import subprocess
import sys

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs PyTorch: pip install 'kaniwa[compress]'")
pytest.importorskip("sklearn", reason="needs scikit-learn: pip install 'kaniwa[compress]'")
from torch import nn  # noqa: E402

pytestmark = pytest.mark.long


def results(root, folder, name):
    """What the example writes, and what it prints."""
    told = folder / "steps.json"
    done = subprocess.run(
        [sys.executable, root / "examples" / f"{name}.py", "--device", "emulator", "--json", told,
         "--output", folder / "small.onnx"],
        capture_output=True, text=True, timeout=1200, check=True)
    assert (folder / "small.onnx").stat().st_size > 0
    return json.loads(told.read_text()), done.stdout


def check(before, found, told, count):
    """2.5 times smaller, 1.5 times fewer cycles, less than a point lost, none different."""
    last = found["steps"][-1]
    assert before["bytes"] >= 2.5 * last["bytes"]
    assert before["cycles"] >= 1.5 * last["cycles"]
    assert last["accuracy"] > before["accuracy"] - 0.01
    assert found["run"]["different"] == 0 and found["run"]["inferences"] == count
    assert found["run"]["right"] == round(count * last["accuracy"])
    assert found["run"]["cycles"] == last["cycles"]
    assert last["step"] in told and f"{last['bytes']:,}" in told


def test_keywords_are_smaller_and_faster_than_the_reference(root, tmp_path):
    found, told = results(root, tmp_path, "compress_keywords")
    check(found["reference"], found, told, 300)


def test_an_lstm_of_fewer_cells_is_smaller_and_faster(root, tmp_path):
    found, told = results(root, tmp_path, "compress_lstm")
    check(found["steps"][0] | {"accuracy": found["float_accuracy"]}, found, told, 360)


@pytest.fixture
def parts(root, monkeypatch):
    """The folder of the scripts, from which they import."""
    monkeypatch.syspath_prepend(root / "examples")


def test_channels_that_others_make_up_for_go_without_loss(parts):
    from parts.refit import RefitPruning

    module = nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Conv2d(8, 6, 1), nn.ReLU(),
                           nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 3)).eval()
    with torch.no_grad():
        module[0].weight[4:] = module[0].weight[:4] * 2
        module[0].bias[4:] = module[0].bias[:4] * 2
        module[2].weight[3:], module[2].bias[3:] = module[2].weight[:3], module[2].bias[:3]
    x = np.random.default_rng(0).normal(size=(60, 1, 8, 8)).astype(np.float32)
    with torch.no_grad():
        before = module(torch.from_numpy(x))
        RefitPruning(kept=(4, 3), samples=x).apply(module)
        torch.testing.assert_close(module(torch.from_numpy(x)), before, atol=1e-3, rtol=1e-2)
    assert module[0].weight.shape == (4, 1, 3, 3) and module[6].weight.shape == (3, 3)


def test_cells_that_others_make_up_for_go_without_loss(parts):
    from parts.cells import CellPruning, Rows

    module = Rows(12).eval()
    twice = np.arange(48).reshape(4, 2, 6)
    with torch.no_grad():
        for values in (module.cells.weight_ih_l0, module.cells.weight_hh_l0,
                       module.cells.bias_ih_l0, module.cells.bias_hh_l0):
            values[twice[:, 1].ravel()] = values[twice[:, 0].ravel()]
    x = np.random.default_rng(0).random((60, 1, 8, 8)).astype(np.float32)
    with torch.no_grad():
        before = module(torch.from_numpy(x))
        CellPruning(kept=6, samples=x).apply(module)
        torch.testing.assert_close(module(torch.from_numpy(x)), before, atol=1e-3, rtol=1e-2)
    assert module.cells.hidden_size == module.classes.in_features == 6


def test_balanced_weights_get_no_zero_point(parts):
    from parts.cells import BalancedWeights, Rows

    module = Rows(5)
    with torch.no_grad():
        module.cells.weight_hh_l0[3, 2] = 7
    BalancedWeights().apply(module)
    for values in (module.cells.weight_ih_l0, module.cells.weight_hh_l0):
        assert values.max() == -values.min() < 1


def test_the_module_of_the_keyword_network_answers_as_the_network(parts):
    from parts.keywords import CLIPS, MODEL, clips, network, real

    import kaniwa

    features, _ = clips(CLIPS)
    with torch.no_grad():
        answers = network()(torch.from_numpy(real(features[:50]))).argmax(1).numpy()
    found = kaniwa.evaluate(kaniwa.compile(MODEL, "base"), (features[:50], answers))
    assert found.accuracy >= 0.9
