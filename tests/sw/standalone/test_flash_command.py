"""``kaniwa flash``: the file, what it tells in 80 columns, and what it refuses."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from builders.files.onnx_models import OnnxBuilder

from kaniwa import cli
from kaniwa.boards.board import load_board
from kaniwa.boards.flow.program import find_bitstream
from kaniwa.compiler.pipeline import compile
from kaniwa.config import load_target
from kaniwa.errors import DeviceError
from kaniwa.importers import load_model
from kaniwa.program.file import save_program
from kaniwa.standalone.image import flash_slots, make_image, read_image

SPEECH = "tflm_micro_speech.tflite"
# With the preambles of both families.
BITS = (b"\xff\x00Part: LFE5U-25F\0\xff\xff\xbd\xb3\x7e\xaa\x99\x7e"
        + bytes(range(256)) * 20)


# One more tells whether there is a class.
LEDS = {"ulx3s_25f": "class: the largest of 4 scores, on 7 LEDs",
        "icebreaker": "class: the largest of 4 scores, on 1 LED, which shows its number modulo 2"}


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    built = tmp_path / "build" / "boards"
    built.mkdir(parents=True)
    (built / "ulx3s_25f-small-standalone.bit").write_bytes(BITS)
    (built / "icebreaker-nano-standalone.bin").write_bytes(BITS)


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """Exit status, standard output and standard error of ``kaniwa flash``."""
    with pytest.raises(SystemExit) as stopped:
        cli.main(["flash", *map(str, arguments)])
    status = stopped.value.code
    assert isinstance(status, int)
    return status, *capsys.readouterr()


@pytest.mark.parametrize("board", ["ulx3s_25f", "icebreaker"])
def test_the_file_has_bitstream_and_image(
        board: str, models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = run(capsys, models / SPEECH, "--board", board)
    assert (status, err) == (0, "")
    chosen = load_board(board)
    target = chosen.default_target
    path = Path(f"build/boards/{board}-{target}-tflm_micro_speech-flash.bin")
    image = make_image(compile(load_model(models / SPEECH), chosen.config(target)))
    assert chosen.flash is not None
    assert path.read_bytes() == BITS.ljust(chosen.flash.offset, b"\xff") + image
    lines = out.splitlines()
    assert max(map(len, lines)) <= 80
    text = " ".join(out.split())
    assert f"bitstream 0x0 {len(BITS):,} build/boards/" in text
    assert (f"image of the program {chosen.flash.offset:#x} {len(image):,} CRC-32 "
            f"{read_image(image).crc:08x}") in text
    assert LEDS[board] in lines
    at = {name: re.search(rf"^{name} .* (0x[0-9a-f]+) ", out, re.MULTILINE)
          for name in ("input", "output")}
    assert all(at.values())
    assert lines[-1] == f"wrote {path}, {chosen.flash.offset + len(image):,} bytes"


def test_several_models_have_a_slot_each(models: Path, tmp_path: Path,
                                         capsys: pytest.CaptureFixture[str]) -> None:
    """The second one has a target and a bitstream of its own."""
    for slot, target in ((0, "nano"), (1, "small")):
        (tmp_path / f"build/boards/icebreaker-{target}-standalone-slot{slot}.bin").write_bytes(
            BITS[slot:])
    keywords = "mlperf_kws_dscnn.tflite"
    arguments = (models / SPEECH, models / keywords, "--board", "icebreaker", "--target", "nano",
                 "--target", "small")
    status, out, err = run(capsys, *arguments)
    assert (status, err) == (0, "")
    board = load_board("icebreaker")
    images = [make_image(compile(load_model(models / name), board.config(target)))
              for name, target in ((SPEECH, "nano"), (keywords, "small"))]
    wanted = flash_slots(board, [(BITS, images[0]), (BITS[1:], images[1])])
    path = Path("build/boards/icebreaker-nano-tflm_micro_speech-mlperf_kws_dscnn-flash.bin")
    assert path.read_bytes() == wanted
    text = " ".join(out.split())
    for told in ("slot 0 of the flash of icebreaker, target nano, tflm_micro_speech.tflite",
                 f"bitstream 0x100 {len(BITS):,} build/boards/", "program 0x100000 ",
                 "slot 1 of the flash of icebreaker, target small, mlperf_kws_dscnn.tflite",
                 f"bitstream 0x400100 {len(BITS) - 1:,} build/boards/", "program 0x500000 "):
        assert told in text
    assert out.splitlines()[-1] == f"wrote {path}, {len(wanted):,} bytes"
    given = ["--bitstream", "b.bin"] * 2
    Path("b.bin").write_bytes(BITS)
    _, out, _ = run(capsys, *arguments, *given, "-o", "f.bin", "--json")
    values = json.loads(out)
    assert values["file"] == "f.bin" and values["bytes"] == len(Path("f.bin").read_bytes())
    assert [(slot["slot"], slot["target"], slot["bitstream"], slot["bitstream_offset"],
             slot["offset"]) for slot in values["slots"]] == [
        (0, "nano", "b.bin", 0x100, 0x10_0000), (1, "small", "b.bin", 0x40_0100, 0x50_0000)]


@pytest.mark.parametrize(("changed", "told"), [
    ({"slot": 0}, "slot is 0, not 1"), ({"slot": None}, "slot is none, not 1"),
    ({"board": "ulx3s_25f"}, "board is ulx3s_25f, not icebreaker"),
    ({"standalone": False}, "standalone is no, not yes"),
    ({"config": "0123"}, "config is 0123, not "),
])
def test_a_bitstream_of_something_else_is_refused(
        models: Path, capsys: pytest.CaptureFixture[str], changed: dict[str, object], told: str
        ) -> None:
    """By the report that kaniwa bitstream wrote beside it."""
    report = {"board": "icebreaker", "standalone": True, "config": load_target("nano").hash}
    for slot in (0, 1):
        Path(f"b{slot}.bin").write_bytes(BITS)
        Path(f"b{slot}.json").write_text(json.dumps(report | {"slot": slot}))
    arguments = [models / SPEECH, models / SPEECH, "--board", "icebreaker", "--bitstream", "b0.bin",
                 "--bitstream", "b1.bin", "-o", "f.bin"]
    assert run(capsys, *arguments)[0] == 0
    Path("f.bin").unlink()
    Path("b1.json").write_text(json.dumps(report | {"slot": 1} | changed))
    status, _, err = run(capsys, *arguments)
    assert status == 1 and len(err.splitlines()) == 1
    assert f"b1.bin: by b1.json beside it the {told}" in err
    assert not Path("f.bin").exists()
    Path("b1.json").write_text("cut o")
    assert run(capsys, *arguments)[0] == 0


def test_facts_for_programs(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A program file gives the same bytes as the model."""
    program = compile(load_model(models / SPEECH), "small")
    save_program(program, "speech.kaniwa")
    status, out, _ = run(capsys, "speech.kaniwa", "--board", "ulx3s_25f", "-o", "f.bin", "--json")
    values = json.loads(out)
    image = make_image(program)
    assert Path("f.bin").read_bytes()[values["offset"]:] == image
    assert status == 0
    assert values["bytes"] == values["offset"] + values["image_bytes"]
    assert values["image_bytes"] == len(image)
    assert values["crc32"] == f"{read_image(image).crc:08x}"
    assert values["memory_bytes"] == sum(len(data) for _, data in program.images)
    assert values["registers"] == {"program_address": 0, "watchdog": 10_000_000}
    assert values["scores"] == 4
    (given,), (output,) = values["inputs"], values["outputs"]
    assert given["address"] == program.inputs[0].address
    assert (given["bytes"], given["dtype"], given["shape"]) == (1960, "int8", [1, 1960])
    assert output["address"] == read_image(image).header.address
    assert (output["name"], output["bytes"]) == ("labels_softmax", 4)
    assert values["left_out"] == ["SOFTMAX"]
    assert values["no_class"] is None and values["tool"] is None


def test_channels_before_rows_are_the_clients(capsys: pytest.CaptureFixture[str]) -> None:
    """An ONNX network for images: memory has the channels last, and the table says so."""
    b = OnnxBuilder(3)
    y = b.quantized(b.node("Conv", [b.activation((1, 3, 10, 13), 0.02), b.weights((5, 3, 3, 3))]))
    Path("image.onnx").write_bytes(b.model(y))
    status, out, _ = run(capsys, "image.onnx", "--board", "ulx3s_25f", "-o", "f.bin", "--json")
    values = json.loads(out)
    (given,), (output,) = values["inputs"], values["outputs"]
    assert status == 0 and values["left_out"].count("TRANSPOSE") == 2
    assert (given["shape"], given["model_shape"]) == ([1, 10, 13, 3], [1, 3, 10, 13])
    assert (output["shape"], output["model_shape"]) == ([1, 8, 11, 5], [1, 5, 8, 11])
    _, out, _ = run(capsys, "image.onnx", "--board", "ulx3s_25f", "-o", "f.bin")
    assert "10x13x3, of 3x10x13" in " ".join(out.split())


def test_the_image_alone(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capsys, models / "mlperf_ad_fc_ae.tflite", "--board", "ulx3s_85f",
                         "--image-only", "image.bin")
    assert status == 0
    assert read_image(Path("image.bin").read_bytes()).header.count == 0
    assert "no class is shown: the output has 640 values, 240 are the most" in out
    assert "bitstream" not in out
    assert list(Path().glob("*.bin")) == [Path("image.bin")]


REFUSED = [
    ("{models}/tflm_micro_speech.tflite --board ecpix5_85f",
     "ecpix5_85f has no flash that kaniwa starts it from: these have one: icebreaker, ulx3s_25f, "
     "ulx3s_25f_sdram, ulx3s_85f, ulx3s_85f_sdram"),
    ("{models}/tflm_micro_speech.tflite --board ulx3s_85f",
     "build/boards/ulx3s_85f-base-standalone.bit: no such bitstream; kaniwa bitstream --board "
     "ulx3s_85f --standalone builds it"),
    ("{models}/tflm_micro_speech.tflite --board ulx3s_85f --target large",
     "build/boards/ulx3s_85f-large-standalone.bit: no such bitstream; kaniwa bitstream --board "
     "ulx3s_85f --target large --standalone builds it"),
    ("{models}/tflm_micro_speech.tflite --board ulx3s_25f --bitstream none.bit",
     "none.bit: no such file"),
    ("{models}/tflm_micro_speech.tflite --board ulx3s_25f --bitstream base.kaniwa -o f.bin",
     "base.kaniwa: is no bitstream of ecp5: its preamble is not there"),
    ("{models}/tflm_micro_speech.tflite --board icebreaker --bitstream /dev/null -o f.bin",
     "/dev/null: is no regular file"),
    ("{models}/tflm_micro_speech.tflite --board ulx3s_25f -o f.bit",
     "f.bit: programmers leave the head of a .bit file out, which moves what is behind it: name "
     "it .bin"),
    ("{models}/digits_transformer.tflite --board ulx3s_25f -o f.bin",
     "digits_transformer.tflite: cannot start from flash: the host would run BATCH_MATMUL"),
    ("{models}/tflm_micro_speech.tflite --board ulx3s_25f --image-only f.bin --write",
     "--image-only takes no --bitstream, --output or --write"),
    ("a b c d e --board icebreaker",
     "5 models for icebreaker, whose flash has 4 slots: leave some out"),
    ("a b --board icebreaker --target small",
     "build/boards/icebreaker-small-standalone-slot0.bin: no such bitstream; kaniwa bitstream "
     "--board icebreaker --target small --standalone --slot 0 builds it"),
    ("a b c --board icebreaker --target nano --target small",
     "--target: once, or once for each model"),
    ("a b c --board icebreaker --bitstream f.bin --bitstream g.bin",
     "--bitstream: once for each model, or not at all"),
    ("a b --board icebreaker --image-only f.bin", "--image-only takes one model"),
    ("a b --board ecpix5_85f", "ecpix5_85f has no flash that kaniwa starts it from"),
    ("{models}/tflm_micro_speech.tflite {models}/digits_transformer.tflite --board ulx3s_25f "
     "--bitstream x --bitstream y -o f.bin",
     "x: no such file"),
    ("base.kaniwa --board ulx3s_25f -o f.bin",
     "tflm_micro_speech.tflite: compiled for target 'base'"),
    ("outside.kaniwa --board ulx3s_25f -o f.bin",
     "outside.kaniwa: needs outside memory, which ulx3s_25f has not: compile it without"),
    ("{models}/tflm_micro_speech.tflite --board ulx3s_25f -o none/f.bin",
     "none/f.bin: cannot be written (No such file or directory); nothing was left half-written"),
]


@pytest.mark.parametrize("line, message", REFUSED)
def test_what_cannot_be_is_one_line(line: str, message: str, models: Path,
                                    capsys: pytest.CaptureFixture[str]) -> None:
    graph = load_model(models / SPEECH)
    save_program(compile(graph, "base"), "base.kaniwa")
    small = load_board("ulx3s_25f").config("small")
    kws = load_model(models / "mlperf_ic_resnet8.tflite")     # too large for 64 KiB
    save_program(compile(kws, small, outside="ideal"), "outside.kaniwa")
    before = set(Path().rglob("*"))
    status, out, err = run(capsys, *line.format(models=models).split())
    assert status in (1, 2) and out == ""
    assert err.startswith(f"kaniwa: {message}") and err.count("\n") == 1
    assert set(Path().rglob("*")) == before


def test_a_board_with_sdram_takes_what_is_too_large_for_the_core(
        models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, _, _ = run(capsys, models / "mlperf_ic_resnet8.tflite", "--board", "ulx3s_25f_sdram",
                       "--image-only", "image.bin")
    assert status == 0
    image = read_image(Path("image.bin").read_bytes())
    assert any(request.word >> 31 for request in image.requests if request.data)


def test_write_calls_the_tool_of_the_board(models: Path, capsys: pytest.CaptureFixture[str],
                                           monkeypatch: pytest.MonkeyPatch) -> None:
    tool = Path("tools/openFPGALoader")
    tool.parent.mkdir()
    tool.write_text('#!/bin/sh\necho "$@" > called\nexit ${CODE:-0}\n')
    tool.chmod(0o755)
    arguments = (models / SPEECH, "--board", "ulx3s_25f", "-o", "f.bin", "--write")
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    status, _, err = run(capsys, *arguments)
    assert (status, err) == (1, "kaniwa: no tool to program ulx3s_25f: install openFPGALoader\n")
    monkeypatch.setenv("PATH", f"{tool.parent.absolute()}:/usr/bin:/bin")
    status, out, _ = run(capsys, *arguments)
    assert status == 0
    assert Path("called").read_text() == "-b ulx3s -f f.bin\n"
    assert out.splitlines()[-1].endswith("bytes, and the flash with openFPGALoader")
    monkeypatch.setenv("CODE", "3")
    status, _, err = run(capsys, *arguments)
    assert status == 1 and err.startswith("kaniwa: openFPGALoader failed: ")


def test_the_bitstream_of_a_host_is_no_standalone_one(tmp_path: Path) -> None:
    (tmp_path / "ulx3s_85f-base.bit").write_bytes(BITS)
    with pytest.raises(DeviceError, match="--board ulx3s_85f --standalone builds it"):
        find_bitstream(load_board("ulx3s_85f"), "base", tmp_path, standalone=True)
