"""The figures of a report: they add up, and saved ones are read back or refused in one line."""

from __future__ import annotations

import copy
import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders.graphs.graph_builder import GraphBuilder

from kaniwa.compiler.pipeline import compile
from kaniwa.config import PRESETS
from kaniwa.cycles.estimate import estimate
from kaniwa.cycles.record import record
from kaniwa.errors import InputError
from kaniwa.program.file import from_bytes, to_bytes
from kaniwa.report.accesses import accesses
from kaniwa.report.counted import counters_of
from kaniwa.report.document import document, load_counted, load_document
from kaniwa.report.flow import INPUT, edges, rows_of
from kaniwa.report.make import Wanted, make_runs
from kaniwa.report.page import embedded, to_csv, to_html
from kaniwa.report.run import Clock, Parts, fitting_run

CLOCK = Clock(50.0, "a clock of the tests")
CASES = [("mlperf_ic_resnet8.tflite", "base", None), ("mlperf_kws_dscnn.tflite", "nano", None),
         ("digits_transformer.tflite", "base_vector", None),
         ("tflm_mnist_lstm.tflite", "base_recurrent", None),
         ("mlperf_ad_fc_ae.tflite", "small", "sdram"),
         ("cfu_mbv2_160_035.tflite", "base", "sdram,bytes=2")]     # layers by turns


@pytest.fixture(scope="module", params=CASES, ids=lambda case: f"{case[0]}-{case[1]}")
def run(request: pytest.FixtureRequest, models: Path) -> tuple[Any, dict[str, Any]]:
    model, target, outside = request.param
    program = compile(models / model, target, outside=outside)
    return program, fitting_run(program, CLOCK, Parts())


def test_cycles_of_the_layers_add_up_to_the_estimate(run: tuple[Any, dict[str, Any]]) -> None:
    program, values = run
    assert sum(layer["cycles"] for layer in values["layers"]) == values["totals"]["cycles"]
    assert values["totals"]["cycles"] == estimate(program).cycles
    assert values["totals"]["milliseconds"] == pytest.approx(values["totals"]["cycles"] / 50e3)


def test_the_event_record_has_the_counters_of_the_estimate(
        run: tuple[Any, dict[str, Any]]) -> None:
    program, _ = run
    found, expected = counters_of(program, record(program)), estimate(program)
    assert found.per_layer(program.turns) == expected.per_layer(program.turns)
    assert (found.cycles, found.retired) == (expected.cycles, expected.retired)


def test_steps_and_lost_cycles_add_up(run: tuple[Any, dict[str, Any]]) -> None:
    _, values = run
    assert sum(values["cycles_by_cause"].values()) == values["totals"]["cycles"]
    first = 0
    for layer in values["layers"]:
        assert layer["issued"] + sum(layer["lost"].values()) == layer["cycles"]
        assert layer["first"] == first
        first += layer["cycles"]


def test_bytes_of_the_constants_add_up(run: tuple[Any, dict[str, Any]]) -> None:
    program, values = run
    by_cause = values["bits"]["bytes"]
    assert sum(by_cause.values()) == program.weight_bytes
    assert all(size > 0 for size in by_cause.values())
    of_layers = sum(sum(layer["constants"].values()) for layer in values["layers"])
    assert of_layers + by_cause.get("other", 0) == program.weight_bytes


def test_memory_lies_within_what_the_program_needs(run: tuple[Any, dict[str, Any]]) -> None:
    program, values = run
    last = len(values["layers"]) - 1
    for item in values["memory"]:
        room = program.outside_bytes if item["outside"] else program.local_bytes
        assert 0 <= item["address"] and item["address"] + item["bytes"] <= room
        assert 0 <= item["first"] <= item["last"] <= last


def test_tensors_needed_at_the_same_time_do_not_overlap(models: Path) -> None:
    values = fitting_run(compile(models / "mlperf_kws_dscnn.tflite"), CLOCK, Parts())
    tensors = [item for item in values["memory"] if item["kind"] in ("input", "intermediate")]
    assert len(tensors) > 5
    for i, a in enumerate(tensors):
        for b in tensors[:i]:
            # A layer may write where it reads last; what both need for longer is apart.
            together = min(a["last"], b["last"]) - max(a["first"], b["first"])
            apart = (a["address"] + a["bytes"] <= b["address"]
                     or b["address"] + b["bytes"] <= a["address"])
            assert apart or together <= 0


def test_the_steps_have_room_for_the_multiplications(models: Path) -> None:
    values = fitting_run(compile(models / "mlperf_ic_resnet8.tflite"), CLOCK, Parts())
    totals = values["totals"]
    assert totals["macs"] - totals["removed_macs"] <= 128 * totals["issued"]


def test_edges_are_those_of_the_model(models: Path) -> None:
    program = compile(models / "mlperf_ic_resnet8.tflite")
    rows = rows_of(program)
    found = edges(program, rows, accesses(program))
    assert (INPUT, 0) in found
    # Layer 3 adds what layer 1 made; the addresses tell the same as the model.
    assert {(0, 1), (1, 2), (0, 2)} <= set(found)
    loaded = from_bytes(to_bytes(program))
    assert loaded.graph is None
    assert edges(loaded, rows_of(loaded), accesses(loaded)) == found


def test_a_program_file_has_the_figures_of_its_model(models: Path, tmp_path: Path) -> None:
    program = compile(models / "mlperf_kws_dscnn.tflite")
    path = tmp_path / "kws.kaniwa"
    path.write_bytes(to_bytes(program))
    (own,) = make_runs([path], None, Wanted())
    (other,) = make_runs([models / "mlperf_kws_dscnn.tflite"], None, Wanted())
    assert own["totals"] == other["totals"]
    assert own["cycles_by_cause"] == other["cycles_by_cause"]


def test_what_does_not_fit_on_chip_is_shown_with_outside_memory(models: Path) -> None:
    (run,) = make_runs([models / "mlperf_ad_fc_ae.tflite"], ["small"], Wanted())
    assert run["fits"] and run["outside_added"] and run["totals"]["outside_bytes"]
    verdict = document([run])["runs"][0]["verdict"]
    assert "does not fit" in verdict["next"][0] and "SDRAM" in verdict["next"][0]


def test_what_fits_no_board_is_a_run_that_does_not_fit(models: Path) -> None:
    (run,) = make_runs([models / "cfu_mbv2_160_035.tflite"], None, Wanted(board="ulx3s_25f"))
    assert not run["fits"] and run["totals"]["memory_bytes"] > run["available_bytes"]
    made = document([run])
    assert made["runs"][0]["verdict"]["headline"] == "Does not fit small."
    assert "Does not fit small." in to_html(made)


def test_the_verdict_names_the_targets_with_the_missing_unit(models: Path) -> None:
    (run,) = make_runs([models / "digits_transformer.tflite"], ["base"], Wanted())
    advice = " ".join(document([run])["runs"][0]["verdict"]["next"])
    assert "no vector unit" in advice and "base_vector" in advice
    assert all(PRESETS[name].vector_unit for name in ("base_vector", "base_recurrent"))


def test_the_verdict_says_which_cause_is_largest(models: Path) -> None:
    (run,) = make_runs([models / "mlperf_ad_fc_ae.tflite"], ["base"], Wanted())
    assert max(run["cycles_by_cause"], key=run["cycles_by_cause"].__getitem__) == "weights"
    verdict = document([run])["runs"][0]["verdict"]
    assert "waits most for weights" in verdict["waits"]
    assert any("read_bytes" in advice for advice in verdict["next"])


def test_a_model_that_only_the_host_runs_has_a_report() -> None:
    builder = GraphBuilder()
    x = builder.tensor((1, 4))
    values = fitting_run(compile(builder.graph((x,), (builder.softmax(x),))), CLOCK, Parts())
    made = document([values])
    assert values["totals"]["cycles"] == 0
    assert "nothing to do" in made["runs"][0]["verdict"]["headline"]
    to_html(made)


def test_counted_cycles_replace_estimated_ones(resnet8: dict[str, Any], models: Path) -> None:
    rows = [{"number": layer["number"], "cycles": layer["cycles"] + 1, "utilization": 0.5,
             "lost": {**layer["lost"], "store": 1 + layer["lost"].get("store", 0)}}
            for layer in resnet8["layers"] if layer["where"] != "host"]
    total = sum(row["cycles"] for row in rows)
    run = {"device": "sim", "target": "base", "cycles": total, "layers": rows}
    (values,) = make_runs([models / "mlperf_ic_resnet8.tflite"], ["base"], Wanted(counted=run))
    assert values["source"] == "sim" and values["totals"]["cycles"] == total
    assert sum(values["cycles_by_cause"].values()) == total


def test_a_run_without_counters_shows_the_estimate(resnet8: dict[str, Any], models: Path) -> None:
    run = {"device": "golden", "target": "base", "cycles": 0, "layers": []}
    (values,) = make_runs([models / "mlperf_ic_resnet8.tflite"], ["base"], Wanted(counted=run))
    assert values["source"] == "estimate"
    assert values["totals"]["cycles"] == resnet8["totals"]["cycles"]
    assert "golden has no counters" in to_html(document([values]))


def test_a_run_of_another_target_is_refused(models: Path) -> None:
    run = {"device": "sim", "target": "large", "cycles": 1, "layers": []}
    with pytest.raises(InputError, match="target 'large'"):
        make_runs([models / "mlperf_ic_resnet8.tflite"], ["base"], Wanted(counted=run))


def test_a_saved_report_comes_back_as_before(resnet8: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "saved.json"
    path.write_text(json.dumps(document([resnet8])))
    made = document([resnet8], load_document(path)["runs"])
    assert [run["before"] for run in made["runs"]] == [True, False]
    labels = [run["label"] for run in made["runs"]]
    assert labels[0].endswith(", before") and len(set(labels)) == 2


@pytest.mark.parametrize(("change", "says"), [
    (lambda made: made.update(format="other"), "not a report's JSON"),
    (lambda made: made.update(version=2), "version 2"),
    (lambda made: made.update(runs=[]), "without runs"),
    (lambda made: made["runs"][0].pop("totals"), "'totals'"),
    (lambda made: made["runs"][0]["layers"][0].update(cycles="many"), "'cycles'"),
])
def test_a_damaged_saved_report_is_one_line(change: Any, says: str, resnet8: dict[str, Any],
                                            tmp_path: Path) -> None:
    made = copy.deepcopy(document([resnet8]))
    change(made)
    path = tmp_path / "saved.json"
    path.write_text(json.dumps(made))
    with pytest.raises(InputError, match=says) as raised:
        load_document(path)
    assert "\n" not in str(raised.value)


def test_text_that_is_no_json_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(b"\xff{")
    for load in (load_document, load_counted):
        with pytest.raises(InputError, match="it is no JSON"):
            load(path)
        with pytest.raises(InputError, match="cannot be read"):
            load(tmp_path / "none.json")


def test_the_csv_has_a_row_for_each_layer(two_runs: dict[str, Any]) -> None:
    rows = list(csv.DictReader(io.StringIO(to_csv(two_runs))))
    assert len(rows) == sum(len(run["layers"]) for run in two_runs["runs"])
    assert sum(int(row["cycles"]) for row in rows) == sum(
        run["totals"]["cycles"] for run in two_runs["runs"])


def test_a_name_in_the_csv_is_no_formula(resnet8: dict[str, Any]) -> None:
    run = copy.deepcopy(resnet8)
    run["layers"][0]["name"] = "=HYPERLINK(1)"
    row = next(csv.DictReader(io.StringIO(to_csv(document([run])))))
    assert row["name"] == "'=HYPERLINK(1)"


def test_embedded_json_ends_no_element(resnet8: dict[str, Any]) -> None:
    run = copy.deepcopy(resnet8)
    run["layers"][0]["name"] = "</script><!-- <script>&amp;"
    text = str(embedded(document([run])))
    assert "<" not in text and ">" not in text and "&" not in text
    assert json.loads(text)["runs"][0]["layers"][0]["name"] == "</script><!-- <script>&amp;"


def test_accuracy_counts_each_label(models: Path, tmp_path: Path) -> None:
    from kaniwa.report.accuracy import accuracy

    program = compile(models / "tflm_mnist_lstm.tflite", "base_vector")
    data = np.load(models / "inputs" / "mnist_1000.npz")
    np.savez(tmp_path / "some.npz", x=data["x"][:12], y=data["y"][:12])
    found = accuracy(program, "emulator", str(tmp_path / "some.npz"), True, None,
                     lambda items, count, text, device: iter(items))
    assert found["inferences"] == 12 and found["correct"] >= 10
    assert np.sum(found["classes"]) == 12
    assert np.trace(found["classes"]) == found["correct"]
