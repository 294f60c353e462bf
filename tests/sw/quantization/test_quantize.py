"""`kaniwa quantize`: what the frameworks' quantisers make runs, exactly, and costs what is said."""

import json

import numpy as np
import onnx
import pytest
from click.testing import CliRunner

import kaniwa
from kaniwa.cli import verbs
from kaniwa.errors import InputError, ModelError, UnsupportedError
from kaniwa.importers import load_model
from kaniwa.quantization import litert, onnx_runtime
from kaniwa.quantization.errors_by_layer import ActivationErrors
from kaniwa.quantization.quantize import quantize
from kaniwa.quantization.recipe import Recipe
from kaniwa.verify.litert import verify

FRAMEWORK = {".onnx": "onnxruntime", ".tflite": "litert"}
RECIPES = {
    ".onnx": [Recipe(), Recipe("percentile", 99.9), Recipe("entropy"), Recipe(weights="int4"),
              Recipe(activations="uint8", by_channel=False, symmetric_weights=False),
              Recipe(activations="int16"), Recipe(symmetric_activations=True)],
    ".tflite": [Recipe(), Recipe("percentile", 99.9), Recipe("entropy"), Recipe(weights="int4"),
                Recipe(by_channel=False), Recipe(symmetric_activations=True),
                Recipe(activations="int16", symmetric_activations=True)]}


def command(arguments):
    return CliRunner().invoke(verbs, arguments, obj={})


@pytest.fixture
def models(float_onnx, float_tflite):
    return {".onnx": float_onnx, ".tflite": float_tflite}


@pytest.mark.parametrize("suffix, recipe", [
    (suffix, recipe) for suffix, recipes in RECIPES.items() for recipe in recipes], ids=str)
def test_result_runs_exactly_and_has_the_form_asked_for(models, samples, tmp_path, suffix, recipe):
    outcome = quantize(models[suffix], samples[suffix], recipe)
    path = tmp_path / f"quantised{suffix}"
    path.write_bytes(outcome.data)
    graph = load_model(path)
    kaniwa.compile(graph)
    found = verify(path, against=FRAMEWORK[suffix], inputs=1, layers=True)
    assert found["mismatches"] == 0 and found["tensors"] > 1
    assert stored_dtype(path) == recipe.activations
    bits = int(recipe.weights.removeprefix("int"))
    assert outcome.ratio == 32 / bits and outcome.samples == 24
    assert [row.bits for row in outcome.weights] == [bits] * 2
    scales = [8, 5] if recipe.by_channel else [1, 1]
    assert [row.scales for row in outcome.weights] == scales
    assert all(1 < row.levels <= row.of_levels == 1 << bits for row in outcome.weights)


def stored_dtype(path):
    """Of the quantised input, as the file has it."""
    if path.suffix == ".tflite":
        graph = load_model(path)
        return graph.tensors[graph.inputs[0]].dtype
    graph = onnx.load(path).graph
    zero_point = next(node.input[2] for node in graph.node if node.op_type == "QuantizeLinear")
    return next(onnx.numpy_helper.to_array(tensor).dtype.name for tensor in graph.initializer
                if tensor.name == zero_point)


def test_weights_of_8_bits_that_are_small_are_not_taken_for_4(tmp_path, float_tflite, samples):
    """The bits are those of the file, not those that the values would need."""
    outcome = quantize(float_tflite, samples[".tflite"], Recipe(by_channel=False))
    path = tmp_path / "wide.tflite"
    content = bytearray(outcome.data)
    for tensor in load_model_bytes(outcome.data):
        at = outcome.data.index(tensor.tobytes())
        content[at:at + tensor.size] = bytes(tensor.size)
    path.write_bytes(content)
    exact = litert._Model(float_tflite, float_tflite.read_bytes())
    rows = list(litert._weights(exact, litert._Model(path, bytes(content)), bytes(content)))
    assert [row.levels for row in rows] == [1, 1] and [row.bits for row in rows] == [8, 8]


def load_model_bytes(data):
    """The int8 constants of a TFLite file."""
    from kaniwa.importers.tflite.importer import import_tflite

    return [tensor.data for tensor in import_tflite(data, "made").tensors
            if tensor.data is not None and tensor.data.dtype == np.int8]


@pytest.mark.parametrize("suffix", RECIPES)
def test_errors_are_those_of_the_literature(models, samples, suffix):
    """6 dB a bit: 4 bits cost 24 dB of the weights, a wide range of activations less than 16."""
    errors = {recipe: quantize(models[suffix], samples[suffix], recipe) for recipe in (
        Recipe(), Recipe(weights="int4"),
        Recipe(activations="int16", symmetric_activations=True))}
    eight, four, wide = errors.values()
    for row, coarse in zip(eight.weights, four.weights, strict=True):
        assert row.signal_to_noise_db - coarse.signal_to_noise_db == pytest.approx(24, abs=3)
    assert eight.activations[0].name == "image"
    assert wide.activations[0].signal_to_noise_db - eight.activations[0].signal_to_noise_db > 40
    assert eight.activations[-1].name == "scores"
    assert 25 < eight.activations[-1].signal_to_noise_db < 45
    assert four.activations[-1].signal_to_noise_db < eight.activations[-1].signal_to_noise_db - 8


@pytest.mark.parametrize("suffix", RECIPES)
def test_a_percentile_leaves_outliers_out(models, samples, tmp_path, suffix):
    with np.load(samples[suffix]) as file:
        images = file["image"].copy()
    images[0].flat[0] = 100
    path = tmp_path / "outlier.npz"
    np.savez(path, image=images)
    rows = [quantize(models[suffix], path, Recipe(method, 99.9), compared=24).data
            for method in ("minmax", "percentile")]
    scales = []
    for number, data in enumerate(rows):
        file = tmp_path / f"{number}{suffix}"
        file.write_bytes(data)
        scales.append(next(tensor.quantization.scale for tensor in load_model(file).tensors
                           if tensor.name.startswith("image") and tensor.quantization))
    assert scales[1] < scales[0] / 5


def test_recipes_that_a_framework_has_no_form_of(models, samples):
    for suffix, recipe, why in (
            (".onnx", Recipe(symmetric_weights=False), "--by tensor"),
            (".tflite", Recipe(activations="uint8"), "int8 or int16, not uint8"),
            (".tflite", Recipe(symmetric_weights=False), "zero point is 0"),
            (".tflite", Recipe(activations="int16"), "give --symmetric")):
        with pytest.raises(InputError, match=why):
            quantize(models[suffix], samples[suffix], recipe)
    with pytest.raises(InputError, match="weights are one of int8, int4, not 'int2'"):
        Recipe(weights="int2")
    with pytest.raises(InputError, match="above 50"):
        Recipe(percentile=101)
    with pytest.raises(InputError, match="a percentile is above 50 and at most 100, not '99'"):
        Recipe(percentile="99")


@pytest.mark.parametrize("suffix", FRAMEWORK)
def test_what_stays_in_float_is_the_hosts(models, samples, tmp_path, suffix):
    """The last layer, by its result's name: its weights stay as they are."""
    path = tmp_path / f"partly{suffix}"
    result = command(["quantize", str(models[suffix]), "--calibration", str(samples[suffix]),
                      "-o", str(path), "--in-float", "^scores$", "--json"])
    assert result.exit_code == 0, result.output
    (row,) = json.loads(result.stdout)["weights"]
    assert row["name"].endswith("kernel")
    program = kaniwa.compile(path)
    assert "FULLY_CONNECTED" in {op.kind for op in program.host_ops}
    assert [layer.op.split("+")[0] for layer in program.layers] == ["CONV_2D"]


@pytest.mark.parametrize("suffix, first", [(".onnx", "normal|mixed"), (".tflite", "positive")])
@pytest.mark.parametrize("stays", [False, True])
def test_an_input_of_float_operators_alone_is_not_quantised(models, samples, tmp_path, suffix,
                                                            first, stays):
    path = tmp_path / f"partly{suffix}"
    recipe = Recipe(in_float=(first,) if stays else ())
    path.write_bytes(quantize(models[suffix], samples[suffix], recipe).data)
    graph = load_model(path)
    (convolution,) = (op for op in graph.ops if op.kind == "CONV_2D")
    assert graph.tensors[convolution.inputs[0]].dtype == ("float32" if stays else "int8")


@pytest.mark.parametrize("suffix", FRAMEWORK)
@pytest.mark.parametrize("pattern, says", [
    ("scoers", "'scoers' is found in no operator's name, or result's"),
    ("^image$", "'^image$' is found in no operator's name, or result's"),
    ("(", "'(' is no regular expression: missing ), unterminated subpattern")])
def test_patterns_that_find_nothing_are_named(models, samples, tmp_path, suffix, pattern, says):
    path = tmp_path / f"none{suffix}"
    result = command(["quantize", str(models[suffix]), "--calibration", str(samples[suffix]),
                      "-o", str(path), "--in-float", pattern])
    assert isinstance(result.exception, InputError) and says in str(result.exception)
    assert not path.exists()


def test_files_that_are_no_float_models(models, samples, tmp_path):
    quantised = tmp_path / "quantised.onnx"
    quantised.write_bytes(quantize(models[".onnx"], samples[".onnx"]).data)
    cut = {suffix: tmp_path / f"cut{suffix}" for suffix in models}
    for suffix, path in cut.items():
        path.write_bytes(models[suffix].read_bytes()[:400])
    for path, why in ((quantised, "is quantised already"), (cut[".onnx"], "no ONNX model"),
                      (cut[".tflite"], "LiteRT cannot read it"), (tmp_path / "no.onnx", "no such"),
                      (tmp_path / "no.tflite", "no such"), (tmp_path / "a.pt", "a .onnx or a .tf")):
        with pytest.raises(ModelError, match=why):
            quantize(path, samples.get(path.suffix, tmp_path))


def test_an_operator_that_the_quantiser_breaks_on_is_one_line(models, samples, monkeypatch):
    def broken(*given, **options):
        raise RuntimeError("first line\nsecond")

    monkeypatch.setattr("onnxruntime.quantization.quantize_static", broken)
    with pytest.raises(ModelError, match=r"ONNX Runtime cannot quantise it: first line$"):
        quantize(models[".onnx"], samples[".onnx"])


def test_without_the_extra_one_line_names_it(models, samples, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "ai_edge_quantizer", None)
    with pytest.raises(UnsupportedError, match="needs ai-edge-quantizer: pip install .*quantize"):
        quantize(models[".tflite"], samples[".tflite"])


@pytest.mark.parametrize("suffix", RECIPES)
def test_command_writes_the_model_and_says_what_it_costs(models, samples, tmp_path, suffix):
    output = tmp_path / f"made{suffix}"
    given = ["quantize", str(models[suffix]), "--calibration", str(samples[suffix]), "-o",
             str(output), "--limit", "8", "--no-progress"]
    shown = command(given)
    assert shown.exit_code == 0, shown.output
    assert "8 samples; weights 4.00 times smaller than in float32" in shown.output
    assert f"next: kaniwa compile {output}" in shown.output
    told = json.loads(command([*given, "--json"]).output)
    assert told["samples"] == 8 and told["cannot_run"] is None
    assert told["bytes"] == output.stat().st_size
    assert {"name", "levels", "signal_to_noise_db"} <= told["weights"][0].keys()


def test_a_failed_command_writes_nothing(models, samples, tmp_path):
    output = tmp_path / "made.tflite"
    shown = command(["quantize", str(models[".tflite"]), "--calibration",
                     str(samples[".onnx"]), "-o", str(output)])
    assert isinstance(shown.exception, InputError)
    assert "expected shape" in str(shown.exception)
    assert not list(tmp_path.iterdir())
    shown = command(["quantize", str(models[".tflite"]), "--calibration",
                     str(samples[".tflite"]), "-o", str(tmp_path / "made.onnx")])
    assert "suffix of the model, .tflite" in str(shown.exception)


def test_external_weights_and_open_batch(float_onnx, samples, tmp_path):
    model = onnx.load(float_onnx)
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "N"
    model.graph.output[0].type.tensor_type.shape.dim[0].dim_param = "N"
    path = tmp_path / "open.onnx"
    onnx.save(model, path, save_as_external_data=True, location="open.data", size_threshold=0)
    assert onnx_runtime.onnx_inputs(path)[0].shape == (None, 1, 12, 12)
    assert len(quantize(path, samples[".onnx"]).weights) == 2


def test_values_of_a_loop_that_takes_other_steps_are_left_out():
    errors = ActivationErrors()
    errors.take({"looped": np.ones((3, 2)), "other": np.ones(4)},
                {"looped": np.ones((5, 2)), "other": np.ones(4)})
    assert [row.name for row in errors.rows(["looped", "other"])] == ["other"]


def test_inputs_are_listed(float_tflite):
    only, = litert.tflite_inputs(float_tflite)
    assert (only.name, only.shape, only.dtype) == ("image", (1, 12, 12, 1), "float32")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("suffix", [".onnx", ".tflite"])
def test_a_weight_that_is_no_finite_number_is_named(models, samples, tmp_path, suffix, value):
    damaged, content = tmp_path / f"damaged{suffix}", models[suffix].read_bytes()
    if suffix == ".onnx":
        model = onnx.load_from_string(content)
        (dense,) = (t for t in model.graph.initializer if t.name == "dense")
        weights = onnx.numpy_helper.to_array(dense).copy()
        weights[1, 2] = value
        dense.CopyFrom(onnx.numpy_helper.from_array(weights, "dense"))
        content = model.SerializeToString()
    else:
        weights = next(values for name, values in litert._Model(models[suffix], content).constants()
                       if name == "dense").copy()
        before = weights.tobytes()
        weights[1, 2] = value
        assert content.count(before) == 1
        content = content.replace(before, weights.tobytes())
    damaged.write_bytes(content)
    with pytest.raises(ModelError, match="damaged.*'dense' has (NaN|infinity).*1 of 1440 are no"):
        quantize(damaged, samples[suffix])
