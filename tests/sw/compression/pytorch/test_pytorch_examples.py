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


def test_the_module_of_the_keyword_network_answers_as_the_network(parts):
    from parts.keywords import CLIPS, MODEL, clips, network, real

    import kaniwa

    features, _ = clips(CLIPS)
    with torch.no_grad():
        answers = network()(torch.from_numpy(real(features[:50]))).argmax(1).numpy()
    found = kaniwa.evaluate(kaniwa.compile(MODEL, "base"), (features[:50], answers))
    assert found.accuracy >= 0.9
