"""`kaniwa bench`: its tables are complete, its sums hold, its networks are alive."""

import json
import stat
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import kaniwa
from kaniwa import cli, golden
from kaniwa.benchmark import scaling, suite
from kaniwa.benchmark.cases import CASES, PEERS, pick
from kaniwa.benchmark.models import compile_near, measure_models, peers
from kaniwa.benchmark.networks.mobile import mobilenet_v2
from kaniwa.benchmark.networks.recurrent import denoiser_gru
from kaniwa.benchmark.networks.residual import dense, resnet18
from kaniwa.benchmark.networks.table import NETWORKS
from kaniwa.benchmark.page import page
from kaniwa.benchmark.vela import vela_version
from kaniwa.config import PRESETS
from kaniwa.graph import check


def quiet(text):
    """Progress that nobody reads."""


def bench(*arguments, capsys):
    """Exit status and what `kaniwa bench` printed."""
    with pytest.raises(SystemExit) as stopped:
        cli.main(["bench", *arguments])
    return stopped.value.code, capsys.readouterr()


@pytest.fixture(scope="module")
def estimated(models):
    """The results of all models and dense layers without a device."""
    return suite.run_suite("estimate", ("models", "dense"), CASES, models, 1, 50.0, quiet)


@pytest.fixture(scope="module")
def recorded(root):
    """The results that docs/performance.md is made from."""
    return json.loads((root / "bench" / "results" / "performance.json").read_text())


def adds_up(row):
    return row["issued"] + sum(row["lost"].values()) == row["cycles"]


def test_every_model_has_a_row_with_its_peers(estimated, models):
    assert [row["key"] for row in estimated["models"]] == [case.key for case in CASES]
    assert {path.name for path in models.glob("mlperf_*.tflite")} <= {c.file for c in CASES}
    for row in estimated["models"]:
        assert row["macs"] > 0 and row["cycles"] == row["estimate"] > 0
        assert row["utilization"] == row["macs"] / (row["cycles"] * row["multipliers"])
        assert estimated["peers"]["models"][row["model"]]
    assert sum(map(len, estimated["peers"]["models"].values())) == len(PEERS)


def test_steps_and_lost_cycles_add_up(estimated):
    assert all(adds_up(row) for row in estimated["models"])


def test_an_estimate_compares_nothing_and_says_so(estimated):
    assert all(row["checked"] == 0 and row["estimate_error"] is None
               for row in estimated["models"])
    assert "not run" in page(estimated) and "**estimated**" in page(estimated)


def test_published_latencies_become_cycles():
    values = {(p.file, p.name): p.as_dict(12_501_632) for p in PEERS}
    gap9 = values["mlperf_ic_resnet8.tflite", "GAP9 (ASIC)"]
    assert gap9["cycles"] == 227_920          # 0.616 ms at 370 MHz
    fpga = values["mlperf_ic_resnet8.tflite", "fpgaConvNet, ZedBoard"]
    assert round(fpga["macs_per_dsp"], 2) == 1.01
    vela = values["mlperf_ic_resnet8.tflite", "Arm Ethos-U55-128"]
    assert round(vela["utilization"], 2) == 0.53


def test_models_on_the_emulator_equal_golden_one_after_the_other(models):
    rows = measure_models("emulator", pick("wakeword,speech"), models, 2, quiet)
    assert [row["key"] for row in rows] == ["wakeword", "speech"]
    for row in rows:
        assert row["checked"] > 0 and row["mismatches"] == 0 and row["inferences"] == 2
        assert row["memory"] == "on chip, 256 KiB" and adds_up(row)


def test_a_model_beyond_the_memory_gets_ideal_memory_outside():
    graph = dense(128).graph
    small = replace(PRESETS["base"], memory_bytes=8 << 10)
    assert compile_near(graph, PRESETS["base"]).outside is None
    assert compile_near(graph, small).outside == "ideal"


def test_no_operator_runs_on_the_host_for_want_of_memory_on_chip():
    graph = denoiser_gru(size=3).graph
    assert kaniwa.compile(graph, "base_recurrent").host_ops
    program = compile_near(graph, PRESETS["base_recurrent"])
    assert program.outside == "ideal" and not program.host_ops


def test_what_is_not_for_want_of_memory_stays_an_error(models):
    tiny = replace(PRESETS["base"], line_bytes=256)
    with pytest.raises(kaniwa.CompileError, match="line buffer"):
        compile_near(resnet18(size=32).graph, tiny, require_accelerator=True)


def test_dense_layers_by_size(estimated):
    rows = estimated["dense"]["rows"]
    assert [row["size"] for row in rows] == [16, 32, 64, 128, 256, 512, 1024]
    for row in rows:
        assert row["macs"] == row["size"] ** 2
        assert row["inferences_per_second"] == pytest.approx(50e6 / row["estimate"])
    assert rows[0]["outside"] is None and rows[-1]["outside"] == "ideal"


def test_dense_layers_that_run_equal_golden():
    table = scaling.measure_dense("emulator", "base", (16, 48), (48,), 100.0, quiet)
    first, second = table["rows"]
    assert first["cycles"] is None and first["checked"] == 0
    assert second["checked"] == 48 and second["mismatches"] == 0


def image_for(graph):
    """One image of normally distributed pixels, as the network's input is meant to be."""
    pixels = np.random.default_rng(0).normal(0, 37, graph.tensors[0].shape)
    return {"input_0": np.clip(pixels, -128, 127).astype(np.int8)}


LAYERS = {
    resnet18: {"CONV_2D": 20, "MAX_POOL_2D": 1, "ADD": 8, "AVERAGE_POOL_2D": 1, "RESHAPE": 1,
               "FULLY_CONNECTED": 1},
    mobilenet_v2: {"CONV_2D": 35, "DEPTHWISE_CONV_2D": 17, "ADD": 10, "AVERAGE_POOL_2D": 1,
                   "RESHAPE": 1, "FULLY_CONNECTED": 1},
}
networks = pytest.mark.parametrize("build", LAYERS)


@networks
def test_a_network_has_its_layers(build):
    graph = build(size=64).graph
    assert check(graph) is graph
    kinds = [op.kind for op in graph.ops]
    assert {kind: kinds.count(kind) for kind in kinds} == LAYERS[build]
    assert graph.tensors[graph.outputs[0]].shape == (1, 1000)


@networks
def test_no_activation_of_a_network_dies_or_saturates(build):
    graph = build(seed=3, size=64).graph
    values = golden.run(graph, image_for(graph))
    for op in graph.ops:
        value = values[op.outputs[0]].astype(int)
        signed = op.kind != "MAX_POOL_2D" and op.attributes.get("activation") == "NONE"
        low = 0.05 if signed and op.kind != "AVERAGE_POOL_2D" else 0.65
        assert value.std() > 4, op.name
        assert (value == 127).mean() < 0.02, op.name
        assert (value == -128).mean() < low, op.name


@networks
def test_a_network_is_the_same_for_the_same_seed(build):
    a, b, c = build(size=32), build(size=32), build(seed=1, size=32)
    assert a.data == b.data != c.data


@pytest.mark.parametrize("build, macs", [(resnet18, 1_814_073_344), (mobilenet_v2, 300_774_272)])
def test_a_network_of_224_by_224_is_all_on_the_accelerator(build, macs):
    program = kaniwa.compile(build().graph, "large", outside="ideal", require_accelerator=True)
    assert program.macs == macs and not program.host_ops
    assert program.outside_bytes > program.weight_bytes > 2 << 20


def test_a_larger_array_is_as_much_faster_as_promised():
    study = scaling.measure_scaling(224, quiet)
    assert study["macs"] == 1_814_073_344
    assert [row["multipliers"] for row in study["rows"]] == [64, 256, 1024]
    for row in study["rows"]:
        assert adds_up(row)
        assert row["bar"] is None or row["speedup"] >= row["bar"]
        assert row["compile_seconds"] > 0   # reported: seconds are never asserted


def test_every_distinct_layer_of_resnet18_is_found():
    graph = resnet18().graph
    found = scaling.distinct_layers(graph)
    kinds = [op.kind for op, _ in found]
    assert {kind: kinds.count(kind) for kind in kinds} == {
        "CONV_2D": 11, "MAX_POOL_2D": 1, "AVERAGE_POOL_2D": 1, "FULLY_CONNECTED": 1}
    assert sum(count for _, count in found) == 23


def test_layers_alone_equal_golden():
    table = scaling.measure_layers("emulator", 32, quiet)
    assert len(table["rows"]) == 14
    for row in table["rows"]:
        assert row["checked"] > 0 and row["mismatches"] == 0 and adds_up(row)


def test_the_page_is_made_from_the_recorded_results(root, recorded):
    assert (root / "docs" / "performance.md").read_text() == page(recorded)


def test_recorded_results_are_complete_and_without_mismatch(recorded):
    assert recorded["device"] == "sim" and set(recorded) > set(suite.PARTS)
    assert [row["key"] for row in recorded["models"]] == [case.key for case in CASES]
    assert suite.mismatches(recorded) == 0
    networks = recorded["networks"]
    counted = [row for row in networks["runs"] if row["device"] == "sim"]
    assert [row["key"] for row in networks["rows"] if row["target"] in ("base", "base_vector",
            "base_recurrent")] == [entry.key for entry in NETWORKS]
    assert len(counted) == 2 and networks["vela"]["version"]
    for row in [*recorded["models"], *recorded["layers"]["rows"], *counted]:
        assert row["checked"] > 0 and adds_up(row), row
        assert abs(row["estimate_error"]) < 3
    assert all(row["compile_seconds"] <= 60 for row in networks["rows"])


VELA = """#!{python}
import sys
if "--version" in sys.argv:
    print("9.9.9")
else:
    folder = sys.argv[sys.argv.index("--output-dir") + 1]
    with open(folder + "/m_summary_x.csv", "w") as file:
        file.write("network,cycles_total\\nm,12345.0\\n")
"""


def test_vela_is_run_where_it_is_installed(tmp_path, monkeypatch, models):
    program = tmp_path / "vela"
    program.write_text(VELA.format(python=sys.executable))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr("kaniwa.benchmark.vela.sys.executable", str(tmp_path / "python"))
    assert vela_version() == "9.9.9"
    found = peers(models, [{"model": "mlperf_sww_1d.tflite", "macs": 1000}], quiet)
    assert found["vela"] == "9.9.9"
    row, = found["models"]["mlperf_sww_1d.tflite"]
    assert row["cycles"] == 12345 and row["rerun"]
    assert row["source"] == "Vela 9.9.9 estimate, all in SRAM"


def test_without_vela_its_recorded_figures_are_named(tmp_path, monkeypatch, models):
    monkeypatch.setattr("kaniwa.benchmark.vela.sys.executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    found = peers(models, [{"model": "mlperf_sww_1d.tflite", "macs": 1000}], quiet)
    row, = found["models"]["mlperf_sww_1d.tflite"]
    assert found["vela"] is None and not row["rerun"]


def test_the_verb_prints_json_and_writes_the_page(tmp_path, capsys):
    path = tmp_path / "page.md"
    status, printed = bench("--device", "estimate", "--models", "speech", "--quick", "--json",
                            "--markdown", str(path), capsys=capsys)
    results = json.loads(printed.out)
    assert status == 0 and [row["key"] for row in results["models"]] == ["speech"]
    assert path.read_text() == page(results)


def test_the_verb_shows_earlier_results(tmp_path, capsys, estimated):
    path = tmp_path / "results.json"
    path.write_text(json.dumps(estimated))
    status, printed = bench("--from", str(path), capsys=capsys)
    assert status == 0 and "resnet8-large" in printed.out


@pytest.mark.parametrize("arguments, status, says", [
    (["--models", "resnet9"], 1, "unknown model 'resnet9'"),
    (["--parts", "speed"], 2, "unknown part 'speed'"),
    (["--parts", "networks", "--networks", "alexnet"], 1, "unknown network 'alexnet'"),
    (["--folder", "nowhere"], 1, "nowhere"),
    (["--from", "nowhere.json"], 1, "nowhere.json: cannot be read"),
])
def test_wrong_arguments_are_one_line(arguments, status, says, capsys):
    found, printed = bench("--device", "estimate", *arguments, capsys=capsys)
    assert found == status and says in printed.err and printed.err.count("\n") == 1


def test_a_mismatch_is_a_failure(tmp_path, capsys, estimated):
    results = json.loads(json.dumps(estimated))
    results["models"][0]["mismatches"] = 1
    path = Path(tmp_path / "results.json")
    path.write_text(json.dumps(results))
    status, _ = bench("--from", str(path), capsys=capsys)
    assert status == 1
