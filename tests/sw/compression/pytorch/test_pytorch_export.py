"""From a module to a program: the integers are those that training had, the core is exact."""

import re

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs PyTorch: pip install 'kaniwa[compress]'")
pytest.importorskip("onnxscript", reason="needs onnxscript: pip install 'kaniwa[compress]'")
import onnx  # noqa: E402
from torch import nn  # noqa: E402

import kaniwa  # noqa: E402
from kaniwa import golden  # noqa: E402
from kaniwa.compression.pytorch import steps  # noqa: E402
from kaniwa.compression.pytorch.export import export_onnx  # noqa: E402
from kaniwa.compression.pytorch.held import Levels  # noqa: E402
from kaniwa.compression.pytorch.recipe import Recipe, compress  # noqa: E402
from kaniwa.compression.pytorch.training import Settings  # noqa: E402
from kaniwa.errors import Error, InputError, ModelError  # noqa: E402
from kaniwa.importers import load_model  # noqa: E402
from kaniwa.quantization.quantize import quantize  # noqa: E402
from kaniwa.quantization.recipe import Recipe as Quantisation  # noqa: E402

pytestmark = pytest.mark.long


@pytest.mark.parametrize("bits", [8, 4])
def test_the_quantised_model_has_the_integers_of_training(module, data, tmp_path, bits, root):
    small = compress(module, Recipe((
        steps.ChannelPruning(sparsity=0.25), steps.BlockPruning(sparsity=0.2),
        steps.FoldNormalization(), steps.WeightSharing(entries=16), steps.Quantized(bits=bits)),
        Settings(rate=0.01)), data)
    path = tmp_path / "float.onnx"
    export_onnx(small, path, data.x[:1])
    assert str(root).encode() not in path.read_bytes(), "the file says where it was made"
    np.savez(tmp_path / "samples.npz", image=data.x[:32])
    outcome = quantize(path, tmp_path / "samples.npz", Quantisation(weights=f"int{bits}"))
    stored = [onnx.numpy_helper.to_array(t).astype(np.int64)
              for t in onnx.load_from_string(outcome.data).graph.initializer
              if t.name.endswith("_quantized") and len(t.dims) > 1]
    layers = [layer for layer in small.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    assert len(stored) == len(layers)
    for layer in layers:
        made = layer.parametrizations.weight
        with torch.no_grad():
            value = made.original
            for how in list(made)[:-1]:
                value = how(value)
            wanted = Levels(bits).integers(value).numpy().astype(np.int64)
        assert any(np.array_equal(wanted, integers) for integers in stored), layer
    model = tmp_path / "model.onnx"
    model.write_bytes(outcome.data)
    graph = load_model(model)
    with kaniwa.open("emulator") as device:
        session = kaniwa.Session(kaniwa.compile(graph, "base"), device)
        for sample in data.x[:4]:
            inputs = {"image": sample[None]}
            np.testing.assert_array_equal(session.run(inputs)["scores"],
                                          golden.run(graph, inputs)[graph.outputs[0]])


def test_export_leaves_the_module_and_refuses_in_one_line(module, data, tmp_path):
    steps.MagnitudePruning(sparsity=0.5).apply(module)
    export_onnx(module, tmp_path / "a.onnx", data.x[:1], "pixels", "classes")
    steps.WeightSharing().apply(module)     # still masked
    model = onnx.load(tmp_path / "a.onnx")
    assert [v.name for v in (*model.graph.input, *model.graph.output)] == ["pixels", "classes"]
    with pytest.raises(InputError, match=r"sample: expected float32 \[1, ...\], found float64"):
        export_onnx(module, tmp_path / "b.onnx", data.x[:1].astype(float))
    with pytest.raises(ModelError, match="b.onnx: PyTorch cannot export the module") as raised:
        export_onnx(module, tmp_path / "b.onnx", data.x[:1, :, :, :2].repeat(2, 1))
    assert "\n" not in str(raised.value)
    with pytest.raises(Error, match="cannot be written"):
        export_onnx(module, tmp_path / "no" / "b.onnx", data.x[:1])
    assert [p.name for p in tmp_path.iterdir()] == ["a.onnx"]


def test_the_page_of_compression_runs(root, tmp_path, monkeypatch):
    """Its blocks without a language are the ones that need PyTorch."""
    page = (root / "docs" / "howto" / "compress.md").read_text()
    blocks = [text for kind, text in re.findall(r"^```([^\n]*)\n(.*?)^```", page,
                                                re.DOTALL | re.MULTILINE) if not kind]
    assert any("kaniwa.compression.pytorch" in block for block in blocks)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models").symlink_to(root / "models")
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, "compress.md", "exec"), names)
