"""``kaniwa verify`` on workers of a scheduler finds what one process finds."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders.parallel_items import Killer

import kaniwa
from kaniwa import cli
from kaniwa.importers import load_model
from kaniwa.parallel import scheduler
from kaniwa.verify import litert
from kaniwa.verify.litert import LiteRT, verify
from kaniwa.verify.shared import check_same


def verified(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, Any]]:
    """The exit status of ``kaniwa verify --json``, and what it prints."""
    with pytest.raises(SystemExit) as stopped:
        cli.main(["verify", *arguments, "--json"])
    return int(stopped.value.code or 0), json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(("model", "against", "more"), [
    ("tflm_micro_speech.tflite", "litert", ["--random", "3", "--layers"]),
    ("tflm_micro_speech.tflite", "recorded", ["--layers"]),
    ("digits_gru_qdq.onnx", "onnxruntime", ["--random", "3", "--layers"]),
    ("digits_gru_qdq.onnx", "onnxruntime-optimized", ["--random", "3"]),
    ("digits_gru_qdq.onnx", "recorded", ["--limit", "3", "--layers"])])
def test_the_same_is_found_as_in_one_process(
        model: str, against: str, more: list[str], models: Path, address: str,
        capsys: pytest.CaptureFixture[str]) -> None:
    given = (str(models / model), "--against", against, *more)
    status, there = verified(capsys, *given, "--scheduler", address)
    assert (status, there) == verified(capsys, *given)
    assert there["inferences"] > 2 and there["tensors"] > 0


def test_the_first_mismatch_is_that_of_one_process_though_a_worker_is_killed(
        models: Path, address: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The golden side computes with other weights than the reference: most inferences differ."""
    model = models / "tflm_micro_speech.tflite"

    def damaged(path: Path) -> kaniwa.Graph:
        graph = load_model(path)
        bias = next(t for t in graph.tensors if t.data is not None and t.dtype == "int32")
        assert bias.data is not None
        tensors = list(graph.tensors)
        tensors[bias.id] = dataclasses.replace(bias, data=bias.data + np.int32(40_000))
        return dataclasses.replace(graph, tensors=tuple(tensors))

    monkeypatch.setattr(litert, "load_model", damaged)
    with scheduler(address) as workers:
        killer = Killer(workers, 3)
        there = verify(model, inputs=5, progress=killer, workers=workers)
    assert killer.killed and there == verify(model, inputs=5)
    assert there["mismatches"] > 0 and there["first_mismatch"]["tensor"]
    assert list(there["first_mismatch"])[0] == "inference"


def test_a_reference_of_another_version_is_refused(models: Path) -> None:
    description = LiteRT(models / "tflm_micro_speech.tflite").description
    check_same(description, description)
    with pytest.raises(kaniwa.UnsupportedError, match=(
            "^its reference is LiteRT 1.0, that of this command is LiteRT .*: install the same on "
            "both$")):
        check_same("LiteRT 1.0", description)
