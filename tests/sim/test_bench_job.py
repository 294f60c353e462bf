"""Where builds of benches are kept."""

from kaniwa.sim.harness import bench_job

SOURCE = "module dut(clk);\n  input clk;\nendmodule\n"


def test_a_build_is_of_one_environment(tmp_path, monkeypatch):
    """It is linked to the environment's libraries: another one, or none there, must not find it."""
    built = []
    monkeypatch.setenv("KANIWA_CACHE", str(tmp_path))
    monkeypatch.setattr(bench_job, "_build", lambda folder, *_: built.append(folder))
    first, _ = bench_job.build_verilog("bench", SOURCE)
    assert bench_job.build_verilog("bench", SOURCE)[0] == first
    monkeypatch.setattr("sys.prefix", "/another")
    second, _ = bench_job.build_verilog("bench", SOURCE)
    assert built == [first, second] and first != second


def test_precompiled_headers_are_not_kept(tmp_path, monkeypatch):
    """They are only for the compiler, and a hundred times as large as what runs."""
    def build(folder, *_):
        (folder / "dut").touch()
        (folder / "Vtop__pch.h.fast.gch").touch()

    monkeypatch.setenv("KANIWA_CACHE", str(tmp_path))
    monkeypatch.setattr(bench_job, "_build", build)
    folder, _ = bench_job.build_verilog("bench", SOURCE)
    assert sorted(file.name for file in folder.iterdir()) == ["built", "dut", "lock"]


def test_a_large_device_is_not_one_file():
    """Its table of names would be optimized, for minutes."""
    assert "--output-split" in bench_job._build_arguments(SOURCE)
    assert "--output-split" not in bench_job._build_arguments(SOURCE + " " * bench_job.ONE_FILE)


def test_only_small_devices_whose_bench_does_not_ask_for_it_are_not_optimized(
        tmp_path, monkeypatch):
    used = []
    monkeypatch.setenv("KANIWA_CACHE", str(tmp_path))
    monkeypatch.setattr(bench_job, "_build", lambda folder, text, optimization: used.append(
        "OPT_FAST=-O0" not in optimization))
    for source in SOURCE, " " * bench_job.ONE_FILE + SOURCE:
        for optimized in False, True:
            bench_job.build_verilog("bench", source, optimized)
    assert used == [False, True, True]     # the last is a build that is there
