"""Where builds of benches are kept."""

from kaniwa.sim.harness import bench_job

SOURCE = "module dut(clk);\n  input clk;\nendmodule\n"


def test_a_build_is_of_one_environment(tmp_path, monkeypatch):
    """It is linked to the environment's libraries: another one, or none there, must not find it."""
    built = []
    monkeypatch.setenv("KANIWA_CACHE", str(tmp_path))
    monkeypatch.setattr(bench_job, "_build", lambda folder, text: built.append(folder))
    first, _ = bench_job.build_verilog("bench", SOURCE)
    assert bench_job.build_verilog("bench", SOURCE)[0] == first
    monkeypatch.setattr("sys.prefix", "/another")
    second, _ = bench_job.build_verilog("bench", SOURCE)
    assert built == [first, second] and first != second


def test_precompiled_headers_are_not_kept(tmp_path, monkeypatch):
    """They are only for the compiler, and a hundred times as large as what runs."""
    def build(folder, text):
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
