"""Builds of the simulated core: kept, shared by processes, whole or absent, clear in failure."""

import dataclasses
import os
import signal
import subprocess
import sys
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from kaniwa.config import PRESETS
from kaniwa.errors import DeviceError
from kaniwa.sim.device import simulated_core as device, verilate
from kaniwa.sim.device.verilate import build_library, core_verilog

pytestmark = pytest.mark.rtl
CONFIG = PRESETS["nano"]


def core_text(answer=7):
    """A module with the core's ports; every register reads ``answer``, and it reads address 16."""
    sides = []
    for side in ("local", "outside"):
        payload = 32 + 9 * CONFIG.write_bytes
        sides.append(f"""
            output {side}_read__request__valid, input {side}_read__request__ready,
            output [31:0] {side}_read__request__payload,
            input {side}_read__response__valid,
            input [{8 * CONFIG.read_bytes - 1}:0] {side}_read__response__payload,
            output {side}_write__request__valid, input {side}_write__request__ready,
            output [{payload - 1}:0] {side}_write__request__payload,""")
    drive = "".join(f"""
        assign {side}_read__request__valid = 1; assign {side}_read__request__payload = 16;
        assign {side}_write__request__valid = 0; assign {side}_write__request__payload = 0;"""
                    for side in ("local", "outside"))
    return f"""module core({"".join(sides)}
            input clk, input rst, input [7:0] csr_address, input csr_write,
            input [31:0] csr_write_data, output reg [31:0] csr_read_data);{drive}
        always @(posedge clk) csr_read_data <= {answer};
        endmodule
        """


@pytest.fixture(scope="session")
def objects(tmp_path_factory):
    """Objects of Verilator's own sources, which take most of a small build: compiled once."""
    return tmp_path_factory.mktemp("objects")


@pytest.fixture
def cache(tmp_path, objects, monkeypatch):
    """A cache without a core in it."""
    (tmp_path / "objects").symlink_to(objects)
    monkeypatch.setenv("KANIWA_CACHE", str(tmp_path))
    return tmp_path


def shared_objects(cache):
    return sorted(path.name for path in (cache / "cores").glob("*.so"))


def python(code, **environment):
    """A process that runs ``code`` after the names of this file."""
    program = "from test_verilate import *\n" + textwrap.dedent(code)
    env = {**os.environ, "PYTHONPATH": os.path.dirname(__file__), **environment}
    return subprocess.Popen([sys.executable, "-c", program], env=env, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)


BUILD = """
    try:
        print(build_library(core_text(), CONFIG, progress=lambda what, s: print(what)))
    except DeviceError as error:
        print("DeviceError:", error)
"""


def test_second_build_is_the_first_one(cache):
    heard = []
    path = build_library(core_text(), CONFIG, progress=lambda what, _: heard.append(what))
    made = path.stat().st_mtime_ns
    assert set(heard) == {"compiling the simulated core"}
    begun, *files, done = heard     # files: how many the compiler has been given
    assert not begun.total and not done.total
    assert [stage.done for stage in files] == list(range(1, len(files) + 1)) and len(files) > 3
    assert all(stage.done <= stage.total for stage in files)
    heard.clear()
    assert build_library(core_text(), CONFIG, progress=lambda what, _: heard.append(what)) == path
    assert path.stat().st_mtime_ns == made and not heard
    assert [entry.suffix for entry in sorted((cache / "cores").iterdir())] == [".lock", ".so"]


def test_other_text_is_another_build(cache):
    answers = []
    for answer in (7, 8):
        library = device._load(build_library(core_text(answer), CONFIG))
        handle = library.kaniwa_open(1024, 1, 0, 0, 1, None, 0.0, 0)
        answers.append(library.kaniwa_csr_read(handle, 0))
        library.kaniwa_close(handle)
    assert answers == [7, 8]
    assert len(shared_objects(cache)) == 2


def test_trace_is_a_build_of_its_own_and_writes_a_waveform(cache):
    library = device._load(build_library(core_text(), CONFIG, trace=True))
    handle = library.kaniwa_open(1024, 1, 0, 0, 1, None, 0.0, 0)
    assert library.kaniwa_trace(handle, str(cache / "wave.vcd").encode())
    library.kaniwa_csr_read(handle, 0)
    library.kaniwa_close(handle)
    wave = (cache / "wave.vcd").read_text()
    assert "csr_read_data" in wave and "$enddefinitions" in wave


def test_two_processes_on_an_empty_cache_build_once(cache):
    first, second = python(BUILD), python(BUILD)
    with ThreadPoolExecutor(2) as pool:
        outputs = list(pool.map(lambda process: process.communicate()[0].splitlines(),
                                (first, second)))
    assert first.returncode == second.returncode == 0
    assert outputs[0][-1] == outputs[1][-1] == str(cache / "cores" / shared_objects(cache)[0])
    assert sorted("compiling the simulated core" in lines for lines in outputs) == [False, True]


def test_killed_build_leaves_nothing_that_counts(cache):
    process = python(BUILD)
    deadline = time.monotonic() + 120
    while not list(cache.glob("cores/*.build-*/objects/*.cpp")):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert shared_objects(cache) == []
    path = build_library(core_text(), CONFIG)
    assert shared_objects(cache) == [path.name]
    assert not list(cache.glob("cores/*.build-*"))


def test_no_compiler_is_said_in_one_line(cache):
    output, errors = python(BUILD, PATH="").communicate()
    assert not errors
    assert output == ("DeviceError: the simulated core needs a C++ compiler (c++ or g++ or "
                      "clang++): install it, or use --device emulator\n")


@pytest.mark.parametrize("limit", [100, 20_000])
def test_no_room_is_said_in_one_line_and_nothing_is_kept(cache, limit):
    """A limit on the size of files stands for a full disk: for the text, then for the objects."""
    output, errors = python(f"""
        import resource
        resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
        {textwrap.indent(textwrap.dedent(BUILD), "        ").strip()}
    """).communicate()
    assert not errors
    assert output.splitlines()[-1].startswith("DeviceError: ")
    assert shared_objects(cache) == []
    assert not list(cache.glob("cores/*.build-*"))
    assert build_library(core_text(), CONFIG).exists()


def test_unusable_cache_folder_is_named(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("KANIWA_CACHE", str(tmp_path / "file"))
    with pytest.raises(DeviceError, match="cannot keep the simulated core in .*KANIWA_CACHE"):
        build_library(core_text(), CONFIG)


@pytest.mark.parametrize("name", ["my target", "a/b", "größer: 2"])
def test_targets_of_any_name_are_built(cache, name):
    config = dataclasses.replace(CONFIG, name=name)
    path = build_library(core_text(), config)
    assert path.parent == cache / "cores" and path.stem.startswith(config.plain_name)
    assert path.stem.isascii() and " " not in path.stem


def test_a_cache_folder_with_a_space_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("KANIWA_CACHE", str(tmp_path / "my cache"))
    with pytest.raises(DeviceError, match="my cache.*a space in its name; set KANIWA_CACHE"):
        build_library(core_text(), CONFIG)


def test_failed_build_says_why_in_one_line(cache):
    with pytest.raises(DeviceError) as caught:
        build_library("module core(input clk);\nnonsense\nendmodule\n", CONFIG)
    message = str(caught.value)
    assert message.startswith("the simulated core could not be built: %Error: core.v:")
    assert "\n" not in message
    assert shared_objects(cache) == []


def test_verilog_is_kept_by_config_and_sources(cache, monkeypatch):
    from kaniwa.hw import verilog

    made = []
    monkeypatch.setattr(verilog, "generate", lambda config: made.append(config.name) or "text")
    for name in ("nano", "base", "nano"):
        assert core_verilog(PRESETS[name]) == "text"
    assert made == ["nano", "base"]
    monkeypatch.setattr(verilate, "gateware_sources", lambda: ["changed"])
    core_verilog(CONFIG)
    assert made == ["nano", "base", "nano"]
