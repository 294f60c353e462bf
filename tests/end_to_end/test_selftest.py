"""`kaniwa selftest` on the simulated core."""

from __future__ import annotations

import json

import pytest

from kaniwa import cli


@pytest.mark.rtl
def test_the_simulated_core_passes_in_the_estimated_cycles(
        capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        cli.main(["selftest", "--device", "sim", "--json"])
    values = json.loads(capsys.readouterr().out)
    assert not stopped.value.code and values["verdict"] == "PASS"
    parts = {part["part"]: part for part in values["parts"]}
    assert parts["memory"]["bytes"] == 256 << 10
    for row in [*parts["array"]["layers"], parts["model"]]:
        assert row["checked"] and not row["mismatches"] and row["cycles"] == row["estimate"]
