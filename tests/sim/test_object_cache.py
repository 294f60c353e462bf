"""Objects of Verilator's own files are kept, and compiled anew when what they depend on changes."""

import os
from pathlib import Path

import pytest

from kaniwa.sim.device import object_cache


@pytest.fixture
def compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Verilator's folder with a source and a header, a kept folder, and a compiler that counts."""
    include = tmp_path / "include"
    (include / "vltstd").mkdir(parents=True)
    (include / "verilated.cpp").write_text("source")
    (include / "verilated.h").write_text("header")
    (include / "vltstd" / "svdpi.h").write_text("header")
    program = tmp_path / "c++"
    program.write_text(f"#!/bin/sh\necho compiled >> {tmp_path / 'calls'}\n"
                       "while [ $# -gt 1 ]; do [ $1 = -o ] && echo object > $2; shift; done\n")
    program.chmod(0o755)
    monkeypatch.setenv("KANIWA_OBJECTS", str(tmp_path / "kept"))
    return tmp_path


def compile_source(folder: Path, source: Path, *options: str) -> int:
    """Compile to an object in a folder of its own; how often the compiler has run by then."""
    build = folder / f"build{len(list(folder.glob('build*')))}"
    build.mkdir()
    output = build / "file.o"
    assert object_cache.main([str(folder / "c++"), *options, "-c", "-o", str(output),
                              str(source)]) == 0
    assert output.read_text() == "object\n"
    return (folder / "calls").read_text().count("compiled")


def test_the_runtime_is_compiled_once(compiler: Path) -> None:
    source = compiler / "include" / "verilated.cpp"
    assert compile_source(compiler, source) == 1
    assert compile_source(compiler, source) == 1
    assert compile_source(compiler, source, "-O1") == 2
    assert compile_source(compiler, source, "-O1") == 2


@pytest.mark.parametrize("changed", ["verilated.cpp", "verilated.h", "vltstd/svdpi.h"])
def test_a_changed_file_of_verilator_is_compiled_anew(compiler: Path, changed: str) -> None:
    source = compiler / "include" / "verilated.cpp"
    assert compile_source(compiler, source) == 1
    (compiler / "include" / changed).write_text("another")
    assert compile_source(compiler, source) == 2


def test_another_compiler_compiles_anew(compiler: Path) -> None:
    source = compiler / "include" / "verilated.cpp"
    assert compile_source(compiler, source) == 1
    os.utime(compiler / "c++", (1, 1))
    assert compile_source(compiler, source) == 2


def test_the_model_is_compiled_each_time(compiler: Path) -> None:
    for name in ("Vtop.cpp", "verilator.cpp"):
        source = compiler / "include" / name
        source.write_text("model")
        before = compile_source(compiler, source)
        assert compile_source(compiler, source) == before + 1


def test_a_compiler_that_fails_leaves_nothing(compiler: Path) -> None:
    (compiler / "c++").write_text("#!/bin/sh\nexit 3\n")
    source = compiler / "include" / "verilated.cpp"
    output = compiler / "file.o"
    assert object_cache.main([str(compiler / "c++"), "-c", "-o", str(output), str(source)]) == 3
    assert not (compiler / "kept").exists()
