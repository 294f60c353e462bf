"""The example: ten times smaller at less than a point, and exact."""

import json
import subprocess
import sys

import pytest

pytest.importorskip("torch", reason="needs PyTorch: pip install 'kaniwa[compress]'")
pytest.importorskip("sklearn", reason="needs scikit-learn: pip install 'kaniwa[compress]'")

pytestmark = pytest.mark.long


def test_the_digits_are_ten_times_smaller_at_less_than_a_point(root, tmp_path):
    told = tmp_path / "steps.json"
    done = subprocess.run(
        [sys.executable, root / "examples" / "compress_digits.py", "--device", "emulator",
         "--json", told, "--output", tmp_path / "small.onnx"],
        capture_output=True, text=True, timeout=600, check=True)
    found = json.loads(told.read_text())
    first, last = found["steps"][0], found["steps"][-1]
    assert found["float_bytes"] == 4 * first["weights"] >= 10 * last["bytes"]
    assert found["float_accuracy"] > 0.97
    assert last["accuracy"] > found["float_accuracy"] - 0.01
    assert last["cycles"] < 0.5 * first["cycles"]
    pruned, lists, shared, codes, quantized = found["steps"][2:7]
    assert (pruned["step"], quantized["step"]) == ("BlockPruning", "Quantized")
    assert lists["step"] == last["step"] == "the same, with lists"
    for plain, listed in ((pruned, lists), (quantized, last)):
        assert listed["accuracy"] == plain["accuracy"]
        assert listed["bytes"] < plain["bytes"]
        assert listed["cycles"] < 0.85 * plain["cycles"]
    assert (shared["step"], codes["step"]) == ("WeightSharing", "the same, with codes")
    assert codes["bytes"] < 0.6 * shared["bytes"] and codes["cycles"] < shared["cycles"]
    assert codes["accuracy"] > found["float_accuracy"] - 0.01
    assert found["run"]["different"] == 0 and found["run"]["inferences"] == 360
    assert found["run"]["right"] == round(360 * last["accuracy"])
    assert last["step"] in done.stdout and f"{last['bytes']:,}" in done.stdout
    assert (tmp_path / "small.onnx").stat().st_size > 0
