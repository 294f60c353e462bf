"""The networks of `kaniwa bench`: LiteRT runs their files, golden equals it, the device golden."""

import json
import stat
import sys
from functools import cache

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter, OpResolverType

import kaniwa
from kaniwa import golden
from kaniwa.benchmark.networks import measure, vela
from kaniwa.benchmark.networks.page import networks_text
from kaniwa.benchmark.networks.table import NETWORKS, pick_networks
from kaniwa.config import PRESETS

entries = pytest.mark.parametrize("entry", NETWORKS, ids=lambda entry: entry.key)
SATURATED = 0.1   # of an activation; RSQRT of a variance near 0 has more
FEW = "blazeface,tcn,dtln"   # make long runs all


def quiet(text):
    """Progress that nobody reads."""


def inputs_of(graph):
    """Normally distributed numbers, as the networks' inputs are meant to be."""
    rng, found = np.random.default_rng(5), {}
    for number in graph.inputs:
        tensor = graph.tensors[number]
        q, ends = tensor.quantization, np.iinfo(tensor.dtype)
        values = np.rint(rng.normal(size=tensor.shape) / q.scale) + q.zero_point
        found[tensor.name] = np.clip(values, ends.min, ends.max).astype(tensor.dtype)
    return found


def litert(data):
    """LiteRT's interpreter with its reference kernels."""
    found = Interpreter(model_content=data,
                        experimental_op_resolver_type=OpResolverType.BUILTIN_REF)
    found.allocate_tensors()
    return found


def differences(file):
    """Elements in which LiteRT's outputs differ from golden's, and golden's values."""
    graph, interpreter = file.graph, litert(file.data)
    inputs = inputs_of(graph)
    for each in interpreter.get_input_details():
        interpreter.set_tensor(each["index"], inputs[each["name"]])
    interpreter.invoke()
    values = golden.run(graph, inputs)
    outputs = interpreter.get_output_details()
    assert [each["index"] for each in outputs] == [*graph.outputs]
    return sum(int(np.count_nonzero(interpreter.get_tensor(i) != values[i]))
               for i in graph.outputs), values


@cache
def small(key):
    entry, = pick_networks(key)
    return entry.build(size=entry.small)


@entries
def test_litert_and_the_importer_read_the_same_tensors(entry):
    graph = small(entry.key).graph
    found = {each["index"]: each for each in litert(small(entry.key).data).get_tensor_details()}
    for tensor in graph.tensors[:len(found)]:
        theirs, q = found.get(tensor.id), tensor.quantization
        if theirs is None or not theirs["name"]:
            continue   # a tensor of LiteRT's own
        assert theirs["name"] == tensor.name and tuple(theirs["shape"]) == tensor.shape
        assert theirs["dtype"] == np.dtype(tensor.dtype)
        if q is not None:
            parameters = theirs["quantization_parameters"]
            assert parameters["scales"].tolist() == [*q.scales]
            assert parameters["zero_points"].tolist() == [*q.zero_points]


@entries
def test_golden_equals_litert_and_no_activation_dies_or_saturates(entry):
    mismatches, values = differences(small(entry.key))
    assert mismatches == 0
    graph = small(entry.key).graph
    for op in graph.ops:
        value = values[op.outputs[0]].astype(int)
        if value.size > 500:
            assert len(np.unique(value)) > 5, op.name
            assert (value == np.iinfo(values[op.outputs[0]].dtype).max).mean() < SATURATED, op.name


@pytest.mark.long
@entries
def test_golden_equals_litert_at_full_size(entry):
    assert differences(entry.build(size=entry.size))[0] == 0


@pytest.mark.long
@pytest.mark.parametrize("full", [False, True], ids=["small", "full"])
@entries
def test_the_emulator_equals_golden(entry, full):
    size = None if full else entry.small
    found = measure.measure_networks("emulator", [entry], quiet, size, named=True)
    assert len(found["runs"]) == len(entry.targets)
    assert all(row["checked"] > 0 and row["mismatches"] == 0 for row in found["runs"])


def test_small_networks_on_the_emulator_equal_golden(monkeypatch, tmp_path):
    monkeypatch.setattr(vela, "RECORDED", tmp_path / "none.json")
    for entry in pick_networks(FEW):
        found = measure.measure_networks("emulator", [entry], quiet, entry.small, named=True)
        assert [row["target"] for row in found["runs"]] == [*entry.targets]
        for row in found["runs"]:
            assert row["checked"] > 0 and row["mismatches"] == 0, row["key"]
            assert row["issued"] + sum(row["lost"].values()) == row["cycles"]


def test_a_row_has_the_bound_and_what_is_above_it():
    found = measure.measure_networks("estimate", pick_networks("mcunet"), quiet, 32)
    assert found["runs"] == [] and [row["target"] for row in found["rows"]] == ["base", "large"]
    for row in found["rows"]:
        assert row["error"] is None and row["segments"]["count"] == 0
        assert row["over_bound"] == row["cycles"] / row["bound"] > 1
        assert sum(row["excess"].values()) == pytest.approx(row["cycles"] - row["bound"], abs=99)
        assert any(layer["times"] > 1 for layer in row["worst"])
        first, second, *_ = row["worst"]
        assert first["cycles"] - first["bound"] >= second["cycles"] - second["bound"]


def test_a_network_without_a_place_has_a_row_that_says_so(monkeypatch):
    def refuse(graph, config):
        raise kaniwa.CompileError("no room")

    monkeypatch.setattr(measure, "compile_near", refuse)
    found = measure.measure_networks("estimate", pick_networks("tcn"), quiet, 8)
    assert [row["error"] for row in found["rows"]] == ["no room"] * 2
    assert found["classes"] == []
    assert "dilated TCN on `base`: no room" in networks_text({"networks": found})


def row(key, target, cycles, bound, other, left=0):
    return {"class": key, "target": target, "error": None, "cycles": cycles,
            "over_bound": cycles / bound, "utilization": 0.5, "vela_ratio": other / cycles,
            "vela": {"cycles": other, "cpu_operators": left}}


def test_means_are_geometric_and_leave_out_what_vela_does_not_take():
    rows = [row("cnn", "base", 100, 50, 400), row("cnn", "base", 100, 100, 100),
            row("cnn", "base", 100, 100, 1, left=2), row("uint8", "base", 100, 80, 300)]
    first, second = measure._classes(rows)
    assert first["over_bound"] == pytest.approx(2 ** (1 / 3))
    assert first["beside_vela"] == 2 and first["vela_ratio"] == pytest.approx(2)
    assert first["vela_over_bound"] == pytest.approx(8 ** 0.5)
    assert second["class"] == "uint8" and second["vela_ratio"] == pytest.approx(3)


VELA = """#!{python}
import sys
if "--version" in sys.argv:
    print("9.9.9")
else:
    count = sys.argv[sys.argv.index("--accelerator-config") + 1].split("-")[-1]
    with open(sys.argv[sys.argv.index("--output-dir") + 1] + "/m_summary_x.csv", "w") as file:
        file.write("network,cycles_total\\nm," + count + "000.0\\n")
    print("CPU operators = 3 (1.0%)")
"""


def test_vela_reads_the_same_file_where_it_is_installed(tmp_path, monkeypatch):
    program = tmp_path / "vela"
    program.write_text(VELA.format(python=sys.executable))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr("kaniwa.benchmark.vela.sys.executable", str(tmp_path / "python"))
    figures = vela.Figures.found()
    assert figures.of("tcn", small("tcn")) == {
        "128": {"cycles": 128000, "cpu_operators": 3}, "256": {"cycles": 256000,
                                                               "cpu_operators": 3}}
    assert figures.source()["vela"]["rerun"] and figures.version == "9.9.9"


def test_without_vela_its_recorded_figures_are_taken(tmp_path, monkeypatch):
    monkeypatch.setattr("kaniwa.benchmark.vela.sys.executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    recorded = json.loads(vela.RECORDED.read_text())
    assert list(recorded["networks"]) == [entry.key for entry in NETWORKS]
    figures = vela.Figures.found()
    assert figures.of("unet", small("unet")) == recorded["networks"]["unet"]
    assert figures.source()["vela"] == {"version": recorded["version"], "rerun": False,
                                        "options": recorded["options"]}
    monkeypatch.setattr(vela, "RECORDED", tmp_path / "none.json")
    assert vela.Figures.found().of("unet", small("unet")) == {}


def test_every_target_is_a_preset_and_every_network_has_a_class():
    assert len(NETWORKS) >= 14
    assert all(set(entry.targets) <= set(PRESETS) and set(entry.runs) <= set(entry.targets)
               for entry in NETWORKS)
