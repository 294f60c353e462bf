"""`bench/third_party.py`, with a model of this project in place of a package's."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

pytest.importorskip("ai_edge_litert")


def test_a_row_has_what_was_compared(root: Path, models: Path,
                                     monkeypatch: pytest.MonkeyPatch) -> None:
    spec = importlib.util.spec_from_file_location("third_party", root / "bench" / "third_party.py")
    assert spec is not None and spec.loader is not None
    bench = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(__import__("sys").modules, "third_party", bench)     # for its dataclass
    spec.loader.exec_module(bench)
    monkeypatch.setattr(bench, "taken_out", lambda model, folder: models / model.file)
    row = bench.measured(bench.Model("none", "tflm_micro_speech.tflite", "speech", target="base",
                                     quantised=True), Path())
    assert row["different"] == {"emulator": 0, "sim": 0} and row["mismatches"] == {}
    assert row["cycles"] == row["estimate"] > 5000 and row["host"] == ["SOFTMAX"]
    assert len({(model.package, model.file) for model in bench.MODELS}) == 35
