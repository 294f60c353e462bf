"""The runner of benches: on a scheduler's workers as in processes of its own."""

from __future__ import annotations

import pytest

from kaniwa.sim.harness.run_benches import run


@pytest.mark.rtl
def test_benches_on_workers_of_a_scheduler_find_the_same(capsys: pytest.CaptureFixture[str]
                                                        ) -> None:
    (here,), (there,) = run(["selftest"], 7, 1, {}), run(["selftest"], 7, 1, {}, "1")
    assert here.passed == there.passed == 2 and not here.failed + there.failed
    assert vars(here.tally) == vars(there.tally) and not here.missing
    assert capsys.readouterr().out.count("selftest/stage: ok, 2 tests, ") == 2
