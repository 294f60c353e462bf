"""Bits a weight by layer and cause add up to those of the program."""

import pytest

import kaniwa
from kaniwa.importers import load_model
from kaniwa.report.layer_bits import layer_bits
from kaniwa.report.weight_bytes import CAUSES

CASES = [("mlperf_kws_dscnn.tflite", "base"), ("mlperf_ad_fc_ae.tflite", "base"),
         ("mlperf_vww_mbv1_96.tflite", "large"), ("mlperf_ic_resnet8.tflite", "nano"),
         ("keyword_transformer.tflite", "base_vector"),
         ("tflm_mnist_lstm.tflite", "base_recurrent"),
         ("onnx_mlperf_ic_qdq.onnx", "base")]


@pytest.mark.parametrize("file, target", CASES)
def test_rows_add_up_to_the_program(models, file, target):
    graph = load_model(models / file)
    program = kaniwa.compile(graph, target=target)
    *layers, every = layer_bits(program, graph)
    assert every["name"] == "all" and every["weights"] == program.weights
    assert sum(every["bytes"].values()) == program.weight_bytes
    assert every["bits"] == pytest.approx(8 * program.weight_bytes / program.weights)
    assert sum(row["weights"] for row in layers) == program.weights
    for cause in CAUSES:
        rest = every["bytes"].get(cause, 0) - sum(row["bytes"].get(cause, 0) for row in layers)
        assert rest == 0 or cause == "other", cause
    assert all(row["bits"] == 8 * sum(row["bytes"].values()) / row["weights"]
               for row in layers if row["weights"])


def test_constants_without_weights_have_bytes_and_no_bits(models):
    graph = load_model(models / "mlperf_kws_dscnn.tflite")
    rows = layer_bits(kaniwa.compile(graph), graph)
    average = next(row for row in rows if row["op"] == "AVERAGE_POOL_2D")
    assert average["weights"] == 0 and average["bits"] is None
    assert average["bytes"]["weights"] > 0     # ones, which the array multiplies with
