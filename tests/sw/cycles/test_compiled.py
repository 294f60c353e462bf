"""The compiled cycle model: the cycles of the interpreted one, and only from its own source."""

import ast
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from kaniwa.cycles.compiled import build, place
from kaniwa.errors import Error, UnsupportedError

# Cycles, counters and what the units do, of random instructions and of models.
COUNTED = """
import hashlib, json, sys
sys.path[:0] = sys.argv[1:3]
import kaniwa
from builders.instructions.layer_cases import random_case
from kaniwa.config import PRESETS
from kaniwa.cycles import model
from kaniwa.cycles.record import record
from kaniwa.isa import Mode
from kaniwa.timing import Timing

found = {"compiled": not model.__file__.endswith(".py")}
for target in ("base", "small", "xl"):
    config = PRESETS[target]
    for mode in Mode:
        layers = [random_case(1000 + 7 * mode + number, config, mode).values | {"tag": number}
                  for number in range(5)]
        for outside in (None, Timing(10, 4), Timing.of(config, "sdram,part=IS42S16160G")):
            run = model.model_run(config, layers, outside=outside)
            found[f"{target} {mode} {outside}"] = [run.cycles, str(run.snapshots)]
for target, file, outside in (("base", "mlperf_ic_resnet8", None),
                              ("small", "mlperf_vww_mbv1_96", "sdram,bytes=2,latency=4"),
                              ("nano", "tflm_micro_speech", None),
                              ("base_vector", "keyword_transformer", None),
                              ("base_recurrent", "tflm_mnist_lstm", None)):
    program = kaniwa.compile(f"{sys.argv[3]}/{file}.tflite", target=target, outside=outside)
    told = record(program)
    found[file] = [told.cycles, hashlib.sha256(repr(told).encode()).hexdigest()]
print(json.dumps(found))
"""
TESTS = Path(__file__).parents[2]


def counted(models: Path, **environment: str):
    done = subprocess.run(
        [sys.executable, "-c", COUNTED, str(TESTS), str(TESTS.parent), str(models)], text=True,
        capture_output=True, check=False, env=os.environ | environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_compiled_and_interpreted_model_count_the_same(models):
    build.build()
    fast, plain = counted(models), counted(models, **{place.SWITCH: "interpreted"})
    assert fast.pop("compiled")
    assert not plain.pop("compiled")
    assert fast == plain
    assert len(fast) > 20


@pytest.fixture
def own_source(tmp_path, monkeypatch):
    """A copy of the source that the compiled modules are of."""
    shutil.copytree(place.HERE, tmp_path / "sw" / "cycles",
                    ignore=shutil.ignore_patterns("__pycache__"))
    for name in place.CONSTANTS:
        copy = tmp_path / "sw" / "cycles" / name
        copy.parent.mkdir(exist_ok=True)
        shutil.copy(place.HERE / name, copy)
    monkeypatch.setattr(place, "HERE", tmp_path / "sw" / "cycles")
    monkeypatch.setenv("KANIWA_CACHE", str(tmp_path / "cache"))
    return tmp_path / "sw" / "cycles"


@pytest.mark.parametrize("name", ["store.py", "readers/load.py", *place.CONSTANTS])
def test_a_changed_source_has_no_compiled_modules(own_source, name):
    folder = place.expected_folder()
    folder.mkdir(parents=True)
    assert place.compiled_folder() == folder
    source = own_source / name
    source.write_text(source.read_text() + "\n")
    assert place.compiled_folder() is None


def test_switch_and_missing_source_leave_the_model_interpreted(own_source, monkeypatch):
    place.expected_folder().mkdir(parents=True)
    monkeypatch.setenv(place.SWITCH, "interpreted")
    assert place.compiled_folder() is None
    monkeypatch.delenv(place.SWITCH)
    (own_source / "store.py").unlink()
    assert place.compiled_folder() is None


def test_a_failed_build_leaves_nothing(own_source, monkeypatch, capsys):
    monkeypatch.setattr(build, "SCRIPT", "import sys; sys.exit('error: no C compiler {group}')")
    with pytest.raises(Error, match="stays interpreted.*error: no C compiler"):
        build.build()
    assert not list((own_source.parents[1] / "cache").iterdir())
    assert build.main() == 1
    assert "no C compiler" in capsys.readouterr().err


def test_without_mypy_one_line_says_what_to_install(own_source, monkeypatch):
    monkeypatch.setattr(build, "installed", lambda module: module != "mypyc")
    with pytest.raises(UnsupportedError, match=r"needs mypy: pip install .*fast"):
        build.build()


def test_constants_in_the_machine_code_are_of_sources_that_decide_the_folder():
    """mypyc writes the value of a Final where it is used, whatever module it is of."""
    package = place.HERE.parent
    known = {place.source_of(module).resolve() for module in place.MODULES}
    known |= {(place.HERE / name).resolve() for name in place.CONSTANTS}
    for module in place.MODULES:
        for node in ast.walk(ast.parse(place.source_of(module).read_text())):
            if isinstance(node, ast.ImportFrom) and node.module.startswith("kaniwa."):
                path = package.joinpath(*node.module.split(".")[1:])
                for source in path.glob("*.py") if path.is_dir() else [path.with_suffix(".py")]:
                    assert source.resolve() in known or ": Final" not in source.read_text(), source
