"""What a newcomer meets: help, missing extras, completion, Ctrl-C."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from builders.files.runtime_models import tflite_mixed

from kaniwa import cli, extras

KANIWA = [sys.executable, "-m", "kaniwa"]
RESNET = "{models}/mlperf_ic_resnet8.tflite"

# Verb -> command lines for an environment without extras, each with the extra that its one line
# names, or "" where the verb works.
BARE = {
    "quantize": {"{folder}/a.onnx --calibration {data}": "quantize",
                 "{hosted} --calibration {data}": "quantize"},
    "compile": {f"{RESNET} -o {{folder}}/a.kaniwa": "", "{models}/digits_gru_qdq.onnx": "onnx",
                "{hosted}": "host"},
    "export": {f"{RESNET} --target base_vector -o {{folder}}/a.c": "",
               "{models}/digits_gru_qdq.onnx -o {folder}/b.c": "onnx"},
    "run": {f"{RESNET} --limit 1": "", f"{RESNET} --device sim": "sim",
            f"{RESNET} --device sim:icebreaker": "sim", f"{RESNET} --image {{image}}": "image",
            "{models}/digits_gru_qdq.onnx": "onnx"},
    "evaluate": {f"{RESNET} --data {{data}} --limit 1": "",
                 f"{RESNET} --data {{data}} --device sim": "sim",
                 f"{RESNET} --data {{data}} --against litert": "verify"},
    "serve": {f"{RESNET} --port 0": "serve"},
    "estimate": {RESNET: "", f"{RESNET} --board icebreaker": ""},
    "report": {f"{RESNET} -o {{folder}}/report.html": "",
               "{models}/digits_gru_qdq.onnx": "onnx"},
    "verify": {f"{RESNET} --limit 1": "", f"{RESNET} --against litert": "verify",
               "{models}/digits_gru_qdq.onnx": "onnx"},
    "diff": {f"{RESNET} --devices golden,emulator": "", RESNET: "sim"},
    "disasm": {"{program}": ""},
    "asm": {"{text} -o {folder}/b.kaniwa": ""},
    "info": {RESNET: "", "{models}/digits_gru_qdq.onnx": "onnx"},
    "describe": {"base": ""},
    "operators": {"": ""},
    "devices": {"": ""},
    "selftest": {"--device emulator --memory quick": "", "--device sim": "sim"},
    "hil": {"--device emulator --target small --memory quick --soak 0 --models {models}": ""},
    "board-sim": {"--board icebreaker": "sim"},
    "bridge": {"sim:icebreaker --port 0": "sim"},
    "doctor": {"": ""},
    "bench": {"--quick --device estimate --models anomaly": "",
              "--quick --models anomaly": "sim"},
    "mlperf-tiny": {"ic01 --limit 1 --iterations 1": "", "sww01 --device sim": "sim",
                    "vww01 --mode accuracy": "image"},
    "bitstream": {"--board icebreaker": "bitstream"},
    "flash": {"{models}/mlperf_kws_dscnn.tflite --board icebreaker --image-only {folder}/i.bin": "",
              "{models}/mlperf_kws_dscnn.tflite --board ulx3s_25f --bitstream {bits} -o "
              "{folder}/f.bin": "",
              "{models}/tflm_micro_speech.tflite {models}/tflm_micro_speech.tflite --board "
              "icebreaker --bitstream {bits} --bitstream {bits} -o {folder}/s.bin": "bitstream"},
    "boot": {"1 --device serial:/no/such": None, "1 --device sim:icebreaker": "sim"},
    "program": {"--board icebreaker --bitstream {bits}": None},
    "unpack": {"{release}": ""},
    "generate": {"--target nano --bus axi4 -o {folder}/generated": "sim"},
    "explore": {"{models}/tflm_micro_speech.tflite --board icebreaker -n 1": "explore"},
    "examples": {"": "", "copy stall --to {folder}/examples": ""},
    "cache": {"": ""},
    "completion": {"bash": ""},
}


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory, models: Path) -> dict[str, object]:
    """The files that the command lines of ``BARE`` name."""
    import kaniwa
    from kaniwa.program.assembler import disassemble
    from kaniwa.release.archive import pack
    from kaniwa.release.manifest import Release, this_platform

    folder = tmp_path_factory.mktemp("bare")
    program = kaniwa.compile(models / "mlperf_ic_resnet8.tflite")
    kaniwa.save_program(program, folder / "program.kaniwa")
    (folder / "text.txt").write_text(disassemble(program))
    (folder / "hosted.tflite").write_bytes(tflite_mixed())
    (folder / "built.zip").write_bytes(pack(Release("0", "ab", this_platform(), {}, ()), {}))
    (folder / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    # The preambles of ECP5 and of iCE40.
    (folder / "a.bit").write_bytes(b"\xff\xff\xbd\xb3\x7e\xaa\x99\x7e")
    return {"folder": folder, "models": models, "program": folder / "program.kaniwa",
            "hosted": folder / "hosted.tflite", "text": folder / "text.txt",
            "image": folder / "a.png", "bits": folder / "a.bit", "release": folder / "built.zip",
            "data": models / "inputs" / "resnet8_ten.npz"}


def run(arguments: list[str], folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(arguments, cwd=folder, capture_output=True, text=True, timeout=300,
                          env={**os.environ, "COLUMNS": "80", **environment})


def test_every_verb_is_tried_without_extras() -> None:
    assert list(BARE) == list(cli.VERBS)


@pytest.mark.parametrize("verb", list(BARE))
def test_without_extras_a_verb_works_or_says_what_to_install(
        verb: str, places: dict[str, object], root: Path) -> None:
    folder = Path(str(places["folder"]))
    for line, extra in BARE[verb].items():
        done = run([sys.executable, str(root / "tests" / "without_extras.py"), verb,
                    *line.format(**places).split()], folder,
                   KANIWA_CACHE=str(folder / "cache"), PATH="/usr/bin:/bin")
        told = f"{verb} {line}: {done.returncode} {done.stderr}"
        assert "Traceback" not in done.stderr, told
        if extra == "":
            assert done.returncode == 0, told
        else:
            assert done.returncode == 1 and done.stderr.count("\n") == 1, told
        if extra:
            assert re.fullmatch(rf"kaniwa: .* needs .*: pip install .*\[{extra}\]'\n",
                                done.stderr), told


def test_a_clone_is_named_by_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def installed_from(origin: dict[str, object]) -> str:
        monkeypatch.setattr(extras, "_origin", lambda: origin)
        return extras.install_command("sim")

    clone = {"url": tmp_path.as_uri(), "dir_info": {}}
    assert installed_from(clone) == f"pip install '{tmp_path}[sim]'"
    assert installed_from({"url": tmp_path.as_uri(), "dir_info": {"editable": True}}) == (
        f"pip install -e '{tmp_path}[sim]'")
    monkeypatch.chdir(tmp_path)
    assert installed_from(clone) == "pip install '.[sim]'"
    assert installed_from({"url": "file:///gone", "dir_info": {}}) == (
        "pip install '.[sim]' in a clone of kaniwa")
    assert installed_from({"url": "https://example.org/k.git", "vcs_info": {"vcs": "git"}}) == (
        "pip install 'kaniwa[sim] @ git+https://example.org/k.git'")


def test_kaniwa_alone_prints_its_help(tmp_path: Path) -> None:
    """On standard error and with status 2, as click's own groups do: nothing was asked for."""
    done = run(KANIWA, tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    for verb, (_, text) in cli.VERBS.items():
        assert f"  {verb}" in done.stderr and text in done.stderr
    asked = run([*KANIWA, "--help"], tmp_path)
    assert (asked.returncode, asked.stdout, asked.stderr) == (0, done.stderr, "")


@pytest.mark.parametrize(("words", "expected"), [
    ("kaniwa des", ["describe"]),
    ("kaniwa run m.tflite --device sim:ul", [
        "sim:ulx3s_25f", "sim:ulx3s_25f_sdram", "sim:ulx3s_85f", "sim:ulx3s_85f_sdram"]),
    ("kaniwa diff m.tflite --devices golden,em", ["golden,emulator"]),
    ("kaniwa compile m.tflite --target base_", ["base_vector", "base_recurrent"]),
    ("kaniwa describe na", ["nano"]),
    ("kaniwa examples copy digits", ["digits_transformer", "digits_transformer_onnx",
                                     "digits_gru_onnx"]),
    ("kaniwa bitstream --board ic", ["icebreaker"]),
    ("kaniwa generate --bus w", ["wishbone"]),
    ("kaniwa estimate m.tflite --board tang_p", ["tang_primer_20k"]),
    ("kaniwa selftest --device emu", ["emulator"]),
])
def test_a_shell_completes(words: str, expected: list[str], tmp_path: Path) -> None:
    done = run(KANIWA, tmp_path, _KANIWA_COMPLETE="bash_complete", COMP_WORDS=words,
               COMP_CWORD=str(len(words.split()) - 1))
    assert [line.split(",", 1)[1] for line in done.stdout.splitlines()] == expected


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_a_shell_is_printed(shell: str, tmp_path: Path) -> None:
    done = run([*KANIWA, "completion", shell], tmp_path)
    assert done.returncode == 0 and "_KANIWA_COMPLETE" in done.stdout


def test_doctor_tells_a_script_what_works(tmp_path: Path, root: Path) -> None:
    bare = [sys.executable, str(root / "tests" / "without_extras.py"), "doctor"]
    whole = json.loads(run([*bare, "--json"], tmp_path).stdout)
    assert whole["works"]["base"] and not whole["works"]["sim"] and not whole["works"]["ecp5"]
    for part in whole["works"]:
        done = run([*bare, part], tmp_path)
        assert done.returncode == (0 if whole["works"][part] else 1), part
        assert (f"{part} needs " in done.stdout) == (not whole["works"][part])
    assert run(bare, tmp_path).returncode == 0
    assert run([*bare, "base", "sim"], tmp_path).returncode == 1


def test_doctor_lists_every_tool_of_every_build() -> None:
    from kaniwa.boards.board import BOARDS, load_board
    from kaniwa.boards.families.family import load_family
    from kaniwa.boards.flow.tools import FAMILIES

    for board in map(load_board, BOARDS):
        family, own = load_family(board.family), FAMILIES[board.family]
        assert family.place(board.device, 1.0, 1).tool == own.place
        pack = family.pack(board.device)
        assert (pack.tool, Path(pack.output).suffix) == (own.pack, own.suffix)


def test_bitstream_looks_for_its_tools_before_it_begins(
        monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
        capsys: pytest.CaptureFixture[str]) -> None:
    from kaniwa.boards.flow import tools

    monkeypatch.setattr(tools, "find", lambda tool: None)
    monkeypatch.setattr("kaniwa.boards.flow.build.build", lambda *_: pytest.fail("it has begun"))
    with pytest.raises(SystemExit) as stopped:
        cli.main(["bitstream", "--board", "icebreaker", "-o", str(tmp_path)])
    assert stopped.value.code == 1
    assert re.fullmatch(r"kaniwa: a bitstream for icebreaker needs nextpnr-ice40, icepack: "
                        r"pip install .*\[bitstream\]'\n", capsys.readouterr().err)


def test_describe_explains_every_field(capsys: pytest.CaptureFixture[str]) -> None:
    from kaniwa.config import PRESETS

    with pytest.raises(SystemExit):
        cli.main(["describe", "base", "--json"])
    meaning = json.loads(capsys.readouterr().out)["meaning"]
    with pytest.raises(SystemExit):
        cli.main(["describe", "base"])
    text = capsys.readouterr().out
    table = text.split("\n\n")[0].splitlines()
    at = next(line.index("meaning") for line in table if line.startswith("parameter"))
    told = " ".join(" ".join(line[at:] for line in table).split())
    fields = {field.name for field in dataclasses.fields(PRESETS["base"])} - {"name"}
    for name in fields:
        assert meaning[name] and f"\n{name} " in text
        assert " ".join(meaning[name].split()) in told


@pytest.mark.parametrize("arguments", [
    "run {alone}", "run {alone} --device golden", "diff {alone} --devices golden,emulator"])
def test_a_model_without_recorded_inputs_names_the_ways_to_give_some(
        arguments: str, models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copy(models / "tflm_micro_speech.tflite", tmp_path / "alone.tflite")
    command = arguments.format(alone=tmp_path / "alone.tflite").split()
    with pytest.raises(SystemExit) as stopped:
        cli.main(command)
    line = capsys.readouterr().err
    assert stopped.value.code == 1 and line.count("\n") == 1
    assert "--input" in line and "--random" in line and ("--image" in line) == ("run" in command)
    with pytest.raises(SystemExit) as stopped:
        cli.main([*command, "--random"])
    assert not stopped.value.code


def test_a_seed_gives_the_same_inputs_and_another_one_others(
        models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def first(*seed: str) -> list[object]:
        with pytest.raises(SystemExit):
            cli.main(["run", str(models / "tflm_micro_speech.tflite"), "--json", "--random", *seed])
        return [row["first"] for row in json.loads(capsys.readouterr().out)["outputs"]]

    assert first() == first("0") != first("7")


@pytest.mark.parametrize(("arguments", "says"), [
    ("run --random m.tflite", "put the model before --random"),
    ("run m.tflite --random --input x.npz", "--input or --random, not both"),
    ("run m.tflite --random --image x.png", "--image and --wav are instead of"),
    ("diff m.tflite --random --input x.npz", "--input or --random, not both"),
    ("verify m.tflite --random --inputs x.npz", "--inputs or --random, not both")])
def test_random_that_does_not_go_with_the_rest_is_a_usage_error(
        arguments: str, says: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        cli.main(arguments.split())
    assert stopped.value.code == 2 and says in capsys.readouterr().err


@pytest.mark.parametrize("device", ["golden", "emulator"])
def test_a_simulator_gets_the_outside_memory_that_a_model_needs(
        device: str, models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = models / "mlperf_ic_resnet8.tflite"
    command = ["run", str(model), "--target", "small", "--device", device, "--limit", "1",
               "--check", "--json"]
    with pytest.raises(SystemExit) as stopped:
        cli.main(command)
    captured = capsys.readouterr()
    assert not stopped.value.code and json.loads(captured.out)["mismatches"] == 0
    assert re.fullmatch(rf"outside memory: small has 64 KiB on chip; {device} adds \d+ KiB "
                        r"\(sdram,bytes=4,latency=10\)\n", captured.err)
    with pytest.raises(SystemExit) as stopped:
        cli.main([*command, "--outside", "none"])
    assert stopped.value.code == 1 and "--outside" in capsys.readouterr().err


@pytest.mark.rtl
def test_interrupt_leaves_no_empty_trace(models: Path, tmp_path: Path) -> None:
    """While the core is built, which takes longest."""
    process = subprocess.Popen(
        [*KANIWA, "run", str(models / "tflm_micro_speech.tflite"), "--device", "sim", "--target",
         "small", "--trace", "a.vcd"], cwd=tmp_path, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "KANIWA_CACHE": str(tmp_path / "cache")},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    while not (tmp_path / "cache").exists():
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, line = process.communicate(timeout=60)
    assert process.returncode == 130 and line.count("\n") == 1 and "interrupted" in line
    assert not (tmp_path / "a.vcd").exists()
