"""Programs with operators of a framework's own runtime: files, reports, counts and errors."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders.files.runtime_models import onnx_mixed, tflite_mixed, tflite_spectrum

import kaniwa
from kaniwa import cli, golden
from kaniwa.errors import Error, ProgramError, UnsupportedError
from kaniwa.importers import load_model
from kaniwa.importers.tflite.importer import import_tflite
from kaniwa.program.check import check
from kaniwa.program.file import from_bytes, to_bytes
from kaniwa.program.host_part import HostOp
from kaniwa.program.program import Program
from kaniwa.program.summary import summary
from kaniwa.runtimes.behind import behind
from kaniwa.verify.litert import verify

FILES = {"net.onnx": onnx_mixed, "net.tflite": tflite_mixed}
RUNTIMES = {"net.onnx": "ONNX Runtime", "net.tflite": "LiteRT"}


@pytest.fixture(scope="module", params=FILES)
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / request.param
    path.write_bytes(FILES[request.param]())
    return path


@pytest.fixture
def program(model: Path) -> Program:
    return kaniwa.compile(model, target="nano")


def inputs_of(program: Program) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(2)
    return {t.name: rng.normal(0, 1, t.shape).astype(t.dtype) if t.dtype == "float32"
            else rng.integers(-128, 128, t.shape, t.dtype) for t in program.inputs}


def kaniwa_prints(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    with pytest.raises(SystemExit) as stopped:
        cli.main([str(a) for a in arguments])
    captured = capsys.readouterr()
    assert not stopped.value.code, captured.err
    return captured.out


def test_the_device_has_both_convolutions_and_the_host_the_middle(program: Program) -> None:
    assert [step.where for step in program.steps].count("device") == 2
    own = [row for row in summary(program)["layers"] if row["runtime"]]
    assert {row["runtime"] for row in own} == {RUNTIMES[program.name]}
    assert {row["why"] for row in own} == {"golden has no kernel for it"}


def test_a_file_runs_in_a_process_without_the_model(program: Program, tmp_path: Path) -> None:
    inputs = inputs_of(program)
    kaniwa.save_program(program, tmp_path / "p.kaniwa")
    np.savez(tmp_path / "in.npz", **inputs)
    code = ("import kaniwa, numpy as np\n"
            "program = kaniwa.load_program('p.kaniwa')\n"
            "with kaniwa.open('emulator') as device:\n"
            "    got = kaniwa.Session(program, device).run(dict(np.load('in.npz')))\n"
            "np.savez('out.npz', **got)\n")
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, timeout=60)
    assert program.graph is not None
    values = golden.run(program.graph, inputs)
    got = np.load(tmp_path / "out.npz")
    for i in program.output_ids:
        np.testing.assert_array_equal(got[program.graph.tensors[i].name], values[i])


def test_check_counts_what_is_behind_the_runtime_apart(
        model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    values = json.loads(kaniwa_prints(capsys, "run", model, "--random", 3, "--limit", 2,
                                      "--device", "emulator", "--target", "nano", "--check",
                                      "--json"))
    assert values["mismatches"] == values["behind"]["mismatches"] == 0
    first, last = load_model(model).outputs
    graph = load_model(model)
    sizes = [2 * int(np.prod(graph.tensors[i].shape)) for i in (first, last)]
    assert [values["checked"], values["behind"]["checked"]] == sizes
    assert values["behind"]["outputs"] == [graph.tensors[last].name]
    text = kaniwa_prints(capsys, "run", model, "--random", 3, "--limit", 2, "--device",
                         "emulator", "--target", "nano", "--check")
    count, name = values["behind"]["operators"], RUNTIMES[model.name]
    assert (f"mismatches: 0 of {sizes[0]} output elements\nbehind {count} operator"
            f"{'s' * (count != 1)} of {name}: mismatches: 0 of {sizes[1]} output elements, "
            f"compared with the same runtime: no claim of exactness\n") in text
    assert f" by {name}" in re.search("on the host: .*", text)[0]


def test_verify_counts_them_apart(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    against = "onnxruntime" if model.suffix == ".onnx" else "litert"
    values = verify(model, against=against, inputs=5, limit=3, layers=True)
    assert values["mismatches"] == values["behind"]["mismatches"] == 0
    graph = load_model(model)
    apart = behind(graph)
    assert apart is not None and values["behind"]["operators"] == apart.count
    assert values["tensors"] > 0 and values["behind"]["tensors"] > 0
    text = kaniwa_prints(capsys, "verify", model, "--against", against, "--random", 5,
                         "--limit", 2)
    assert f"of {RUNTIMES[model.name]}: mismatches: 0 in " in text


def test_compile_and_report_name_the_runtime(
        model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    name, kind = RUNTIMES[model.name], "LRN" if model.suffix == ".onnx" else "CUMSUM"
    line = f"on the host, by {name}: {kind}: golden has no kernel for it"
    assert line in kaniwa_prints(capsys, "compile", model, "--target", "nano")
    assert line in kaniwa_prints(capsys, "estimate", model, "--target", "nano")
    kaniwa_prints(capsys, "report", model, "--target", "nano", "-o", "r.html")
    assert f"by {name}: golden has no kernel for it" in (tmp_path / "r.html").read_text()


def test_the_accelerator_alone_refuses_them(model: Path) -> None:
    with pytest.raises(Error, match="golden has no kernel for it; or compile without"):
        kaniwa.compile(replace_inputs(model), target="nano", require_accelerator=True)


def replace_inputs(model: Path) -> Any:
    """The graph of the runtime's first operator alone."""
    graph = load_model(model)
    op = next(op for op in graph.ops if op.rule in ("onnxruntime", "litert"))
    computed = tuple(i for i in op.inputs if graph.tensors[i].data is None)
    return replace(graph, ops=(op,), inputs=computed, outputs=op.outputs)


def hosted(program: Program) -> HostOp:
    return next(op for op in program.host_ops if op.rule in ("onnxruntime", "litert"))


def changed(program: Program, **attributes: object) -> bytes:
    """The file with other attributes of the runtime's first operator."""
    own = hosted(program)
    new = replace(own, attributes={**own.attributes, **attributes})
    return to_bytes(replace(program, host_ops=tuple(
        new if op is own else op for op in program.host_ops)))


BAD = {
    "onnxruntime": [{"node": "A" * 70000}, {"node": "!!!"}, {"node": ""}, {"node": 3},
                    {"opset": -1}, {"opset": None}, {"more": 1}],
    "litert": [{"version": 0}, {"version": "1"}, {"options": ((0, "00"), (0, "00"))},
               {"options": ((0, "zz"),)}, {"options": ((0, "0000"),)}, {"options": ((99, "00"),)},
               {"options": 3}, {"custom": (("a", "b"),)}, {"custom": ((1, 1),)}, {"more": 1}],
}


def test_damaged_definitions_are_refused_as_the_file_is_read(program: Program) -> None:
    for attributes in BAD[hosted(program).rule]:
        with pytest.raises(ProgramError, match="host operator .* has .*; compile the model again"):
            from_bytes(changed(program, **attributes))


def test_other_definitions_end_in_one_line_as_they_run() -> None:
    """Nodes that parse, but are other ones or have other results: nothing runs unasked."""
    import base64

    from builders.files.onnx_models import OnnxBuilder
    from onnx import NodeProto, TensorProto, helper

    from kaniwa.importers.onnx.model import import_onnx

    b = OnnxBuilder(5)
    graph = import_onnx(b.model(b.node("Det", [b.activation((1, 3, 3))])), "net.onnx")
    program = kaniwa.compile(graph, target="nano")
    node = NodeProto()
    node.ParseFromString(base64.b64decode(str(hosted(program).attributes["node"])))

    def other(change: Any) -> str:
        new = NodeProto()
        new.CopyFrom(node)
        change(new)
        return base64.b64encode(new.SerializeToString()).decode()

    def outside(new: NodeProto) -> None:
        tensor = TensorProto(data_type=1, dims=[1], data_location=1)
        tensor.external_data.add(key="location", value="/etc/hostname")
        new.attribute.append(helper.make_attribute("value", tensor))

    texts = {
        other(lambda n: setattr(n, "op_type", "Abs")): "of another operator",
        other(lambda n: n.input.append("i1")): "has other operands",
        other(lambda n: n.output.append("o0")): "has other operands",
        other(lambda n: setattr(n, "domain", "ai.x")): "of another operator",
        other(lambda n: n.attribute.add(name="body", type=5)): "neither numbers nor text",
        other(outside): "neither numbers nor text",
        base64.b64encode(b"\xff\xff\xff").decode(): "has a damaged definition"}
    inputs = inputs_of(program)
    for text, reason in texts.items():
        damaged = from_bytes(changed(program, node=text))
        with kaniwa.open("emulator") as device:
            with pytest.raises(UnsupportedError, match=f"ONNX Runtime refuses .*{reason}") as error:
                kaniwa.Session(damaged, device).run(inputs)
        assert "\n" not in str(error.value)


def test_damaged_bytes_of_a_definition_end_in_one_error(program: Program) -> None:
    """Random characters of the definition, with right CRCs: refused, or run to the same shapes."""
    rng, own = np.random.default_rng(3), hosted(program)
    inputs = inputs_of(program)
    for _ in range(40):
        text = list(json.dumps(own.attributes))
        for at in rng.integers(1, len(text) - 1, 2):
            text[int(at)] = str(rng.choice(list("0123456789abcdef\"[],")))
        try:
            attributes = json.loads("".join(text))
        except ValueError:
            continue
        try:
            damaged = from_bytes(changed(program, **attributes))
            with kaniwa.open("emulator") as device:
                kaniwa.Session(damaged, device).run(inputs)
        except Error as error:
            assert "\n" not in str(error)


def test_without_the_extra_one_line_names_operator_and_extra(
        model: Path, program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    package = "onnxruntime" if model.suffix == ".onnx" else "ai-edge-litert"
    names = [package, "ai_edge_litert", "ai_edge_litert.interpreter"]
    kind, inputs = hosted(program).kind, inputs_of(program)
    data = to_bytes(program)
    for name in names:
        monkeypatch.setitem(sys.modules, name, None)
    line = (rf"{re.escape(model.name)}: (op|node) \d+ {kind} '.*': {RUNTIMES[model.name]}, which "
            rf"runs this operator on the host, needs {package}: pip install .*\[host\]'")
    with pytest.raises(UnsupportedError, match=line):
        load_model(model)
    with kaniwa.open("emulator") as device:
        session = kaniwa.Session(from_bytes(data), device)
        with pytest.raises(UnsupportedError, match=line):
            session.run(inputs)


@pytest.mark.parametrize("kind", ["input", "output", "intermediate"])
def test_complex_numbers_are_only_between_operators_of_the_host(kind: str) -> None:
    program = kaniwa.compile(import_tflite(tflite_spectrum("REAL"), "m.tflite"))
    first, *others = program.tensors
    tensors = (replace(first, dtype="complex64", kind=kind), *others)
    with pytest.raises(ProgramError, match="complex numbers are only between operators of the"):
        check(replace(program, tensors=tensors), "m.kaniwa")
