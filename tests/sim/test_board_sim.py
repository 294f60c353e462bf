"""``kaniwa board-sim``: a virtual board on a pseudo-terminal, for the driver of real boards."""

import contextlib
import functools
import json
import os
import re
import signal
import subprocess
import sys

import pytest
from builders.graphs.inferences import wrong_answers_of

from kaniwa import Session, golden
from kaniwa.compiler.pipeline import compile
from kaniwa.data.inputs import recorded_inputs
from kaniwa.driver import devices
from kaniwa.errors import DeviceError
from kaniwa.importers import load_model
from kaniwa.sim.board.pseudo_terminal import PseudoTerminal
from kaniwa.sim.worlds.random_graphs import random_graph

KANIWA = [sys.executable, "-m", "kaniwa.cli"]
GRAPH = random_graph(3, "conv", macs=1 << 12)
wrong_answers = functools.partial(wrong_answers_of, GRAPH)


def heed_interrupts():
    """A shell's background job ignores SIGINT, and so does what it starts."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@contextlib.contextmanager
def board_sim(*options, board="icebreaker", end=signal.SIGINT):
    """A virtual board; yields what it says of itself, and then what it says at its end."""
    process = subprocess.Popen(
        [*KANIWA, "board-sim", "--board", board, "--json", *map(str, options)], text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=heed_interrupts)
    try:
        said = json.loads(process.stdout.readline())
        said["next"] = lambda: json.loads(process.stdout.readline())
        yield said
        process.send_signal(end)
        out, said["end"] = process.communicate(timeout=60)
        assert process.returncode == 0 and out == ""
        assert re.fullmatch(r"ended after [\d,]+ cycles, [\d,]+ bytes to the board and [\d,]+ from "
                            r"it; faults: .*\n", said["end"])
    finally:
        process.kill()
        process.communicate()


@pytest.mark.rtl
@pytest.mark.slow
def test_a_whole_model_runs_through_the_pseudo_terminal(models, tmp_path):
    path, link = models / "mlperf_kws_dscnn.tflite", tmp_path / "board"
    program, graph = compile(path, target="small"), load_model(path)
    inputs = recorded_inputs(path, program.inputs)[0]
    with board_sim("--link", link, board="ulx3s_25f") as board:
        assert board["board"] == "ulx3s_25f" and board["target"] == "small"
        assert os.readlink(link) == board["path"] and board["device"] == f"serial:{link}"
        with devices.open(board["device"], target="small") as device:
            outputs = Session(program, device).run(inputs)
            with pytest.raises(DeviceError, match="in use by another program"):
                devices.open(board["device"])
        with devices.open(f"serial:{board['path']}") as device:   # memory is as it was left
            address, data = program.images[0]
            assert device.read(address, 100) == data[:100]
    values = golden.run(graph, inputs)
    assert all((outputs[t.name] == values[t.id]).all() for t in program.outputs)
    assert board["end"].endswith("faults: none\n")
    assert not link.is_symlink()


@pytest.mark.rtl
def test_answers_on_a_bad_line_are_right_and_repeats_are_counted(models, tmp_path):
    faults = ("--bit-errors", 3e-5, "--drops", 3e-5, "--duplicates", 3e-5, "--seed", 3)
    with board_sim(*faults, end=signal.SIGTERM) as board:
        done = subprocess.run(
            [*KANIWA, "run", models / "tflm_micro_speech.tflite", "--target", "nano", "--device",
             board["device"], "--limit", "1", "--check", "--json"], capture_output=True, text=True)
        values = json.loads(done.stdout)
    assert values["mismatches"] == 0 and values["checked"]
    assert values["link"]["repeated"] > 0
    assert "bit_error" in board["end"] and "drop" in board["end"]


@pytest.mark.rtl
def test_a_pulled_cable_is_named_and_the_next_run_works(tmp_path):
    link = tmp_path / "board"
    program = compile(GRAPH, target="nano")
    with board_sim("--link", link, "--disconnects", 2e-4, "--seed", 1) as board:
        ended = 0
        while ended < 2:
            with contextlib.suppress(DeviceError), devices.open(f"serial:{link}") as device:
                session = Session(program, device)
                with pytest.raises(DeviceError, match=f"^{link}: connection lost"):
                    while not wrong_answers(session, ended):
                        pass
                ended += 1
            assert board["next"]()["device"] == f"serial:{link}"


@pytest.mark.rtl
def test_a_bridge_offers_a_simulated_board(models):
    """To one client after the other; the board stands still between them, and keeps its memory."""
    process = subprocess.Popen(
        [*KANIWA, "bridge", "sim:icebreaker", "--port", "0", "--json"], text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=heed_interrupts)
    try:
        device = json.loads(process.stdout.readline())["device"]
        for _ in range(2):
            done = subprocess.run(
                [*KANIWA, "run", models / "tflm_micro_speech.tflite", "--target", "nano",
                 "--device", device, "--limit", "1", "--check", "--json"],
                capture_output=True, text=True)
            values = json.loads(done.stdout)
            assert values["mismatches"] == 0 and values["checked"]
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=60)[1].count("it has left") == 2
        assert process.returncode == 0
    finally:
        process.kill()
        process.communicate()


def test_the_link_is_not_put_over_something_else(tmp_path):
    link = tmp_path / "board"
    link.write_text("mine")
    with pytest.raises(DeviceError, match=f"^{link}: the link to /dev/pts/[0-9]+ cannot be made"):
        PseudoTerminal(link)
    assert link.read_text() == "mine" and list(tmp_path.iterdir()) == [link]
    with pytest.raises(DeviceError, match="cannot be made .No such file"):
        PseudoTerminal(tmp_path / "no" / "board")


def test_an_unknown_board_is_named():
    done = subprocess.run([*KANIWA, "board-sim", "--board", "ulx4s"], capture_output=True,
                          text=True)
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.startswith("kaniwa: unknown board 'ulx4s': give one of colorlight_eth, ")
