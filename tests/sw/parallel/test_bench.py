"""``kaniwa bench`` on workers of a scheduler: cycles and mismatches are those of one process."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from builders.parallel_items import Killer

from kaniwa import cli
from kaniwa.benchmark import scaling
from kaniwa.benchmark.networks import measure, vela
from kaniwa.benchmark.networks.table import pick_networks
from kaniwa.parallel import Workers, scheduler


def quiet(text: str) -> None:
    """Progress that nobody reads."""


def counted(values: Any) -> Any:
    """``values`` without seconds."""
    if isinstance(values, dict):
        return {key: counted(value) for key, value in values.items()
                if not key.endswith("seconds")}
    return [counted(value) for value in values] if isinstance(values, list) else values


def bench(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    """What ``kaniwa bench --json`` prints."""
    with pytest.raises(SystemExit) as stopped:
        cli.main(["bench", *arguments, "--json"])
    assert not stopped.value.code
    values: dict[str, Any] = json.loads(capsys.readouterr().out)
    return values


def test_models_have_the_rows_of_one_process(
        models: Path, address: str, capsys: pytest.CaptureFixture[str]) -> None:
    given = ("--device", "emulator", "--models", "wakeword,speech", "--parts", "models",
             "--folder", str(models))
    here, there = bench(capsys, *given), bench(capsys, *given, "--scheduler", address)
    assert counted(there) == counted(here)
    assert [row["mismatches"] for row in there["models"]] == [0, 0]
    # Seconds of the compiler are this process's own; those of inferences would be the workers'.
    assert len(there["seconds"]) == len(here["seconds"]) == 2
    for mine, others in zip(here["models"], there["models"], strict=True):
        assert mine["run_seconds"] is not None and others["run_seconds"] is None
        assert others["compile_seconds"] is not None


@pytest.mark.parametrize("part", [
    lambda workers: scaling.measure_dense("emulator", "base", (16, 48), (48,), 100.0, quiet,
                                          workers),
    lambda workers: measure.measure_networks("emulator", pick_networks("tcn"), quiet, 8,
                                             named=True, workers=workers)],
    ids=["dense", "networks"])
def test_other_parts_have_the_rows_of_one_process(
        part: Callable[[Workers | None], dict[str, Any]], workers: Workers, tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vela, "RECORDED", tmp_path / "none.json")
    found = part(workers)
    assert counted(found) == counted(part(None)) and len(found["rows"]) >= 2


def test_layers_are_the_same_though_a_worker_is_killed(address: str) -> None:
    with scheduler(address) as workers:
        killer = Killer(workers, 2)

        def progress(text: str) -> None:
            if " of " in text:     # behind the compiler's own
                killer(text)

        there = scaling.measure_layers("emulator", 32, progress, 8, workers)
    assert killer.killed and len(there["rows"]) == 8
    assert counted(there) == counted(scaling.measure_layers("emulator", 32, quiet, 8))


def test_earlier_results_need_no_scheduler(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        cli.main(["bench", "--from", "results.json", "--scheduler", "2"])
    assert stopped.value.code == 2
    assert "--from measures nothing: leave out --scheduler" in capsys.readouterr().err
