"""`kaniwa bench` on the simulated core: counted cycles, results equal to golden."""

import json

import pytest

from kaniwa import cli

pytestmark = [pytest.mark.rtl, pytest.mark.slow]


def test_small_models_one_after_the_other_on_one_core(capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.main(["bench", "--models", "speech,wakeword", "--parts", "models", "--json"])
    results = json.loads(capsys.readouterr().out)
    assert stopped.value.code == 0 and results["device"] == "sim"
    assert [row["key"] for row in results["models"]] == ["speech", "wakeword"]
    for row in results["models"]:
        assert row["checked"] > 0 and row["mismatches"] == 0
        assert row["cycles"] == row["cycles_max"]
        assert row["issued"] + sum(row["lost"].values()) == row["cycles"]
        assert row["estimate_error"] is not None
