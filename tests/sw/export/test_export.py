"""`kaniwa export`: names, text, and what it refuses."""

import json
import re
import shutil
import subprocess
from dataclasses import replace

import pytest
from builders.c_driver import STRICT
from builders.graphs.graph_builder import GraphBuilder

from kaniwa import cli
from kaniwa.compiler.pipeline import compile
from kaniwa.config import load_target
from kaniwa.errors import Error, UnsupportedError
from kaniwa.export.c_names import comment_text, identifier, unique
from kaniwa.export.c_source import DRIVER_FILES, driver_file, header, segments, source
from kaniwa.export.interface import interface
from kaniwa.files import write_all
from kaniwa.importers import load_model
from kaniwa.isa.table import OUTSIDE

MODEL = "mlperf_kws_dscnn.tflite"


@pytest.mark.parametrize("text, name", [
    ("input_1", "input_1"), ("Identity", "identity"), ("serving_default:0", "serving_default_0"),
    ("StatefulPartitionedCall/model/Relu;1", "statefulpartitionedcall_model_relu_1"),
    ("for", "for_"), ("Class", "class_"), ("linux", "linux_"), ("errno", "errno_"),
    ("static_assert", "static_assert_"), ("not_eq", "not_eq_"), ("concept", "concept_"),
    ("kaniwa_set", "tensor_kaniwa_set"), ("device", "device_"), ("0", "tensor_0"), ("", "tensor"),
    ("Ünïcode", "n_code"), ("__a", "a"),
    ('*/ int main;"', "int_main"), ("a" * 100, "a" * 40)])
def test_any_name_becomes_one_of_c(text, name):
    assert identifier(text) == name


def test_equal_names_are_told_apart():
    assert unique(["x", "X", "x_2", "x"]) == ["x", "x_2", "x_2_2", "x_3"]
    assert unique(["m_model", "y"], ["m_model"]) == ["m_model_2", "y"]


def test_comments_end_where_they_shall():
    assert comment_text("a*/b\n??/\\") == "a__b_____"


def named_graph(names):
    """An ADD of two inputs, with these names of inputs and output."""
    b = GraphBuilder(3)
    one, other = b.tensor((1, 4, 4, 8)), b.tensor((1, 4, 4, 8))
    out = b.elementwise("ADD", one, other, scale=1.5)
    graph = b.graph((one, other), (out,))
    tensors = list(graph.tensors)
    for i, name in zip((one, other, out), names, strict=True):
        tensors[i] = replace(tensors[i], name=name)
    return replace(graph, name="*/ #error\n", tensors=tuple(tensors))


def test_a_model_with_names_that_c_has_not_compiles(tmp_path):
    face = interface(compile(named_graph(("int", "int", "2 * π")), "base"))
    (tmp_path / "my-model.c").write_text(source(face, "my-model"))
    (tmp_path / "my-model.h").write_text(header(face, "my-model"))
    assert "const int8_t int_[1][4][4][8]" in header(face, "my-model")
    assert "int my_model_run(" in header(face, "my-model")
    for name in DRIVER_FILES:
        (tmp_path / name).write_bytes(driver_file(name))
    compiler = shutil.which("cc") or shutil.which("gcc")
    subprocess.run([compiler, *STRICT, "-c", "my-model.c"], cwd=tmp_path, check=True)


def test_numbers_in_the_text_are_the_image(models):
    """Every byte that a session loads stands in an array, at its address."""
    program = compile_spotting(models)
    text = source(interface(program), "model")
    for number, (address, data) in enumerate(segments(program)):
        body = text.partition(f"segment_{number}[{len(data)}] = {{")[2].partition("}")[0]
        assert bytes(int(value, 16) for value in body.replace(",", " ").split()) == data
        assert f"{{0x{address:x}U, {len(data)}U, segment_{number}}}" in text


def test_images_that_follow_each_other_are_one_segment(models):
    program = compile_outside(models)
    parts = segments(program)
    assert len(parts) == 2 < len(program.images)
    for address, data in program.images:
        start, whole = next(p for p in reversed(parts) if p[0] <= address)
        assert whole[address - start:][:len(data)] == data
    assert sum(len(data) for _, data in parts) == sum(len(data) for _, data in program.images)


def test_an_array_for_outside_memory_can_be_put_there(models, tmp_path):
    """The place is named behind the array's name, and by default by nothing."""
    program = compile_outside(models)
    [(address, data)] = [p for p in segments(program) if p[0] >= OUTSIDE]
    face = interface(program)
    (tmp_path / "model.c").write_text(source(face, "model"))
    (tmp_path / "model.h").write_text(header(face, "model"))
    for name in DRIVER_FILES:
        (tmp_path / name).write_bytes(driver_file(name))
    place = '-DKANIWA_IN_OUTSIDE(offset)=__attribute__((section("outside." #offset)))'
    for flags, found in (([], False), ([place], True)):
        subprocess.run(["cc", *STRICT, *flags, "-c", "model.c"], cwd=tmp_path, check=True)
        shown = subprocess.run(["objdump", "-h", "model.o"], cwd=tmp_path, check=True,
                               capture_output=True, text=True).stdout
        assert bool(re.search(rf"outside\.{address - OUTSIDE:#x} +{len(data):08x} ",
                              shown)) == found


def compile_spotting(models):
    return compile(load_model(models / MODEL), "base_vector")


def compile_outside(models):
    """Keyword spotting on a core with 8 KiB, the rest of it outside."""
    config = replace(load_target("small"), vector_unit=True, memory_bytes=8192)
    return compile(load_model(models / MODEL), config, outside="ideal")


def run(*arguments):
    with pytest.raises(SystemExit) as caught:
        cli.main([str(argument) for argument in arguments])
    return caught.value.code


def test_command_writes_the_same_files_from_model_and_program(models, tmp_path, capsys):
    program = tmp_path / "spotting.kaniwa"
    assert run("compile", models / MODEL, "--target", "base_vector", "-o", program) == 0
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    capsys.readouterr()
    assert run("export", models / MODEL, "--target", "base_vector", "-o", tmp_path / "a" / "m.c",
               "--driver", "--json") == 0
    shown = json.loads(capsys.readouterr().out)
    assert run("export", program, "-o", tmp_path / "b" / "m.c") == 0
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == [
        "kaniwa.c", "kaniwa.h", "kaniwa_link.c", "kaniwa_link.h", "m.c", "m.h"]
    for name in ("m.c", "m.h"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    assert shown["image_bytes"] == sum(len(data) for _, data in compile_spotting(models).images)
    assert shown["inputs"] == ["input_1"] and shown["outputs"] == ["Identity"]


def test_the_example_of_the_page_compiles(root, models, tmp_path):
    """Blocks of C in docs/howto/microcontroller.md, beside what its first command writes."""
    page = (root / "docs" / "howto" / "microcontroller.md").read_text()
    blocks = re.findall(r"^```c\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    assert blocks
    assert run("export", models / MODEL, "--target", "base_vector", "-o", tmp_path / "keyword.c",
               "--driver") == 0
    compiler = shutil.which("cc") or shutil.which("gcc")
    for block in blocks:
        (tmp_path / "example.c").write_text(block)
        link = ["-DKANIWA_LINK", "kaniwa_link.c"] if "KANIWA_LINK" in block else []
        subprocess.run([compiler, "-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-c",
                        "example.c", "keyword.c", "kaniwa.c", *link], cwd=tmp_path, check=True)


@pytest.mark.parametrize("name", ["m.h", "m", "kaniwa.c", "kaniwa_link.c", 'm".c', "a b.c"])
def test_command_refuses_other_files(models, tmp_path, capsys, name):
    assert run("export", models / MODEL, "--target", "base_vector", "-o", tmp_path / name) == 2
    assert "must end with .c" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_operators_of_the_host_are_refused_by_name(models, tmp_path, capsys):
    assert run("export", models / MODEL, "-o", tmp_path / "m.c") == 1
    assert capsys.readouterr().err == (
        "kaniwa: mlperf_kws_dscnn.tflite: cannot be exported: the host would run SOFTMAX "
        "'Identity' (target 'base' has no vector unit; use a target with vector_unit = true); "
        "compile it for a target that takes all operators, or cut the model there\n")
    assert list(tmp_path.iterdir()) == []


def test_many_operators_of_the_host_are_counted():
    b = GraphBuilder(1)
    x = b.tensor((1, 4, 4, 8))
    made = x
    for _ in range(6):
        made = b.softmax(b.conv(made, 8, (1, 1)))
    with pytest.raises(UnsupportedError, match="and 2 more operators; compile it"):
        interface(compile(b.graph((x,), (made,)), "base"))


def test_a_model_that_the_host_runs_alone_is_refused():
    b = GraphBuilder(1)
    x = b.tensor((1, 16))
    with pytest.raises(UnsupportedError, match="the host would run SOFTMAX"):
        interface(compile(b.graph((x,), (b.softmax(x),)), "base"))


def test_several_files_are_written_or_none(tmp_path):
    kept = tmp_path / "kept"
    kept.write_bytes(b"1")
    with pytest.raises(Error, match="cannot be written"):
        write_all({kept: b"2", tmp_path / "new": b"3", tmp_path / "none" / "x": b"4"})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kept"]


@pytest.mark.parametrize("stem", ["stdint", "string", "kaniwa"])
def test_names_of_other_headers_are_refused(models, stem, capsys, tmp_path):
    with pytest.raises(SystemExit):
        cli.main(["export", str(models / MODEL), "-o", str(tmp_path / f"{stem}.c")])
    assert "have no header of the driver or of C beside it" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
