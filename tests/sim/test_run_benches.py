"""The runner of benches: on a scheduler's workers as in processes of its own."""

from __future__ import annotations

import gc
import warnings

import pytest
from amaranth.hdl import Fragment, Module

from kaniwa.sim.harness.bench import PythonBench
from kaniwa.sim.harness.bench_job import bench_modules, find_bench
from kaniwa.sim.harness.run_benches import devices, run
from kaniwa.sim.worlds.array_configs import LONG


def test_what_is_left_to_make_long_is_part_of_its_bench() -> None:
    left = 0
    for name in bench_modules():
        bench = find_bench(name)
        if not isinstance(bench, PythonBench) and bench.long:
            every, quick = devices(bench), devices(bench, long=False)
            assert set(bench.long) <= {*every, *LONG}, name
            assert quick and len(quick) < len(every), name
            left += len(every) - len(quick)
    assert left > 10


def test_blocks_of_devices_that_are_only_named_do_not_warn_later() -> None:
    Fragment.get(Module(), None)   # Amaranth warns once a process has elaborated anything
    bench = find_bench("cell_unit")
    assert not isinstance(bench, PythonBench)
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        assert len(devices(bench)) > 1
        gc.collect()
    assert [str(warning.message) for warning in heard] == []


def test_a_bench_without_a_device_is_left_out() -> None:
    assert isinstance(find_bench("ulx3s_top"), PythonBench)
    assert run(["ulx3s_top"], 7, 1, {}, long=False) == []


@pytest.mark.rtl
def test_benches_on_workers_of_a_scheduler_find_the_same(capsys: pytest.CaptureFixture[str]
                                                        ) -> None:
    (here,), (there,) = run(["selftest"], 7, 1, {}), run(["selftest"], 7, 1, {}, "1")
    assert here.passed == there.passed == 2 and not here.failed + there.failed
    assert vars(here.tally) == vars(there.tally) and not here.missing
    assert capsys.readouterr().out.count("selftest/stage: ok, 2 tests, ") == 2
